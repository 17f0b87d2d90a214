from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch, Data

from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.transforms.compose import Compose
from graphpe.transforms.tree_field_pe import TreeFieldPE
from graphpe.transforms.tree_path_pe import TreePathPE
from graphpe.trees.rooted.paths import tree_paths


def test_values_are_the_paths(random_graph) -> None:
    graphs = [random_graph(seed) for seed in range(12)]
    for order in ("auto", "number", "colour"):
        out = TreePathPE(5, max_children=3, order=order)(Batch.from_data_list(graphs)).tree_path_pe
        assert out.dtype == torch.int64
        assert torch.equal(out, tree_paths(PackedGraphs.from_data_list(graphs), 5, 3, order))
        assert int(out.max()) <= 3
    together = Compose([TreeFieldPE(tree="shortest"), TreePathPE(5)])(Batch.from_data_list(graphs))
    assert torch.equal(together.tree_path_pe, TreePathPE(5)(Batch.from_data_list(graphs)).tree_path_pe)


def test_parameters() -> None:
    encoding = TreePathPE(4, max_children=9)
    assert repr(encoding) == "TreePathPE(max_depth=4, max_children=9, order='auto', attr_name='tree_path_pe')"
    assert (encoding.columns, encoding.vocabulary) == (4, 10)
    appended = TreePathPE(2, attr_name=None)(Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2))
    assert appended.x.tolist() == [[0, 0], [1, 0]]
    for arguments, error, said in (
        ({"max_depth": 0}, GraphPEValueError, "max_depth must be from 1 to 4096, got 0"),
        ({"max_children": 4097}, GraphPEValueError, "max_children must be from 1 to 4096, got 4097"),
        ({"max_depth": 2.0}, GraphPETypeError, r"max_depth must be an integer, got 2\.0"),
        ({"order": "random"}, GraphPEValueError, "order must be one of 'auto', 'number', 'colour', got 'random'"),
    ):
        with pytest.raises(error, match=said):
            TreePathPE(**arguments)
