from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from graphpe.benchmarks.cli.main import main
from graphpe.benchmarks.grid.cell import Cell
from graphpe.benchmarks.grid.reports.merging import gather
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.benchmarks.training.run_folder import RunFolder
from graphpe.errors import GraphPEValueError


def make(
    root: Path,
    encoding: str,
    *,
    test: float | None = 0.5,
    seed: int = 0,
    task: str = "zinc",
    model: str = "GINE(width=8)",
    fingerprint: str = "f" * 32,
    named: dict[str, Any] | None = None,
    draws: int = 0,
    **options: Any,
) -> Cell:
    """A cell, finished where it has a test metric, as a grid leaves it."""
    resolved = {"task": f"Zinc(root={str(root)!r})", "model": model, "encodings": (encoding,)}
    config = TrainConfig(**(resolved | options), seed=seed)
    cell = Cell.of(root, task, encoding, model.split("(")[0], config, options=named, draws=draws)
    cell.write()
    cell.run.mkdir()
    run = RunFolder(cell.run)
    run.write_task({}, fingerprint)
    if test is not None:
        numbers = {"valid": test, "test": test, "constant_valid": 0.0, "constant_test": 0.0}
        names = {"task": task, "encodings": [encoding], "model": model, "metric": "MAE", "maximize": False}
        rest = {"best_epoch": 1, "epochs": 1, "constant_prediction": "0", "parameters": 9, "run": "", "peak_bytes": 1}
        seconds = {"seconds_per_epoch": {"total": 1.0}, "seconds_before": {"encode": 0.0}}
        run.write_summary({**numbers, **names, **rest, **seconds})
    return cell


def test_cells_of_several_grids_are_one_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for seed in (0, 1):
        make(here, "none", seed=seed, test=0.5 + seed / 10)
        make(there, "LaplacianPE(8)", seed=seed, test=0.3, task="zinc(root='elsewhere')")  # the same data
    make(there, "none", seed=0, test=0.7, task="zinc(root='elsewhere')")
    make(there, "none", seed=2, test=0.9, task="zinc(root='elsewhere')")
    (there / "command.txt").write_text("graphpe grid there\n")
    assert main(["report", str(here), str(there), "--out", str(tmp_path / "out")]) == 0
    assert "5 finished cells of 5" in capsys.readouterr().out
    text = (tmp_path / "out" / "report.md").read_text()
    assert text.count("## zinc") == 1
    assert "| none | GINE | 0.6667 ± 0.2082 | 0.6667 ± 0.2082 | 3 |" in text  # 0.5, 0.6 and 0.9
    assert "| LaplacianPE(8) | GINE | 0.3000 ± 0.0000 |" in text
    assert "seed 0 is in" in text
    assert "with test 0.5000 and 0.7000: the first counts" in text
    assert "graphpe grid there" in text


def test_a_finished_cell_stands_for_one_that_is_not(tmp_path: Path) -> None:
    make(tmp_path / "a", "none", test=None)
    done = make(tmp_path / "b", "none", test=0.4)
    (cell,) = gather([tmp_path / "a", tmp_path / "b"]).cells
    assert cell.folder == done.folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 7}, "epochs of zinc is 14 in {a} and 7 in {b}"),
        ({"epochs": 7, "encoding": "none"}, "epochs of zinc is 14 in {a} and 7 in {b}"),  # of the same cell
        ({"learning_rate": 0.1, "named": {"learning_rate": 0.1}}, ""),
        ({"fingerprint": "a" * 32}, "the data of zinc .its digest. is ffffffff in {a} and aaaaaaaa in {b}"),
        ({"model": "GINE(width=16)", "encoding": "none", "seed": 1}, "the model of zinc, none, GINE is GINE.width=8."),
        ({"threads": 2}, ""),
    ],
)
def test_grids_that_are_not_to_be_compared(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    make(a, "none")
    make(b, **({"encoding": "LaplacianPE(8)"} | change))
    if not message:
        assert len(gather([a, b]).cells) == 2
        return
    with pytest.raises(GraphPEValueError, match=message.format(a=a, b=b)) as caught:
        gather([a, b])
    assert "\n" not in str(caught.value)


def test_one_grid_names_what_is_not_to_be_compared(tmp_path: Path) -> None:
    make(tmp_path, "none")
    make(tmp_path, "LaplacianPE(8)", fingerprint="a" * 32)
    (note,) = gather([tmp_path]).notes
    assert note.startswith("not to be compared: the data of zinc")


def test_tuned_cells_are_chosen_by_validation_and_listed_ones_on_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for encoding in ("none", "LaplacianPE(8)"):
        for rate in (0.1, 0.2):
            named = {"learning_rate": rate}
            make(tmp_path / "drawn", encoding, test=rate, learning_rate=rate, named=named, draws=2)
            make(tmp_path / "listed", encoding, test=rate, learning_rate=rate, named=named)
    make(tmp_path / "plain", "none")
    for folder, arguments, rows, tuned in (
        ("drawn", [], 2, True),
        ("listed", [], 4, False),
        ("listed", ["--best-by", "valid"], 2, True),
    ):
        assert main(["report", str(tmp_path / folder), *arguments]) == 0
        text = (tmp_path / folder / "report" / "report.md").read_text()
        assert text.split("| gain over none |")[0].count("| GINE |") == rows
        assert ("Budget: 2 settings by 1 seeds" in text) == tuned
        assert ("| GINE | 0.2 |" in text) == (not tuned)
        assert (tmp_path / folder / "report" / "runs.csv").read_text().count("\n") == 5  # every run
    both = ["report", str(tmp_path / "plain"), str(tmp_path / "drawn"), "--out", str(tmp_path / "out")]
    assert main(both) == 0
    text = (tmp_path / "out" / "report.md").read_text()
    assert text.count("(less is better), untuned\n") == text.count("(less is better), tuned\n") == 1
    assert "| zinc | none | GINE | 0.5000 | 0.1000 | " in text.split("## What tuning gave")[1]
    capsys.readouterr()


def test_errors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path / "a", "none")
    make(tmp_path / "b", "none", seed=1)
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    (tmp_path / "rows.csv").write_text("model,encoding\n")
    for arguments, message in (
        ([a, b], "--out is missing"),
        ([a, f"{a}/../a", "--out", a], "is named twice"),
        ([a, str(tmp_path), "--out", a], "holds no cell of a grid"),
        ([a, "--format", "docx"], "format must be one of"),
        ([a, "--best-by", "test"], "best_by must be one of 'valid', got 'test'"),
        ([a, "--against", "everyone"], "against must be one of 'published'"),
        ([a, "--literature", f"{a}/nothing.csv"], "nothing.csv"),
        ([a, "--literature", str(tmp_path / "rows.csv")], "has no column 'metric'"),
    ):
        assert main(["report", *arguments]) in (1, 2)
        error = capsys.readouterr().err.strip()
        assert message in error
        assert "\n" not in error
    header = "model,encoding,metric,mean,std,n,source\n"
    (tmp_path / "rows.csv").write_text(f"{header}GRIT,RRWP,AP,0.1,,,there\n")
    assert main(["report", a, "--literature", str(tmp_path / "rows.csv"), "--against", "published"]) == 0
    text = (tmp_path / "a" / "report" / "report.md").read_text()
    assert "not shown, since no task here has its metric: GRIT, RRWP, AP 0.1" in text
    assert "| RelativeRandomWalkPE(walk_length=21) | GRIT †" in text
