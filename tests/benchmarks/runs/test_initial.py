from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import graphpe
from graphpe.benchmarks.calls.build import build_encodings, build_model, build_task
from graphpe.benchmarks.runs.initial import InitialWeights
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.benchmarks.training.experiment import resolve, run_experiment
from graphpe.benchmarks.training.run_folder import RunFolder
from graphpe.errors import GraphPEError

MODEL = "GraphTransformer(width=16, layers=1, heads=2)"


def start(run: Path, path: Path, **options: object) -> TrainConfig:
    task = f"DataFile({str(path)!r})"
    known = {"model": MODEL, "encodings": ("RandomWalkPE(walk_length=3)",), "task": task, "init": str(run)}
    return resolve(TrainConfig(**(known | options)))  # type: ignore[arg-type]


def test_what_fits_is_taken(classes_run: tuple[Path, Path]) -> None:
    run, path = classes_run
    trained = graphpe.load_run(run)
    config = start(run, path, encodings=("RandomWalkPE(walk_length=4)",))
    initial = InitialWeights.read(config)
    assert initial is not None
    torch.manual_seed(1)
    adapter = build_task(config.task).adapter({**trained.adapter.state(), "targets": 5})
    model = build_model(config.model, adapter, build_encodings(config.encodings or ()))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    lines = initial.give(model, config, adapter)
    best = trained.model.state_dict()
    anew = []
    for name, value in model.state_dict().items():
        if best[name].shape == value.shape:
            assert torch.equal(value, best[name])
        else:
            assert torch.equal(value, before[name])
            anew.append(name)
    assert anew == ["encodings.0.linear.weight", "head.out.weight", "head.out.bias"]
    weights = dict(model.named_parameters())
    taken = sum(value.numel() for name, value in weights.items() if name not in anew)
    total = sum(value.numel() for value in weights.values())
    assert lines[0] == (f"from {run}: {len(weights) - 3} of {len(weights)} weights ({taken:,} of {total:,} parameters)")
    assert lines[1].startswith("anew: encodings.0.linear.weight ([16, 3], here [16, 4]), head.out.weight ([3, 4], here")
    assert lines[2].startswith("its encodings were RandomWalkPE(walk_length=3")


def test_the_head_of_other_targets_is_anew(classes_run: tuple[Path, Path]) -> None:
    trained, config = graphpe.load_run(classes_run[0]), start(*classes_run)
    initial = InitialWeights.read(config)
    assert initial is not None
    for change, kept in (({}, True), ({"class_names": ["cat", "dog", "fox"]}, False), ({"target_names": ["z"]}, False)):
        adapter = build_task(config.task).adapter({**trained.adapter.state(), **change})
        model = build_model(config.model, adapter, build_encodings(config.encodings or ()))
        lines = initial.give(model, config, adapter)
        assert ("anew: the head, for its targets are others" in lines) != kept
        for name, value in trained.model.named_parameters():
            same = torch.equal(dict(model.named_parameters())[name], value)
            assert same if kept or not name.startswith("head.") else not same or "bias" in name


def test_a_run_starts_there_and_is_resumed(
    classes_run: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = start(*classes_run, epochs=1, learning_rate=1e-5, warmup_steps=0)
    run_experiment(config, run_path=tmp_path / "run", workers=1, progress=True)
    found, best = (graphpe.load_run(run).model for run in (tmp_path / "run", classes_run[0]))
    for value, expected in zip(found.parameters(), best.parameters(), strict=True):
        torch.testing.assert_close(value, expected, atol=1e-4, rtol=0)
    assert f"from {classes_run[0]}: " in capsys.readouterr().out
    folder = RunFolder.open(tmp_path / "run")
    assert folder.read_config().init == str(classes_run[0])
    (folder.path / "summary.json").unlink()
    run_experiment(folder.read_config(), resume=folder, workers=1, progress=True)
    assert "from " not in capsys.readouterr().out


def test_what_does_not_fit_is_one_line(classes_run: tuple[Path, Path], tmp_path: Path) -> None:
    def begin(**options: object) -> Callable[[], object]:
        config = start(*classes_run, **options)
        return lambda: run_experiment(config, run_path=tmp_path / "run", workers=1, progress=False)

    for call, message in (
        (
            begin(model="GPS(width=16, layers=1, heads=2)"),
            "is a run of GraphTransformer, and this one is of GPS",
        ),
        (
            begin(model=MODEL.replace("16", "24"), encodings=()),
            "no weight of .* fits, but for the head's: its",
        ),
        (begin(init=str(tmp_path / "none")), "none is not a run folder"),
    ):
        with pytest.raises(GraphPEError, match=message):
            call()
        assert not (tmp_path / "run").exists()
