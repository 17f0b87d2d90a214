from __future__ import annotations

import gzip
from itertools import combinations
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch

from graphpe.benchmarks.expressivity.graph_sets import GraphSet, read_sets, renumbered
from graphpe.benchmarks.expressivity.sets import ALL_SETS, DATASETS, MADE
from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs


def graph_set(graphs: list[nx.Graph], consecutive: bool = False) -> GraphSet:
    packed = PackedGraphs.from_networkx(graphs, weight=None)
    types = torch.arange(packed.num_nodes)[:, None]
    return GraphSet("test", packed.with_values(node={"x": types}), consecutive)


def test_renumbering() -> None:
    data = graph_set([nx.gnp_random_graph(n, 0.4, seed=n) for n in (5, 1, 7)])
    other = renumbered(data.graphs, np.random.default_rng(0))
    for b in range(3):
        assert nx.is_isomorphic(data.graphs.to_networkx(b), other.to_networkx(b))
    assert not torch.equal(other.edge_index, data.graphs.edge_index)


def write_exp(path: Path, text: str) -> None:
    path.write_bytes(gzip.compress(text.encode()))


def test_the_text_of_exp(tmp_path: Path) -> None:
    write_exp(tmp_path / "EXP.GRAPHSAT.txt.gz", "2\n3 1\n0 1 1\n1 2 0 2\n1 1 1\n2 0\n0 1 1\n0 1 0\n")
    (data,) = read_sets(tmp_path, ["EXP"])
    assert data.consecutive
    assert data.graphs.sizes.tolist() == [3, 2]
    assert data.graphs[0].edge_index.t().tolist() == [[0, 1], [1, 0], [1, 2], [2, 1]]
    assert data.graphs[0].x.flatten().tolist() == [0, 1, 1]
    for text in ("2\n3 1\n0 1 1\n", "1\n2 0\n0 1\n0 0\n", "1\n2 0\n0 1 2\n0 1 0\n"):  # cut off, no counts, no node 2
        write_exp(tmp_path / "EXP.GRAPHSAT.txt.gz", text)
        with pytest.raises(GraphPERuntimeError, match=r"EXP.GRAPHSAT.txt.gz cannot be read"):
            read_sets(tmp_path, ["EXP"])
    with pytest.raises(GraphPERuntimeError, match=r"graph8c.g6 is not in .*: put it there"):
        read_sets(tmp_path, ["graph8c"])
    with pytest.raises(GraphPEValueError, match="unknown set 'exp'; known: graph8c, CSL, EXP, CEXP"):
        read_sets(tmp_path, ["exp"])


@pytest.mark.parametrize(("name", "mean_nodes", "mean_edges"), [("EXP", 48.70, 60.44), ("CEXP", 55.78, 69.78)])
def test_real_graphs_of_exp(shared_data: Path, name: str, mean_nodes: float, mean_edges: float) -> None:
    (data,) = read_sets(shared_data / "expressivity", [name])
    graphs = data.graphs
    source, target = graphs.edge_index
    assert not bool((source == target).any())
    codes = source * graphs.num_nodes + target
    assert torch.equal(codes.unique(), (target * graphs.num_nodes + source).unique())
    assert len(codes.unique()) == len(codes)
    assert round(graphs.num_nodes / 1200, 2) == mean_nodes
    assert round(len(codes) / 2 / 1200, 2) == mean_edges


def test_a_single_graph_in_a_file(tmp_path: Path) -> None:
    nx.write_graph6(nx.cycle_graph(6), tmp_path / "graph8c.g6", header=False)
    (data,) = read_sets(tmp_path, ["graph8c"])
    assert (len(data.graphs), data.pairs) == (1, 0)


def test_parts_of_brec(tmp_path: Path) -> None:
    graphs = [nx.path_graph(2 + i % 50) for i in range(520)]
    (tmp_path / "brec.g6").write_bytes(b"".join(nx.to_graph6_bytes(graph, header=False) for graph in graphs))
    names = ["BREC-basic", "BREC-regular", "BREC-extension"]
    sets = read_sets(tmp_path, names)
    assert [data.pairs for data in sets] == [60, 100, 100]
    read = [size for data in sets for size in data.graphs.sizes.tolist()]
    assert read == [len(graph) for graph in graphs]
    assert all(data.consecutive for data in sets)
    (tmp_path / "brec.g6").write_bytes(b"".join(nx.to_graph6_bytes(graph, header=False) for graph in graphs[:120]))
    read_sets(tmp_path, names[:1])
    with pytest.raises(GraphPERuntimeError, match="holds 120 graphs, and BREC-regular is the graphs 120 to 319"):
        read_sets(tmp_path, names)


def test_circular_skip_links(tmp_path: Path) -> None:
    (data,) = read_sets(tmp_path, ["CSL"])
    assert (len(data.graphs), data.pairs) == (10, 45)
    spectra = []
    for b in range(10):
        graph = data.graphs.to_networkx(b).to_undirected()
        assert len(graph) == 41
        assert set(dict(graph.degree()).values()) == {4}
        assert nx.has_path(graph, 0, 40)
        spectra.append(np.sort(nx.adjacency_spectrum(graph).real))
    # The spectrum of a circulant graph is known, and no two of these agree: no two graphs are isomorphic.
    angle = 2 * np.pi * np.arange(41) / 41
    skips = (2, 3, 4, 5, 6, 9, 11, 12, 13, 16)
    for skip, spectrum in zip(skips, spectra, strict=True):
        assert np.allclose(spectrum, np.sort(2 * np.cos(angle) + 2 * np.cos(skip * angle)), atol=1e-8)
    assert min(np.abs(one - other).max() for one, other in combinations(spectra, 2)) > 0.01


def test_pairs_and_fewer_of_them() -> None:
    graphs = [nx.path_graph(n) for n in range(1, 23)]
    data = graph_set(graphs, consecutive=True)
    assert data.pair_index().tolist() == [[i, i + 1] for i in range(0, 22, 2)]
    some = data.fewer(4)
    sizes = some.graphs.sizes.tolist()
    assert len(sizes) == 8
    assert all(one % 2 == 1 and other == one + 1 for one, other in zip(sizes[::2], sizes[1::2], strict=True))
    assert sizes == sorted(set(sizes))
    starts = [n * (n - 1) // 2 for n in sizes]  # nodes of the shorter paths
    assert some.graphs.node["x"][some.graphs.ptr[:-1]].flatten().tolist() == starts
    assert torch.equal(data.fewer(4).graphs.sizes, some.graphs.sizes)
    assert data.fewer(11) is data
    of_all = graph_set(graphs[:4])
    assert of_all.fewer(2) is of_all
    assert of_all.pair_index().tolist() == [list(pair) for pair in combinations(range(4), 2)]


def test_names() -> None:
    assert set(ALL_SETS) == {*DATASETS, *MADE}


def test_no_pair_of_brec_is_isomorphic(shared_data: Path) -> None:
    for data in read_sets(shared_data / "expressivity", ["BREC-basic", "BREC-extension"]):
        for i in np.random.default_rng().choice(data.pairs, 8, replace=False):
            assert not nx.is_isomorphic(*(data.graphs.to_networkx(int(b)) for b in (2 * i, 2 * i + 1)))
