"""The rows of one file or of several: what each is called, which part of the split it is in, which are left out."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Any

from graphpe.errors import GraphPEError, GraphPERuntimeError

_NAMED = 5

SKIP_HINT = "--skip-bad (skip_bad=True), which leaves such rows out"


@dataclass(frozen=True)
class Rows:
    """Rows of users' files, one file after the other.

    Attributes:
        counts: Rows of each file by the part of the split that it is, in order; one under `""` where the split is not
            by files.
        named: Names a row of a part.
        bad: What is wrong with the rows that are left out, by row.
    """

    counts: Mapping[str, int]
    named: Callable[[str, int], str]
    bad: Mapping[int, str] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many there are, bad ones too."""
        return sum(self.counts.values())

    @cached_property
    def kept(self) -> list[int]:
        """The rows that are not bad, in order: graph i is row `kept[i]`."""
        return [row for row in range(self.count) if row not in self.bad]

    def where(self, row: int) -> str:
        """What a row is called in messages."""
        starts = [0, *accumulate(self.counts.values())]
        part = bisect_right(starts, row, hi=len(self.counts)) - 1
        return self.named(list(self.counts)[part], row - starts[part])

    def graph(self, graph: int) -> str:
        """What a graph is called in messages."""
        return self.where(self.kept[graph])

    def of_graphs(self, cells: Sequence[Any]) -> list[Any]:
        """The cells of the rows that are not bad."""
        return [cells[row] for row in self.kept]

    def without(self, bad: Mapping[int, str]) -> Rows:
        """With more rows left out.

        Raises:
            GraphPERuntimeError: None is left.
        """
        rows = Rows(self.counts, self.named, {**self.bad, **bad})
        if rows.count and not rows.kept:
            first = min(rows.bad)
            raise GraphPERuntimeError(f"no row can be read; {rows.where(first)}: {rows.bad[first]}")
        return rows

    def notes(self) -> list[str]:
        """Lines about the rows that were left out: how many, and the first few."""
        if not self.bad:
            return []
        some = sorted(self.bad)[:_NAMED]
        left = len(self.bad) - len(some)
        return [
            f"skipped, for they cannot be read: {len(self.bad):,} of {self.count:,} rows",
            *(f"  {_placed(self.where(row), self.bad[row])}" for row in some),
            *([f"  and {left:,} more"] if left else []),
        ]


def _placed(where: str, reason: str) -> str:
    return reason if reason.startswith(where) else f"{where}: {reason}"


def readable(rows: Rows, check: Callable[[int], object], *, skip_bad: bool) -> Rows:
    """The rows for which `check` raises nothing; others are left out, or raised.

    Args:
        rows: The rows.
        check: Reads the row of a number.
        skip_bad: Whether rows that cannot be read are left out.

    Raises:
        GraphPEError: A row cannot be read, and is not to be skipped.
    """
    bad: dict[int, str] = {}
    for row in rows.kept:
        try:
            check(row)
        except GraphPEError as error:
            if not skip_bad:
                raise GraphPERuntimeError(f"{error}; correct it, or give {SKIP_HINT}") from None
            bad[row] = str(error)
    return rows.without(bad)


def unlike_most(kinds: Mapping[int, str | None], message: str) -> dict[int, str]:
    """Rows whose kind is not the one that most have.

    Args:
        kinds: The kind of each row; None for one that goes with any.
        message: What is wrong with the others, with `{}` for their kind and for that of most.
    """
    counts = Counter(kind for kind in kinds.values() if kind is not None)
    if len(counts) < 2:
        return {}
    ((most, _),) = counts.most_common(1)
    return {row: message.format(kind, most) for row, kind in kinds.items() if kind not in (None, most)}
