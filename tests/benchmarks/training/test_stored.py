"""Training on graphs in a store gives what training on graphs in memory gives."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from graphpe.benchmarks.tasks import stored
from graphpe.benchmarks.training import batch_transform
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.benchmarks.training.experiment import resolve, run_experiment


def write(path: Path, rows: list[list[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(",".join(map(str, row)) + "\n" for row in rows).encode()))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Forty small graphs in the layout of ogbg-ppa."""
    rng = np.random.default_rng(0)
    folder, counts = tmp_path / "dataset" / "ogbg_ppa", rng.integers(4, 9, 40).tolist()
    edges = [[[u, u + 1] for u in range(n - 1)] for n in counts]
    raw = folder / "raw"
    write(raw / "num-node-list.csv.gz", [[n] for n in counts])
    write(raw / "num-edge-list.csv.gz", [[n - 1] for n in counts])
    write(raw / "edge.csv.gz", [pair for graph in edges for pair in graph])
    write(raw / "edge-feat.csv.gz", rng.random((sum(counts) - 40, 7)).round(3).tolist())
    write(raw / "graph-label.csv.gz", [[n % 3] for n in counts])
    for part, ids in zip(("train", "valid", "test"), np.split(np.arange(40), [24, 32]), strict=True):
        write(folder / "split" / "species" / f"{part}.csv.gz", [[i] for i in ids.tolist()])
    (folder / "RELEASE_v1.txt").touch()
    return tmp_path / "dataset"


@pytest.mark.parametrize(
    "form", ["{}", "Pretraining({!r}, ('DegreePE()', 'ShortestPathPE()'))"], ids=["ppa", "pretraining"]
)
def test_the_same_numbers_from_a_store(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    config = resolve(
        TrainConfig(
            task=form.format(f"ppa(root={str(root)!r}, download=False)"),
            model="GPS(width=8, layers=1, heads=2)",
            encodings=("RandomWalkPE(walk_length=4)",),
            epochs=2,
            batch_size=8,
        )
    )
    options = {"workers": 1, "cache": tmp_path / "cache", "progress": False}
    memory = run_experiment(config, run_path=tmp_path / "memory", **options)  # type: ignore[arg-type]
    monkeypatch.setattr(stored, "memory_limit", lambda: 1)
    monkeypatch.setattr(batch_transform, "RELEASED_ROWS", 100)  # given back after every other batch
    kept = run_experiment(config, run_path=tmp_path / "stored", **options)  # type: ignore[arg-type]
    for name in ("valid", "test", "constant_valid", "constant_test"):
        assert kept[name] == memory[name]
    losses = [
        [json.loads(line)["train_loss"] for line in (tmp_path / run / "metrics.jsonl").read_text().splitlines()]
        for run in ("memory", "stored")
    ]
    assert losses[0] == losses[1]
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["encoded", "graphs"]
    tables = [(tmp_path / run / "test_predictions.csv").read_text() for run in ("memory", "stored")]
    assert tables[0] == tables[1]
