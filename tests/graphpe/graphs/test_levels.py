from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

from graphpe.errors import GraphPEValueError
from graphpe.graphs.levels import check_name
from graphpe.graphs.packed import PackedGraphs


def test_ties_go_by_pyg_names():
    # A directed cycle has as many edges as nodes; a single node is also a single graph and a single pair.
    cycle = Data(
        x=torch.zeros(3, 1),
        edge_index=torch.tensor([[0, 1, 2], [1, 2, 0]]),
        edge_kind=torch.zeros(3),
        colour=torch.zeros(3),
    )
    packed = PackedGraphs.from_data_list([cycle, cycle])
    assert (set(packed.node), set(packed.edge)) == ({"x", "colour"}, {"edge_kind"})
    assert set(PackedGraphs.from_data_list([cycle], levels={"colour": "edge"}).edge) == {"edge_kind", "colour"}
    one = Data(x=torch.zeros(1, 1), y=torch.zeros(1), rrwp=torch.zeros(1, 4), laplacian_mask=torch.zeros(1, 2))
    packed = PackedGraphs.from_data(one)
    assert (set(packed.node), set(packed.graph), set(packed.pair)) == ({"x"}, {"y", "laplacian_mask"}, {"rrwp"})


@pytest.mark.parametrize(
    "key", ["edge_index", "edge_weight", "num_nodes", "ptr", "batch", "max_size", "num_pairs", "_slice_dict"]
)
@pytest.mark.parametrize("level", ["node", "edge", "graph", "pair", "object"])
def test_reserved_names(key, level):
    with pytest.raises(GraphPEValueError, match=f"{level} value '{key}' has a reserved name: rename it"):
        check_name(key, level)


@pytest.mark.parametrize("key", ["node_index", "index", "batch_id", "face"])
def test_names_that_pyg_shifts(key):
    with pytest.raises(GraphPEValueError, match=f"{key!r}: PyG shifts values"):
        check_name(key, "node")
    check_name(key, "object")


@pytest.mark.parametrize("key", ["x", "edge_attr", "node_depth", "laplacian_eigenvector_pe", "surface", "adjacent"])
def test_free_names(key):
    check_name(key, "node")
