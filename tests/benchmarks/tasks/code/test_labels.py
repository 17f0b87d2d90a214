from __future__ import annotations

import torch

from graphpe.benchmarks.tasks.code.labels import decode_names, encode_names, token_vocabulary
from graphpe.benchmarks.tasks.code.vocabulary import END, UNKNOWN

NAMES = [["get", "value"], ["get"], ["a", "b", "c", "d", "e", "f"], ["value", "rare"], []]


def test_special_tokens_are_the_last_two():
    assert token_vocabulary(NAMES, 2).words == ["get", "value", UNKNOWN, END]
    # Fewer words than asked for: the vocabulary is shorter, and the special ones still are the last two.
    assert token_vocabulary(NAMES, 5000).words == ["get", "value", *"abcdef", "rare", UNKNOWN, END]


def test_five_positions_filled_up_with_the_end():
    y = encode_names(NAMES, token_vocabulary(NAMES, 4))  # get value a b | UNK=4 EOS=5
    assert y.dtype == torch.int64
    assert y.tolist() == [[0, 1, 5, 5, 5], [0, 5, 5, 5, 5], [2, 3, 4, 4, 4], [1, 4, 5, 5, 5], [5, 5, 5, 5, 5]]


def test_decoding_stops_at_the_end_and_keeps_unknown():
    vocabulary = token_vocabulary(NAMES, 4)
    rows = torch.tensor([[0, 4, 1, 5, 2], [5, 0, 0, 0, 0], [0, 0, 1, 2, 3], [4, 4, 4, 4, 4]])
    assert decode_names(rows, vocabulary) == [
        ["get", UNKNOWN, "value"],
        [],
        ["get", "get", "value", "a", "b"],
        [UNKNOWN] * 5,
    ]
