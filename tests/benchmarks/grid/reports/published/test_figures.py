from __future__ import annotations

import csv
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from graphpe.benchmarks.calls.recipes import read_recipe
from graphpe.benchmarks.grid.reports.published import figures
from graphpe.benchmarks.grid.reports.published.figures import figures_beside, published_figures
from graphpe.benchmarks.grid.results import Combination, Run, SizeScore

RUN = Run("zinc", "none", "GINE", 0, "MAE", False, 0.5, 0.5, 100, 1.0, 1.0, 9.0, 10**9, 9)


def beside(task: str, metric: str, encoding: str, model: str, **options: object) -> list[tuple[str, str, float]]:
    run = replace(RUN, task=task, metric=metric, encoding=encoding, model=model)
    found = figures_beside(Combination(task, encoding, model, (run,), options))
    return [(each.row.model, each.row.encoding, each.row.mean) for each in found]


def test_every_line_is_of_a_task_and_a_model_that_there_are() -> None:
    path = Path(figures.__file__).with_name("figures.csv")
    lines = list(csv.DictReader(path.open()))
    assert len(lines) == len({(line["task"], line["model"], line["encoding"]) for line in lines}) == 125
    assert all(line["source"].endswith("not compared with the paper") for line in lines)
    known = published_figures()
    assert [each.row.mean for each in known[-125:]] == [float(line["mean"]) for line in lines]
    for line in lines:  # each is found again by its names
        (each,) = (each for each in known if (each.row.task, each.row.model, each.row.encoding)
                   == (line["task"], line["model"], line["encoding"]))  # fmt: skip
        task = line["task"].lower()
        assert (line["model"], line["encoding"], float(line["mean"])) in beside(
            task, line["metric"], each.column, each.model
        )


def test_the_files_are_in_the_wheel() -> None:
    here = Path(figures.__file__).resolve().parent
    project = tomllib.loads((here.parents[3] / "pyproject.toml").read_text())
    assert {path.name for path in here.glob("*.csv")} <= set(project["tool"]["setuptools"]["package-data"]["*"])


def test_recipes_are_beside_what_they_are_of() -> None:
    assert beside("zinc(root='elsewhere')", "MAE", "RandomWalkPE(8)", "GPS(layers=3)") == [
        ("GPS", "RandomWalkPE(walk_length=20)", 0.07)
    ]
    # Trees of 28 and of 21 atom types are of the same molecules; those of all of ZINC are others.
    assert beside("zinc(atom_types=21)", "MAE", "RelativeRandomWalkPE(21)", "GRIT(layers=2)")[0][2] == 0.059
    assert beside("zinc(subset=False)", "MAE", "RelativeRandomWalkPE(21)", "GRIT(layers=2)") == []
    # What a model is published with is its encoding, too.
    assert beside("zinc", "MAE", "published", "GRIT")[0][2] == 0.059
    # Recipes whose figures nobody has looked up are marked, not left out.
    found = beside("zinc", "MAE", "RandomWalkPE(20)", "GINE(layers=2, feed_forward=True)")
    assert found == [("GINE", "RandomWalkPE(walk_length=20)", 0.065)]
    rows = {each.row.source.split("(")[-1].split(")")[0]: each.row for each in published_figures()}
    assert rows["gatedgcn-plus-zinc"].source.endswith("; not compared with the paper")
    assert (rows["gps-zinc"].epochs, rows["gps-zinc"].parameters) == (2000, 423717)
    assert rows["gatedgcn-plus-zinc"].parameters == read_recipe("gatedgcn-plus-zinc").published_parameters == 413355


@pytest.mark.parametrize(
    ("task", "metric", "encoding", "model"),
    [
        ("zinc", "RMSE", "RandomWalkPE(20)", "GPS"),
        ("zinc", "MAE", "RandomWalkPE(20)", "GPS(attention='linear')"),
        ("zinc", "MAE", "RandomWalkPE(20)", "GINE"),
        ("zinc", "MAE", "RandomWalkPE(20) + DegreePE()", "GPS"),
        ("zinc", "MAE", "RandomWalkPE(20)", "NoSuchModel"),
        ("molesol", "MAE", "RandomWalkPE(20)", "GPS"),
        ("pattern(generate=True)", "weighted accuracy", "RelativeRandomWalkPE(21)", "GRIT"),
        ("DataFile('mine.pt')", "MAE", "none", "GINE"),
        ("zinc", "MAE", "ShortestPathPE() as PairBias(head='fire')", "Graphormer"),
        ("cifar10", "accuracy", "LaplacianPE(8) with SPE", "GatedGCN"),
        ("cifar10", "accuracy", "none", "GatedGCN(virtual_node=True)"),
    ],
)
def test_others_are_not(task: str, metric: str, encoding: str, model: str) -> None:
    assert beside(task, metric, encoding, model) == []


def test_options_of_a_model_behind_its_at() -> None:
    model = "GPS(layers=3) @ attention=['linear', 'softmax'], learning_rate=1e-3"
    assert beside("zinc", "MAE", "RandomWalkPE(20)", model, attention="linear") == []
    assert len(beside("zinc", "MAE", "RandomWalkPE(20)", model, attention="softmax")) == 1


def test_signs_and_readers() -> None:
    of_plain = beside("cifar10", "accuracy", "LaplacianPE(k=8)", "GatedGCN")
    assert of_plain == [("GatedGCN", "LapPE", 0.69285)]
    assert beside("cifar10", "accuracy", "LaplacianPE(16) with EigenvectorDeepSet(hidden=8)", "GatedGCN") == of_plain
    assert beside("cifar10", "accuracy", "LaplacianPE(8) with SignNet(hidden=8)", "GatedGCN") == [
        ("GatedGCN", "SignNet", 0.6857)
    ]


def test_a_split_by_size_is_another_task() -> None:
    sizes = (SizeScore("up to 16", 16, 9.0, 10, 0.1, 0.2),)
    run = replace(RUN, encoding="RandomWalkPE(20)", model="GPS", sizes=sizes)
    assert figures_beside(Combination("zinc", "RandomWalkPE(20)", "GPS", (run,))) == []
    assert figures_beside(Combination("zinc", "RandomWalkPE(20)", "GPS", (replace(run, sizes=()),)))
