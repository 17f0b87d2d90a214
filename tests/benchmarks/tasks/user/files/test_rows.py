from __future__ import annotations

import pytest

from graphpe.benchmarks.tasks.user.files.rows import Rows, readable, unlike_most
from graphpe.errors import GraphPERuntimeError

ROWS = Rows({"train": 3, "valid": 2, "test": 4}, lambda part, row: f"{part}.csv, line {row + 2}")


def test_rows_keep_their_names() -> None:
    assert [ROWS.where(row) for row in (0, 2, 3, 5, 8)] == [
        "train.csv, line 2", "train.csv, line 4", "valid.csv, line 2", "test.csv, line 2", "test.csv, line 5"
    ]  # fmt: skip
    fewer = ROWS.without({1: "it is no molecule"}).without({4: "neither"})
    assert fewer.kept == [0, 2, 3, 5, 6, 7, 8]
    assert [fewer.graph(graph) for graph in (1, 3)] == ["train.csv, line 4", "test.csv, line 2"]
    assert fewer.of_graphs("abcdefghi") == list("acdfghi")
    assert fewer.notes() == [
        "skipped, for they cannot be read: 2 of 9 rows",
        "  train.csv, line 3: it is no molecule",
        "  valid.csv, line 3: neither",
    ]
    assert ROWS.notes() == []
    assert ROWS.without(dict.fromkeys(range(8), "no")).notes()[-1] == "  and 3 more"
    with pytest.raises(GraphPERuntimeError, match=r"no row can be read; train.csv, line 2: no"):
        ROWS.without(dict.fromkeys(range(9), "no"))


def test_what_cannot_be_read_is_skipped_or_an_error() -> None:
    def check(row: int) -> None:
        if row % 4 == 1:
            raise GraphPERuntimeError(f"{ROWS.where(row)}: it is odd")

    assert readable(ROWS, check, skip_bad=True).bad == {
        1: "train.csv, line 3: it is odd", 5: "test.csv, line 2: it is odd"
    }  # fmt: skip
    with pytest.raises(GraphPERuntimeError, match=r"line 3: it is odd; correct it, or give --skip-bad \(skip_bad=True"):
        readable(ROWS, check, skip_bad=False)


def test_most_decide() -> None:
    assert unlike_most({0: "a", 1: "b", 2: None, 3: "b"}, "has {}, not {}") == {0: "has a, not b"}
    assert unlike_most({0: "a", 2: None}, "{} {}") == {}
