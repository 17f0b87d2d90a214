from __future__ import annotations

from pathlib import Path

import pytest

from graphpe.benchmarks.cli.main import main
from graphpe.benchmarks.measure.speed import encodings, loading


def test_a_table_with_ratios(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    rows = [row for row in encodings.rows() if row.name == "RandomWalkPE(20)" and row.graphs == "molecules"]
    monkeypatch.setattr(encodings, "rows", lambda: rows)
    out = tmp_path / "bench.md"
    assert main(["bench", "encodings", "--graphs", "5", "--repeats", "1", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    (line,) = (line for line in printed.splitlines() if line.startswith("| RandomWalkPE"))
    assert line in out.read_text()
    cells = [cell.strip() for cell in line.split("|")[1:-1]]
    theirs, ours = min(float(cell.replace(",", "")) for cell in cells[3:5]), float(cells[5].replace(",", ""))
    assert float(cells[7].rstrip("x")) == pytest.approx(theirs / ours, rel=0.1, abs=0.1)


def test_everything_that_is_known(monkeypatch: pytest.MonkeyPatch):
    called = []
    for module in (encodings, loading):
        monkeypatch.setattr(
            module, "short", lambda *numbers, name=module.__name__: called.append((name, numbers)) or []
        )
    assert main(["bench", "--graphs", "7", "--repeats", "2", "--seed", "3"]) == 0
    assert called == [(module.__name__, (7, 2, 3)) for module in (encodings, loading)]


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["nothing"], 2, "nothing to measure under 'nothing'; known: encodings, loading"),
        (["--graphs", "0"], 1, "--graphs must be from 1 on, got 0"),
        (["--out", "table.csv"], 2, "--out is table.csv; it must end in .md"),
        (["--out", "/nowhere/table.md"], 1, "/nowhere is no folder"),
    ],
)
def test_wrong_options(options: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str]):
    assert main(["bench", *options]) == status
    assert message in capsys.readouterr().err
