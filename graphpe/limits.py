"""What one call may take before it is refused: seconds on one graph, and bytes of values of pairs.

Most encodings cost about as much as their graphs are large, and have no limit. Some cost as much as its pairs of nodes:
those say at once what they would take, instead of running for hours or out of memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from graphpe.errors import GraphPEValueError

_UNITS = {"TB": 10**12, "GB": 10**9, "MB": 10**6, "kB": 10**3}

PAIR_LIMIT = 4 * 2**30
"""Bytes that values of pairs may take."""


@dataclass(frozen=True)
class Limits:
    """The limits of this process.

    Attributes:
        pair_limit: Bytes that values of pairs may take in one call, those in between included.
        seconds: Time that an encoding of nodes may take for one graph, as it is estimated for one core of 2020.
    """

    pair_limit: float = PAIR_LIMIT
    seconds: float = 60.0


_now = Limits()


@contextmanager
def limits(*, pair_limit: float | None = None, seconds: float | None = None) -> Iterator[None]:
    """Other limits for this process inside the block (and for those that `precompute` starts in it).

    Example:
        >>> ring = Data(edge_index=torch.tensor([[0, 1, 2], [1, 2, 0]]), num_nodes=3)
        >>> with graphpe.limits(seconds=3600, pair_limit=16 * 2**30):
        ...     ring = T.ElectrostaticPE()(ring)

    Args:
        pair_limit: Bytes that values of pairs may take in one call; None: as before. By default 4 GiB.
        seconds: Estimated seconds that an encoding of nodes may take for one graph; None: as before. By default 60.
    """
    global _now
    before = _now
    given = {"pair_limit": pair_limit, "seconds": seconds}
    for name, value in given.items():
        if value is not None and not (isinstance(value, int | float) and value >= 0):
            raise GraphPEValueError(f"{name} must be a number that is not negative, got {value!r}")
    _now = replace(before, **{name: value for name, value in given.items() if value is not None})
    try:
        yield
    finally:
        _now = before


def current() -> Limits:
    """The limits that hold now."""
    return _now


def check_seconds(what: str, nodes: int, seconds: float, memory: float, instead: str = "") -> None:
    """Refuse what would take too long, or too much memory, on one graph.

    Args:
        what: What is computed.
        nodes: Of the graph.
        seconds: Estimated.
        memory: Bytes that it takes meanwhile.
        instead: What to do in its place.

    Raises:
        GraphPEValueError: It would.
    """
    if seconds > _now.seconds or memory > _now.pair_limit:
        raise GraphPEValueError(
            f"{what} on a graph of {nodes:,} nodes would take {format_seconds(seconds)} and {format_bytes(memory)}, "
            f"more than the limits of {_now.seconds:g} s and {format_bytes(_now.pair_limit)}: "
            f"{instead + ', or ' if instead else ''}allow more, `with graphpe.limits(seconds=..., pair_limit=...):`"
        )


def check_pairs(names: str, pairs: int, row_bytes: int, at_once: int) -> None:
    """Refuse values of pairs that would take too much memory.

    Args:
        names: The keys of the values.
        pairs: Ordered pairs of nodes of one graph.
        row_bytes: Bytes of the values of one pair.
        at_once: Bytes that are held for one pair while they are computed, these included.

    Raises:
        GraphPEValueError: They would.
    """
    if pairs * at_once > _now.pair_limit:
        raise GraphPEValueError(
            f"pair encodings ({names}) would take {format_bytes(pairs * row_bytes)}, {pairs:,} pairs (sum of n^2) of "
            f"{row_bytes} bytes, and {format_bytes(pairs * at_once)} while they are computed: more than pair_limit="
            f"{_now.pair_limit:g} ({format_bytes(_now.pair_limit)}); take smaller graphs or batches, an encoding of "
            "nodes, or allow more, `with graphpe.limits(pair_limit=...):`"
        )


def format_bytes(size: float) -> str:
    """A size for people: `1.2 GB`.

    Args:
        size: Bytes.
    """
    for unit, factor in _UNITS.items():
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{int(size)} bytes"


def format_seconds(seconds: float) -> str:
    """A duration for people: `about 8 s`, `about 3 min`, `about 2.5 h`, `about 40 days`.

    Args:
        seconds: Seconds.
    """
    if seconds < 100:
        return f"about {seconds:.0f} s" if seconds >= 1 else "less than 1 s"
    if seconds < 100 * 60:
        return f"about {seconds / 60:.0f} min"
    hours = seconds / 3600
    return f"about {hours:.1f} h" if hours < 100 else f"about {hours / 24:,.0f} days"
