from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from graphpe.models.attention.biases.pair_factors import PairFactors
from graphpe.models.attention.padding import padded_nodes
from graphpe.models.attention.pairs import PairSet, all_pairs, edge_pairs
from graphpe.models.attention.softmax import softmax as module
from graphpe.models.attention.softmax.padded_factors import pad_factors
from graphpe.models.attention.softmax.softmax import softmax_attention, softmax_attention_reference
from graphpe.models.batches.nodes import NodeToGraph

HEADS, WIDTH = 3, 12
SIZES = [[5, 3], [1], [4, 0, 1, 9, 2], [0], []]
FACTORS = [(False, False), (True, False), (False, True), (True, True)]


def members_of(sizes: list[int]) -> NodeToGraph:
    count = torch.tensor(sizes, dtype=torch.long)
    ptr = torch.cat([count.new_zeros(1), count.cumsum(0)])
    return NodeToGraph(torch.arange(len(sizes)).repeat_interleave(count), ptr)


def edges_of(members: NodeToGraph, degree: int = 2) -> Tensor:
    target = torch.arange(members.graph.numel()).repeat(degree)
    graph = members.graph[target]
    return torch.stack([members.ptr[graph] + (torch.rand(len(target)) * members.sizes[graph]).long(), target])


def inputs(members: NodeToGraph, pairs: PairSet, add: bool, multiply: bool, dtype=torch.float64) -> dict[str, Any]:
    def rows(count: int, width: int) -> Tensor:
        return torch.randn(count, width, dtype=dtype, requires_grad=True)

    nodes = members.graph.numel()
    return {
        "query": rows(nodes, WIDTH),
        "key": rows(nodes, WIDTH),
        "value": rows(nodes, WIDTH),
        "add": rows(pairs.num_pairs, HEADS) if add else None,
        "multiply": rows(pairs.num_pairs, HEADS) if multiply else None,
    }


def plain(x: dict[str, Any], pairs: PairSet) -> Tensor:
    """The formulas with a loop over nodes and heads, and torch's softmax."""
    out = []
    c = WIDTH // HEADS
    for i in range(len(x["query"])):
        mine = torch.arange(int(pairs.ptr[i]), int(pairs.ptr[i + 1]))
        row = []
        for h in range(HEADS):
            part = slice(h * c, h * c + c)
            j = pairs.source[mine]
            logit = x["key"][j, part] @ x["query"][i, part] / c**0.5
            if x["add"] is not None:
                logit = logit + x["add"][mine, h]
            weight = torch.softmax(logit, 0)
            if x["multiply"] is not None:
                weight = weight * x["multiply"][mine, h]
            row.append(weight @ x["value"][j, part])
        out.append(torch.cat(row))
    return torch.stack(out) if out else x["value"]


def grads(out: Tensor, x: dict[str, Any]) -> list[Tensor]:
    torch.manual_seed(3)
    given = [value for value in x.values() if value is not None]
    found = torch.autograd.grad((out * torch.randn_like(out)).sum(), given, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(v) if g is None else g for v, g in zip(given, found, strict=True)]


