from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from graphpe.benchmarks.calls.recipes import read_recipe, recipe_names
from graphpe.benchmarks.grid.report import task_section, write_report
from graphpe.benchmarks.grid.reports.published.literature import Published, fits, published_values, read_literature
from graphpe.benchmarks.grid.results import Run, combine
from graphpe.benchmarks.grid.statistics.effects import column_ranks
from graphpe.benchmarks.grid.statistics.family import family_of
from graphpe.errors import GraphPEError

HEADER = "model,encoding,metric,mean,std,n,source"
RUN = Run("zinc", "none", "GINE", 0, "MAE", False, 0.5, 0.5, 100, 1.0, 1.0, 9.0, 10**9, 9)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_rows_are_read(tmp_path: Path) -> None:
    rows = read_literature(
        written(tmp_path, f'\ufeff{HEADER},task,year\nGRIT,RRWP,mae,0.059,0.002,4,"Ma, 2023",zinc,1\n')
    )
    assert rows == [Published("GRIT", "RRWP", "mae", 0.059, 0.002, 4, "Ma, 2023", "zinc")]
    assert rows == read_literature(
        written(tmp_path, f"{HEADER.replace(',', ';')};task\nGRIT;RRWP;mae;0.059;0.002;4;Ma, 2023;zinc\n")
    )
    (bare,) = read_literature(written(tmp_path, f"{HEADER}\nGIN,,MAE,0.5,,,here\n"))
    assert (bare.encoding, bare.runs, bare.task) == ("none", 0, "")
    assert math.isnan(bare.deviation)
    assert fits(rows[0], RUN)
    assert not fits(rows[0], replace(RUN, task="molesol"))
    assert not fits(rows[0], replace(RUN, metric="RMSE"))
    assert fits(bare, replace(RUN, task="molesol"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no column 'model'"),
        ("model,encoding,metric,mean,std,n\n", "has no column 'source'"),
        (f"{HEADER}\n", "has no row"),
        (f"{HEADER}\nGRIT,RRWP,MAE,low,,,here\n", "line 2: mean is 'low', not a number"),
        (f"{HEADER}\nGRIT,RRWP,MAE,nan,,,here\n", "line 2: mean must be finite"),
        (f"{HEADER}\nGRIT,RRWP,MAE,1,-1,,here\n", "line 2: std must"),
        (f"{HEADER}\nGRIT,RRWP,MAE,1,,1.5,here\n", "line 2: n must be an integer"),
        (f"{HEADER}\nGRIT,RRWP,accuracy,98.1,,,here\n", "line 2: mean is 98.1; write accuracy from 0 to 1"),
        (f"{HEADER}\nGRIT,RRWP,MAE,1,,,\n", "line 2: source is empty"),
        (f"{HEADER}\nGRIT\n", "line 2: metric is empty"),
    ],
)
def test_rows_that_cannot_be_read(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(GraphPEError, match=message) as caught:
        read_literature(written(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_recipes_give_their_published_values() -> None:
    rows = {row.source.rpartition("(")[2].rstrip(")"): row for row in published_values()}
    # A mean of several tasks; and settings of node tasks whose figures are of several splits.
    without = {"relational-clrs", "citeseer-gcn", "cora-gcn", "minesweeper-gcn"}
    without |= {"minesweeper-polynormer", "tolokers-polynormer"}
    # Figures that were not compared with their paper are beside no other.
    without |= {name for name in recipe_names() if read_recipe(name).published.endswith("not compared with the paper")}
    assert set(recipe_names()) - set(rows) == without
    assert rows["gin-virtual-molpcba"].mean == 0.2703
    assert (rows["grit-zinc"].mean, rows["grit-zinc"].deviation, rows["grit-zinc"].runs) == (0.059, 0.002, 4)
    assert (rows["grit-zinc"].model, rows["grit-zinc"].task) == ("GRIT", "zinc")
    assert rows["grit-mnist"].mean == pytest.approx(0.98108)  # in per cent there
    assert rows["grit-pattern"].metric == "weighted accuracy"
    assert rows["gps-code2"].metric == "F1"
    assert fits(rows["gps-zinc"], replace(RUN, task="zinc(root='elsewhere')"))


def test_rows_stand_beside_ours_and_in_no_test(tmp_path: Path) -> None:
    found = combine(
        [replace(RUN, encoding=name, seed=seed, test=value + seed / 100) for seed in range(3)
         for name, value in (("none", 0.5), ("LaplacianPE(8)", 0.4))],
        [],
    )  # fmt: skip
    row = Published("GRIT|x", "RRWP", "MAE", 0.01, 0.002, 4, "Ma et al. 2023")
    sections = family_of({"zinc": found}).sections
    text = task_section(found, sections["zinc"], [row])
    assert "| RRWP | GRIT\\|x †1 | 0.0100 ± 0.0020 |  | 4 |  |  |  |  |  |" in text
    assert "1. Ma et al. 2023" in text
    tests = text.split("| encoding | mean rank")
    assert "RRWP" not in tests[1].split("†")[0]
    assert {result.row for result in column_ranks(found)} == {"none", "LaplacianPE(8)"}
    assert set(sections["zinc"].cells) == {("LaplacianPE(8)", "GINE")}
    files = write_report(found, tmp_path, literature=[row], formats=["csv", "latex", "svg", "pdf"])
    assert [path.name for path in files] == [
        *("runs.csv", "effects.csv", "report.md"),
        *(f"zinc-{kind}.{suffix}" for kind in ("heat", "cost") for suffix in ("png", "svg", "pdf")),
        *("table.csv", "tables.tex"),
    ]
    beginnings = {path.suffix: path.read_bytes()[:5] for path in files}
    assert beginnings[".pdf"] == b"%PDF-"
    assert beginnings[".svg"] == b"<?xml"
    assert "Ma et al. 2023" in (tmp_path / "table.csv").read_text()
    assert "GRIT" not in (tmp_path / "runs.csv").read_text()
