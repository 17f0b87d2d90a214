"""Labels of code graphs: the first sub-tokens of a name, as indices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from graphpe.benchmarks.tasks.code.vocabulary import END, UNKNOWN, Vocabulary, count_words

POSITIONS = 5
"""Sub-tokens of a name that are predicted."""


def token_vocabulary(names: Sequence[Sequence[str]], size: int) -> Vocabulary:
    """The most frequent sub-tokens, then `__UNK__` and `__EOS__`: OGB's order, ties by first occurrence.

    With fewer than `size` distinct sub-tokens the vocabulary is that much shorter: `__UNK__` always has the last
    index but one, `__EOS__` the last.

    Args:
        names: Sub-tokens of the names of the training part.
        size: How many sub-tokens to keep at most.
    """
    index_of: dict[str, int] = {}
    ids = [index_of.setdefault(token, len(index_of)) for name in names for token in name]
    return count_words(np.array(ids, dtype=np.int64), list(index_of), size, [UNKNOWN, END])


def encode_names(names: Sequence[Sequence[str]], vocabulary: Vocabulary) -> Tensor:
    """Indices of the first five sub-tokens of each name, filled up with `__EOS__`: `[B, 5]` int64."""
    lengths = np.array([min(len(name), POSITIONS) for name in names], dtype=np.int64)
    out = np.full((len(names), POSITIONS), vocabulary.index_of[END])
    tokens = (token for name in names for token in name[:POSITIONS])
    out[np.arange(POSITIONS) < lengths[:, None]] = vocabulary.encode(tokens)
    return torch.from_numpy(out)


def spoken(row: Sequence[int], vocabulary: Vocabulary) -> list[int]:
    """Positions of a predicted row that say a word: those before the first `__EOS__`, as in OGB's example.

    `__UNK__` is a word like any other there, that no name has: where it is predicted, the metric counts a wrong word.
    """
    end = vocabulary.index_of[END]
    return list(range(row.index(end) if end in row else len(row)))


def decode_names(indices: Tensor, vocabulary: Vocabulary) -> list[list[str]]:
    """Sub-tokens that predicted indices `[B, 5]` say."""
    words = vocabulary.words
    return [[words[row[position]] for position in spoken(row, vocabulary)] for row in indices.tolist()]
