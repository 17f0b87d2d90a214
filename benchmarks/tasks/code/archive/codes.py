"""The source of every function, from OGB's `mapping/graphidx2code.json.gz` to a file with random access.

The archive is one JSON value of a few gigabytes; pandas needs more than 50 GB for it. Here a function at a time is in
memory.
"""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphpe.benchmarks.tasks.code.archive.json_stream import JSONStream
from graphpe.errors import GraphPEError, GraphPERuntimeError, GraphPEValueError
from graphpe.files.reading import check_file
from graphpe.files.scratch import scratch_folder
from graphpe.progress import progress_bar

_TEXT, _PLACES = "codes.bin", "codes.npy"


@dataclass(frozen=True)
class Codes:
    """Texts in a file, one after the other.

    Attributes:
        path: The file.
        start: First byte of each text, `[B]`.
        stop: One past its last byte, `[B]`.
    """

    path: Path
    start: NDArray[np.int64]
    stop: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.start)

    def part(self, first: int, last: int) -> Codes:
        """The texts `first` to `last`.

        Args:
            first: Number of the first one.
            last: One past the last.
        """
        return Codes(self.path, self.start[first:last], self.stop[first:last])

    def texts(self) -> Iterator[str]:
        """All texts in order."""
        with self.path.open("rb") as file:
            for start, stop in zip(self.start.tolist(), self.stop.tolist(), strict=True):
                file.seek(start)
                yield file.read(stop - start).decode(errors="surrogatepass")


def keep_codes(archive: Path, folder: Path, count: int, *, progress: bool) -> Codes:
    """The source of `count` functions as a file in a folder; read from the archive unless it is there already.

    Args:
        archive: OGB's file.
        folder: Where the texts are kept.
        count: How many functions there are.
        progress: Whether to show a bar.

    Raises:
        GraphPERuntimeError: The archive cannot be read, is damaged, or lacks a function; nothing is left then.
    """
    text, places = folder / _TEXT, folder / _PLACES
    if not places.exists():
        with scratch_folder(folder) as scratch:
            found = _write(archive, scratch / _TEXT, count, progress)
            np.save(scratch / _PLACES, found)
            os.replace(scratch / _TEXT, text)
            os.replace(scratch / _PLACES, places)  # last: with it, the texts are complete
    start, stop = np.load(places, allow_pickle=False)
    if len(start) != count or text.stat().st_size != stop.max(initial=0):
        raise GraphPERuntimeError(f"{text} is damaged: move {folder} away")
    return Codes(text, start, stop)


def read_codes(archive: Path, *, progress: bool = False) -> Iterator[tuple[int, str]]:
    """The functions of an archive by number, in the order in which they stand there.

    Taken are a list of texts; an object of texts by number, or of such objects by column (`code`); and what pandas
    writes with `orient="split"`, as OGB does: `columns`, `index` and `data`, a list of rows.

    Args:
        archive: The file, JSON in UTF-8, gzipped.
        progress: Whether to show a bar.

    Raises:
        GraphPERuntimeError: It cannot be read, or is something else.
    """
    check_file(archive)
    again = f"get {archive.name} again"
    with (
        archive.open("rb") as raw,
        gzip.GzipFile(fileobj=raw) as unzipped,
        io.TextIOWrapper(unzipped, encoding="utf-8", newline="") as file,
        progress_bar(
            total=archive.stat().st_size,
            desc="read source",
            unit="B",
            unit_scale=True,
            leave=False,
            disable=not progress,
        ) as bar,
    ):

        def read(characters: int) -> str:
            content = file.read(characters)
            bar.update(raw.tell() - bar.n)
            return content

        try:
            for number, code in _Layout(JSONStream(read)).entries():
                if not isinstance(code, str):
                    raise GraphPEValueError(f"graph {number} has {type(code).__name__} where its code should be")
                yield number, code
        except GraphPEError as error:
            raise GraphPERuntimeError(f"{archive} is damaged, or something else: {error}; {again}") from None
        except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise GraphPERuntimeError(f"{archive} cannot be read ({reason}): {again}") from None


class _Layout:
    """The ways in which texts are told by number."""

    def __init__(self, stream: JSONStream) -> None:
        self.stream = stream

    def entries(self) -> Iterator[tuple[int, Any]]:
        stream = self.stream
        if stream.peek() == "[":
            yield from enumerate(self._rows(0))
        else:
            index: list[int] | None = None
            rows = False
            column = 0
            for key in stream.keys():
                opening = stream.peek()
                if key == "columns" and opening == "[":
                    names = stream.value()
                    column = names.index("code") if "code" in names else 0
                elif key == "index" and opening == "[":
                    if rows:
                        raise GraphPEValueError("its index stands behind its rows")
                    index = self._index(stream.value())
                elif key == "data" and opening == "[":
                    rows = True
                    yield from self._numbered(index, column)
                elif opening == "{":
                    if key == "code":
                        for number in stream.keys():
                            yield self._number(number), stream.value()
                    else:
                        stream.value()
                else:
                    yield self._number(key), stream.value()
        stream.end()

    def _rows(self, column: int) -> Iterator[Any]:
        for _ in self.stream.elements():
            row = self.stream.value()
            if isinstance(row, dict):
                row = row.get("code")
            elif isinstance(row, list):
                row = row[column] if column < len(row) else None
            yield row

    def _numbered(self, index: list[int] | None, column: int) -> Iterator[tuple[int, Any]]:
        rows = self._rows(column)
        if index is None:
            yield from enumerate(rows)
            return
        for place, row in enumerate(rows):
            if place >= len(index):
                raise GraphPEValueError(f"its index has {len(index)} entries, and there are more rows")
            yield index[place], row

    def _index(self, numbers: list[Any]) -> list[int]:
        return [self._number(number) for number in numbers]

    def _number(self, text: Any) -> int:
        if isinstance(text, int) and not isinstance(text, bool):
            return text
        if isinstance(text, str) and text.isdecimal():
            return int(text)
        raise GraphPEValueError(f"{text!r:.60} is no number of a graph")


def _write(archive: Path, path: Path, count: int, progress: bool) -> NDArray[np.int64]:
    """Write the texts; where each begins and ends, `[2, count]`."""
    places = np.full((2, count), -1, dtype=np.int64)
    at = 0
    try:
        with path.open("wb") as file:
            for number, code in read_codes(archive, progress=progress):
                if not 0 <= number < count:
                    raise GraphPERuntimeError(
                        f"{archive} has graph {number}, but there are {count} graphs: get it again"
                    )
                if places[0, number] >= 0:
                    raise GraphPERuntimeError(f"{archive} has graph {number} twice: get it again")
                content = code.encode(errors="surrogatepass")
                file.write(content)
                places[:, number] = at, at + len(content)
                at += len(content)
    except OSError as error:
        raise GraphPERuntimeError(f"{path.parent.parent} cannot be written: {error.strerror or error}") from None
    missing = np.flatnonzero(places[0] < 0)
    if len(missing):
        more = f" and {len(missing) - 1:,} more" if len(missing) > 1 else ""
        raise GraphPERuntimeError(f"{archive} lacks the code of graph {missing[0]}{more}: get it again")
    return places
