"""Disjoint sets, joined one after another: the loop that finds which set an element is in, compiled."""

from __future__ import annotations

from graphpe.compiled.jit import compiled
from graphpe.structure.adjacency import Ints


@compiled
def find_root(leader: Ints, v: int) -> int:
    """The root of the set of v; paths to it are halved on the way. Sets are joined by `leader[one root] = other root`.

    Args:
        leader: Of each element another one of its set, of a root itself.
        v: The element.
    """
    while leader[v] != v:
        leader[v] = leader[leader[v]]
        v = leader[v]
    return v
