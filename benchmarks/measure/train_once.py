"""A training that measurements share: made once, gone on with where it was stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graphpe.benchmarks.training.config import TrainConfig
from graphpe.benchmarks.training.experiment import check_resumable, resolve, run_experiment
from graphpe.benchmarks.training.run_folder import RunFolder


def train_once(config: TrainConfig, path: Path) -> dict[str, Any]:
    """The summary of a run; a finished one is not made again, an interrupted one goes on.

    Args:
        config: Its options.
        path: Its folder.

    Raises:
        GraphPEError: The folder holds a run with other options, or training fails.
    """
    wanted = resolve(config)
    resume = None
    if (path / "config.yaml").exists():
        resume = RunFolder.open(path)
        check_resumable(resume, wanted.as_dict())
    print(f"--- {path.name}", flush=True)
    return run_experiment(wanted, run_path=path, resume=resume)
