from __future__ import annotations

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch

import graphpe.models as M
import graphpe.transforms as T
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.models.attention.positions.node_positions import Attending, NodePositions
from graphpe.models.attention.softmax.rotary import RotaryAttention


class Doubling(NodePositions):
    """Queries and keys twice as wide with the same products; values times 3, and back."""

    widens = True

    def prepare(self, batch, nodes):
        return nodes.num_nodes

    def transform(self, query, key, value, prepared, x):
        assert query.shape[0] == prepared == x.shape[0]
        half = 0.5**0.5
        wide = [torch.cat([part.view(prepared, 4, -1) * half] * 2, 2).flatten(1) for part in (query, key)]
        return *wide, value * 3

    def restore(self, out, prepared):
        return out / 3


def model(name: str, positions=(), **options) -> nn.Module:
    torch.manual_seed(1)
    made = getattr(M, name)(
        width=16, layers=2, heads=4, node_encoder=M.LinearNodes(16, 16), positions=positions, **options
    )
    return made.eval()


MODELS = [
    ("GPS", {}),
    ("GPS", {"attention": "linear"}),
    ("GPS", {"attention": "tree"}),
    ("SAT", {"readout": "cls"}),
    ("Graphormer", {"virtual_node": True}),
    ("TopologicalTransformer", {}),
    ("TopologicalTransformer", {"mask": "none"}),
]


@pytest.fixture
def batch(make_batch):
    graphs = make_batch([7, 1, 12]).to_data_list()
    for data in graphs:
        data.x, data.edge_attr = torch.randn(data.num_nodes, 16), None
    return Batch.from_data_list([T.SpectralCoordinates(k=3)(data) for data in graphs])


@pytest.mark.parametrize(("name", "options"), MODELS)
def test_maps_that_cancel_change_nothing(batch, name: str, options) -> None:
    expected = model(name, **options)(batch)
    found = model(name, [Doubling()], **options)(batch)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("name", "options"), [*MODELS, ("GraphTransformer", {"attention": "full"})])
def test_a_batch_is_its_graphs(batch, name: str, options) -> None:
    torch.manual_seed(1)
    whole = model(name, [RotaryAttention("spectral_coordinates", 3, 16, 4)], **options)
    assert whole.positions
    parts = torch.cat([whole(Batch.from_data_list([data])) for data in batch.to_data_list()])
    torch.testing.assert_close(whole(batch), parts, atol=1e-4, rtol=1e-4)
    with torch.no_grad():
        whole.positions[0].omega.mul_(3)
    assert not torch.allclose(whole(batch), parts, atol=1e-4)


def test_the_argument_is_the_published_rotary_of_gps(batch) -> None:
    torch.manual_seed(1)
    rotary = RotaryAttention("spectral_coordinates", 3, 16, 4)
    named = model("GPS", attention="rotary", rotary_channels=3)
    given = model("GPS", [rotary])
    given.load_state_dict(named.state_dict() | {"positions.0.omega": named.rotary.omega}, strict=False)
    torch.testing.assert_close(given(batch), named(batch))


def test_a_renumbered_batch(batch) -> None:
    """A batch whose nodes do not stand graph by graph."""
    order = torch.randperm(batch.num_nodes)
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order))
    other = batch.clone()
    other.x, other.batch = batch.x[order], batch.batch[order]
    other.spectral_coordinates = batch.spectral_coordinates[order]
    other.edge_index = place[batch.edge_index]
    del other.ptr
    gps = model("GPS", [RotaryAttention("spectral_coordinates", 3, 16, 4)], local="GCN")
    torch.testing.assert_close(gps(other), gps(batch), atol=1e-4, rtol=1e-4)


def test_extra_nodes_have_no_position(batch) -> None:
    members = M.read_nodes(model("GPS"), batch)[0]
    place = torch.tensor([0, 2, 4, *range(6, 23)])
    rows = Attending(members, 24, place).rows(batch.spectral_coordinates)
    assert rows.shape == (24, 3)
    assert torch.equal(rows[place], batch.spectral_coordinates)
    assert float(rows.abs().sum()) == pytest.approx(float(batch.spectral_coordinates.abs().sum()))


def test_positions_that_do_not_suit() -> None:
    class Softmax(Doubling):
        linear = False

    with pytest.raises(GraphPETypeError, match="must be NodePositions"):
        model("GPS", [nn.Identity()])
    with pytest.raises(GraphPETypeError, match="must be a list of NodePositions"):
        model("GPS", Doubling())
    with pytest.raises(GraphPEValueError, match="there is none"):
        model("GPS", [Doubling()], attention="none")
    with pytest.raises(GraphPEValueError, match="this one is linear"):
        model("TopologicalTransformer", [Softmax()])
    with pytest.raises(GraphPEValueError, match="wider than values"):
        model("GraphTransformer", [Doubling()])
    with pytest.raises(GraphPEValueError, match="which Softmax behind it does not take: name Doubling last"):
        model("GPS", [Doubling(), Softmax()])
