from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import combinations, product
from typing import Any

import networkx as nx
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Batch, Data

from graphpe import models as M
from graphpe import transforms as T
from graphpe.errors import GraphPEValueError
from graphpe.models.edge_transformer import EdgeTransformer
from graphpe.models.layers.heads import PairHead
from graphpe.models.layers.inputs import LinearNodes

W, H = 8, 2


def build(**changes: Any) -> EdgeTransformer:
    options = {"width": W, "layers": 2, "heads": H, "node_encoder": LinearNodes(3, W)}
    return EdgeTransformer(**{**options, **changes})


def random_graph(n: int, edges: int) -> Data:
    """With self-loops, parallel edges, one direction."""
    edge_index = torch.randint(0, max(n, 1), (2, edges if n else 0))
    return Data(x=torch.randn(n, 3), edge_index=edge_index, edge_attr=torch.randn(edge_index.shape[1], 2), num_nodes=n)


def written_out(model: EdgeTransformer, data: Data) -> tuple[Tensor, Tensor]:
    """The equations of the docstring for one graph: vectors of nodes `[n, D]` and of pairs `[n, n, D]`."""
    n, channels = data.num_nodes, W // H
    nodes = model.node_encoder.linear(data.x)
    edges = model.edge_encoder.linear(data.edge_attr) if model.edge_encoder else model.present.expand(data.num_edges, W)
    e = torch.zeros(n, n, W, dtype=nodes.dtype)
    for i, j in product(range(n), repeat=2):
        e[i, j] = model.target.weight @ nodes[i] + model.target.bias + model.source.weight @ nodes[j]
        e[i, j] += model.self_pair if i == j else 0
        for edge in range(data.num_edges):
            if data.edge_index[:, edge].tolist() == [j, i]:
                e[i, j] += edges[edge]
        for encoding in model.pair_encodings:
            e[i, j] += encoding.linear(data.rrwp[i * n + j])
    for layer in model.layers:
        q, k, u, v = layer.maps(layer.norm_1(e)).chunk(4, dim=2)
        found = torch.zeros_like(e)
        for i, j, h in product(range(n), range(n), range(H)):
            part = slice(h * channels, (h + 1) * channels)
            logit = torch.stack([q[i, m, part] @ k[m, j, part] for m in range(n)])
            weight = (logit / channels**0.5).softmax(0)
            found[i, j, part] = sum(weight[m] * u[i, m, part] * v[m, j, part] for m in range(n))
        e = e + found @ layer.out.weight.t()
        e = e + layer.contract(functional.gelu(layer.expand(layer.norm_2(e))))
    e = model.norm(e)
    r, back = functional.gelu(model.read_pairs(e)).chunk(2, dim=2)
    means = torch.cat([r.mean(1), back.mean(0)], dim=1)
    return model.read_2(functional.gelu(model.read_1(means))), e


@pytest.mark.parametrize("edges", [True, False])
def test_is_what_its_equations_say(edges: bool) -> None:
    graphs = [T.RelativeRandomWalkPE(3)(random_graph(n, 2 * n)) for n in (5, 1, 0, 4)]
    encoder = M.LinearEdges(2, W) if edges else None
    model = build(edge_encoder=encoder, pair_encodings=[M.PairLinear("rrwp", 3, W)], readout="sum").double().eval()
    for data in graphs:
        for key in ("x", "edge_attr", "rrwp"):
            data[key] = data[key].double()
    x, pair, pairs = model.vectors(Batch.from_data_list(graphs))
    expected = [written_out(model, data) for data in graphs]
    torch.testing.assert_close(x, torch.cat([nodes for nodes, _ in expected]))
    torch.testing.assert_close(pair, torch.cat([e.flatten(0, 1) for _, e in expected]))
    assert pairs.num_pairs == 25 + 1 + 16
    out = model(Batch.from_data_list(graphs))
    torch.testing.assert_close(out, torch.stack([nodes.sum(0) for nodes, _ in expected]))


def test_parameters_of_the_published_configuration() -> None:
    model = EdgeTransformer(
        readout="sum",
        node_encoder=M.CategoricalNodes(64, 21),
        edge_encoder=M.CategoricalEdges(64, 4),
        head=M.MLPReadout(64, 1),
    )
    number = sum(p.numel() for p in model.parameters())
    assert f"{number:,} parameters" in " ".join(str(EdgeTransformer.__doc__).split())


def test_text() -> None:
    model = build(expansion=3, dropout=0.1, attention_dropout=0.0, readout="none", checkpoint=True)
    assert repr(model) == (
        "EdgeTransformer(width=8, layers=2, heads=2, expansion=3, dropout=0.1, attention_dropout=0.0, checkpoint=True, "
        "readout='none')"
    )


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_checkpoint_changes_no_number(dropout: float) -> None:
    batch, found = Batch.from_data_list([random_graph(n, 3 * n) for n in (6, 9)]), []
    model = build(dropout=dropout, attention_dropout=dropout)
    for checkpoint in (False, True):
        model.checkpoint = checkpoint
        torch.manual_seed(4)
        model.zero_grad()
        out = model(batch)
        out.square().sum().backward()
        found.append((out, *(p.grad.clone() for p in model.parameters())))
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


