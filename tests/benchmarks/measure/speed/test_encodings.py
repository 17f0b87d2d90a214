from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from graphpe import transforms as T
from graphpe.benchmarks.measure.inputs.graphs import code_like
from graphpe.benchmarks.measure.peers import encodings as peers
from graphpe.benchmarks.measure.speed import encodings
from graphpe.benchmarks.tasks import PythonSource
from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.pair_blocks import diagonal_rows


@pytest.mark.slow
def test_table_is_printed_and_written(tmp_path, monkeypatch, capsys, source_tree, cache):
    functions = PythonSource(root=str(source_tree)).load(cache=cache, progress=False).graphs.select(range(12))
    monkeypatch.setattr(encodings, "python_functions", lambda *_: functions)
    monkeypatch.setenv("GRAPHPE_DATA", str(tmp_path))
    out = tmp_path / "encodings.md"
    encodings.main(["--graphs=12", "--repeats=1", "--out", str(out)])
    printed = capsys.readouterr().out
    lines = out.read_text().splitlines()
    assert all(line in printed for line in lines)
    compared = [line.split("|") for line in lines if "PE(" in line]
    assert [row[1].strip() for row in compared] == [row.name for row in encodings.rows()]
    for row in compared:
        peer = min(float(row[i].replace(",", "")) for i in (4, 5))
        ours = float(row[6].replace(",", ""))
        assert float(row[8].strip().rstrip("x")) == pytest.approx(peer / ours, rel=0.1, abs=0.1)
    shared = [line.split("|") for line in lines if line.startswith(("| molecules", "| functions"))]
    assert [row[1].strip() for row in shared] == ["molecules", "functions"]
    for row in shared:
        alone, composed = (float(row[i].replace(",", "")) for i in (2, 3))
        assert float(row[4]) == pytest.approx(composed / alone, abs=0.02)


def graph(seed: int, directed: bool) -> Data:
    made = nx.gnp_random_graph(14, 0.25, seed=seed, directed=True)
    edges = torch.tensor(list(made.edges)).T
    if not directed:
        edges = torch.cat([edges, edges.flip(0)], dim=1).unique(dim=1)
    return Data(edge_index=edges, num_nodes=14)


@pytest.mark.parametrize("seed", range(4))
def test_the_other_sides_compute_the_same(seed):
    """A comparison of speed is one of the same results."""
    one_way, both_ways = graph(seed, True), graph(seed, False)
    values, vectors = peers.magnetic_eigenvectors(one_way, 5, 0.1)
    ours = T.MagneticLaplacianPE(5)(one_way)
    torch.testing.assert_close(ours.magnetic_eigenvalues[0], torch.from_numpy(values).float(), atol=1e-6, rtol=1e-5)
    overlap = np.abs(vectors.conj().T @ ours.magnetic_eigenvector_pe.numpy())
    if (np.diff(values) > 1e-3).all():
        np.testing.assert_allclose(np.diag(overlap)[:-1], 1, atol=1e-4)

    diagonal, index, pairs = peers.full_rrwp(both_ways, 6)
    rrwp = T.RelativeRandomWalkPE(6)(both_ways).rrwp
    torch.testing.assert_close(rrwp.view(14, 14, 6)[index[0], index[1]], pairs, atol=1e-6, rtol=1e-5)
    assert rrwp.view(14, 14, 6).sum(-1).count_nonzero() == index.shape[1]
    packed = PackedGraphs.from_data(both_ways)
    torch.testing.assert_close(rrwp[diagonal_rows(packed)], diagonal, atol=1e-6, rtol=1e-5)

    hops = T.ShortestPathPE(undirected=False)(one_way).shortest_path.view(14, 14)
    assert torch.equal(torch.where(hops < 0, 14, hops), peers.shortest_paths(one_way))


def test_undirected_graphs_have_both_directions():
    graphs = code_like(9, np.random.default_rng(1))
    kept = graphs.edge_index[0] < graphs.edge_index[1]
    edge_ptr = torch.cat([torch.zeros(1, dtype=torch.long), kept.cumsum(0)])[graphs.edge_ptr]
    both = encodings.undirected(graphs.with_edges(graphs.edge_index[:, kept], edge_ptr))
    assert torch.equal(both.edge_sizes, graphs.edge_sizes)
    assert set(map(tuple, both.edge_index.T.tolist())) == set(map(tuple, graphs.edge_index.T.tolist()))
