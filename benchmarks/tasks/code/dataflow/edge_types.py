"""Edges of data-flow graphs as numbers."""

from __future__ import annotations

EDGE_TYPES = ("FIELD", "LAST_WRITE", "COMPUTED_FROM", "CALLS", "RETURNS_TO", "CFG_NEXT")
"""Types of edges; an edge's type is an index into it."""

FIELD, LAST_WRITE, COMPUTED_FROM, CALLS, RETURNS_TO, CFG_NEXT = range(len(EDGE_TYPES))

MOST_SOURCES = 64
"""Incoming edges of one type that a node may have, where their number is not bounded by the source's."""


def last_sources(nodes: set[int]) -> tuple[int, ...]:
    """The last nodes of a set in the order of the source, as many as a node may have incoming edges from."""
    return tuple(sorted(nodes)[-MOST_SOURCES:])