def test_dropout_is_of_training_alone() -> None:
    batch = Batch.from_data_list([random_graph(7, 20)])
    model = build(attention_dropout=0.5)
    assert not torch.equal(model(batch), model(batch))
    model.eval()
    assert torch.equal(model(batch), model(batch))


def test_a_pair_head_reads_nodes_and_pairs() -> None:
    class Reads(PairHead):
        def forward(self, x: Tensor, pair: Tensor, pairs: Any) -> Any:
            return x, pair, pairs.num_pairs

    batch = Batch.from_data_list([random_graph(n, 3 * n) for n in (3, 5)])
    model = build(head=Reads()).eval()
    x, pair, count = model(batch)
    assert (x.shape, pair.shape, count) == ((8, W), (34, W), 34)
    shuffled = Data(x=batch.x, edge_index=batch.edge_index[:, :0], batch=batch.batch.flip(0), num_nodes=8)
    with pytest.raises(GraphPEValueError, match="values of pairs need nodes in the order of their graphs"):
        model(shuffled)
    with pytest.raises(GraphPEValueError, match="values of pairs need nodes in the order of their graphs"):
        model.vectors(shuffled)


def test_options_are_checked() -> None:
    for options, message in (
        ({"heads": 3}, "heads"),
        ({"expansion": 0}, "expansion must be"),
        ({"attention_dropout": 1.5}, "attention_dropout must be"),
        ({"readout": "cls"}, "readout must be one of"),
    ):
        with pytest.raises(GraphPEValueError, match=message):
            build(**options)


# What it tells apart ------------------------------------------------------------------------------------------------


def told_apart_by_2_fwl(one: nx.Graph, other: nx.Graph) -> bool:
    """The folklore test of dimension two: colours of pairs, refined by those of the two pairs over every node."""
    sides = [list(graph.nodes) for graph in (one, other)]
    colours = [
        {(i, j): (i == j, graph.has_edge(i, j)) for i, j in product(nodes, repeat=2)}
        for graph, nodes in zip((one, other), sides, strict=True)
    ]
    count = 0
    while True:
        refined = [
            {(i, j): (own[i, j], tuple(sorted((own[i, m], own[m, j]) for m in nodes))) for i, j in own}
            for own, nodes in zip(colours, sides, strict=True)
        ]
        names = {colour: number for number, colour in enumerate(sorted({c for own in refined for c in own.values()}))}
        colours = [{pair: names[colour] for pair, colour in own.items()} for own in refined]
        if sorted(colours[0].values()) != sorted(colours[1].values()):
            return True
        if len(names) == count:
            return False
        count = len(names)


def told_apart_by_1_wl(one: nx.Graph, other: nx.Graph) -> bool:
    """By colours of nodes, refined by those of their neighbours as often as there are nodes."""
    both = nx.disjoint_union(one, other)
    colour = dict.fromkeys(both, 0)
    for _ in both:
        refined = {node: (colour[node], tuple(sorted(colour[near] for near in both[node]))) for node in both}
        names = {each: number for number, each in enumerate(sorted(set(refined.values())))}
        colour = {node: names[each] for node, each in refined.items()}
    first, second = (sorted(colour[node] for node in both if (node < len(one)) == side) for side in (True, False))
    return first != second


def difference(one: nx.Graph, other: nx.Graph, seeds: int = 3, **options: Any) -> float:
    """Largest difference of outputs of random weights, relative to their size, the mean over seeds."""
    batch = Batch.from_data_list([plain(one), plain(other)])
    found = []
    for _ in range(seeds):
        encoder = {"node_encoder": LinearNodes(1, 16), "width": 16, "layers": 4, "heads": 2, "readout": "sum"}
        model = build(**{**encoder, **options}).double().eval()
        with torch.no_grad():
            first, second = model(batch)
        found.append(float((first - second).abs().max() / first.abs().max()))
    return sum(found) / seeds


def plain(graph: nx.Graph) -> Data:
    """Without features: nodes in random order."""
    place = dict(zip(graph.nodes, torch.randperm(len(graph)).tolist(), strict=True))
    edges = torch.tensor([[place[i], place[j]] for i, j in graph.edges]).t()
    edge_index = torch.cat([edges, edges.flip(0)], dim=1)
    return Data(x=torch.ones(len(graph), 1, dtype=torch.double), edge_index=edge_index, num_nodes=len(graph))


def rook(n: int) -> nx.Graph:
    return nx.convert_node_labels_to_integers(nx.line_graph(nx.complete_bipartite_graph(n, n)))


def shrikhande() -> nx.Graph:
    steps = [(1, 0), (0, 1), (1, 1)]
    edges = [((a, b), ((a + x) % 4, (b + y) % 4)) for a, b in product(range(4), repeat=2) for x, y in steps]
    return nx.convert_node_labels_to_integers(nx.Graph(edges))


