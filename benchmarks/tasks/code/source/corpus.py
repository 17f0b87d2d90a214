"""All functions of a source tree as flat arrays: the files' arrays, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from graphpe.benchmarks.tasks.code.source.parse import TYPE_NAMES, ParsedFile

ARRAYS = ("type", "attribute", "parent", "field", "depth", "start", "stop", "line", "file", "edge", "edge_type")


@dataclass(frozen=True, eq=False)
class Corpus:
    """Functions of many files; arrays as in `ParsedFile`, with node numbers and strings of the whole corpus.

    Attributes:
        file: Index into `files` of a function's file, `[F]`.
        strings: The attributes that occur, each once, in order of first occurrence.
        type_names: Names of node types; `type` holds indices into it.
        files: Paths of the files that were read, relative to the root, with `/`.
        skipped: Paths that could not be read or parsed, and why.
        key: Identifies the corpus: everything it was made from.
    """

    type: NDArray[np.int16]
    attribute: NDArray[np.int32]
    parent: NDArray[np.int64]
    field: NDArray[np.int16]
    depth: NDArray[np.int32]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    line: NDArray[np.int32]
    file: NDArray[np.int32]
    edge: NDArray[np.int64]
    edge_type: NDArray[np.int8]
    strings: list[str]
    type_names: list[str]
    files: list[str]
    skipped: list[tuple[str, str]]
    key: str

    @property
    def num_functions(self) -> int:
        """Number of functions, nested ones included."""
        return len(self.start)

    @property
    def names(self) -> list[str]:
        """Name of every function."""
        return [self.strings[index] for index in self.attribute[self.start].tolist()]

    def equals(self, other: Corpus) -> bool:
        """Whether everything is the same."""
        return all(
            np.array_equal(getattr(self, field.name), getattr(other, field.name))
            if field.name in ARRAYS
            else getattr(self, field.name) == getattr(other, field.name)
            for field in fields(self)
        )


def merge_files(files: Sequence[tuple[str, ParsedFile]], skipped: Sequence[tuple[str, str]], key: str) -> Corpus:
    """Put parsed files together, in the order given.

    Args:
        files: Relative path and content of every parsed file.
        skipped: Paths that are missing from it, and why.
        key: What identifies the result.
    """
    index_of: dict[str, int] = {}
    attributes = []
    for _, parsed in files:
        new = np.array([index_of.setdefault(text, len(index_of)) for text in parsed.strings], dtype=np.int32)
        # The appended -1 is what the index -1, "no attribute", finds.
        attributes.append(np.append(new, np.int32(-1))[parsed.attribute])
    nodes = np.array([len(parsed.type) for _, parsed in files], dtype=np.int64)
    functions = np.array([len(parsed.start) for _, parsed in files], dtype=np.int64)
    first = np.cumsum(nodes) - nodes
    parents = _concatenate([parsed.parent for _, parsed in files], np.int64)
    return Corpus(
        type=_concatenate([parsed.type for _, parsed in files], np.int16),
        attribute=_concatenate(attributes, np.int32),
        parent=np.where(parents < 0, -1, parents + np.repeat(first, nodes)),
        field=_concatenate([parsed.field for _, parsed in files], np.int16),
        depth=_concatenate([parsed.depth for _, parsed in files], np.int32),
        start=_concatenate([parsed.start for _, parsed in files], np.int64) + np.repeat(first, functions),
        stop=_concatenate([parsed.stop for _, parsed in files], np.int64) + np.repeat(first, functions),
        line=_concatenate([parsed.line for _, parsed in files], np.int32),
        file=np.repeat(np.arange(len(files), dtype=np.int32), functions),
        edge=np.concatenate([np.empty((2, 0), np.int64), *(parsed.edge for _, parsed in files)], axis=1)
        + np.repeat(first, [parsed.edge.shape[1] for _, parsed in files]),
        edge_type=_concatenate([parsed.edge_type for _, parsed in files], np.int8),
        strings=list(index_of),
        type_names=list(TYPE_NAMES),
        files=[path for path, _ in files],
        skipped=list(skipped),
        key=key,
    )


def _concatenate(parts: list[NDArray], dtype: type) -> NDArray:
    return np.concatenate([np.empty(0, dtype), *parts]).astype(dtype, copy=False)
