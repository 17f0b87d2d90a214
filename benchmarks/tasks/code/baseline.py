"""The best constant prediction: what a model must beat to have read its input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

STARTS = 20
"""Single sub-tokens that the greedy search starts from."""


def best_constant(names: Sequence[Sequence[str]], size: int) -> list[str]:
    r"""The set of at most `size` sub-tokens that maximises the mean F1 when it is predicted for every name.

    With sets, F1 is $2 |S \cap L| / (|S| + |L|)$. From each of the best single sub-tokens, the one that raises the
    mean F1 most is added until the set is full; the best set met on the way is returned. One step costs O(number of
    sub-tokens).

    Args:
        names: Sub-tokens of the names of the training part.
        size: Largest set.

    Returns:
        The sub-tokens, best first; none where there are no names.
    """
    index_of: dict[str, int] = {}
    rows, columns = [], []
    for row, name in enumerate(names):
        for token in set(name):
            rows.append(row)
            columns.append(index_of.setdefault(token, len(index_of)))
    if not columns:
        return []
    words = list(index_of)
    row_of, column_of = np.array(rows), np.array(columns)
    # A set's order differs between runs: ties below go to the alphabetically first word.
    alphabetical = np.argsort(np.argsort(np.array(words)))
    lengths = np.bincount(row_of, minlength=len(names))

    def best_tokens(chosen: list[int], hits: np.ndarray, count: int) -> tuple[list[int], float]:
        """The tokens whose addition gives the highest mean F1, and that F1 for the first of them."""
        weight = 2.0 / (len(chosen) + 1 + lengths)
        totals = np.bincount(column_of, weights=weight[row_of], minlength=len(words))
        totals[chosen] = -1
        order = np.lexsort((alphabetical, -totals))[:count]
        return order.tolist(), float((hits * weight).sum() + totals[order[0]]) / len(names)

    best: tuple[float, list[int]] = (-1.0, [])
    nothing = np.zeros(len(names))
    starts, _ = best_tokens([], nothing, STARTS)
    for start in starts:
        chosen, hits = [start], np.bincount(row_of[column_of == start], minlength=len(names)).astype(np.float64)
        score = float((hits * 2.0 / (1 + lengths)).sum()) / len(names)
        best = max(best, (score, list(chosen)), key=lambda item: item[0])
        while len(chosen) < min(size, len(words)):
            (added,), score = best_tokens(chosen, hits, 1)
            chosen.append(added)
            hits[row_of[column_of == added]] += 1
            best = max(best, (score, list(chosen)), key=lambda item: item[0])
    return [words[index] for index in best[1]]
