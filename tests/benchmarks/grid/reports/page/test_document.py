from __future__ import annotations

from pathlib import Path

import pytest

from graphpe.benchmarks.grid.reports.page.document import (
    Picture,
    Table,
    Text,
    number_in,
    numeric,
    picture_html,
    read_blocks,
    table_html,
    text_html,
)


def test_blocks() -> None:
    text = "# Grid\n\n    graphpe grid\n    graphpe grid\n\n## zinc: test\n\n"
    text += "| a\\|b | c |\n|---|---|\n| x | 1 |\n| y |\n\n"
    text += "Some words\nmore.\n\n![heat](zinc-heat.png)\n\n1. one\n2. two\n\n- a note\n- another\n"
    assert read_blocks(text) == [
        Text("title", ("Grid",)),
        Text("code", ("graphpe grid", "graphpe grid")),
        Text("heading", ("zinc: test",)),
        Table(("a|b", "c"), (("x", "1"), ("y", ""))),
        Text("paragraph", ("Some words", "more.")),
        Picture("heat", "zinc-heat.png"),
        Text("numbered", ("one", "two")),
        Text("bullets", ("a note", "another")),
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.5130 ± 0.0120", 0.5130),
        ("-1.2e-05", -1.2e-5),
        ("1,234,567", 1234567),
        ("+0.1000 to +0.2000", 0.1),
        ("2 of 3 models", 2),
        ("1.4x", 1.4),
        ("2nd", None),
        ("GPS(layers=2)", None),
        ("", None),
        ("not defined", None),
    ],
)
def test_numbers_of_cells(text: str, value: float | None) -> None:
    assert number_in(text) == value


def test_less_than_a_number_is_just_below_it() -> None:
    small = number_in("< 0.001")
    assert small is not None
    assert 0.000999 < small < 0.001


def test_columns_of_numbers() -> None:
    table = Table(
        ("a", "b", "c", "d"), (("1", "1", "", "nan ± 0.1"), ("x", "", "", "2"), ("2", "not defined", "", "3"))
    )
    assert [numeric(table, place) for place in range(4)] == [False, True, False, True]


def test_cells_have_their_number_and_small_p_values_are_marked() -> None:
    table = Table(("encoding", "p against none", "parameters"), (("<b>", "< 0.001", "0.01"), ("c", "0.200", "")))
    text = table_html(table, "a & b", "name")
    assert '<td class="number small" data-value="0.00099' in text
    assert '<td class="number" data-value="0.01">0.01</td>' in text  # a number of parameters is no p-value
    assert '<td class="number"></td>' in text
    assert "&lt;b&gt;" in text
    assert "<b>" not in text
    assert "a &amp; b" in text


def test_texts_are_escaped() -> None:
    for kind in ("title", "code", "bullets", "numbered", "paragraph"):
        assert "<x>" not in text_html(Text(kind, ("<x>",)))  # type: ignore[arg-type]


def test_pictures_stand_in_the_page_as_svg_where_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"png")
    assert "data:image/png;base64,cG5n" in picture_html(Picture('"', "a.png"), tmp_path)
    (tmp_path / "a.svg").write_bytes(b"svg")
    assert "data:image/svg+xml;base64,c3Zn" in picture_html(Picture("a", "a.png"), tmp_path)
    assert picture_html(Picture("a", "missing.png"), tmp_path) == ""
