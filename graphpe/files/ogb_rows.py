"""OGB's raw tables have as many rows as their graphs.

OGB's reader slices them by the counts of each graph and leaves what is too much at the end: a row that was put in
anywhere shifts all that follow it, without a word.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas

from graphpe.errors import GraphPERuntimeError
from graphpe.files.guarded import names, view

_COUNTS = {"num-node-list": "node", "num-edge-list": "edge"}


@contextmanager
def rows_compared(reader: ModuleType, tables: ModuleType) -> Iterator[None]:
    """Let OGB's reader of tables refuse those with more or fewer rows than their graphs, for a while.

    Args:
        reader: OGB's module that calls `read_csv_graph_raw`.
        tables: Its module that defines that.
    """
    counted: dict[str, int] = {}
    rows: dict[str, int] = {}

    def read_csv(path: Any, *args: Any, **options: Any) -> pandas.DataFrame:
        table = pandas.read_csv(path, *args, **options)
        name = Path(path).name.partition(".")[0]
        if name in _COUNTS:
            counted[_COUNTS[name]] = int(table[0].sum())
        else:
            rows[name] = len(table)
        return table

    original = tables.read_csv_graph_raw

    def compared(raw: str, *args: Any, **options: Any) -> Any:
        counted.clear()
        rows.clear()
        graphs = original(raw, *args, **options)
        for name, found in rows.items():
            kind = name[:4]  # node-feat, node_year, edge, edge-feat
            if found != counted[kind]:
                raise GraphPERuntimeError(
                    f"{raw}/{name}.csv.gz has {found:,} rows, but num-{kind}-list.csv.gz counts {counted[kind]:,}: "
                    "get both again"
                )
        return graphs

    with names(tables, pd=view(pandas, read_csv=read_csv)), names(reader, read_csv_graph_raw=compared):
        yield
