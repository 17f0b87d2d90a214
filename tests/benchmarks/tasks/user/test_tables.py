from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from graphpe.benchmarks.tasks.user.tables import check_columns, read_frame, separator_note
from graphpe.errors import GraphPERuntimeError

TABLE = "name,y\na,1\nb,nan\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", TABLE.encode()),
        ("a.csv", TABLE.encode("utf-8-sig")),
        ("a.csv", TABLE.replace("\n", "\r\n").encode()),
        ("a.csv.gz", gzip.compress(TABLE.encode(), mtime=0)),
        ("a.csv", TABLE.encode() + b"\n\n"),
        ("a.csv", TABLE.encode().replace(b"a,1", b'"a",1')),
    ],
)
def test_cells_are_the_same_however_they_are_written(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    frame = read_frame(tmp_path / name, text=True)
    assert frame.to_dict("list") == {"name": ["a", "b"], "y": ["1", "nan"]}
    assert frame.index.tolist() == [2, 3]


def test_the_index_is_the_line_a_row_begins_in(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('"a\nname",y\n"one, two",1\n"three\n\nlines",2\n\n"x",3\ny,4\n')
    frame = read_frame(tmp_path / "a.csv", text=True)
    assert list(frame) == ["a\nname", "y"]
    assert dict(zip(frame["y"], frame.index, strict=True)) == {"1": 3, "2": 4, "3": 8, "4": 9}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n\na,b\n1,2\n", "is empty, or its first line is"),
        (b"a,b,a\n1,2,3\n", "has two columns 'a': rename one"),
        (b"a,b\n1,2\n1,2,3\n", "line 3, saw 3"),
        ("a,b\né,1\n".encode("latin-1"), "is not in UTF-8"),
    ],
)
def test_tables_that_cannot_be_read(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(GraphPERuntimeError, match=message) as caught:
        read_frame(tmp_path / "a.csv", text=True)
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "a.csv") in str(caught.value)


def test_files_that_are_something_else(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    (tmp_path / "a.csv.gz").write_bytes(TABLE.encode())
    for name, message in (
        ("a.parquet", "cannot be read|pip install 'graphpe"),
        ("a.csv.gz", "Not a gzipped file"),
        ("b.csv", "is not there"),
        (".", "is a folder"),
    ):
        with pytest.raises(GraphPERuntimeError, match=message) as caught:
            read_frame(tmp_path / name, text=True)
        assert "\n" not in str(caught.value)


def test_a_missing_column(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name y\na 1\n")
    frame = read_frame(tmp_path / "a.csv", text=True)
    message = "no column 'y', only 'name y'; cells must be separated by commas, semicolons or tabs"
    with pytest.raises(GraphPERuntimeError, match=message):
        check_columns(frame, ["y"], tmp_path / "a.csv")


@pytest.mark.parametrize(("name", "mark"), [("a.csv", ";"), ("a.csv", "\t"), ("a.tsv", "\t"), ("a.tsv.gz", "\t")])
def test_other_separators(tmp_path: Path, name: str, mark: str) -> None:
    content = TABLE.replace(",", mark).replace("b", '"b, and, more"').encode()
    (tmp_path / name).write_bytes(gzip.compress(content, mtime=0) if name.endswith(".gz") else content)
    frame = read_frame(tmp_path / name, text=True)
    assert frame.to_dict("list") == {"name": ["a", "b, and, more"], "y": ["1", "nan"]}
    assert separator_note(frame, Path(name)) == [
        f"{name}: cells are separated by {'semicolons' if mark == ';' else 'tabs'}"
    ]
