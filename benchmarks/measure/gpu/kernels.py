"""Every Triton kernel on the device against the formulas in float64 on the CPU: values and gradients.

Shapes are few, for each is compiled once. On a pretended device the same functions take the ways that have no kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphpe.benchmarks.measure.gpu.run import Record, Run
from graphpe.benchmarks.measure.pretend.accelerator import to_host
from graphpe.compiled.kernel import has_kernels
from graphpe.graphs.packed import PackedGraphs
from graphpe.models.attention.biases.pair_factors import PairFactors, RelationBias
from graphpe.models.attention.clamped.edge_list import edge_attention, edge_attention_reference
from graphpe.models.attention.gpu.edges import edges_for
from graphpe.models.attention.gpu.ragged import ragged_nodes
from graphpe.models.attention.grit.attention import grit_attention
from graphpe.models.attention.grit.reference import grit_attention_reference
from graphpe.models.attention.neighbours.neighbours import Neighbours
from graphpe.models.attention.neighbours.sums import neighbour_products, neighbour_sums
from graphpe.models.attention.pairs import PairSet, all_pairs, edge_pairs
from graphpe.models.attention.relational.attention import relational_attention, relational_attention_reference
from graphpe.models.attention.relational.update import PairWeights, update_pairs, update_pairs_reference
from graphpe.models.attention.softmax.softmax import softmax_attention, softmax_attention_reference
from graphpe.models.batches.nodes import NodeToGraph
from graphpe.walks.steps import walk_powers

_SIZES = (1, 0, 17, 33, 200, 5)
_WIDTH, _HEADS, _NARROW, _NARROWER, _RELATIONS = 64, 8, 16, 8, 70

Function = Callable[..., Any]
_PATHS: dict[str, tuple[Function, Function]] = {
    "softmax": (softmax_attention, softmax_attention_reference),
    "tables": (softmax_attention, softmax_attention_reference),
    "edges": (edge_attention, edge_attention_reference),
    "grit": (grit_attention, grit_attention_reference),
    "relational": (relational_attention, relational_attention_reference),
    "update": (update_pairs, update_pairs_reference),
}
# Errors in float32 and in bfloat16, which turns some numbers before a ReLU or a root around.
_MOST = {
    "softmax": (2e-4, 0.04), "tables": (2e-4, 0.04), "edges": (1e-4, 0.02), "grit": (2e-3, 0.4),
    "relational": (2e-4, 0.04), "update": (2e-4, 0.3), "sums": (5e-5, 0.0),
}  # fmt: skip


def check_kernels(run: Run) -> None:
    """Attention of every kind, the update of pairs, sums over neighbours, powers of walks."""
    sizes = _SIZES[:4] if run.small else _SIZES
    for dtype in (torch.float32, torch.bfloat16):
        for name, most in _MOST.items():
            if name == "sums" and dtype != torch.float32:
                continue  # sums are float32
            for complete in (True, False) if name in ("grit", "relational", "update") else (True,):
                what = f"{name}, {'all pairs' if complete else 'edges'}, {str(dtype).removeprefix('torch.')}"
                run.add(what, partial(_check, run, name, sizes, complete, dtype, most[dtype != torch.float32]))
    run.add("powers of walks", partial(_check_walks, run, sizes))


def _check(run: Run, name: str, sizes: Sequence[int], complete: bool, dtype: torch.dtype, most: float) -> Record:
    rng = np.random.default_rng(0)
    here, edges = _batch(sizes, rng)
    there, moved = _moved(here, run), edges.to(run.device)
    lists = [
        (all_pairs if complete else edge_pairs)(members, each) for members, each in ((here, edges), (there, moved))
    ]
    function, reference, shapes = _functions(name, lists, (there, moved), edges)
    generator = torch.Generator().manual_seed(0)
    drawn = [(torch.randn(shape, generator=generator) / 2).to(dtype) for shape in shapes]
    exact = [x.double().requires_grad_() for x in drawn]
    given = [x.to(run.device).requires_grad_() for x in drawn]
    found, expected = _listed(function(*given)), _listed(reference(*exact))
    upstream = [torch.randn(x.shape, generator=generator).to(x.dtype) for x in expected]
    torch.autograd.backward(expected, upstream)
    torch.autograd.backward(found, [g.to(run.device, x.dtype) for g, x in zip(upstream, found, strict=True)])
    values = max(_error(x, y) for x, y in zip(found, expected, strict=True))
    of_given = [to_host(x.grad).detach().cpu().double() for x in given if x.grad is not None]
    of_exact = [x.grad for x in exact if x.grad is not None]
    # Gradients that vanish hold rounding alone: errors are relative to the largest of all, too.
    floor = 0.1 * max(float(x.norm()) for x in of_exact)
    pairs = zip(of_given, of_exact, strict=True)
    gradients = max(float((x - y).norm()) / (float(y.norm()) + floor) for x, y in pairs)
    return {"output": values, "gradient": gradients, "right": max(values, gradients) < most}


def _functions(
    name: str, lists: list[PairSet], there: tuple[NodeToGraph, Tensor], edges: Tensor
) -> tuple[Function, Function, list[tuple[int, ...]]]:
    """What runs on the device, what on the CPU, and the shapes of what both are given."""
    (members, moved), (of_here, of_there) = there, lists
    nodes, pairs, d, h, f, g = of_here.num_nodes, of_here.num_pairs, _WIDTH, _HEADS, _NARROW, _NARROWER
    rows: list[tuple[int, ...]] = [(nodes, d)] * 3
    fast, exact = _PATHS.get(name, (_sums, _sums))
    match name:
        case "softmax":
            blocks = ragged_nodes(members) if has_kernels(moved.device) else of_there
            return (
                lambda q, k, v, a, m: fast(q, k, v, blocks, PairFactors(a, m), heads=h),
                lambda q, k, v, a, m: exact(q, k, v, of_here, PairFactors(a, m), heads=h),
                [*rows, (pairs, h), (pairs, h)],
            )
        case "tables":
            blocks = ragged_nodes(members) if has_kernels(moved.device) else of_there
            here = torch.arange(pairs, dtype=torch.int32) * 7 % _RELATIONS
            away = here.to(moved.device)
            return (
                lambda q, k, v, *x: fast(q, k, v, blocks, _factors(away, *x), heads=h),
                lambda q, k, v, *x: exact(q, k, v, of_here, _factors(here, *x), heads=h),
                [*rows, *[(nodes, h, g)] * 2, *[(_RELATIONS, h)] * 2],
            )
        case "edges":
            order = edges_for(moved, nodes)
            return (
                lambda q, k, v, e: fast(q, k, v, order, e, heads=h, return_scores=True),
                lambda q, k, v, e: exact(q, k, v, edges, e, heads=h, return_scores=True),
                [*rows, (edges.shape[1], d)],
            )
        case "grit":
            return (
                lambda *x: fast(*x, of_there, heads=h)[:2],
                lambda *x: exact(*x, of_here, heads=h)[:2],
                [(pairs, d), *rows, (2 * d, d), (2 * d,), (d,)],
            )
        case "relational":
            return (
                lambda *x: fast(*x, of_there, heads=h),
                lambda *x: exact(*x, of_here, heads=h),
                [*rows, (pairs, d), *[(d, d)] * 3],
            )
        case "update":
            shapes = [(f, d), (f, d), (d, f), *[(d,)] * 3, (g, d), (g,), (d, g), *[(d,)] * 3]
            return (
                lambda e, s, t, *w: fast(e, s, t, PairWeights(*w), of_there),
                lambda e, s, t, *w: exact(e, s, t, PairWeights(*w), of_here),
                [(pairs, d), (nodes, f), (nodes, f), *shapes],
            )
        case _:
            return (
                partial(fast, Neighbours(moved, nodes)),
                partial(exact, Neighbours(edges, nodes)),
                [(nodes, d)] * 2,
            )


def _factors(relation: Tensor, left: Tensor, right: Tensor, add: Tensor, multiply: Tensor) -> PairFactors:
    return PairFactors(left=left, right=right, relations=(RelationBias(relation, add, multiply),))


def _sums(neighbours: Neighbours, a: Tensor, b: Tensor) -> Tensor:
    return neighbour_sums(neighbour_products(a, b, neighbours, _HEADS), b, neighbours)


def _listed(found: Sequence[Tensor | None] | Tensor) -> list[Tensor]:
    return [found] if isinstance(found, Tensor) else [x for x in found if x is not None]


def _error(value: Tensor, expected: Tensor) -> float:
    value, expected = to_host(value).detach().cpu().double(), expected.detach()
    return float((value - expected).norm() / expected.norm())


def _batch(sizes: Sequence[int], rng: np.random.Generator) -> tuple[NodeToGraph, Tensor]:
    """Graphs with one-way edges, parallel edges and loops."""
    each = torch.tensor(sizes)
    ptr = torch.cat([each.new_zeros(1), each.cumsum(0)])
    ends = [rng.integers(0, n, (2, 2 * n)) + int(ptr[b]) for b, n in enumerate(sizes) if n]
    members = NodeToGraph(torch.arange(len(sizes)).repeat_interleave(each), ptr, max(sizes), sum(n * n for n in sizes))
    return members, torch.from_numpy(np.concatenate(ends, axis=1))


def _moved(members: NodeToGraph, run: Run) -> NodeToGraph:
    graph, ptr = members.graph.to(run.device), members.ptr.to(run.device)
    return NodeToGraph(graph, ptr, members.max_size, members.num_pairs)


def _check_walks(run: Run, sizes: Sequence[int]) -> Record:
    rng = np.random.default_rng(0)
    graphs = [Data(edge_index=torch.from_numpy(rng.integers(0, max(n, 1), (2, 2 * n))), num_nodes=n) for n in sizes]
    packed = PackedGraphs.from_data_list(graphs)
    found, expected = walk_powers(packed.to(run.device), 16), walk_powers(packed, 16)
    difference = float((to_host(found).cpu() - expected).abs().max())
    return {"difference": difference, "right": difference < 1e-6}
