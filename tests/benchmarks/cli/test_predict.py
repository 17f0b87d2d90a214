from __future__ import annotations

import json
from pathlib import Path

import pandas
import pytest

from graphpe.benchmarks.cli.main import main

SOURCE = """
class Stack:
    def __init__(self, items=()):
        self.items = list(items)

    def push(self, item):
        self.items.append(item)


async def _():
    return 1
"""


@pytest.fixture(scope="module")
def run(source_tree: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "run"
    options = [
        "--root",
        str(source_tree),
        "--cache",
        str(cache),
        "--workers",
        "1",
        "--batch-size",
        "16",
        "--epochs",
        "4",
    ]
    model = "GraphTransformer(width=16, layers=1, heads=2)"
    assert (
        main(["train", *options, "--model", model, "--encodings", "LaplacianPE(k=4)", "--run", str(run), "--quiet"])
        == 0
    )
    return run


def test_every_function_of_a_file_is_named(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "stack.py").write_text(SOURCE)
    assert main(["predict", str(tmp_path / "stack.py"), "--run", str(run)]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 4
    for line, name, number in zip(lines[1:], ("__init__", "push", "_"), (3, 6, 10), strict=True):
        assert f"stack.py:{number}" in line
        assert f" {name} " in line


def test_json_lines_hold_probabilities(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "stack.py").write_text(SOURCE)
    assert main(["predict", str(tmp_path), "--run", str(run), "--json"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["name"] for record in records] == ["__init__", "push", "_"]
    for record in records:
        assert len(record["probabilities"]) == len(record["predicted"].split())
        assert all(0 <= probability <= 1 for probability in record["probabilities"])


def test_a_broken_file_in_a_folder_is_named_and_not_fatal(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "stack.py").write_text(SOURCE)
    (tmp_path / "broken.py").write_text("def f(:\n")
    assert main(["predict", str(tmp_path), "--run", str(run)]) == 0
    assert "broken.py" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [("missing.py", None, "missing.py"), ("broken.py", "def f(:\n", "broken.py"), ("empty.py", "x = 1\n", "function")],
)
def test_nothing_to_predict_is_an_error(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: str | None, expected: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    assert main(["predict", str(tmp_path / name), "--run", str(run)]) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("graphpe predict: error: ")
    assert expected in error


def test_a_folder_that_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "stack.py").write_text(SOURCE)
    assert main(["predict", str(tmp_path / "stack.py"), "--run", str(tmp_path)]) == 1
    assert "is not a run folder" in capsys.readouterr().err


def test_everything_is_written_where_asked(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "stack.py").write_text(SOURCE)
    for name in ("out.csv", "out.csv.gz", "out.tsv", "out.jsonl"):
        assert main(["predict", str(tmp_path / "stack.py"), "--run", str(run), "--out", str(tmp_path / name)]) == 0
        read = pandas.read_json if name.endswith("jsonl") else pandas.read_csv
        options = {"lines": True} if name.endswith("jsonl") else {"sep": "\t" if name.endswith("tsv") else ","}
        frame = read(tmp_path / name, **options)
        assert frame["name"].tolist() == ["__init__", "push", "_"]
        assert list(frame) == ["function", "name", "predicted", "probabilities"]
    assert "3 rows in" in capsys.readouterr().out


@pytest.mark.parametrize("out", ["out.xls", "missing/out.csv"])
def test_a_table_that_cannot_be_written_is_said_first(run: Path, tmp_path: Path, capsys, out: str) -> None:
    assert main(["predict", "missing.py", "--run", str(run), "--out", str(tmp_path / out)]) == 1
    assert "out." in capsys.readouterr().err


def test_the_newest_run_that_fits_is_taken(run: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stack.py").write_text(SOURCE)
    assert main(["predict", "stack.py"]) == 1
    assert "no trained run" in capsys.readouterr().err
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "a").symlink_to(run)
    (tmp_path / "runs" / "broken").mkdir()
    (tmp_path / "runs" / "broken" / "best.pt").write_text("")
    (tmp_path / "runs" / "broken" / "config.yaml").write_text("?")
    assert main(["predict", "stack.py"]) == 0
    assert "run runs/a" in capsys.readouterr().out
    (tmp_path / "some.csv").write_text("smiles\nCC\n")
    assert main(["predict", "some.csv"]) == 1
    assert "a (python-source)" in capsys.readouterr().err
