"""Stores whose checksums are right and whose content is none of graphs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from graphpe.errors import GraphPERuntimeError
from graphpe.graphs.packed import PackedGraphs
from graphpe.storage.encoded import EncodedDataset
from graphpe.storage.format import Column, graph_columns, shard_rows, take_rows
from graphpe.storage.manifest import Manifest, _checksum
from graphpe.storage.store import MANIFEST, StoreWriter, writing


def write(root: Path, make_graphs: Callable[..., Any], **changed: Any) -> Path:
    """Three graphs in two shards, with the changed columns, and checksums of what is written."""
    graphs = PackedGraphs.from_data_list(make_graphs([4, 2, 3], seed=2, pairs=True))
    columns = graph_columns(graphs, None)
    rows = shard_rows(graphs, None, [0, 2, 3])
    for column in columns:
        change = changed.get(column.name.partition(".")[2])
        if change is not None:
            columns[column] = change(columns[column].clone())
    with (
        writing(root),
        StoreWriter(root, Manifest("1.0", "Nothing()", "cpu", 2, "f", [], list(columns), rows, {})) as writer,
    ):
        for shard in range(2):
            writer.commit(shard, {c.name: take_rows(c, value, rows, shard) for c, value in columns.items()})
        writer.finish()
    return root


def forge(root: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """A manifest with another content and the checksum of that."""
    content = json.loads((root / MANIFEST).read_text())
    del content["checksum"]
    change(content)
    (root / MANIFEST).write_text(json.dumps({**content, "checksum": _checksum(content)}))


def put(place: tuple[int, ...], value: int) -> Callable[[torch.Tensor], torch.Tensor]:
    def change(tensor: torch.Tensor) -> torch.Tensor:
        tensor[place] = value
        return tensor

    return change


def test_written_and_read(tmp_path: Path, make_graphs) -> None:
    assert len(EncodedDataset(write(tmp_path / "s", make_graphs), verify=True)) == 3


@pytest.mark.parametrize("value", [-1, 4, 5, 10**12])
def test_edges_outside_of_their_graph(tmp_path: Path, make_graphs, value: int) -> None:
    """When graphs are first asked for, of the shard that they are in."""
    dataset = EncodedDataset(write(tmp_path / "s", make_graphs, edge_index=put((1, 0), value)))
    dataset[2]
    for ask in (lambda: dataset[0], lambda: dataset.packed, lambda: EncodedDataset(tmp_path / "s", verify=True)):
        with pytest.raises(
            GraphPERuntimeError, match=rf"edge 0, \[\d, {value}\], leaves its graph of nodes 0 to 3"
        ) as error:
            ask()
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"num_nodes": put((0,), 5)}, "other node rows"),
        ({"num_nodes": lambda sizes: sizes + torch.tensor([-9, 9, 0])}, "other node rows"),
        ({"num_nodes": lambda sizes: sizes + torch.tensor([1, -1, 0])}, "other pair rows"),
        ({"num_edges": put((2,), 0)}, "other edge rows"),
    ],
)
def test_sizes_of_graphs(tmp_path: Path, make_graphs, changed: dict[str, Any], message: str) -> None:
    write(tmp_path / "s", make_graphs, **changed)
    with pytest.raises(GraphPERuntimeError, match=rf"{message} than its shards; encode again, into another folder"):
        EncodedDataset(tmp_path / "s")


def rename(old: str, new: str) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        next(column for column in content["columns"] if column["name"] == old)["name"] = new
        content["digests"][new] = content["digests"].pop(old)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content["rows"]["node"].reverse(), "its shards have no order"),
        (lambda content: content["rows"].update(edge="ab"), "its shards have no order"),
        (lambda content: content["rows"].update(pair=[0, -1, 3]), "its shards have no order"),
        (rename("structure.num_nodes", "graph.size"), "has no column structure.num_nodes"),
        (lambda content: content["columns"].append(content["columns"][0]), "two columns of one name"),
        (lambda content: content["columns"][0].update(rows="edge"), r"is torch.int64 \[\] by edge"),
        (lambda content: content["columns"][2].update(dtype="float64"), r"is torch.float64 \[\] by edge"),
        (lambda content: content["digests"].update({"structure.num_nodes": []}), "no checksum of each shard"),
        (lambda content: content["digests"].clear(), "no checksum of each shard"),
    ],
)
def test_forged_manifests(tmp_path: Path, make_graphs, change: Callable[[dict[str, Any]], Any], message: str) -> None:
    root = write(tmp_path / "s", make_graphs)
    forge(root, change)
    with pytest.raises(GraphPERuntimeError, match=message) as error:
        EncodedDataset(root, verify=True)
    assert "\n" not in str(error.value)


def test_values_by_a_name_that_is_taken(tmp_path: Path, make_graphs) -> None:
    graphs = PackedGraphs.from_data_list(make_graphs([4, 2, 3], seed=2))
    columns = graph_columns(graphs, None) | {Column("node.batch", "node", torch.int64, ()): torch.arange(9)}
    rows = shard_rows(graphs, None, [0, 3])
    with (
        writing(tmp_path / "s"),
        StoreWriter(tmp_path / "s", Manifest("1.0", "N()", "cpu", 3, "f", [], list(columns), rows, {})) as writer,
    ):
        writer.commit(0, {c.name: take_rows(c, value, rows, 0) for c, value in columns.items()})
        writer.finish()
    with pytest.raises(GraphPERuntimeError, match=r"was not written by graphpe.*'batch'"):
        EncodedDataset(tmp_path / "s")
