from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch_geometric.data import Data

from graphpe.benchmarks.training.config import TrainConfig
from graphpe.benchmarks.training.experiment import resolve, run_experiment
from graphpe.benchmarks.training.run_folder import RunFolder


def train(options: dict[str, Any], run: Path, **more: Any) -> dict[str, Any]:
    return run_experiment(resolve(TrainConfig(**options | more)), run_path=run, progress=False, workers=1)


def resume(run: Path) -> dict[str, Any]:
    folder = RunFolder.open(run)
    return run_experiment(folder.read_config(), resume=folder, progress=False, workers=1)


@pytest.fixture(scope="session")
def options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A run on 100 graphs: 80 to train on, 10 to validate, 10 to test; the target is the mean of a feature."""
    path = tmp_path_factory.mktemp("data") / "graphs.pt"
    generator = torch.Generator().manual_seed(0)
    graphs = []
    for _ in range(100):
        n = int(torch.randint(3, 9, (1,), generator=generator))
        x = torch.randn(n, 3, generator=generator)
        edges = torch.stack([torch.arange(n), torch.arange(n).roll(1)])
        graphs.append(Data(x=x, edge_index=edges, y=x[:, 0].mean().view(1, 1)))
    torch.save(graphs, path)
    return {
        "task": f"data-file(path={str(path)!r})",
        "model": "GraphTransformer(width=8, layers=1, heads=2, dropout=0.0, norm='layer')",
        "encodings": (),
        "accelerator": "cpu",
        "warmup_steps": 2,
        "patience": 0,
    }


@pytest.fixture
def stopped(options: dict[str, Any], tmp_path: Path) -> Path:
    """A run of four epochs whose best is not the last one made, which is the second."""
    run = tmp_path / "run"
    train(options, run, epochs=2)
    (run / "summary.json").unlink()
    return run
