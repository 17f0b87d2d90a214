"""Words and their indices, always chosen on the training part."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from graphpe.errors import GraphPEValueError

UNKNOWN = "__UNK__"
NONE = "__NONE__"
END = "__EOS__"
MASK = "_mask_"


class Vocabulary:
    """A list of distinct words with a look-up; a word that is not in it has the index of `__UNK__`.

    Raises:
        GraphPEValueError: If a word stands there twice, or `__UNK__` does not.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self.words = list(words)
        if len(self.index_of) != len(self.words):
            raise GraphPEValueError("a vocabulary holds each word once, but this one repeats some")
        if UNKNOWN not in self.index_of:
            raise GraphPEValueError(f"a vocabulary needs the word {UNKNOWN}, but this one lacks it")

    @cached_property
    def index_of(self) -> dict[str, int]:
        return {word: index for index, word in enumerate(self.words)}

    @property
    def unknown(self) -> int:
        """Id of words that it does not hold."""
        return self.index_of[UNKNOWN]

    def __len__(self) -> int:
        return len(self.words)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.words == other.words

    __hash__ = None  # type: ignore[assignment]

    def encode(self, words: Iterable[str]) -> NDArray[np.int64]:
        """Indices of words."""
        look_up, unknown = self.index_of, self.unknown
        return np.fromiter((look_up.get(word, unknown) for word in words), dtype=np.int64)


def most_common(ids: NDArray[np.integer], size: int) -> NDArray[np.int64]:
    """The most frequent ids, most frequent first, ties in order of first occurrence.

    Args:
        ids: Any ids, in order of occurrence.
        size: How many to keep at most.
    """
    values, first, counts = np.unique(ids, return_index=True, return_counts=True)
    return values[np.lexsort((first, -counts))[:size]].astype(np.int64)


def count_words(ids: NDArray[np.integer], words: Sequence[str], size: int, special: Sequence[str]) -> Vocabulary:
    """A vocabulary of the most frequent words, followed by special words.

    Args:
        ids: Indices into `words` of what occurs, in order of occurrence.
        words: All words.
        size: How many frequent words to keep at most; special ones come on top.
        special: Words that get the last indices, whether they occur or not.
    """
    reserved = [index for index, word in enumerate(words) if word in special]
    kept = most_common(ids[~np.isin(ids, reserved)], size)
    return Vocabulary([*(words[index] for index in kept), *special])
