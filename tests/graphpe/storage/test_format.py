from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from safetensors.torch import load as load_safetensors
from torch_geometric.data import Data

from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.storage.format import (
    Column,
    Layout,
    Rows,
    StoredObjects,
    Texts,
    as_bytes,
    graph_columns,
    shard_rows,
    take_rows,
)

DTYPES = [torch.bool, torch.uint8, torch.int16, torch.int64, torch.bfloat16, torch.float16, torch.float64]


def columns_and_rows() -> tuple[list[Column], Rows]:
    rows = Rows(graph=[0, 2, 3], node=[0, 5, 7], edge=[0, 0, 4], pair=[0, 13, 17], text=[0, 9, 30])
    columns = [Column(f"node.{i}", "node", dtype, (3,)) for i, dtype in enumerate(DTYPES)]
    columns += [
        Column("structure.edge_index", "edge", torch.int64, ()),
        Column("graph.c", "graph", torch.complex64, ()),
    ]
    return [*columns, Column("objects.json", "text", torch.uint8, ())], rows


def test_safetensors_reads_what_the_layout_describes() -> None:
    columns, rows = columns_and_rows()
    layout = Layout(columns, rows)
    file = bytearray(layout.total_bytes)
    file[: len(layout.header)] = layout.header
    expected = {}
    for column in columns:
        count = layout.num_rows(column)
        shape = (2, count) if column.is_edge_index else (count, *column.shape)
        value = torch.randint(0, 2, shape).to(column.dtype)
        expected[column.name] = torch.view_as_real(value) if value.is_complex() else value
        for shard in range(2):
            piece = take_rows(column, value, rows, shard)
            pieces = piece if column.is_edge_index else [piece]
            for part, (start, stop) in zip(pieces, layout.ranges(column, shard), strict=True):
                file[start:stop] = as_bytes(part).tobytes()
    found = load_safetensors(bytes(file))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value), name
    mapped = torch.frombuffer(file, dtype=torch.uint8)
    for column in columns:
        value = layout.tensor(column, mapped)
        assert value.dtype == column.dtype
        assert torch.equal(torch.view_as_real(value) if value.is_complex() else value, expected[column.name])


def test_shards_share_no_byte_and_leave_none_out() -> None:
    columns, rows = columns_and_rows()
    layout = Layout(columns, rows)
    ranges = sorted(each for column in columns for shard in range(2) for each in layout.ranges(column, shard))
    assert sum(stop - start for start, stop in ranges) == layout.total_bytes - len(layout.header)
    assert all(before[1] <= after[0] for before, after in pairwise(ranges))
    for column in columns:
        assert layout.begin[column.name] % column.dtype.itemsize == 0


def test_a_dtype_that_cannot_be_stored() -> None:
    with pytest.raises(GraphPEValueError, match=r"node.x is torch.quint8, which cannot be stored"):
        Column("node.x", "node", torch.quint8, ())


def test_columns_hold_the_graphs(make_graphs) -> None:
    graphs = PackedGraphs.from_data_list(make_graphs([3, 0, 5, 1], seed=5, pairs=True, weights=True))
    texts = Texts(graphs)
    columns = {column.name: value for column, value in graph_columns(graphs, texts).items()}
    assert columns["structure.num_nodes"].tolist() == [3, 0, 5, 1]
    assert torch.equal(columns["structure.edge_index"], graphs.edge_index)
    assert torch.equal(columns["structure.edge_weight"], graphs.edge_weight)
    assert torch.equal(columns["pair.rrwp"], graphs.pair["rrwp"])
    rows = shard_rows(graphs, texts, [0, 1, 4])
    assert rows.node == [0, 3, 9]
    assert rows.pair == [0, 9, 9 + 25 + 1]
    assert rows.text[-1] == columns["objects.json"].numel()


@pytest.mark.parametrize("value", ["", "Ünïcode 中文 🧪 \ud800", [None], {"a": [1, 2.5, None]}, ["x"], [2**80]])
def test_objects_come_back(value) -> None:
    graphs = PackedGraphs.from_data_list([Data(num_nodes=1, thing=each, more="é") for each in (value, value)])
    texts = Texts(graphs)
    stored = StoredObjects("thing", torch.from_numpy(texts.blob.copy()), texts.ptr)
    assert len(stored) == 2
    assert stored[1] == value
    assert stored[-1] == value
    assert stored[:] == [value, value]
    assert list(stored) == [value, value]
    with pytest.raises(IndexError):
        stored[2]


@pytest.mark.parametrize("value", [(1, 2), {1: "a"}, math.nan, {"a"}, b"bytes", [torch.zeros(2)]])
def test_an_object_that_json_would_change(value) -> None:
    graphs = PackedGraphs.from_data_list(
        [Data(num_nodes=1, good="a", thing=each) for each in ("fine", value)],
        levels={"thing": "object"},
    )
    with pytest.raises(GraphPEValueError, match=r"'thing' of graph 1 is .*, which JSON does not give back"):
        Texts(graphs)


def test_bytes_whatever_the_strides() -> None:
    table = torch.arange(24).reshape(4, 6)
    for value in (table, table[:, 2], table.t(), table[1:2, 3], table[:0], table[1:2, ::6], torch.zeros(0, 3)):
        assert as_bytes(value).tobytes() == value.numpy().tobytes()
    assert as_bytes(torch.from_numpy(np.diff(np.zeros(1, dtype=np.int64)))).tobytes() == b""
