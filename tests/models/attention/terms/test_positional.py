from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

import graphpe.models as M
from graphpe.models.attention.positions.node_positions import Attending
from graphpe.models.attention.recording import record_attention
from graphpe.models.batches.nodes import node_to_graph


def test_weights_are_those_of_positions_in_a_sequence(make_path, sequence) -> None:
    data = make_path(7)
    place = torch.arange(7, dtype=torch.float64)
    data.place = torch.stack([place, place**2], 1)
    positions = M.PositionalAttention("place", 2, 8)
    given = sequence(data, positions=[positions])
    p = data.place @ positions.linear_map.weight.t() + positions.linear_map.bias
    query, key = (given.by_head(x) for x in given.layer.query_key(p).chunk(2, 1))
    given.expect(query @ key.transpose(1, 2) / 2)


MODELS = [
    ("GPS", {"local": "none"}),
    ("GPS", {"local": "none", "attention": "linear"}),
    ("GPS", {"local": "none", "attention": "tree"}),
    ("SAT", {"readout": "cls", "hops": 0}),
    ("Graphormer", {}),
    ("GraphTransformer", {"attention": "full"}),
    ("TopologicalTransformer", {}),
]


@pytest.mark.parametrize(("name", "options"), MODELS)
def test_in_every_model(batch, name: str, options) -> None:
    """Weights know nothing of what nodes hold; gradients reach the positions."""
    positions = M.PositionalAttention("random_walk_pe", 3, 16)
    made = getattr(M, name)(
        width=16, layers=2, heads=4, node_encoder=M.LinearNodes(16, 16), positions=[positions], **options
    )
    made = made.double().eval()
    with record_attention() as before:
        made(batch).square().sum().backward()
    assert float(positions.linear_map.weight.grad.norm()) > 0
    other = batch.clone()
    other.x = torch.randn_like(batch.x)
    with record_attention() as after:
        out = made(other)
    if name == "GPS" and "attention" not in options:
        for one, two in zip(before, after, strict=True):
            torch.testing.assert_close(one.weight, two.weight)
    alone = [made(data) for data in other.to_data_list() if data.num_nodes]
    torch.testing.assert_close(out[[0, 1, 3]], torch.cat(alone), atol=1e-6, rtol=1e-6)


def test_extra_nodes_keep_their_embeddings() -> None:
    data = Data(edge_index=torch.zeros(2, 0, dtype=torch.long), place=torch.randn(3, 2), num_nodes=3)
    positions = M.PositionalAttention("place", 2, 4)
    place, x = torch.tensor([0, 1, 3]), torch.randn(4, 4)
    mapped = positions.prepare(data, Attending(node_to_graph(data), 4, place))
    structure = positions.structure(x, mapped)
    torch.testing.assert_close(structure[place], positions.linear_map(data.place))
    assert torch.equal(structure[2], x[2])