def latin(square: Callable[[int, int], int], n: int) -> nx.Graph:
    """Cells of a Latin square, joined where they share the row, the column or the symbol: srg(n^2, 3 (n-1), n, 6)."""
    cells = [(a, b, square(a, b)) for a, b in product(range(n), repeat=2)]
    joined = [(x, y) for x, y in combinations(cells, 2) if any(p == q for p, q in zip(x, y, strict=True))]
    return nx.convert_node_labels_to_integers(nx.Graph(joined))


# Latin squares of order five: the cyclic group, and the one main class that is none; srg(25, 12, 5, 6) both.
OTHER = [[0, 1, 2, 3, 4], [1, 0, 3, 4, 2], [2, 3, 4, 0, 1], [3, 4, 1, 2, 0], [4, 2, 0, 1, 3]]
STRONGLY_REGULAR = {
    "4x4 rook's and Shrikhande": lambda: (rook(4), shrikhande()),
    "srg(25, 12, 5, 6)": lambda: (latin(lambda a, b: (a + b) % 5, 5), latin(lambda a, b: OTHER[a][b], 5)),
}
PAIRS = {
    "a six-cycle and two triangles": lambda: (nx.cycle_graph(6), nx.disjoint_union(*[nx.cycle_graph(3)] * 2)),
    "an eight-cycle and two squares": lambda: (nx.cycle_graph(8), nx.disjoint_union(*[nx.cycle_graph(4)] * 2)),
    "decalin and bicyclopentyl": lambda: (
        nx.Graph([*nx.cycle_graph(10).edges, (0, 5)]),
        nx.Graph([*nx.disjoint_union(*[nx.cycle_graph(5)] * 2).edges, (0, 5)]),
    ),
    "a prism and a Möbius ladder": lambda: (nx.circular_ladder_graph(4), nx.circulant_graph(8, [1, 4])),
}


@pytest.mark.parametrize("name", PAIRS)
def test_tells_apart_what_2_fwl_does_and_1_wl_does_not(name: str) -> None:
    one, other = PAIRS[name]()
    assert not told_apart_by_1_wl(one, other)
    assert told_apart_by_2_fwl(one, other)
    assert difference(one, other) > 1e-6


@pytest.mark.parametrize("name", STRONGLY_REGULAR)
def test_strongly_regular_graphs_of_equal_parameters_stay_the_same(name: str) -> None:
    one, other = STRONGLY_REGULAR[name]()
    assert not nx.is_isomorphic(one, other)
    assert not told_apart_by_2_fwl(one, other)
    assert difference(one, other) < 1e-12
    assert difference(one, one) < 1e-12


def test_random_regular_graphs_are_told_apart_where_2_fwl_does() -> None:
    seen = set()
    for trial in range(12):
        n = 6 if trial % 3 == 0 else 8  # few cubic graphs of six nodes: some pairs are of one and the same
        one, other = (nx.random_regular_graph(3, n, seed=int(torch.randint(1 << 30, ()))) for _ in range(2))
        expected = told_apart_by_2_fwl(one, other)
        found = difference(one, other, seeds=2)
        assert found > 1e-7 if expected else found < 1e-12, (expected, found, one.edges, other.edges)
        seen.add(expected)
    assert True in seen


def test_strongly_regular_graphs_are_told_apart_with_encodings_that_do() -> None:
    """The size of the largest clique, which 2-FWL does not see, as an encoding of nodes."""
    one, other = STRONGLY_REGULAR["4x4 rook's and Shrikhande"]()
    counts = [torch.tensor([len(c) for c in nx.find_cliques(graph)]).max() for graph in (one, other)]
    assert counts[0] != counts[1]  # K_4 is in the rook's graph alone

    class Cliques(nn.Module):
        def forward(self, batch: Data) -> Tensor:
            return batch.cliques.unsqueeze(1).expand(-1, 16)

    batch = Batch.from_data_list([plain(one), plain(other)])
    batch.cliques = torch.tensor([float(c) for c in counts]).double().repeat_interleave(16)
    model = build(node_encoder=LinearNodes(1, 16), width=16, encodings=[Cliques()]).double().eval()
    with torch.no_grad():
        first, second = model(batch)
    assert float((first - second).abs().max()) > 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_training_is_the_same_compiled_and_in_blocks(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    from graphpe.models.attention.triplet import attention

    batch = Batch.from_data_list([random_graph(n, 3 * n) for n in (11, 1, 20)])
    batch.x = batch.x.to(dtype)
    model, found = build(attention_dropout=0.0).to(dtype), []
    for compiled in (True, False):
        monkeypatch.setattr(attention, "enough_pairs", partial(lambda answer, _: answer, compiled))
        model.zero_grad()
        model(batch).square().sum().backward()
        found.append([p.grad.clone() for p in model.parameters()])
    tolerance = 1e-4 if dtype == torch.float32 else 1e-9
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)
