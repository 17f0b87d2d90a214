from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from graphpe.benchmarks.grid.cell import Cell
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.benchmarks.training.run_folder import RunFolder

SECONDS = {"seconds_per_epoch": {"total": 1.5}, "seconds_before": {"encode": 0.5}}
NAMES = {"metric": "F1", "maximize": True, "constant_prediction": "0", "peak_bytes": 10**8, "run": ""}


def history(epochs: int, test: float) -> list[dict[str, Any]]:
    return [
        {
            "epoch": epoch,
            "train_loss": 1 / epoch,
            "valid_loss": 1.2 / epoch,
            "valid_F1": test - (epoch - epochs + 1) ** 2,
        }
        for epoch in range(1, epochs + 1)
    ]


def make_cell(
    root: Path,
    encoding: str = "none",
    model: str = "GINE(width=8)",
    seed: int = 0,
    test: float | None = 0.5,
    *,
    task: str = "bridges(train=20)",
    epochs: int = 4,
    sizes: Sequence[float] = (),
    **options: Any,
) -> Cell:
    """A cell as a grid leaves it; without a test metric one that has not finished."""
    config = TrainConfig(task="Bridges(train=20)", model=model, encodings=(), seed=seed, **options)
    cell = Cell.of(root, task, encoding, model, config)
    cell.write()
    cell.run.mkdir()
    run = RunFolder(cell.run)
    run.write_task({}, "f" * 32)
    run.write_metrics(history(epochs, 0.5 if test is None else test))
    if test is not None:
        numbers = {"valid": test, "test": test, "constant_valid": 0.0, "constant_test": 0.0}
        counts = {"best_epoch": epochs - 1, "epochs": epochs, "parameters": 1000 + len(encoding)}
        parts = [
            {"sizes": f"{8 << place}", "most": 8 << place, "mean": 6.0 * 2**place, "graphs": 50, "test": score,
             "constant": 0.3}
            for place, score in enumerate(sizes)
        ]  # fmt: skip
        by_size = {"sizes": {"unit": "nodes", "parts": parts} if parts else {}}
        run.write_summary(
            {**NAMES, "task": task, "encodings": [], "model": model, **numbers, **counts, **SECONDS, **by_size}
        )
    return cell


@pytest.fixture
def cell() -> Callable[..., Cell]:
    """`cell(root, encoding, model, seed, test, ...)`: a cell as a grid leaves it."""
    return make_cell


@pytest.fixture(scope="session")
def small_grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three columns, two models, three seeds, two tasks; one column is better than none in one model."""
    root = tmp_path_factory.mktemp("page") / "grid"
    gains = {"none": 0.0, "LaplacianPE(k=4) with SPE": 0.2, "RandomWalkPE(walk_length=8)": -0.01}
    cells = []
    for task in ("bridges(train=20)", "path-length(train=20)"):
        for encoding, gain in gains.items():
            for number, model in enumerate(("GINE(width=8)", "GPS(width=8)")):
                for seed in range(3):
                    noise = 0.001 * (seed * len(encoding) % 5)
                    test = 0.5 + gain * (1 - number) + 0.1 * number + noise
                    cells.append(make_cell(root, encoding, model, seed, test, task=task))
    (root / "cells.txt").write_text("".join(f"{each.folder.name}\n" for each in cells))
    (root / "command.txt").write_text("graphpe grid --tasks bridges path-length\n")
    return root
