from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphpe.benchmarks.tasks.code.source.names import subtokens


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("get_value", ["get", "value"]),
        ("__init__", ["init"]),
        ("_", []),
        ("__", []),
        ("setUp", ["set", "up"]),
        ("parseHTTPHeader2", ["parse", "http", "header", "2"]),
        ("visit_FunctionDef", ["visit", "function", "def"]),
        ("utf8_decode", ["utf", "8", "decode"]),
        ("HTTP", ["http"]),
        ("aB", ["a", "b"]),
        ("_3", ["3"]),
        ("größeÄndern", ["größe", "ändern"]),
        ("名前", ["名前"]),
    ],
)
def test_words_of_a_name(name, expected):
    assert subtokens(name) == expected


@settings(deadline=None, max_examples=100)
@given(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True))
def test_nothing_but_underscores_and_case_is_lost(name):
    tokens = subtokens(name)
    assert "".join(tokens) == name.replace("_", "").lower()
    assert all(token.isdigit() or token.isalpha() for token in tokens)