def same(a: Tensor, b: Tensor, x: dict[str, Any]) -> None:
    torch.testing.assert_close(a, b)
    for ours, theirs in zip(grads(a, x), grads(b, x), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize(("add", "multiply"), FACTORS)
@pytest.mark.parametrize("kind", ["all", "edges", "edges and self"])
def test_every_path_is_the_formula(sizes, add, multiply, kind) -> None:
    members = members_of(sizes)
    edge_index = edges_of(members)
    pairs = (
        all_pairs(members, edge_index)
        if kind == "all"
        else edge_pairs(members, edge_index[:, : edge_index.shape[1] // 2], self_pairs=kind != "edges")
    )
    x = inputs(members, pairs, add, multiply)
    qkv, factors = (x["query"], x["key"], x["value"]), PairFactors(x["add"], x["multiply"])
    expected = plain(x, pairs)
    same(softmax_attention_reference(*qkv, pairs, factors, heads=HEADS), expected, x)
    same(softmax_attention(*qkv, pairs, factors, heads=HEADS), expected, x)
    if kind == "all":
        nodes = padded_nodes(members)
        same(softmax_attention(*qkv, nodes, pad_factors(factors, pairs, nodes), heads=HEADS), expected, x)


def test_without_factors() -> None:
    members = members_of([4, 1, 6])
    pairs = all_pairs(members, edges_of(members))
    x = inputs(members, pairs, False, False)
    qkv = (x["query"], x["key"], x["value"])
    expected = plain(x, pairs)
    same(softmax_attention(*qkv, pairs, heads=HEADS), expected, x)
    same(softmax_attention(*qkv, padded_nodes(members), heads=HEADS), expected, x)


def test_the_list_in_several_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module._BLOCK_BYTES, "cpu", 7 * WIDTH * 8)
    members = members_of([6, 4])
    pairs = all_pairs(members, edges_of(members))
    x = inputs(members, pairs, True, True)
    qkv, factors = (x["query"], x["key"], x["value"]), PairFactors(x["add"], x["multiply"])
    same(softmax_attention(*qkv, pairs, factors, heads=HEADS), plain(x, pairs), x)


def test_gradcheck_of_the_written_backward() -> None:
    members = members_of([3, 1])
    pairs = edge_pairs(members, edges_of(members))
    x = inputs(members, pairs, True, True)

    def function(query, key, value, add, multiply):
        return softmax_attention(query, key, value, pairs, PairFactors(add, multiply), heads=HEADS)

    assert torch.autograd.gradcheck(function, tuple(x.values()))


def test_biases_go_through_the_kernel_of_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    kernel = functional.scaled_dot_product_attention
    monkeypatch.setattr(
        functional, "scaled_dot_product_attention", lambda *args, **kw: calls.append(args) or kernel(*args, **kw)
    )
    members = members_of([6, 4])
    pairs, nodes = all_pairs(members, edges_of(members)), padded_nodes(members)
    for add, multiply, expected in ((False, False, 2), (True, False, 2), (True, True, 0)):
        x = inputs(members, pairs, add, multiply)
        factors = pad_factors(PairFactors(x["add"], x["multiply"]), pairs, nodes)
        calls.clear()
        softmax_attention(x["query"], x["key"], x["value"], nodes, factors, heads=HEADS)
        assert len(calls) == expected  # one for each block


def test_padding_has_no_influence() -> None:
    """A graph alone and beside one that is padded into the same block."""
    for size, other in ((5, 8), (7, 5), (1, 1)):
        alone = members_of([size])
        pairs = all_pairs(alone, edges_of(alone))
        x = inputs(alone, pairs, True, False)
        both = members_of([size, other])
        more = all_pairs(both, edges_of(both))
        y = inputs(both, more, True, False)
        joined = {
            name: torch.cat([x[name], y[name][len(x[name]) :] * 100]) for name in ("query", "key", "value", "add")
        }
        nodes = padded_nodes(both)
        found = softmax_attention(
            joined["query"], joined["key"], joined["value"], nodes,
            pad_factors(PairFactors(joined["add"]), more, nodes), heads=HEADS,
        )  # fmt: skip
        torch.testing.assert_close(found[:size], plain(x, pairs))


def test_large_logits_stay_finite() -> None:
    members = members_of([4, 2])
    pairs, nodes = all_pairs(members, edges_of(members)), padded_nodes(members)
    x = inputs(members, pairs, True, False, torch.float32)
    with torch.no_grad():
        x["add"].mul_(1e30)
    factors = PairFactors(x["add"])
    for out in (
        softmax_attention(x["query"], x["key"], x["value"], pairs, factors, heads=HEADS),
        softmax_attention(x["query"], x["key"], x["value"], nodes, pad_factors(factors, pairs, nodes), heads=HEADS),
    ):
        assert bool(out.isfinite().all())
        assert all(bool(g.isfinite().all()) for g in grads(out, x))


def test_bfloat16_is_near_float32() -> None:
    members = members_of([9, 5])
    pairs, nodes = all_pairs(members, edges_of(members)), padded_nodes(members)
    for multiply in (False, True):
        x = inputs(members, pairs, True, multiply, torch.float32)
        exact = plain(x, pairs)
        qkv = [x[name].bfloat16() for name in ("query", "key", "value")]
        factors = PairFactors(x["add"], x["multiply"])
        for out in (
            softmax_attention(*qkv, pairs, factors, heads=HEADS),
            softmax_attention(*qkv, nodes, pad_factors(factors, pairs, nodes), heads=HEADS),
        ):
            assert out.dtype == torch.bfloat16
            assert float((out.float() - exact).norm() / exact.norm()) < 0.03


@pytest.mark.parametrize("multiply", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_dropout_keeps_the_mean(multiply: bool, padded: bool) -> None:
    torch.manual_seed(1)
    members = members_of([6])
    pairs, nodes = all_pairs(members, edges_of(members)), padded_nodes(members)
    x = inputs(members, pairs, True, multiply, torch.float32)
    factors: Any = PairFactors(x["add"], x["multiply"])
    where: Any = pairs
    if padded:
        where, factors = nodes, pad_factors(factors, pairs, nodes)
    with torch.no_grad():
        qkv = (x["query"], x["key"], x["value"])
        draws = torch.stack([softmax_attention(*qkv, where, factors, heads=HEADS, dropout=0.4) for _ in range(1000)])
        expected = plain(x, pairs)
    assert not torch.equal(draws[0], draws[1])
    error = (draws.mean(0) - expected) / (draws.std(0) / 1000**0.5 + 1e-6)
    assert float(error.abs().max()) < 5.5


def test_compiles() -> None:
    members = members_of([6, 4])
    pairs = edge_pairs(members, edges_of(members))
    x = inputs(members, pairs, True, True)

    def function(query, key, value, add, multiply):
        return softmax_attention(query, key, value, pairs, PairFactors(add, multiply), heads=HEADS)

    same(torch.compile(function, backend="eager")(*x.values()), plain(x, pairs), x)
    torch._dynamo.reset()
