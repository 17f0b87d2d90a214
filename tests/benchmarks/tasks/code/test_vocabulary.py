from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from graphpe.benchmarks.tasks.code.vocabulary import NONE, UNKNOWN, Vocabulary, count_words, most_common
from graphpe.errors import GraphPEValueError


def test_most_common_breaks_ties_by_first_occurrence():
    ids = np.random.default_rng().integers(0, 40, 200)
    expected = [
        word for word, _ in Counter(ids.tolist()).most_common(15)
    ]  # Counter keeps the order of first occurrence
    assert most_common(ids, 15).tolist() == expected


def test_words_outside_have_the_unknown_index():
    vocabulary = Vocabulary(["a", "b", UNKNOWN])
    assert vocabulary.encode(["b", "x", "a", UNKNOWN]).tolist() == [1, 2, 0, 2]


def test_special_words_come_last_and_once():
    words = ["x", NONE, "y", UNKNOWN]
    vocabulary = count_words(np.array([1, 1, 1, 2, 0, 2, 3]), words, 10, [NONE, UNKNOWN])
    assert vocabulary.words == ["y", "x", NONE, UNKNOWN]
    assert count_words(np.array([2, 2, 0]), words, 1, [UNKNOWN]).words == ["y", UNKNOWN]


@pytest.mark.parametrize("words", [["a", "b"], ["a", "a", UNKNOWN]])
def test_bad_vocabularies_are_rejected(words):
    with pytest.raises(GraphPEValueError, match="vocabulary"):
        Vocabulary(words)
