from __future__ import annotations

import gzip
import json
from pathlib import Path

import pandas
import pytest

from graphpe.benchmarks.tasks.code.archive.codes import keep_codes, read_codes
from graphpe.errors import GraphPERuntimeError

TEXTS = ["def f():\n\treturn '\\n\"{}[]:,'", "def g(é, 😀='\u2028'): pass", "", "x" * 5000, "def h(): return '/'"]


def written(path: Path, content: object, **options: object) -> Path:
    path.write_bytes(gzip.compress(json.dumps(content, **options).encode()))  # type: ignore[arg-type]
    return path


def test_every_layout_gives_the_same(tmp_path: Path) -> None:
    path, numbers = tmp_path / "codes.json.gz", [str(number) for number in range(len(TEXTS))]
    rows = [[text] for text in TEXTS]
    layouts = [
        TEXTS,
        rows,
        [{"code": text, "name": "f"} for text in TEXTS],
        dict(zip(numbers, TEXTS, strict=True)),
        {"name": dict.fromkeys(numbers, "f"), "code": dict(zip(numbers, TEXTS, strict=True))},
        {"columns": ["code"], "index": list(range(len(TEXTS))), "data": rows},
        {"columns": ["name", "code"], "index": numbers, "data": [["f", text] for text in TEXTS]},
        {"columns": ["code"], "data": rows},
    ]
    for layout in layouts:
        for options in ({}, {"ensure_ascii": False, "indent": 1}, {"separators": (",", ":")}):
            assert list(read_codes(written(path, layout, **options))) == list(enumerate(TEXTS))


def test_what_pandas_writes_for_ogb(tmp_path: Path) -> None:
    path = tmp_path / "graphidx2code.json.gz"
    frame = pandas.DataFrame({"code": TEXTS}, index=[4, 2, 0, 1, 3])
    frame.to_json(path, orient="split")
    assert dict(read_codes(path)) == dict(zip([4, 2, 0, 1, 3], TEXTS, strict=True))
    assert pandas.read_json(path, orient="split").loc[4, "code"] == TEXTS[0]
    codes = keep_codes(path, tmp_path / "kept", 5, progress=False)
    assert list(codes.texts()) == [TEXTS[2], TEXTS[3], TEXTS[1], TEXTS[4], TEXTS[0]]
    assert list(codes.part(1, 3).texts()) == [TEXTS[3], TEXTS[1]]


def test_an_index_behind_its_rows_is_an_error(tmp_path: Path) -> None:
    path = written(tmp_path / "codes.json.gz", {"data": [["a"], ["b"]], "columns": ["code"], "index": [1, 0]})
    with pytest.raises(GraphPERuntimeError, match="its index stands behind its rows"):
        list(read_codes(path))


def test_lone_surrogates_survive(tmp_path: Path) -> None:
    path = written(tmp_path / "codes.json.gz", ["\ud800 = 1"])
    assert list(keep_codes(path, tmp_path / "kept", 1, progress=False).texts()) == ["\ud800 = 1"]


def test_what_was_kept_is_not_read_again(tmp_path: Path) -> None:
    path = written(tmp_path / "codes.json.gz", TEXTS)
    keep_codes(path, tmp_path / "kept", len(TEXTS), progress=False)
    path.unlink()
    assert list(keep_codes(path, tmp_path / "kept", len(TEXTS), progress=False).texts()) == TEXTS
    (tmp_path / "kept" / "codes.bin").write_bytes(b"x")
    with pytest.raises(GraphPERuntimeError, match="is damaged"):
        keep_codes(path, tmp_path / "kept", len(TEXTS), progress=False)
