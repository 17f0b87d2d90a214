"""Averages of weights, against torch's and against sums written out; runs with them that are stopped and resumed."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from graphpe.benchmarks.training.checkpoints.file import digest, load_checkpoint
from graphpe.benchmarks.training.experiment import run_experiment
from graphpe.benchmarks.training.interrupt import Interrupted
from graphpe.benchmarks.training.loop import Training
from graphpe.benchmarks.training.run_folder import RunFolder
from graphpe.benchmarks.training.steps.average import AverageWeights
from graphpe.errors import GraphPERuntimeError

from ..conftest import train


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def step(net: nn.Module) -> None:
    """Something that changes weights and running statistics."""
    net.train()
    net(torch.randn(5, 3, dtype=net[0].weight.dtype))
    with torch.no_grad():
        for weight in net.parameters():
            weight.add_(torch.randn_like(weight))


def test_averages_are_those_of_torch() -> None:
    net = model()
    step(net)
    torchs = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    torchs.update_parameters(net)  # of its first one it takes the weights as they are
    ours = AverageWeights(net, 0.9)
    for _ in range(7):
        step(net)
        ours.update()
        torchs.update_parameters(net)
    expected = torchs.module.state_dict()
    assert sorted(ours.state_dict()) == sorted(key for key in expected if "num_batches" not in key)
    for key, value in ours.state_dict().items():
        torch.testing.assert_close(value, expected[key])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_averages_are_sums_written_out(dtype: torch.dtype) -> None:
    net = model().to(dtype)
    ours = AverageWeights(net, 0.99)
    seen = [copy.deepcopy(net.state_dict())]
    for _ in range(20):
        step(net)
        ours.update()
        seen.append(copy.deepcopy(net.state_dict()))
    for key, value in ours.state_dict().items():
        shares = [0.99**20] + [0.01 * 0.99 ** (20 - n) for n in range(1, 21)]
        total = sum(share * each[key].double() for share, each in zip(shares, seen, strict=True))
        assert value.dtype == torch.promote_types(dtype, torch.float32)
        torch.testing.assert_close(value.double(), total, rtol=1e-5, atol=1e-5)
    places = [weight.data_ptr() for weight in net.parameters()]
    with ours.in_model():
        for key, value in ours.state_dict().items():
            assert torch.equal(net.state_dict()[key], value.to(dtype))
        assert [weight.data_ptr() for weight in net.parameters()] == places
    assert all(torch.equal(net.state_dict()[key], seen[-1][key]) for key in seen[-1])


def test_averages_of_another_model_are_refused() -> None:
    for values in (None, {}, AverageWeights(nn.Linear(3, 4), 0.5).state_dict()):
        with pytest.raises(GraphPERuntimeError, match="the averages of its weights are missing, or another model's"):
            AverageWeights(model(), 0.5).load_state_dict(values)


BATCH_NORM = "GCN(width=8, layers=2, norm='batch', dropout=0.1, feed_forward=True, virtual_node=True)"
MORE = {"batch_size": 10, "epochs": 3, "model": BATCH_NORM, "ema_decay": 0.9, "learning_rate": 0.05}


def test_a_run_is_judged_by_its_averages(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The average of the weights after each step, and of those at the start, written out; best.pt has them."""
    seen: list[dict[str, Any]] = []
    plain, kept = Training._step, {}

    def watched(self: Training, batch: Any) -> Any:
        if not seen:
            seen.append(copy.deepcopy(self.model.module.state_dict()))
        out = plain(self, batch)
        seen.append(copy.deepcopy(self.model.module.state_dict()))
        return out

    def judged(self: Training) -> bool:
        better = validate(self)
        kept[self.state.epoch] = len(seen) - 1, better
        return better

    validate = Training._validate
    monkeypatch.setattr(Training, "_step", watched)
    monkeypatch.setattr(Training, "_validate", judged)
    train(options, tmp_path / "run", **MORE)
    best = max(epoch for epoch, (_, better) in kept.items() if better)
    steps = kept[best][0]
    assert steps == 8 * (best + 1)
    content = load_checkpoint(tmp_path / "run" / "best.pt")
    assert content["state"]["best_digest"] == digest(content["model"])
    assert "average" not in content
    for key, value in content["model"].items():
        if value.is_floating_point():
            total = 0.9**steps * seen[0][key].double()
            total = total + sum(0.1 * 0.9 ** (steps - n) * seen[n][key].double() for n in range(1, steps + 1))
            torch.testing.assert_close(value.double(), total, rtol=1e-4, atol=1e-5)
            assert not torch.equal(value, seen[steps][key])
    last = load_checkpoint(tmp_path / "run" / "last.pt")
    assert all(torch.equal(last["model"][key], seen[-1][key]) for key in seen[-1])


CHANGES: dict[str, dict[str, Any]] = {
    "averages": {"ema_decay": 0.9},
    "averages of three": {"ema_decay": 0.8, "accumulate": 3, "decay_of": "matrices", "weight_decay": 0.3},
    "restarts": {"schedule": "cosine_restarts", "restart_steps": 5, "restart_factor": 2, "min_learning_rate": 1e-3},
    "plateau": {"schedule": "plateau", "plateau_patience": 0, "plateau_factor": 0.3, "ema_decay": 0.5},
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_run_that_was_stopped_ends_in_the_same_bits(
    options: dict[str, Any], tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = {key: value for key, value in MORE.items() if key != "ema_decay"} | CHANGES[name]
    more |= {"checkpoint_minutes": 1e-9}
    straight = train(options, tmp_path / "straight", **more)
    plain = Training._step

    def stopped(self: Training, batch: Any) -> Any:
        if (self.state.epoch, self.state.step) == (1, 4):
            raise Interrupted("stopped", 2)
        return plain(self, batch)

    monkeypatch.setattr(Training, "_step", stopped)
    with pytest.raises(Interrupted):
        train(options, tmp_path / "stopped", **more)
    monkeypatch.setattr(Training, "_step", plain)
    folder = RunFolder.open(tmp_path / "stopped")
    assert ("average" in load_checkpoint(folder.last)) == ("ema_decay" in more)
    resumed = run_experiment(folder.read_config(), resume=folder, progress=False, workers=1)
    assert (resumed["valid"], resumed["test"]) == (straight["valid"], straight["test"])
    for file in ("last.pt", "best.pt"):
        one, two = (load_checkpoint(tmp_path / run / file) for run in ("straight", "stopped"))
        for part in ("model", "average", "optimizer"):
            assert digest(one.get(part)) == digest(two.get(part)), (file, part)
    rates = [
        [record["learning_rate"] for record in load_checkpoint(tmp_path / run / "last.pt")["state"]["history"]]
        for run in ("straight", "stopped")
    ]
    assert rates[0] == rates[1]


def test_a_kill_between_last_and_best_is_mended_with_averages(options: dict[str, Any], tmp_path: Path) -> None:
    train(options, tmp_path / "run", **MORE | {"epochs": 1})
    folder = RunFolder.open(tmp_path / "run")
    best = load_checkpoint(folder.best)["model"]
    folder.best.unlink()
    (folder.path / "summary.json").unlink()
    run_experiment(folder.read_config(), resume=folder, progress=False, workers=1)
    assert digest(load_checkpoint(folder.best)["model"]) == digest(best)
