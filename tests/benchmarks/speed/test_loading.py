from __future__ import annotations

import numpy as np
import pytest
import torch
from ogb.utils.features import get_atom_feature_dims
from torch_geometric.data import Batch

from graphpe.benchmarks.speed import loading


def test_table_is_printed_and_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GRAPHPE_DATA", str(tmp_path))
    out = tmp_path / "loading.md"
    loading.main(["--graphs=40", "--batch-sizes", "8", "16", "--batches=2", "--repeats=1", "--out", str(out)])
    printed = capsys.readouterr().out
    assert f"no ogbg_molhiv in {tmp_path}: random graphs" in printed
    rows = [line.split("|") for line in out.read_text().splitlines() if line.startswith(("| molecules", "| code-like"))]
    assert [row[5].strip() for row in rows] == ["8", "16", "8", "16"]
    for row in rows:
        pyg, packed, ratio = (float(cell.strip().rstrip("x").replace(",", "")) for cell in row[6:9])
        assert ratio == pytest.approx(packed / pyg, rel=0.1)
        assert "|".join(row) in printed


def test_molecules_are_ogbs(shared_data):
    source, graphs = loading.molecules(50, shared_data, np.random.default_rng(0))
    assert (source, len(graphs)) == ("ogbg-molhiv", 50)
    first = graphs[0]
    assert (first.x.shape, first.edge_index.shape, first.edge_attr.shape) == ((19, 9), (2, 40), (40, 3))
    assert (graphs.node["x"].max(dim=0).values < torch.tensor(get_atom_feature_dims())).all()
    assert torch.equal(first.edge_index[:, ::2], first.edge_index[:, 1::2].flip(0))


def test_code_like_graphs_are_trees_of_60_nodes():
    graphs = loading.code_like(2000, np.random.default_rng(0))
    assert 55 < graphs.num_nodes / len(graphs) < 65
    assert torch.equal(graphs.edge_sizes, 2 * (graphs.sizes - 1))
    child, parent = graphs.edge_index[1, ::2], graphs.edge_index[0, ::2]
    assert (parent < child).all()
    assert len(child.unique()) == len(child)


def test_a_difference_between_the_sides_stops_the_script():
    graphs = loading.code_like(4, np.random.default_rng(0))
    batch = Batch.from_data_list(graphs.to_data_list())
    loading.check_equal(graphs, batch, 4)
    batch.x = batch.x + 1
    with pytest.raises(SystemExit, match="disagree about 'x'"):
        loading.check_equal(graphs, batch, 4)
