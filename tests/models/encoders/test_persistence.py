from __future__ import annotations

import ast
from collections.abc import Sequence

import networkx as nx
import pytest
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.models.encoders import PersistenceEncoding
from graphpe.transforms import RandomWalkPE

KEY = "pe"


def module_of(
    channels: int = 3, width: int = 6, filtrations: int = 2, hidden: int = 4, key: str = KEY
) -> PersistenceEncoding:
    module = PersistenceEncoding(key, channels, width, filtrations=filtrations, hidden=hidden)
    torch.nn.init.normal_(module.out.weight)
    torch.nn.init.normal_(module.inner.weight)
    torch.nn.init.normal_(module.outer.weight)
    return module


def graph_of(nodes: int, edges: int, dtype: torch.dtype = torch.float64, tied: bool = False) -> Data:
    edge_index = torch.randint(0, max(nodes, 1), (2, edges if nodes else 0))
    values = torch.randint(0, 2, (nodes, 3)) if tied else torch.randn(nodes, 3)
    return Data(edge_index=edge_index, pe=values.to(dtype), num_nodes=nodes)


def without_ties(edges: int, filtrations: int = 2) -> tuple[Data, PersistenceEncoding]:
    """A graph whose nodes enter one after another: where all hidden units of two are dead, they enter together."""
    while True:
        data, module = graph_of(7, edges), module_of(filtrations=filtrations).double()
        f = module.outer(module.inner(data.pe).relu()).sigmoid()
        if f.sort(dim=0).values.diff(dim=0).min() > 1e-4:
            return data, module


def undirected(graph: nx.Graph, order: Sequence[int] | None = None) -> Data:
    names = dict(zip(graph, range(len(graph)) if order is None else order, strict=True))
    pairs = torch.tensor([[names[u], names[v]] for u, v in graph.edges]).t()
    return Data(edge_index=torch.cat([pairs, pairs.flip(0)], dim=1), num_nodes=len(graph))


def as_written(module: PersistenceEncoding, data: Data) -> Tensor:
    """The formulas of the docstring, node by node, with components from networkx."""
    n = data.num_nodes
    f = module.outer(module.inner(data.pe).relu()).sigmoid()
    pairs = sorted({tuple(sorted(pair)) for pair in data.edge_index.t().tolist() if pair[0] != pair[1]})
    rows = [[data.pe[v]] for v in range(n)]
    parts: list[list[list[Tensor]]] = [[], []]
    for k in range(module.filtrations):
        value = f[:, k].tolist()
        entry = [max(value[u], value[v]) for u, v in pairs]
        parent = nx.utils.UnionFind(range(n))
        killer: dict[int, int] = {}
        closing = []
        oldest = {v: v for v in range(n)}
        last: dict[int, int] = {}
        for e in sorted(range(len(pairs)), key=lambda e, entry=entry: entry[e]):
            roots = [parent[v] for v in pairs[e]]
            if roots[0] == roots[1]:
                closing.append(e)
            else:
                old, young = sorted((oldest[root] for root in roots), key=lambda v, value=value: value[v])
                killer[young] = e
                parent.union(*roots)
                oldest[parent[roots[0]]] = old
            last[parent[roots[0]]] = e
        end = [torch.maximum(f[u, k], f[v, k]) for u, v in pairs]
        components, cycles = [], [torch.zeros(module.hidden, dtype=f.dtype) for _ in range(n)]
        for v in range(n):
            e = killer.get(v, last.get(parent[v], -1))
            point = torch.stack([f[v, k], end[e] if e >= 0 else f[v, k], torch.tensor(float(v not in killer)).to(f)])
            components.append((point @ module.of_components[k] + module.component_bias[k]).relu())
        for e in range(len(pairs)):
            # Edges that enter with one node into one component share its cycles.
            with_it = [d for d in range(len(pairs)) if entry[d] == entry[e]]
            share = sum(d in closing for d in with_it) / len(with_it)
            for v in pairs[e]:
                cycles[v] = cycles[v] + share / 2 * (end[e] * module.of_cycles[k] + module.cycle_bias[k]).relu()
        parts[0].append(components)
        parts[1].append(cycles)
    for part in parts:
        for of_filtration in part:
            for v in range(n):
                rows[v].append(of_filtration[v])
    return module.out(torch.stack([torch.cat(row) for row in rows]))


def test_it_starts_at_zero_and_learns() -> None:
    module, batch = PersistenceEncoding(KEY, 3, 6), graph_of(8, 24, torch.float32)
    out = module(batch)
    assert torch.equal(out, torch.zeros(8, 6))
    (out + 1).square().sum().backward()
    assert module.out.weight.grad.abs().sum() > 0
    module = module_of(filtrations=8, hidden=16)  # of a few units all may be dead
    module(batch).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in module.parameters())


@pytest.mark.parametrize("edges", [4, 9, 20])
def test_it_is_what_it_says(edges: int) -> None:
    data, module = without_ties(edges)
    torch.testing.assert_close(module(data), as_written(module, data))


def test_gradients() -> None:
    data, module = without_ties(12, filtrations=3)

    def run(pe: Tensor, *_: Tensor) -> Tensor:
        return module(Data(edge_index=data.edge_index, pe=pe, num_nodes=7))

    assert torch.autograd.gradcheck(run, (data.pe.requires_grad_(), *module.parameters()), eps=1e-7, atol=1e-5)


