from __future__ import annotations

import pytest
import torch
from torch import nn
from torch_geometric.data import Data

from graphpe.errors import GraphPEValueError
from graphpe.models import ASTNodeEncoder, CategoricalEdges, CategoricalNodes, EmbeddingEncoding, PairEmbedding
from graphpe.models.attention.pairs import all_pairs
from graphpe.models.batches.ids import check_ids
from graphpe.models.batches.nodes import node_to_graph


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8, torch.bool])
def test_ids_in_range(dtype: torch.dtype) -> None:
    check_ids(torch.tensor([[0, 1], [1, 0]]).to(dtype), [2, 2], "x")
    check_ids(torch.empty(0, 2, dtype=dtype), [2, 2], "x")


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([[0, 0], [2, 0]], r"x\[1, 0\] is 2, but the model's table for column 0 has ids from 0 to 1"),
        ([[0, 2], [1, 3]], r"x\[1, 1\] is 3, but the model's table for column 1 has ids from 0 to 2"),
        ([[0, -1], [1, 0]], r"x\[0, 1\] is -1,"),
    ],
)
def test_the_first_id_out_of_range_is_named(ids: list[list[int]], message: str) -> None:
    with pytest.raises(GraphPEValueError, match=message):
        check_ids(torch.tensor(ids), [2, 3], "x")
    check_ids(torch.tensor(ids, device="meta"), [2, 3], "x")  # elsewhere nothing is read


def reader(kind: str) -> tuple[nn.Module, str]:
    """A module with a table of ids 0 and 1, or of two such columns, and what it reads."""
    return {
        "nodes": (CategoricalNodes(4, 2), "x"),
        "columns of nodes": (CategoricalNodes(4, [2, 2]), "x"),
        "edges": (CategoricalEdges(4, 2), "edge_attr"),
        "columns of edges": (CategoricalEdges(4, [2, 2]), "edge_attr"),
        "syntax": (ASTNodeEncoder(4, 2, 2), "x"),
        "encoding": (EmbeddingEncoding("degree_pe", 2, 2, 4), "degree_pe"),
        "pairs": (PairEmbedding("hops", 1, 2, 4), "hops"),
        "columns of pairs": (PairEmbedding("hops", 2, 2, 4, 4), "hops"),
    }[kind]


@pytest.mark.parametrize("wrong", [2, -1])
@pytest.mark.parametrize(
    "kind",
    ["nodes", "columns of nodes", "edges", "columns of edges", "syntax", "encoding", "pairs", "columns of pairs"],
)
def test_no_table_gives_the_row_of_another_column(kind: str, wrong: int) -> None:
    module, key = reader(kind)
    columns = 2 if "columns" in kind or kind in ("syntax", "encoding") else 1
    edge_index = torch.tensor([[0, 1, 2], [1, 2, 0]])
    data = Data(edge_index=edge_index, num_nodes=3, node_depth=torch.zeros(3, dtype=torch.long))
    data[key] = torch.zeros(9 if "pairs" in kind else 3, columns, dtype=torch.long)
    inputs = (data, all_pairs(node_to_graph(data), edge_index)) if "pairs" in kind else (data,)
    assert module(*inputs).isfinite().all()
    data[key][1, columns - 1] = wrong
    with pytest.raises(GraphPEValueError, match=rf"batch\.{key}\[1, {columns - 1}\] is {wrong}, .* ids from 0 to 1"):
        module(*inputs)
