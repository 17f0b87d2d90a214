"""Sizes of graphs as texts: `16 | 17-24 25-32 33-64`, those that are trained on and bins of larger ones."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import NamedTuple

from graphpe.calls import LARGEST
from graphpe.errors import GraphPEValueError

_WRITTEN = 'write the largest size of training, or its two ends, and bins of larger ones: "16 | 17-24 25-32 33-64"'


class Range(NamedTuple):
    """Sizes from `least` to `most`, both included; without a least one where that is None."""

    least: int | None
    most: int

    def __str__(self) -> str:
        return f"{self.most}" if self.least in (None, self.most) else f"{self.least}-{self.most}"

    @property
    def named(self) -> str:
        """As tables call it."""
        return f"up to {self.most}" if self.least is None else str(self)

    def filled(self) -> tuple[int, int]:
        """Both ends, for tasks that draw their graphs: where there is no least size, a quarter of the largest."""
        return (min(max(2, self.most // 4), self.most) if self.least is None else self.least, self.most)


@dataclass(frozen=True)
class Sizes:
    """What a model is trained on, and the larger graphs that it is tested on.

    Attributes:
        train: Sizes of training, validation and of the test that is called that.
        bins: Ranges of larger sizes, in order; none overlaps another one.
    """

    train: Range
    bins: tuple[Range, ...]

    @classmethod
    def parse(cls, text: str) -> Sizes:
        """Read `16 | 17-24 25-32 33-64`.

        A range that begins with the size that the one before ends with has that size no more: `16 | 16-24 24-32` is `16
        | 17-24 25-32`, so that ends can be written once. A single number is a bin of that size.

        Raises:
            GraphPEValueError: It is something else, ranges overlap or are not in order, or a bin begins below the end
                of training.
        """
        train, bar, rest = text.partition("|") if isinstance(text, str) else ("", "", "")
        written = [_range(each, text) for each in [train.strip(), *rest.replace(",", " ").split()]]
        if not bar or len(written) < 2:
            raise GraphPEValueError(f"sizes is {text!r}: {_WRITTEN}")
        first, *others = written
        if first.least == first.most and "-" not in train:
            first = Range(None, first.most)
        bins: list[Range] = []
        for before, given in itertools.pairwise([first, *others]):
            assert given.least is not None
            if given.most <= before.most:
                where = "training" if not bins else f"the bin {before}"
                raise GraphPEValueError(
                    f"sizes is {text!r}, where the bin {given} ends at {given.most}, and {where} reaches {before.most}"
                    ": bins are larger than what is trained on, and in rising order"
                )
            if given.least < before.most:
                what = f"training reaches {before.most}" if not bins else f"the bin before it, {before}, reaches it"
                raise GraphPEValueError(
                    f"sizes is {text!r}, where the bin {given} begins at {given.least}, but {what}: begin it at "
                    f"{before.most + 1}"
                )
            bins.append(Range(max(given.least, before.most + 1), given.most))
        return cls(first, tuple(bins))

    def __str__(self) -> str:
        return f"{self.train} | {' '.join(map(str, self.bins))}"

    def ranges(self) -> dict[str, Range]:
        """The range of each part of the split, by its name; bins are called as they are written."""
        return {part: self.train for part in ("train", "valid", "test")} | {str(each): each for each in self.bins}


def canonical_sizes(text: str) -> str:
    """The text of sizes as it is kept; an empty one stays.

    Raises:
        GraphPEValueError: It cannot be read.
    """
    return str(Sizes.parse(text)) if text else ""


def _range(text: str, whole: str) -> Range:
    match = re.fullmatch(r"([0-9]{1,18})(?:-([0-9]{1,18}))?", text)
    if match is None:
        raise GraphPEValueError(f"sizes is {whole!r}, where {text!r} is no size: {_WRITTEN}")
    least, most = int(match[1]), int(match[2] or match[1])
    if not 1 <= least <= most <= LARGEST:
        raise GraphPEValueError(f"sizes is {whole!r}, where {text} has its ends the wrong way round, or out of range")
    return Range(least, most)
