"""OGB's raw files of many graphs, read some graphs at a time: its own loader has all of them in memory, three times."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from graphpe.errors import GraphPERuntimeError
from graphpe.files.reading import check_file

Kind = Literal["node", "edge", "graph"]

_BLOCK = 2**22


@dataclass(frozen=True)
class RawTable:
    """A file of OGB's, `<name>.csv.gz`: a row for each node, edge or graph.

    Attributes:
        name: Of the file.
        kind: What a row is of.
        columns: Numbers in a row.
        dtype: Of the numbers, as OGB has them: int64, or float32.
    """

    name: str
    kind: Kind
    columns: int
    dtype: type[np.int64] | type[np.float32] = np.int64


@dataclass(frozen=True)
class RawGraphs:
    """The folder `raw` of an OGB dataset of graphs.

    Attributes:
        folder: The folder.
        both_directions: Whether each edge stands there once and means two, as OGB's `add_inverse_edge` has it: the
            inverse of an edge follows it, with the same values.
    """

    folder: Path
    both_directions: bool = False

    @cached_property
    def nodes(self) -> NDArray[np.int64]:
        """Nodes of each graph."""
        return self._counts("num-node-list")

    @cached_property
    def edges(self) -> NDArray[np.int64]:
        """Edges of each graph, both directions counted."""
        counts = self._counts("num-edge-list")
        if len(counts) != len(self.nodes):
            raise GraphPERuntimeError(
                f"{self.folder} counts the nodes of {len(self.nodes)} graphs and the edges of {len(counts)}: get it "
                "again"
            )
        return counts * 2 if self.both_directions else counts

    def column(self, table: RawTable) -> NDArray[Any]:
        """A table of graphs, all of it: `[B, columns]`.

        Args:
            table: The table.

        Raises:
            GraphPERuntimeError: It is not there, or damaged, or has not a row for each graph.
        """
        return next(self.read([0, len(self.nodes)], [table]))[table.name]

    def read(self, bounds: Sequence[int], tables: Sequence[RawTable]) -> Iterator[Mapping[str, NDArray[Any]]]:
        """Rows of the graphs `bounds[s]` to `bounds[s + 1]` of each table, by its name, for each s in order.

        Args:
            bounds: First graph of each part and, last, the number of graphs.
            tables: The tables.

        Raises:
            GraphPERuntimeError: A file is not there, damaged, or has more or fewer rows than its graphs.
        """
        rows = {"node": self.nodes, "edge": self.edges, "graph": np.ones_like(self.nodes)}
        sizes = {kind: np.concatenate([[0], np.cumsum(each)])[list(bounds)] for kind, each in rows.items()}
        readers = [(table, _Reader(self.folder / f"{table.name}.csv.gz", table)) for table in tables]
        for part in range(len(bounds) - 1):
            found = {}
            for table, reader in readers:
                count = int(sizes[table.kind][part + 1] - sizes[table.kind][part])
                doubled = table.kind == "edge" and self.both_directions
                values = reader.take(count // 2 if doubled else count)
                found[table.name] = _with_inverse(table.name, values) if doubled else values
            yield found
        for _, reader in readers:
            reader.check_end()

    def digest(self, tables: Sequence[RawTable]) -> str:
        """A digest of the files' contents.

        Args:
            tables: The tables, beside the numbers of nodes and edges.
        """
        names = ["num-node-list", "num-edge-list", *(table.name for table in tables)]
        return digest_of_files([self.folder / f"{name}.csv.gz" for name in names])

    def _counts(self, name: str) -> NDArray[np.int64]:
        reader = _Reader(self.folder / f"{name}.csv.gz", RawTable(name, "graph", 1))
        counts = reader.rest().flatten()
        if (counts < 0).any():
            raise GraphPERuntimeError(f"{reader.path} has a negative number: get it again")
        return counts


def digest_of_files(paths: Sequence[Path]) -> str:
    """A digest of the names and contents of files.

    Args:
        paths: The files.

    Raises:
        GraphPERuntimeError: One cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    for path in paths:
        check_file(path)
        digest.update(f"{path.name} {path.stat().st_size}\n".encode())
        try:
            with path.open("rb") as file:
                while block := file.read(_BLOCK):
                    digest.update(block)
        except OSError as error:
            raise GraphPERuntimeError(f"{path} cannot be read: {error.strerror or error}") from None
    return digest.hexdigest()


class _Reader:
    """Rows of a gzipped CSV file without a header, some at a time."""

    def __init__(self, path: Path, table: RawTable) -> None:
        self.path, self.table = path, table
        check_file(path)
        self._file: Any = None

    def take(self, count: int) -> NDArray[Any]:
        """The next rows."""
        if not count:
            return np.zeros((0, self.table.columns), self.table.dtype)
        found = self._next(count)
        if len(found) != count:
            raise GraphPERuntimeError(f"{self.path} ends {count - len(found)} rows too early: get it again")
        return found

    def rest(self) -> NDArray[Any]:
        """All rows that are left."""
        return self._next(None)

    def check_end(self) -> None:
        """Raise if there are more rows."""
        if len(self._next(1)):
            raise GraphPERuntimeError(f"{self.path} has more rows than its graphs: get it again")

    def _next(self, count: int | None) -> NDArray[Any]:
        import pandas

        wide = np.float64 if self.table.dtype is np.float32 else self.table.dtype  # as OGB reads numbers
        try:
            if self._file is None:
                self._file = pandas.read_csv(self.path, compression="gzip", header=None, dtype=wide, iterator=True)
            frame = self._file.read(count)
        except (StopIteration, pandas.errors.EmptyDataError):
            return np.zeros((0, self.table.columns), self.table.dtype)
        except (OSError, EOFError, ValueError, zlib.error) as error:
            reason = " ".join(str(error).split())[:200]
            raise GraphPERuntimeError(f"{self.path} cannot be read ({reason}): get it again") from None
        if frame.shape[1] != self.table.columns:
            raise GraphPERuntimeError(
                f"{self.path} has {frame.shape[1]} columns, expected {self.table.columns}: get it again"
            )
        return np.array(frame.to_numpy(), dtype=self.table.dtype, order="C")  # a copy: pandas keeps its own


def _with_inverse(name: str, values: NDArray[Any]) -> NDArray[Any]:
    """Each edge followed by its inverse, each value of an edge twice."""
    twice = np.repeat(values, 2, axis=0)
    if name == "edge":
        twice[1::2] = values[:, ::-1]
    return twice
