"""Whole runs on the nodes of one graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas
import pytest
import torch

import graphpe
from graphpe.benchmarks.training.batches.shared_graph import only
from graphpe.benchmarks.training.checkpoints.file import load_checkpoint
from graphpe.benchmarks.training.experiment import run_experiment
from graphpe.benchmarks.training.interrupt import Interrupted
from graphpe.benchmarks.training.loop import Training
from graphpe.benchmarks.training.run_folder import RunFolder
from graphpe.errors import GraphPEError, GraphPEValueError

from ..conftest import train


def test_targets_that_are_not_asked_for_are_unknown() -> None:
    assert only(torch.tensor([3, 4, 5]), torch.tensor([1])).tolist() == [-1, 4, -1]
    numbers = only(torch.tensor([[1.0], [2.0]]), torch.tensor([0]))
    assert numbers[0].item() == 1.0
    assert bool(numbers[1].isnan())


@pytest.mark.parametrize("sampler", ["whole", "neighbors", "partitions"])
def test_a_run_that_was_stopped_ends_in_the_same_bits(
    node_options: dict[str, Any], tmp_path: Path, sampler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = train(node_options, tmp_path / "straight", sampler=sampler)
    step, made = Training._step, [0]

    def stopped(self: Training, batch: Any) -> Any:
        made[0] += 1
        if made[0] == 3:
            self.save()
            raise Interrupted("stopped", 2)
        return step(self, batch)

    monkeypatch.setattr(Training, "_step", stopped)
    with pytest.raises(Interrupted):
        train(node_options, tmp_path / "stopped", sampler=sampler)
    monkeypatch.setattr(Training, "_step", step)
    folder = RunFolder.open(tmp_path / "stopped")
    resumed = run_experiment(folder.read_config(), resume=folder, progress=False, workers=1)
    assert (resumed["valid"], resumed["test"]) == (straight["valid"], straight["test"])
    one, two = (load_checkpoint(tmp_path / name / "best.pt")["model"] for name in ("straight", "stopped"))
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_predictions_of_a_run_are_those_of_the_file(node_options: dict[str, Any], tmp_path: Path) -> None:
    summary = train(node_options, tmp_path / "run", epochs=6)
    table = pandas.read_csv(tmp_path / "run" / "test_predictions.csv")
    path = node_options["task"].split("'")[1]
    data = graphpe.benchmarks.tasks.DataFile(path=path).load()
    assert table["node"].tolist() == data.split["test"].tolist()
    assert table["target_y"].tolist() == data.graphs.node["y"][data.split["test"]].flatten().tolist()
    right = (table["target_y"] == table["predicted_y"]).mean()
    assert summary["test"] == pytest.approx(right)
    frame = graphpe.load_run(tmp_path / "run").predict(path)
    assert frame["node"].tolist() == list(range(60))
    of_test = frame.set_index("node").loc[table["node"]]
    for name in ("probability_0", "probability_1", "probability_2"):
        assert of_test[name].to_numpy() == pytest.approx(table[name].to_numpy(), abs=1e-6)


def test_graphs_have_no_samplers(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(GraphPEValueError, match="samples nodes of one graph, and this task is about whole graphs"):
        train(options, tmp_path / "graphs", sampler="neighbors")
    assert not (tmp_path / "graphs").exists()


@pytest.mark.slow  # 20 s: two processes import all there is
def test_two_devices_share_sampled_batches_but_not_the_whole(node_options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(GraphPEError, match="makes each step on the whole graph, which 2 devices cannot share"):
        train(node_options, tmp_path / "two", devices=2)
    assert not (tmp_path / "two").exists()
    for sampler in ("neighbors", "partitions"):
        summary = train(node_options, tmp_path / sampler, devices=2, sampler=sampler, batch_size=3, epochs=2)
        assert 0 <= summary["test"] <= 1
        assert len(pandas.read_csv(tmp_path / sampler / "test_predictions.csv")) > 0
