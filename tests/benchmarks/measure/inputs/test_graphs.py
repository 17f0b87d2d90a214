from __future__ import annotations

import numpy as np
import torch
from ogb.utils.features import get_atom_feature_dims

from graphpe.benchmarks.measure.inputs.graphs import code_like, molecules, read_molecules


def test_molecules_are_ogbs(shared_data):
    graphs = read_molecules(shared_data / "ogbg_molhiv" / "raw")
    assert len(graphs) == 41_127
    first = graphs[0]
    assert (first.x.shape, first.edge_index.shape, first.edge_attr.shape) == ((19, 9), (2, 40), (40, 3))
    assert (graphs.node["x"].max(dim=0).values < torch.tensor(get_atom_feature_dims())).all()
    assert torch.equal(first.edge_index[:, ::2], first.edge_index[:, 1::2].flip(0))
    source, drawn = molecules(50, shared_data, np.random.default_rng(0))
    assert (source, len(drawn)) == ("ogbg-molhiv", 50)
    assert 15 < drawn.num_nodes / 50 < 40


def test_without_the_data_molecules_are_random_graphs(tmp_path, capsys):
    source, drawn = molecules(50, tmp_path, np.random.default_rng(0))
    assert (source, len(drawn)) == ("random", 50)
    assert "random graphs of the same size instead" in capsys.readouterr().out


def test_code_like_graphs_are_trees_of_60_nodes():
    graphs = code_like(2000, np.random.default_rng(0))
    assert 55 < graphs.num_nodes / len(graphs) < 65
    assert torch.equal(graphs.edge_sizes, 2 * (graphs.sizes - 1))
    child, parent = graphs.edge_index[1, ::2], graphs.edge_index[0, ::2]
    assert (parent < child).all()
    assert len(child.unique()) == len(child)
