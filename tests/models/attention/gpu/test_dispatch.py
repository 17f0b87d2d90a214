"""Models through the kernels and without: one step has the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from graphpe import models as M
from graphpe import transforms as T
from graphpe.compiled import kernel
from graphpe.models import gps, grit
from graphpe.models.attention import pairs
from graphpe.models.attention.biases.pair_factors import PairFactors
from graphpe.models.attention.clamped import edge_list
from graphpe.models.attention.gpu import edges, ragged
from graphpe.models.attention.neighbours import sums
from graphpe.models.attention.recording import record_attention
from graphpe.models.attention.relational import attention as relational
from graphpe.models.attention.relational import update
from graphpe.models.attention.softmax import softmax
from graphpe.models.layers import inputs, multi_head
from graphpe.models.layers.gpu import gated_gcn, gine, linear_relu, projections, residual
from graphpe.models.layers.gpu.ends import pooling, tables

from .conftest import DEVICE

_MODULES = (
    *(edges, gps, multi_head, grit, relational, update, sums, pairs, ragged, inputs),
    *(gated_gcn, gine, linear_relu, projections, residual, pooling, tables),
)
_STACK = {"width": 8, "layers": 2, "heads": 2}
_HIDDEN = {"edge_hidden_1": 3, "edge_hidden_2": 2}


def _inputs() -> dict[str, nn.Module]:
    return {"node_encoder": M.LinearNodes(3, 8), "edge_encoder": M.LinearEdges(2, 8), "head": nn.Linear(8, 1)}


def _factored() -> nn.Module:
    return M.PairBias("spectral_coordinates", 2, head="linear", channels=2, factored=True)


def _bias(mode: str = "both", head: str = "table") -> nn.Module:
    bias = M.PairBias("shortest_path", 2, mode=mode, head=head, unreachable=5)
    for parameter in bias.parameters():
        nn.init.normal_(parameter, std=0.3)
    return bias


def _terms() -> list[nn.Module]:
    terms = [M.RelationTerms("shortest_path", 2, 8, size=3, on=("query", "product")), M.PathCounts(2, 8, size=4)]
    for parameter in (p for term in terms for p in term.parameters()):
        nn.init.normal_(parameter, std=0.3)
    return [*terms, M.DirectedHeads("shortest_path", 2, 8, views=("both", "others"), unreachable=5)]


_MODELS: dict[str, Callable[[], nn.Module]] = {
    "terms": lambda: M.Graphormer(**_STACK, **_inputs(), pair_encodings=_terms()),
    "aft": lambda: M.GPS(**_STACK, **_inputs(), attention="aft", pair_encodings=[_bias("add")]),
    "GPS": lambda: M.GPS(**_STACK, **_inputs(), pair_encodings=[_bias()]),
    "factored": lambda: M.GPS(**_STACK, **_inputs(), pair_encodings=[_factored()]),
    "two tables": lambda: M.SAT(**_STACK, **_inputs(), readout="cls", pair_encodings=[_bias(), _bias("add", "t5")]),
    "virtual node": lambda: M.Graphormer(
        **_STACK, **_inputs(), virtual_node=True, pair_encodings=[_bias("multiply"), _bias("add")]
    ),
    "GPS linear": lambda: M.GPS(**_STACK, **_inputs(), attention="linear"),
    "Graphormer": lambda: M.Graphormer(**_STACK, **_inputs(), pair_encodings=[_bias("add")]),
    "SAT": lambda: M.SAT(**_STACK, **_inputs(), readout="cls"),
    "Exphormer": lambda: M.Exphormer(**_STACK, **_inputs()),
    "GRIT": lambda: M.GRIT(
        **_STACK,
        **_inputs(),
        attention="full",
        attention_dropout=0.0,
        pair_encodings=[M.PairLinear("shortest_path", 1, 8)],
    ),
    "Relational": lambda: M.RelationalTransformer(**_STACK, **_inputs(), **_HIDDEN, global_vector="node"),
    "Relational sparse": lambda: M.RelationalTransformer(**_STACK, **_inputs(), **_HIDDEN, attention="sparse"),
    "GRIT sparse": lambda: M.GRIT(
        **_STACK,
        **_inputs(),
        attention="sparse",
        attention_dropout=0.0,
        pair_encodings=[M.PairLinear("shortest_path", 1, 8)],
    ),
    "GAT": lambda: M.ClassicGNN(
        conv="GAT", width=8, layers=2, heads=2, dropout=0.0, node_encoder=M.LinearNodes(3, 8), head=nn.Linear(8, 1)
    ),
    "edges": lambda: M.GraphTransformer(**_STACK, **_inputs(), update_edges=True),
    "pair list": lambda: M.GraphTransformer(**_STACK, **_inputs(), attention="full", update_edges=True),
}


def _batch() -> Batch:
    graphs = [
        Data(x=torch.randn(n, 3), edge_index=torch.randint(0, n, (2, 2 * n)), edge_attr=torch.randn(2 * n, 2))
        for n in (1, 6, 18)
    ]
    encodings = T.Compose([T.ShortestPathPE(max_distance=4), T.SpectralCoordinates(k=2)])
    return Batch.from_data_list([encodings(graph) for graph in graphs]).to(DEVICE)


def _kernels(monkeypatch: pytest.MonkeyPatch, run: bool) -> list[str]:
    """Kernels run, or do not, wherever the tensors are; the names of those that did."""
    launched: list[str] = []
    launch = kernel.Kernel.__call__

    def noted(self: kernel.Kernel, *args: object, **constants: object) -> None:
        launched.append(self.function.__name__)
        launch(self, *args, **constants)

    monkeypatch.setattr(kernel.Kernel, "__call__", noted)
    for module in _MODULES:
        monkeypatch.setattr(module, "has_kernels", lambda device: run)
    return launched


def _step(model: nn.Module, batch: Batch, *, half: bool) -> tuple[Tensor, dict[str, Tensor]]:
    model.zero_grad()
    with torch.autocast(DEVICE, torch.bfloat16) if half else nullcontext():
        out = model(batch)
    out.float().square().sum().backward()
    return out.detach().float(), {name: x.grad for name, x in model.named_parameters() if x.grad is not None}


def _away_from_roots(model: nn.Module) -> None:
    """No root is near zero, where it amplifies rounding without bound."""
    for layer in (part for part in model.modules() if isinstance(part, grit.GRITLayer)):
        with torch.no_grad():
            layer.query.bias += 4
            layer.pair.bias[:8] += 4


@pytest.mark.parametrize("name", _MODELS)
def test_models_through_kernels(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = _MODELS[name]().to(DEVICE), _batch()
    _away_from_roots(model)
    with monkeypatch.context() as patch:
        assert not _kernels(patch, False)
        expected, gradients = _step(model, batch, half=False)
    launched = _kernels(monkeypatch, True)
    out, found = _step(model, batch, half=False)
    assert launched
    torch.testing.assert_close(out, expected, rtol=1e-3, atol=1e-4)
    least = 1e-4 if "GRIT" not in name else 3e-2  # one of its features may turn within rounding
    largest = max(float(x.norm()) for x in gradients.values())
    assert found.keys() == gradients.keys()
    for parameter, gradient in gradients.items():
        assert float((found[parameter] - gradient).norm()) < least * largest, parameter


@pytest.mark.parametrize("name", ["GPS", "edges", "Relational"])
def test_half_precision(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = _MODELS[name]().to(DEVICE), _batch()
    expected, _ = _step(model, batch, half=False)
    launched = _kernels(monkeypatch, True)
    out, _ = _step(model, batch, half=True)
    assert launched
    assert float((out - expected).norm()) < 0.1 * float(expected.norm())


@pytest.mark.parametrize(
    ("biases", "tables", "ends"),
    [
        (lambda: [_bias("both")], [(True, True)], False),
        (lambda: [_bias("add", "t5"), _factored()], [(True, False)], True),
    ],
)
def test_rows_of_pairs_are_not_made(
    biases: Callable[[], list[nn.Module]],
    tables: list[tuple[bool, bool]],
    ends: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A table and a bias of low rank reach the kernels as they are."""
    seen: list[PairFactors] = []
    monkeypatch.setattr(softmax, "ragged_softmax", lambda q, k, v, nodes, factors, heads: seen.append(factors) or v)
    _kernels(monkeypatch, True)
    parts = {**_inputs(), "edge_encoder": None}  # whose numbers along edges are rows of pairs
    M.Graphormer(**_STACK, **parts, pair_encodings=biases()).to(DEVICE)(_batch())
    for factors in seen:
        assert factors.add is None
        assert factors.multiply is None
        assert [(each.add is not None, each.multiply is not None) for each in factors.relations] == tables
        assert (factors.left is not None) == ends
    assert len(seen) == 2


def test_double_precision_dropout_and_recorded_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = _batch()
    model = M.GPS(**_STACK, **_inputs(), pair_encodings=[_bias()], attention_dropout=0.5).to(DEVICE)
    expected = _step(model.eval(), batch, half=False)[0]
    launched = _kernels(monkeypatch, True)
    with record_attention() as layers:
        out, _ = _step(model, batch, half=False)
    assert len(layers) == 2
    assert layers[0].weight.shape == (1 + 36 + 324, 2)
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-4)
    launched.clear()
    double = batch.clone()
    double.x, double.edge_attr = double.x.double(), double.edge_attr.double()
    out, _ = _step(model.double(), double, half=False)
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-4)
    assert set(launched) <= {"_blocks", "_pairs"}  # which are of integers
    model.float().train()
    first, second = (_step(model, batch, half=False)[0] for _ in range(2))
    assert launched
    assert not torch.equal(first, second)


def test_what_asks_for_kernels_and_what_does_not() -> None:
    assert kernel.has_kernels(torch.device("cuda"))
    assert not kernel.has_kernels(torch.device("cpu"))
    assert softmax.KINDS is edge_list.KINDS is kernel.KINDS