@pytest.mark.parametrize("tied", [False, True])
def test_renumbered_nodes_have_renumbered_encodings(tied: bool) -> None:
    data, module, order = graph_of(12, 20, tied=tied), module_of().double(), torch.randperm(12)
    other = Data(edge_index=order.argsort()[data.edge_index][:, torch.randperm(20)], pe=data.pe[order], num_nodes=12)
    torch.testing.assert_close(module(other), module(data)[order], rtol=1e-3, atol=1e-3)  # as in batches


@pytest.mark.parametrize(
    "graph",
    [nx.cycle_graph(9), nx.petersen_graph(), nx.path_graph(7), nx.star_graph(5), nx.circular_ladder_graph(5)],
    ids=["cycle", "petersen", "path", "star", "prism"],
)
def test_nodes_that_a_symmetry_exchanges_are_alike(graph: nx.Graph) -> None:
    """Walks of such nodes differ by rounding, and so do filtrations."""
    module = module_of(8, key="random_walk_pe")
    data = RandomWalkPE(8)(undirected(graph, torch.randperm(len(graph)).tolist()))
    data.random_walk_pe = data.random_walk_pe * (1 + 1e-6 * (torch.rand_like(data.random_walk_pe) - 0.5))
    out, same = module(data), nx.from_edgelist(data.edge_index.t().tolist())
    for image in nx.isomorphism.GraphMatcher(same, same).isomorphisms_iter():
        torch.testing.assert_close(out[list(image)], out[list(image.values())], rtol=1e-4, atol=1e-4)


def test_batches_are_their_graphs() -> None:
    graphs = [graph_of(n, 2 * n) for n in (5, 0, 1, 9, 2)] + [graph_of(4, 0)]
    module, batch = module_of().double(), Batch.from_data_list(graphs)
    out = module(batch)
    torch.testing.assert_close(out, torch.cat([module(graph) for graph in graphs]), rtol=1e-3, atol=1e-3)
    mixed = torch.randperm(batch.num_nodes)
    other = Data(
        edge_index=mixed.argsort()[batch.edge_index], pe=batch.pe[mixed], batch=batch.batch[mixed], num_nodes=len(mixed)
    )
    # Which of the values that nearly tie is a point's, the order decides.
    torch.testing.assert_close(module(other), out[mixed], rtol=1e-3, atol=1e-3)
    assert module(graph_of(0, 0)).shape == (0, 6)


def test_half_precision() -> None:
    data = graph_of(9, 15, torch.float32)
    module = module_of()
    out = module(data)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = module(data)
        mixed.float().square().sum().backward()
    torch.testing.assert_close(mixed.float(), out, rtol=0.05, atol=0.1)
    assert all(bool(p.grad.isfinite().all()) for p in module.parameters())
    half = module.bfloat16()(data)
    assert half.isfinite().all()


def of_graph(module: PersistenceEncoding, graph: nx.Graph) -> Tensor:
    data = undirected(graph)
    data.pe = torch.ones(data.num_nodes, 3, dtype=torch.float64)
    return module(data).sum(0)


def test_what_it_tells_apart_without_positions() -> None:
    """Of two graphs that are alike to colour refinement: components and cycles, where their numbers differ."""
    module = module_of().double()
    triangles = nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3))
    assert not torch.allclose(of_graph(module, nx.cycle_graph(6)), of_graph(module, triangles))
    prism, bipartite = nx.circular_ladder_graph(3), nx.complete_bipartite_graph(3, 3)
    torch.testing.assert_close(of_graph(module, prism), of_graph(module, bipartite))
    walks = [RandomWalkPE(3)(undirected(graph)) for graph in (prism, bipartite)]
    of_walks = module_of(key="random_walk_pe")
    assert not torch.allclose(*(of_walks(data).sum(0) for data in walks), atol=1e-3)


def test_a_text_builds_it_again() -> None:
    call = ast.parse(repr(PersistenceEncoding(KEY, 3, 6, filtrations=5, hidden=7)), mode="eval").body
    assert isinstance(call, ast.Call)
    literals = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
    assert literals == {"filtrations": 5, "hidden": 7}


def test_errors() -> None:
    with pytest.raises(GraphPEValueError, match=r"no `random_walk_pe`: add T.RandomWalkPE\(walk_length=4\)"):
        PersistenceEncoding("random_walk_pe", 4, 6)(graph_of(2, 1))
    with pytest.raises(GraphPEValueError, match="complex: use EigenvectorEncoding"):
        PersistenceEncoding(KEY, 4, 6)(Data(pe=torch.zeros(2, 4, dtype=torch.cfloat), num_nodes=2))
    with pytest.raises(GraphPEValueError, match="no edge_index"):
        PersistenceEncoding(KEY, 3, 6)(Data(pe=torch.zeros(2, 3), num_nodes=2))
    with pytest.raises(GraphPEValueError, match="not finite"):
        PersistenceEncoding(KEY, 3, 6)(
            Data(edge_index=torch.tensor([[0], [1]]), pe=torch.full((2, 3), torch.nan), num_nodes=2)
        )
    with pytest.raises(GraphPEValueError, match="filtrations must be from 1 on, got 0"):
        PersistenceEncoding(KEY, 3, 6, filtrations=0)
    with pytest.raises(GraphPETypeError, match="hidden"):
        PersistenceEncoding(KEY, 3, 6, hidden=2.0)  # type: ignore[arg-type]
