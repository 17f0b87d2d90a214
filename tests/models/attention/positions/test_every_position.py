"""What all positions have in common, in models and alone."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

import graphpe.models as M
import graphpe.transforms as T
from graphpe.models.attention.positions.node_positions import Attending, NodePositions
from graphpe.models.batches.nodes import node_to_graph

WIDTH, HEADS = 16, 2
KEYS = {
    "HoPE": ("depth_pe", 1),
    "MagneticRotary": ("magnetic_eigenvector_pe", 3),
    "XPos": ("depth_pe", 1),
}
"""Encodings that some read, and their columns; others read coordinates."""
CLASSES = {name: getattr(M, name) for name in M.__all__ if inspect.isclass(getattr(M, name))}
NAMES = [name for name, kind in CLASSES.items() if issubclass(kind, NodePositions) and not inspect.isabstract(kind)]
# Queries and keys of extra nodes come out as they went in; of others in a basis of their own, with the same products.
UNTOUCHED = set(NAMES) - {"ComRoPE", "HARoPE", "HoPE", "PoPE"}


def made(name: str) -> NodePositions:
    """The positions, with parameters that are nowhere at a point of symmetry."""
    torch.manual_seed(3)
    key, columns = KEYS.get(name, ("spectral_coordinates", 3))
    given = {"key": key, "coordinates": columns, "channels": columns, "width": WIDTH, "heads": HEADS}
    kind = getattr(M, name)
    taken = inspect.signature(kind).parameters
    more = {"span": 1.0} if name == "HoPE" else {}  # small graphs are to see it
    positions = kind(**{argument: value for argument, value in given.items() if argument in taken}, **more)
    with torch.no_grad():
        for parameter in positions.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return positions


@pytest.fixture
def batch() -> Batch:
    """A directed tree, a graph of three components with edges both ways, and a node alone."""
    graphs = [
        Data(edge_index=torch.tensor([[0, 0, 1, 1, 4], [1, 2, 3, 4, 5]]), num_nodes=6),
        Data(edge_index=torch.tensor([[0, 1, 1, 2, 0, 4], [1, 0, 2, 1, 2, 5]]), num_nodes=7),
        Data(edge_index=torch.zeros(2, 0, dtype=torch.long), num_nodes=1),
    ]
    encode = T.Compose([T.SpectralCoordinates(3), T.DepthPE(), T.MagneticLaplacianPE(3, sign="canonical")])
    for data in graphs:
        data.x = torch.randn(data.num_nodes, WIDTH)
    return Batch.from_data_list([encode(data) for data in graphs])


def model(name: str, positions: NodePositions, **options: Any) -> nn.Module:
    torch.manual_seed(1)
    build = {"width": WIDTH, "heads": HEADS, "layers": 2, "node_encoder": M.LinearNodes(WIDTH, WIDTH)}
    return getattr(M, name)(**build, positions=[positions], **options).eval()


MODELS = [
    ("GPS", {"norm": "layer"}),
    ("SAT", {"readout": "cls"}),
    ("GPS", {"attention": "linear", "norm": "layer"}),
    ("TopologicalTransformer", {}),
    ("GraphTransformer", {"attention": "full", "norm": "layer"}),
]


def suits(name: str, options: dict[str, Any], positions: NodePositions) -> bool:
    is_linear = name == "TopologicalTransformer" or options.get("attention") == "linear"
    return not (is_linear and not positions.linear) and not (name == "GraphTransformer" and positions.widens)


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_is_its_graphs_and_everything_is_trained(batch, name: str) -> None:
    for architecture, options in MODELS:
        positions = made(name)
        if not suits(architecture, options, positions):
            continue
        whole = model(architecture, positions, **options)
        parts = torch.cat([whole(data) for data in batch.to_data_list()])
        torch.testing.assert_close(whole(batch), parts, atol=1e-4, rtol=1e-4)
        plain = model(architecture, M.RotaryAttention("spectral_coordinates", 3, WIDTH, HEADS, scale=0.0), **options)
        assert not torch.allclose(whole(batch), plain(batch), atol=3e-6, rtol=0), "positions have to be seen"
        whole(batch).square().sum().backward()
        grads = {key: p.grad for key, p in whole.positions.named_parameters()}
        assert all(g is not None and bool(g.isfinite().all()) and bool((g != 0).any()) for g in grads.values()), grads


@pytest.mark.parametrize("name", NAMES)
def test_gradients(batch, name: str) -> None:
    data = batch.to_data_list()[1]
    positions = made(name).double()
    given = [torch.randn(7, WIDTH, dtype=torch.float64, requires_grad=True) for _ in range(4)]
    weights = [p for p in positions.parameters() if p.requires_grad]

    def outputs(query: Tensor, key: Tensor, value: Tensor, x: Tensor, *_: Tensor) -> tuple[Tensor, ...]:
        prepared = positions.prepare(data, Attending(node_to_graph(data), 7))
        q, k, v = positions.transform(query, key, value, prepared, x)
        return q, k, positions.restore(v * v, prepared)

    assert torch.autograd.gradcheck(outputs, (*given, *weights), fast_mode=True)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "LogLength"])  # which counts them
def test_extra_nodes_have_no_position(batch, name: str) -> None:
    members = node_to_graph(batch)
    place = torch.tensor([*range(1, 7), *range(8, 15), 16])
    extra = torch.tensor([0, 7, 15])
    positions = made(name)
    query, key, value, x = torch.randn(4, 17, WIDTH)
    query[7:], key[7:], value[7:] = query[0], key[0], value[0]
    prepared = positions.prepare(batch, Attending(members, 17, place))
    q, k, v = positions.transform(query, key, value, prepared, x)
    for turned in (q, k):
        torch.testing.assert_close(turned[extra], turned[:1].expand(3, -1))  # whatever their graph
    torch.testing.assert_close(v[extra], value[extra])
    torch.testing.assert_close(positions.restore(value, prepared)[extra], value[extra])
    if name in UNTOUCHED:
        torch.testing.assert_close((q[extra], k[extra]), (query[extra], key[extra]))
    elif name in ("ComRoPE", "HoPE"):
        torch.testing.assert_close((q * k)[extra].sum(1), (query * key)[extra].sum(1), rtol=1e-4, atol=1e-4)
    real = positions.prepare(batch, Attending(members, 14))
    alone = positions.transform(query[place], key[place], value[place], real, x[place])
    torch.testing.assert_close((q[place], k[place], v[place]), alone)


@pytest.mark.parametrize("name", NAMES)
def test_half_precision(batch, name: str) -> None:
    exact = model("GPS", made(name), norm="layer")
    low = model("GPS", made(name), norm="layer")
    low.load_state_dict(exact.state_dict())
    assert float((low.bfloat16()(batch).float() - exact(batch)).abs().max()) < 0.05 * float(exact(batch).abs().max())
