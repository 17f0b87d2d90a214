from __future__ import annotations

from pathlib import Path

import pytest

from graphpe.benchmarks.tasks.user.files.separators import separator_of
from graphpe.errors import GraphPERuntimeError


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("a,b\n1,2\n", ","),
        ("a;b\n1,5;2,5\n", ";"),
        ("a\tb\n1,5\t2;5\n", "\t"),
        ("a\n1\n", ","),
        ('"a;b",c\n1,2\n', ","),
        ('"a,\nb";c\n1;2\n', ";"),
        ("a;b, in mol\n1,5;2\n3;4\n", ";"),
        ("\n\na;b\n1;2\n", ";"),
        ("", ","),
    ],
)
def test_what_stands_in_the_first_line(text: str, mark: str) -> None:
    assert separator_of(text, Path("a.csv")) == mark


def test_it_is_not_guessed() -> None:
    for text, message in (
        (
            "a;b, in mol\n1;2,5\n",
            "a.csv: its first line has commas and semicolons, and each of them would cut",
        ),
        ("a;b, in mol\n1;2\n3,4\n", "commas and semicolons, and none of them would cut all lines"),
    ):
        with pytest.raises(GraphPERuntimeError, match=message):
            separator_of(text, Path("a.csv"))
    assert separator_of("a\tb, in mol\n1\t2,5\n", Path("a.tsv")) == "\t"
