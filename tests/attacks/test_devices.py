"""One, two and three devices (processes, on the CPU) agree: with one device, and with the weights they report of."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from ..benchmarks.training.distributed.test_processes import metrics, scored_by_hand
from .commands import Forks
from .conftest import Count, Data, Figures

pytestmark = pytest.mark.attack

MODEL = "GraphTransformer(width=8, layers=1, heads=2, dropout=0.0, norm='layer')"


def test_devices(forks: Forks, data: Data, tmp_path: Path, count: Count, figures: Figures) -> None:
    for attack in range(count(1)):
        seed, epochs = random.randrange(1000), random.randint(1, 3)
        found = {}
        for devices in (1, 2, 3):
            run = tmp_path / f"{attack}-{devices}"
            options = ["--epochs", epochs, "--seed", seed, "--batch-size", 6 // devices, "--devices", devices]
            command = [*data.train(model=MODEL), *options, "--encodings", "none", "--run", run]
            forks.run(*command, seconds=240).success()
            found[devices] = json.loads((run / "summary.json").read_text())
            assert found[devices]["test"] == pytest.approx(scored_by_hand(run), rel=1e-5)
            for key in ("valid", "test"):
                assert found[devices][key] == pytest.approx(found[1][key], rel=1e-3)
            losses = [record["train_loss"] for record in metrics(run)]
            first = [record["train_loss"] for record in metrics(tmp_path / f"{attack}-1")]
            assert losses == pytest.approx(first, rel=1e-3)
            figures.add("`--devices 1`, 2 and 3: the result of one device, and of the weights in best.pt")
