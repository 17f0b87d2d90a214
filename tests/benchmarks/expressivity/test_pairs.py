from __future__ import annotations

import csv
import gzip
from collections import Counter
from fractions import Fraction
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch

from graphpe import transforms as T
from graphpe.benchmarks.cli.main import main
from graphpe.benchmarks.expressivity.pairs import GraphSet, compare, read_sets, renumbered
from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.transforms.base import Encoding


def graph_set(graphs: list[nx.Graph], consecutive: bool = False) -> GraphSet:
    packed = PackedGraphs.from_networkx(graphs, weight=None)
    types = torch.zeros(packed.num_nodes, 1, dtype=torch.long)
    return GraphSet("test", packed.with_values(node={"x": types}), consecutive)


def alike(keys: list[object]) -> int:
    return sum(count * (count - 1) // 2 for count in Counter(keys).values())


def connected(nodes: int) -> list[nx.Graph]:
    return [graph for graph in nx.graph_atlas_g() if len(graph) == nodes and nx.is_connected(graph)]


def return_probabilities(graph: nx.Graph, steps: int) -> tuple[object, ...]:
    """Exactly, as fractions: the multiset of the nodes' rows."""
    n = len(graph)
    step = [[Fraction(int(graph.has_edge(i, j)), graph.degree(i)) for j in range(n)] for i in range(n)]
    power, rows = step, [[step[i][i]] for i in range(n)]
    for _ in range(steps - 1):
        power = [[sum(power[i][k] * step[k][j] for k in range(n)) for j in range(n)] for i in range(n)]
        for i in range(n):
            rows[i].append(power[i][i])
    return tuple(sorted(map(tuple, rows)))


def distances(graph: nx.Graph) -> tuple[object, ...]:
    """The multiset over nodes of the multiset of their distances."""
    lengths = dict(nx.all_pairs_shortest_path_length(graph))
    return tuple(sorted(tuple(sorted(lengths[i].values())) for i in graph))


@pytest.mark.parametrize(
    ("encoding", "key"),
    [
        (T.DegreePE(), lambda graph: tuple(sorted(degree for _, degree in graph.degree()))),
        (T.RandomWalkPE(3), lambda graph: return_probabilities(graph, 3)),
        (T.RandomWalkPE(5), lambda graph: return_probabilities(graph, 5)),
        (T.ShortestPathPE(), distances),
    ],
)
def test_counts_are_those_of_exact_arithmetic(encoding: Encoding, key: object) -> None:
    graphs = connected(6)
    verdict = compare(encoding, graph_set(graphs))
    assert verdict.pairs == 112 * 111 // 2
    assert verdict.pairs - verdict.apart == alike([key(graph) for graph in graphs])  # type: ignore[operator]
    assert verdict.nearest > 10 * verdict.change


def test_eigenvectors_count_as_projectors() -> None:
    graphs = connected(6)
    verdict = compare(T.LaplacianPE(6), graph_set(graphs))
    assert verdict.apart == verdict.pairs
    spectra = [tuple(np.round(nx.normalized_laplacian_spectrum(graph), 6)) for graph in graphs]
    assert alike(spectra) > 0  # eigenvalues alone do not do it
    assert compare(T.MagneticLaplacianPE(6, potentials=2), graph_set(graphs)).apart == verdict.pairs


def test_a_basis_that_was_cut_says_nothing() -> None:
    # The first eigenvalue of a cycle has a plane of eigenvectors, of which k = 1 takes any vector.
    verdict = compare(T.LaplacianPE(1), graph_set([nx.cycle_graph(6), nx.complete_graph(6), nx.cycle_graph(8)]))
    assert verdict.change < 1e-6
    assert verdict.apart is not None


def test_what_is_no_function_of_the_graph_is_left_out() -> None:
    verdict = compare(T.SVDPE(3), graph_set(connected(5)))
    assert verdict.apart is None
    assert verdict.change > 0.01


def test_strongly_regular_graphs_and_partners() -> None:
    rook = nx.line_graph(nx.complete_bipartite_graph(4, 4))
    shrikhande = nx.Graph()
    for x in range(4):
        for y in range(4):
            for dx, dy in ((0, 1), (1, 0), (1, 1)):
                shrikhande.add_edge((x, y), ((x + dx) % 4, (y + dy) % 4))
    hexagon, triangles = nx.cycle_graph(6), nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3))
    data = graph_set([rook, shrikhande, hexagon, triangles], consecutive=True)
    assert data.pairs == 2
    assert compare(T.WeisfeilerLehmanPE(4), data).apart == 0
    assert compare(T.ResistancePE(), data).apart == 1  # all that is not the strongly regular pair
    assert compare(T.RandomWalkPE(4), data).apart == 1


