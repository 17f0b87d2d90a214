"""Graphs of code as files in OGB's raw layout, which OGB's loaders read as ogbg-code2."""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from graphpe.benchmarks.tasks.code.adapter import CodeAdapter
from graphpe.benchmarks.tasks.code.data import CodeData
from graphpe.benchmarks.tasks.code.source.edges import EDGE_ATTR
from graphpe.errors import GraphPEValueError

FOLDER = "ogbg_code2"


def export_ogb(data: CodeData, root: str | os.PathLike[str]) -> Path:
    """Write a task's data so that `PygGraphPropPredDataset("ogbg-code2", root)`, and the task `code2`, load it.

    Files are those of OGB's download: `raw/*.csv.gz`, `split/project/*.csv.gz`, `mapping/*.csv.gz` and
    `RELEASE_v1.txt`. Next-token edges are left out, as they are there: they are made from the nodes. Stock OGB reads
    the names `nan` and `null` as missing numbers; the files hold the words.

    Args:
        data: What a task of code loaded.
        root: The folder in which `ogbg_code2` is made.

    Returns:
        The folder `ogbg_code2`.

    Raises:
        GraphPEValueError: If that folder exists and is not empty.
    """
    folder = Path(root) / FOLDER
    if folder.exists() and any(folder.iterdir()):
        raise GraphPEValueError(f"{folder} is not empty: give a folder without {FOLDER}")
    graphs, adapter = data.graphs, data.adapter
    assert isinstance(adapter, CodeAdapter)
    in_tree = graphs.edge[EDGE_ATTR][:, 0] == 0
    edges = (graphs.edge_index - graphs.ptr[graphs.edge_batch])[:, in_tree]
    tree_edges = graphs.edge_batch[in_tree].bincount(minlength=len(graphs))
    numbers = {
        "edge": edges.T,
        "num-node-list": graphs.sizes[:, None],
        "num-edge-list": tree_edges[:, None],
        "node-feat": graphs.node["x"],
    } | {key: graphs.node[key] for key in ("node_is_attributed", "node_dfs_order", "node_depth")}
    for name, values in numbers.items():
        _write_numbers(folder / "raw" / f"{name}.csv.gz", values.numpy())
    _write_rows(folder / "raw" / "graph-label.csv.gz", ([" ".join(name)] for name in graphs.objects["name_tokens"]))
    for part, indices in data.split.items():
        _write_numbers(folder / "split" / "project" / f"{part}.csv.gz", indices.numpy()[:, None])
    for name, column, vocabulary in (
        ("typeidx2type", "type", adapter.types),
        ("attridx2attr", "attr", adapter.attributes),
    ):
        header = [f"{column} idx", column]
        rows = ([str(index), word] for index, word in enumerate(vocabulary.words))
        _write_rows(folder / "mapping" / f"{name}.csv.gz", [header, *rows])
    (folder / "RELEASE_v1.txt").touch()  # without it, OGB asks on standard input whether to delete the folder
    return folder


def _write_numbers(path: Path, values: NDArray[np.int64]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = [map(str, column) for column in values.T.tolist()]  # several times as fast as numpy.savetxt
    with gzip.open(path, "wt", compresslevel=6) as file:
        file.writelines(",".join(row) + "\n" for row in zip(*columns, strict=True))


def _write_rows(path: Path, rows: Iterable[Sequence[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", compresslevel=6, encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
