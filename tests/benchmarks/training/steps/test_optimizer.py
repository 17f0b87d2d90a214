"""Steps of the optimizer, against loops written out."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from graphpe.benchmarks.training.checkpoints.file import load_checkpoint
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.benchmarks.training.experiment import run_experiment
from graphpe.benchmarks.training.interrupt import Interrupted
from graphpe.benchmarks.training.loop import Training
from graphpe.benchmarks.training.run_folder import RunFolder
from graphpe.benchmarks.training.schedule import step_seed
from graphpe.benchmarks.training.steps.optimizer import build_optimizer
from graphpe.errors import GraphPEValueError

from ..conftest import train


def written_out(
    kind: str,
    weights: list[Tensor],
    gradients: list[list[Tensor]],
    rate: float,
    decay: float,
    betas: tuple[float, float],
) -> list[Tensor]:
    """Adam (Kingma and Ba 2015) with L2 decay, or with decoupled decay (Loshchilov and Hutter 2019), in float64."""
    first, second = betas
    found = [weight.double() for weight in weights]
    means, squares = ([torch.zeros_like(weight) for weight in found] for _ in range(2))
    for step, given in enumerate(gradients, start=1):
        for index, gradient in enumerate(given):
            gradient = gradient.double()
            if kind == "adam":
                gradient = gradient + decay * found[index]
            else:
                found[index] = found[index] * (1 - rate * decay)
            means[index] = first * means[index] + (1 - first) * gradient
            squares[index] = second * squares[index] + (1 - second) * gradient**2
            root = (squares[index] / (1 - second**step)).sqrt()
            found[index] = found[index] - rate * means[index] / (1 - first**step) / (root + 1e-8)
    return found


@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_optimizers_against_their_formulas(kind: str) -> None:
    model = nn.Linear(3, 2)
    start = [weight.detach().clone() for weight in model.parameters()]
    config = TrainConfig(optimizer=kind, learning_rate=0.1, weight_decay=0.3, beta1=0.7, beta2=0.9)  # type: ignore[arg-type]
    optimizer = build_optimizer(model, config)
    gradients = [[torch.randn_like(weight) for weight in start] for _ in range(5)]
    for given in gradients:
        for weight, gradient in zip(model.parameters(), given, strict=True):
            weight.grad = gradient.clone()
        optimizer.step()
    expected = written_out(kind, start, gradients, 0.1, 0.3, (0.7, 0.9))
    for weight, value in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(weight.detach().double(), value, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_what_decays(kind: str) -> None:
    """Without gradients, only decay changes weights; of Adam by a step of about the rate."""
    model = nn.ModuleDict(
        {"table": nn.Embedding(4, 3), "linear": nn.Linear(3, 2), "norm": nn.LayerNorm(2), "frozen": nn.Linear(2, 2)}
    )
    model["frozen"].requires_grad_(False)
    for weight in model.parameters():
        nn.init.constant_(weight, 2.0)
        weight.grad = torch.zeros_like(weight)
    for decay_of, decaying in (("all", 5), ("matrices", 1)):
        tried = copy.deepcopy(model)
        for weight in tried.parameters():
            weight.grad = torch.zeros_like(weight)
        config = TrainConfig(optimizer=kind, learning_rate=0.1, weight_decay=0.3, decay_of=decay_of)  # type: ignore[arg-type]
        build_optimizer(tried, config).step()
        changed = [
            name for name, weight in tried.named_parameters() if not torch.equal(weight, torch.full_like(weight, 2))
        ]
        assert len(changed) == decaying
        assert "linear.weight" in changed
        assert not any(name.startswith("frozen") for name in changed)


def test_bad_options() -> None:
    for bad, message in (
        ({"optimizer": "sgd"}, "optimizer must be one of 'adamw', 'adam', got 'sgd'"),
        ({"clip_by": "value"}, "clip_by must be one of 'norm', 'unit', 'update', got 'value'"),
        ({"beta1": 1.0}, "beta1 must be"),
        ({"beta2": -0.1}, "beta2 must be"),
        ({"accumulate": 0}, "accumulate must be from 1 to"),
        ({"decay_of": "norms"}, "decay_of must be one of 'all', 'matrices', got 'norms'"),
        ({"ema_decay": 1.0}, "ema_decay must be"),
        ({"label_smoothing": -0.1}, "label_smoothing must be"),
        ({"plateau_factor": 1.0}, "plateau_factor must be"),
        ({"plateau_factor": 0.0}, "plateau_factor must be"),
        ({"restart_steps": 0}, "restart_steps must be from 1 to"),
        ({"restart_factor": 0}, "restart_factor must be from 1 to"),
        ({"min_learning_rate": 0.5}, "min_learning_rate=0.5 is above learning_rate=0.003: lower it"),
        ({"schedule": "step"}, "schedule must be one of 'cosine', 'cosine_restarts', 'linear', 'plateau', 'constant'"),
    ):
        with pytest.raises(GraphPEValueError, match=message):
            TrainConfig(**bad)


CHANGES: dict[str, dict[str, Any]] = {
    "mean of three": {"accumulate": 3, "clip": 0.0},
    "clipped norm": {"accumulate": 3, "clip": 0.2},
    "clipped units": {"accumulate": 3, "clip": 0.02, "clip_by": "unit"},
    "clipped update": {"accumulate": 3, "clip": 0.02, "clip_by": "update"},
}


def units(weight: Tensor, values: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Of a model without tables of embeddings: rows of matrices, vectors as a whole."""
    if weight.squeeze().dim() < 2:
        return [(weight, values)]
    return list(zip(weight.unbind(0), values.unbind(0), strict=True))