def test_types_of_nodes_count() -> None:
    data = graph_set([nx.path_graph(3)] * 3)
    assert compare(None, data).apart == 0
    types = data.graphs.node["x"].clone()
    types[0], types[4] = 1, 1  # an end of the first path, the middle of the second
    data = GraphSet("test", data.graphs.with_values(node={"x": types}), False)
    assert compare(None, data).apart == 2
    assert compare(T.DegreePE(), data).apart == 3


def test_renumbering() -> None:
    data = graph_set([nx.gnp_random_graph(n, 0.4, seed=n) for n in (5, 1, 7)])
    other = renumbered(data.graphs, np.random.default_rng(0))
    for b in range(3):
        assert nx.is_isomorphic(data.graphs.to_networkx(b), other.to_networkx(b))
    assert not torch.equal(other.edge_index, data.graphs.edge_index)


def write_exp(path: Path, text: str) -> None:
    path.write_bytes(gzip.compress(text.encode()))


def test_the_text_of_exp(tmp_path: Path) -> None:
    write_exp(tmp_path / "EXP.GRAPHSAT.txt.gz", "2\n3 1\n0 1\n1 0 2\n1 1\n2 0\n0 1\n0 0\n")
    (data,) = read_sets(tmp_path, ["EXP"])
    assert data.consecutive
    assert data.graphs.sizes.tolist() == [3, 2]
    assert data.graphs[0].edge_index.t().tolist() == [[0, 1], [1, 0], [1, 2], [2, 1]]
    assert data.graphs[0].x.flatten().tolist() == [0, 1, 1]
    write_exp(tmp_path / "EXP.GRAPHSAT.txt.gz", "2\n3 1\n0 1\n")
    with pytest.raises(GraphPERuntimeError, match=r"EXP.GRAPHSAT.txt.gz cannot be read"):
        read_sets(tmp_path, ["EXP"])
    with pytest.raises(GraphPERuntimeError, match=r"graph8c.g6 is not in .*: put it there"):
        read_sets(tmp_path, ["graph8c"])
    with pytest.raises(GraphPEValueError, match="unknown set 'exp'; known: graph8c, sr25, EXP, CEXP"):
        read_sets(tmp_path, ["exp"])


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nx.write_graph6(nx.cycle_graph(6), tmp_path / "one.g6", header=False)
    lines = [nx.to_graph6_bytes(graph, header=False) for graph in connected(5)]
    (tmp_path / "graph8c.g6").write_bytes(b"".join(lines))
    arguments = ["expressivity", "--data", str(tmp_path), "--sets", "graph8c", "--quiet", "--encodings", "DegreePE()"]
    assert main([*arguments, "SVDPE(k=2)"]) == 0
    printed = capsys.readouterr().out
    expected = alike([tuple(sorted(degree for _, degree in graph.degree())) for graph in connected(5)])
    assert f"{210 - expected} ({expected}) |" in printed
    assert "| signs |" in printed
    assert main([*arguments, "--out", str(tmp_path / "a.csv")]) == 0
    with (tmp_path / "a.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["apart"] for row in rows] == ["0", str(210 - expected)]
    capsys.readouterr()
    for extra, message in (
        (["--out", str(tmp_path / "a.txt")], "it must end in .md or .csv"),
        (["--out", str(tmp_path / "none" / "a.md")], "is no folder"),
        (["--encodings", "Nothing()"], "unknown encoding 'Nothing'"),
        (["--sets", "x"], "unknown set 'x'"),
    ):
        assert main([*arguments, *extra]) in (1, 2)
        assert message in capsys.readouterr().err
    assert main(["expressivity"]) == 2
    assert "--data is missing" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "count"), [("sr25", 15), ("EXP", 1_200), ("CEXP", 1_200)])
def test_real_sets(shared_data: Path, name: str, count: int) -> None:
    (data,) = read_sets(shared_data / "expressivity", [name])
    assert len(data.graphs) == count
    # Abboud et al. (2021): colour refinement tells nothing apart in EXP, and half of CEXP.
    expected = {"sr25": 0, "EXP": 0, "CEXP": 300}[name]
    assert compare(T.WeisfeilerLehmanPE(6, num_colours=1 << 20), data).apart == expected


def test_message_passing_sees_what_colour_refinement_sees() -> None:
    graphs = [*connected(6), nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3)), nx.cycle_graph(6)]
    data = graph_set(graphs)
    hashes = [nx.weisfeiler_lehman_graph_hash(graph, iterations=6) for graph in graphs]
    assert data.pairs - compare(None, data, rounds=6).apart == alike(hashes) > 0
    degrees = [tuple(sorted(degree for _, degree in graph.degree())) for graph in graphs]
    assert data.pairs - compare(None, data, rounds=1).apart == alike(degrees)


@pytest.mark.slow
def test_graph8c(shared_data: Path) -> None:
    (data,) = read_sets(shared_data / "expressivity", ["graph8c"])
    for verdict in (compare(T.WeisfeilerLehmanPE(8, num_colours=1 << 20), data), compare(None, data, rounds=8)):
        assert verdict.pairs - verdict.apart == 312  # Balcilar et al. (2021)
