"""Training that perturbs encodings, and goes on after it was ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from graphpe.benchmarks.training.checkpoints.file import load_checkpoint
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.benchmarks.training.experiment import resolve, run_experiment
from graphpe.benchmarks.training.loop import Training
from graphpe.benchmarks.training.run_folder import RunFolder

PERTURBED = {
    "model": "GPS(width=8, layers=1, heads=2)",
    "encodings": ("RandomWalkPE(3)", "ShortestPathPE(max_distance=5)"),
    "perturb": "Perturbed(noise=0.2, drop=0.3)",
    "bias": "PairBias(head='fire', size=4, randomized=16)",
    "batch_size": 16,
    "epochs": 2,
}


class Stopped(Exception):
    """What ends the run."""


def test_a_run_that_was_ended_goes_on_to_the_same_bits(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = resolve(TrainConfig(**options | PERTURBED))
    whole = run_experiment(config, run_path=tmp_path / "whole", progress=False)
    step = Training._step

    def ends(self: Training, batch: Any) -> Any:
        if self.state.total_steps == 7:  # of five an epoch
            raise Stopped
        return step(self, batch)

    monkeypatch.setattr(Training, "_step", ends)
    saved = resolve(TrainConfig(**options | PERTURBED, checkpoint_minutes=1e-9))
    with pytest.raises(Stopped):
        run_experiment(saved, run_path=tmp_path / "ended", progress=False)
    monkeypatch.setattr(Training, "_step", step)
    folder = RunFolder.open(tmp_path / "ended")
    assert load_checkpoint(folder.last)["state"]["total_steps"] == 7
    again = run_experiment(folder.read_config(), resume=folder, progress=False)
    assert again["test"] == whole["test"]
    assert load_checkpoint(folder.best)["state"]["best_digest"] == _digest(tmp_path / "whole")


@pytest.mark.parametrize("without", [{"perturb": "none"}, {"bias": "PairBias(head='fire', size=4)"}])
def test_each_of_them_changes_training(options: dict[str, Any], tmp_path: Path, without: dict[str, str]) -> None:
    runs = [
        run_experiment(resolve(TrainConfig(**options | given)), run_path=tmp_path / name, progress=False)
        for name, given in (("with", PERTURBED), ("without", PERTURBED | without))
    ]
    assert runs[0]["valid"] != runs[1]["valid"]


def _digest(run: Path) -> str:
    return load_checkpoint(run / "best.pt")["state"]["best_digest"]
