"""Attention called directly: a wrong shape is an error before a compiled loop follows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from graphpe.errors import GraphPEValueError
from graphpe.models.attention import (
    PairFactors,
    PairSet,
    all_pairs,
    dense_attention,
    edge_attention,
    edge_pairs,
    linear_attention,
    pad_factors,
    padded_layout,
    padded_nodes,
    relational_attention,
    softmax_attention,
)
from graphpe.models.attention.grit.attention import grit_attention
from graphpe.models.attention.grit.reference import Dropped, PairUpdate
from graphpe.models.attention.relational.update import PairWeights, update_pairs
from graphpe.models.batches.nodes import NodeToGraph

D, H, N, P = 8, 2, 5, 13
MEMBERS = NodeToGraph(torch.tensor([0, 0, 0, 1, 1]), torch.tensor([0, 3, 5]))
EDGES = torch.tensor([[0, 1, 4], [1, 2, 3]])
PAIRS = all_pairs(MEMBERS, EDGES)
NODES = padded_nodes(MEMBERS)
QKV = {name: torch.zeros(N, D) for name in ("query", "key", "value")}
SQUARE = torch.zeros(D, D)


def rows(*shape: int) -> Tensor:
    return torch.zeros(shape)


def grit(**given: Any) -> Any:
    update = PairUpdate(given.pop("out", SQUARE), given.pop("scale", rows(D)), given.pop("shift", rows(D)))
    keep = {"attention_dropout": (P, H), "feature_dropout": (P, D)}
    dropped = {key: Dropped(given.pop(key, torch.ones(shape)).bool(), 1.0) for key, shape in keep.items()}
    base = {"z": rows(P, D), "weight": rows(2 * D, D), "bias": rows(2 * D), "score": rows(D), "pairs": PAIRS}
    return grit_attention(**{**QKV, **base, "heads": H, "update": update, **dropped, **given})


def relational(**given: Any) -> Any:
    maps = dict.fromkeys(("pair_query", "pair_key", "pair_value"), SQUARE)
    return relational_attention(**{**QKV, "pair": rows(P, D), **maps, "pairs": PAIRS, "heads": H, **given})


def update(**given: Any) -> Any:
    shapes = [(6, D), (6, D), (D, 6), *[(D,)] * 3, (4, D), (4,), (D, 4), *[(D,)] * 3]
    weights = PairWeights(*(rows(*shape) for shape in shapes))
    own = {key: given.pop(key) for key in list(given) if key in PairWeights._fields}
    base = {"pair": rows(P, D), "source_term": rows(N, 6), "target_term": rows(N, 6), "pairs": PAIRS}
    return update_pairs(**{**base, "weights": weights._replace(**own), **given})


def softmax(**given: Any) -> Any:
    factors = PairFactors(given.pop("add", rows(P, H)), given.pop("multiply", rows(P, H)))
    return softmax_attention(**{**QKV, "pairs": PAIRS, "heads": H, **given}, factors=factors)


def padded(**given: Any) -> Any:
    factors = pad_factors(PairFactors(given.pop("add", rows(P, H)), None), PAIRS, NODES)
    return softmax_attention(**{**QKV, "pairs": NODES, "heads": H, **given}, factors=factors)


def linear(**given: Any) -> Any:
    return linear_attention(**{**QKV, "nodes": NODES, "heads": H, **given})


def along_edges(**given: Any) -> Any:
    return edge_attention(**{**QKV, "edge_index": EDGES, "edge": rows(3, D), "heads": H, **given})


def dense(**given: Any) -> Any:
    layout = padded_layout(MEMBERS, EDGES, H)
    return dense_attention(**{**QKV, "layout": layout, "edge": rows(3, D), "absent": rows(D), "heads": H, **given})


CALLS: dict[Callable[..., Any], dict[str, tuple[int, ...]]] = {
    grit: {
        "z": (P - 1, D), "weight": (D, D), "bias": (D,), "score": (H,), "out": (D, D - 1), "scale": (1,),
        "shift": (D + 1,), "attention_dropout": (P, 1), "feature_dropout": (P, D - 1),
    },
    relational: {"pair": (P - 1, D), "pair_query": (D, 4), "pair_key": (4, D), "pair_value": (D, 2 * D)},
    update: {
        "pair": (P + 1, D), "source_term": (N - 1, 6), "target_term": (N, 4), "reverse": (6, 4), "out_1": (4, 6),
        "scale_2": (1,), "hidden_bias": (6,), "out_2": (D, 6),
    },
    softmax: {"add": (P - 1, H), "multiply": (P, 1)},
    padded: {"add": (P - 1, H)},
    linear: {},
    along_edges: {"edge": (2, D)},
    dense: {"edge": (3, 4), "absent": (1,)},
}  # fmt: skip


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_every_shape_is_compared(call: Callable[..., Any]) -> None:
    call()
    names = dict(CALLS[call])
    if call is not update:
        wide = call in (softmax, padded)  # where queries and keys may be wider than values
        names |= {"key": (N - 1, D), "value": (N - 1, D) if wide else (N, D // 2)}
        names |= {} if call is along_edges else {"query": (N + 1, D)}
    for name, shape in names.items():
        text = {"out": "update.weight", "scale": "update.scale", "shift": "update.shift"}.get(name, name)
        with pytest.raises(
            GraphPEValueError, match=rf"{text} must have the shape .*, got \[{', '.join(map(str, shape))}\]"
        ):
            call(**{name: rows(*shape)})
    for heads in () if call is update else (0, 3, 16):
        with pytest.raises(GraphPEValueError, match="D a multiple of heads, got"):
            call(heads=heads)


def test_a_layout_of_another_number_of_heads() -> None:
    with pytest.raises(GraphPEValueError, match="another number of heads than 4"):
        dense(heads=4)


@pytest.mark.parametrize("made", [all_pairs, edge_pairs, lambda members, edges: padded_layout(members, edges, H)])
@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([[0, -1], [1, 0]], "edge_index holds node -1, but the batch has 5 nodes"),
        ([[0, 1], [1, 5]], "edge_index holds node 5, but the batch has 5 nodes"),
        ([[0, 1], [1, 3]], r"edge 1, \[1, 3\], joins graphs 0 and 1"),
        ([[0, 1]], r"must be integers \[2, num_edges\]"),
    ],
)
def test_edges_are_compared(made: Callable[..., Any], edges: list[list[int]], message: str) -> None:
    with pytest.raises(GraphPEValueError, match=message):
        made(MEMBERS, torch.tensor(edges))


def with_number(values: Tensor, place: int, number: int) -> Tensor:
    return values.index_fill(0, torch.tensor([place]), number)


@pytest.mark.parametrize("number", [-(10**9), -1, 5, 10**9])
@pytest.mark.parametrize("call", [grit, relational, update, softmax], ids=lambda call: call.__name__)
def test_pairs_made_by_hand_are_compared(call: Callable[..., Any], number: int) -> None:
    """Compiled loops would read and write wherever these numbers lead."""
    hand = PairSet(PAIRS.source, PAIRS.target, PAIRS.ptr, PAIRS.slot, None)
    call(pairs=hand)
    for changed, message in [
        ({"source": with_number(PAIRS.source, 4, number)}, "source holds a node"),
        ({"target": with_number(PAIRS.target, 4, number)}, "target must hold each node"),
        ({"ptr": with_number(PAIRS.ptr, 5, number)}, "ptr of pairs must begin with 0"),
        ({"ptr": with_number(PAIRS.ptr, 2, number)}, "ptr of pairs must|target must hold each node"),
        ({"source": PAIRS.source[:-1]}, "target must have the shape"),
        ({"source": PAIRS.source.flip(0)}, "without row must be all pairs"),
    ]:
        with pytest.raises(GraphPEValueError, match=message):
            call(pairs=replace(hand, **changed))
