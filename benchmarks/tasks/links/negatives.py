"""Pairs that are no links, drawn for training."""

from __future__ import annotations

import numpy as np

from graphpe.errors import GraphPEValueError
from graphpe.graphs.ragged import Ints

_ATTEMPTS = 100


class Negatives:
    """Draws pairs of different nodes that no known edge joins, in either direction; uniformly.

    Links of the validation and test part are not known, and may be drawn.

    Args:
        edges: Known edges, `[2, E]`, those that only supervise among them.
        nodes: Number of nodes.

    Raises:
        GraphPEValueError: Nearly all pairs are joined.
    """

    def __init__(self, edges: Ints, nodes: int) -> None:
        self.nodes = nodes
        different = edges[:, edges[0] != edges[1]]
        self.known = np.unique(
            np.concatenate([different[0] * nodes + different[1], different[1] * nodes + different[0]])
        )
        free = nodes * (nodes - 1) - len(self.known)
        if free < max(1, nodes * (nodes - 1) // 1000):
            raise GraphPEValueError(
                f"edges join {len(self.known):,} of {nodes * (nodes - 1):,} pairs of nodes: there are too few pairs "
                "that are no links to train on"
            )

    def draw(self, count: int, rng: np.random.Generator) -> Ints:
        """Pairs, `[2, count]`; one may be drawn again.

        Args:
            count: How many.
            rng: What they are drawn from.
        """
        found: list[Ints] = []
        left = count
        for _ in range(_ATTEMPTS):
            drawn = rng.integers(0, self.nodes, (2, 2 * left + 16))
            code = drawn[0] * self.nodes + drawn[1]
            place = np.searchsorted(self.known, code)
            taken = self.known[np.minimum(place, max(len(self.known) - 1, 0))] == code if len(self.known) else False
            kept = drawn[:, (drawn[0] != drawn[1]) & ~np.asarray(taken)][:, :left]
            found.append(kept)
            left -= kept.shape[1]
            if not left:
                break
        while left:  # of a graph that has few such pairs: those that were found, again
            again = np.concatenate(found, axis=1)[:, :left]
            found.append(again)
            left -= again.shape[1]
        return np.concatenate(found, axis=1)