def scaled(weight: Tensor, values: Tensor, most: float) -> Tensor:
    values = values.clone()
    for own, unit in units(weight, values):
        allowed = most * max(float(own.norm()), 1e-3)
        if float(unit.norm()) > allowed:
            unit *= allowed / float(unit.norm())
    return values


@pytest.mark.parametrize("name", CHANGES)
def test_a_run_against_a_loop_by_hand(
    options: dict[str, Any], tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """80 graphs in batches of 10: steps of three, three and two batches in each of two epochs."""
    more: dict[str, Any] = {
        "batch_size": 10,
        "epochs": 2,
        "learning_rate": 0.01,
        "optimizer": "adam",
        "weight_decay": 0.01,
    } | CHANGES[name]
    seen: dict[str, Any] = {"batches": []}
    step = Training._step

    def watched(self: Training, batch: Any) -> Any:
        if "model" not in seen:
            seen["model"], seen["adapter"] = copy.deepcopy(self.model.module), self.data.adapter
            seen["planned"] = self.planned_steps
        seen["batches"].append((self.state.epoch, self.state.step, batch.clone()))
        return step(self, batch)

    monkeypatch.setattr(Training, "_step", watched)
    train(options, tmp_path / "run", **more)
    history = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert seen["planned"] == 6
    assert [record["steps"] for record in history] == [3, 6]

    model, clip, clip_by = seen["model"], more["clip"], more.get("clip_by", "norm")
    model.train()
    made = 0
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=0.01)
    for epoch in range(2):
        for first, count in ((0, 3), (3, 3), (6, 2)):
            rate = 0.01 * (made + 1) / 2 if made < 2 else 0.005 * (1 + math.cos(math.pi * (made - 2) / 4))
            optimizer.zero_grad()
            for number in range(first, first + count):
                of_epoch, at, batch = seen["batches"][8 * epoch + number]
                assert (of_epoch, at) == (epoch, number)
                torch.manual_seed(step_seed(0, epoch, number, 0))
                (seen["adapter"].loss(model(batch), batch) / count).backward()
            weights = [weight.detach().clone() for weight in model.parameters()]
            if clip and clip_by == "norm":
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            elif clip_by == "unit":
                for weight in model.parameters():
                    weight.grad = scaled(weight.detach(), weight.grad, clip)
            optimizer.param_groups[0]["lr"] = rate
            optimizer.step()
            made += 1
            if clip_by == "update":
                with torch.no_grad():
                    for weight, before in zip(model.parameters(), weights, strict=True):
                        weight.copy_(before + scaled(before, weight - before, clip))
        assert history[epoch]["learning_rate"] == pytest.approx(rate)
    ended = load_checkpoint(tmp_path / "run" / "last.pt")["model"]
    for key, value in model.state_dict().items():
        torch.testing.assert_close(ended[key], value, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["mean of three", "clipped update"])
def test_a_run_that_was_stopped_within_a_step_ends_in_the_same_bits(
    options: dict[str, Any], tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = {"batch_size": 10, "epochs": 2, "checkpoint_minutes": 1e-9} | CHANGES[name]
    straight = train(options, tmp_path / "straight", **more)
    step = Training._step

    def stopped(self: Training, batch: Any) -> Any:
        if (self.state.epoch, self.state.step) == (1, 4):  # one batch of three is in the gradient
            raise Interrupted("stopped", 2)
        return step(self, batch)

    monkeypatch.setattr(Training, "_step", stopped)
    with pytest.raises(Interrupted):
        train(options, tmp_path / "stopped", **more)
    monkeypatch.setattr(Training, "_step", step)
    state = load_checkpoint(tmp_path / "stopped" / "last.pt")["state"]
    assert (state["step"], state["total_steps"]) == (3, 4)
    folder = RunFolder.open(tmp_path / "stopped")
    resumed = run_experiment(folder.read_config(), resume=folder, progress=False, workers=1)
    assert (resumed["valid"], resumed["test"]) == (straight["valid"], straight["test"])
    one, two = (load_checkpoint(tmp_path / run / "last.pt")["model"] for run in ("straight", "stopped"))
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_max_steps_are_those_of_the_optimizer(options: dict[str, Any], tmp_path: Path) -> None:
    train(options, tmp_path / "run", batch_size=10, accumulate=3, max_steps=4, epochs=9)
    history = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [record["steps"] for record in history] == [3, 4]
