"""Captured steps are the steps: on the CPU, where a replay makes them again, and recorded on the pretended device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphpe.benchmarks.calls.build import build_encodings, build_model
from graphpe.benchmarks.measure.gpu.cases import FIRST, Case, random_graphs
from graphpe.benchmarks.measure.pretend.accelerator import move_module, pretending, to_host
from graphpe.benchmarks.measure.pretend.replay import CannotCaptureError, Recorded
from graphpe.benchmarks.measure.pretend.tensors import DEVICE
from graphpe.benchmarks.training.batches.pad import Padded
from graphpe.benchmarks.training.batches.shapes import shape_of
from graphpe.benchmarks.training.checkpoints.file import load_checkpoint
from graphpe.benchmarks.training.experiment import run_experiment
from graphpe.benchmarks.training.interrupt import Interrupted
from graphpe.benchmarks.training.loop import Training
from graphpe.benchmarks.training.run_folder import RunFolder
from graphpe.benchmarks.training.steps import choose
from graphpe.benchmarks.training.steps.captured import CapturedSteps, EachTime
from graphpe.graphs.loader import PackedLoader
from graphpe.models.batches.real_rows import real_rows_of
from graphpe.transforms.compose import Compose

from ..conftest import train

CASES = {case.name: case for case in FIRST if case.level == "graph"}
SCALED = Case(
    "GINE(width=16, layers=1)",
    adapter=type(FIRST[0].adapter)((9, 9), (4,), 3, "squared", shift=(1.0, 0.0, 2.0), scale=(2.0, 1.0, 0.5)),  # type: ignore[call-arg]
)
TRIPLETS = Case("EdgeTransformer(width=16, layers=2, heads=2, attention_dropout=0.3)", ["RelativeRandomWalkPE(8)"])
FAST = [
    "GRIT(..., attention='full', attention_dropout=0.0) RelativeRandomWalkPE(8) absolute",
    "GPS(...) ShortestPathPE(max_distance=6) RandomWalkPE(8) absolute",
]
_NOT = ("attention='sparse'", "attention='tree'", "SAT", "Exphormer", "NeuralWalker", "mask='heads'")
SLOW = [  # one of each architecture, path and encoder
    case.name
    for case in FIRST
    if case.name not in FAST
    and case.level == "graph"
    and ("GraphT" in case.name or not any(no in case.name for no in _NOT))
]

Change = Callable[[Batch, Tensor], Tensor]


def trained(case: Case, *, captured: bool, change: Change = lambda batch, loss: loss) -> tuple[list[float], Any, int]:
    """Losses and weights after some steps on the pretended device, and how many steps were replays.

    Args:
        case: The model.
        captured: Whether steps are recorded and replayed.
        change: What is done to the loss of a batch.
    """
    encodings = build_encodings(case.encodings)
    packed = Compose(encodings)(random_graphs(16, seed=3)) if encodings else random_graphs(16, seed=3)
    sizes = [(np.diff(batch.ptr.numpy()), batch.num_edges) for batch in PackedLoader(packed, 4, shuffle=True)]
    padded = Padded(lambda graphs: graphs, [shape_of(sizes)])
    torch.manual_seed(0)
    parts = {"encoder": case.encoder, "bias": case.bias, "perturb": case.perturb}
    model = build_model(case.model, case.adapter, encodings, **parts)
    losses: list[float] = []
    with pretending() as seen:
        move_module(model)
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], fused=True)

        def compute(batch: Batch) -> tuple[Tensor, ...]:
            optimizer.zero_grad(set_to_none=True)
            with real_rows_of(batch):
                loss = change(batch, case.adapter.loss(model(batch), batch))
            loss.backward()
            optimizer.step()
            return (loss.detach(),)

        def kept() -> list[Tensor]:
            moments = [value for state in optimizer.state.values() for value in state.values()]
            return [*model.parameters(), *model.buffers(), *moments]

        engine = Recorded(seen, kept)
        steps = CapturedSteps(compute, optimizer, engine, DEVICE)
        loader = PackedLoader(packed, 4, shuffle=True, device=DEVICE, transform=padded)
        for number, batch in enumerate(list(loader)[:4]):
            torch.manual_seed(number)
            rate = 1e-2 / (number + 1)
            if captured:
                (loss,) = steps(padded.mark(batch), rate)
            else:
                for group in optimizer.param_groups:
                    group["lr"] = rate
                (loss,) = compute(padded.mark(batch))
            losses.append(float(to_host(loss)))
        assert not seen.syncs, seen.report()
        weights = {name: to_host(value).detach().clone() for name, value in model.state_dict().items()}
    return losses, weights, engine.replays


@pytest.mark.parametrize("case", [
    *(pytest.param(CASES[name], id=name) for name in FAST),
    pytest.param(SCALED, id="scaled targets"),
    pytest.param(TRIPLETS, id="dropout of triplets that is computed again"),
    *(pytest.param(CASES[name], id=name, marks=pytest.mark.slow) for name in SLOW),
])  # fmt: skip
def test_replays_give_the_bits_of_the_steps_themselves(case: Case) -> None:
    losses, weights, _ = trained(case, captured=False)
    its_losses, its_weights, replays = trained(case, captured=True)
    assert replays == len(losses) - 1, "all but the first step of the one shape"
    assert its_losses == losses
    assert all(torch.equal(its_weights[key], weights[key]) for key in weights)


@pytest.mark.parametrize(("change", "why"), [
    (lambda batch, loss: loss * float(loss.detach() > 0), "item at"),
    (lambda batch, loss: loss * torch.ones(3).to(loss.device, non_blocking=True).mean(), "copy to device at"),
    (lambda batch, loss: loss * len(batch.y[batch.y > 0]), "mask as index|index at"),
])  # fmt: skip
def test_a_step_in_which_the_host_waits_or_copies_cannot_be_captured(change: Change, why: str) -> None:
    with pytest.raises(CannotCaptureError, match=why):
        trained(SCALED, captured=True, change=change)


def test_a_step_that_asks_for_the_state_of_the_generator_cannot_be_captured() -> None:
    """To drop again in the backward pass what was dropped in a layer."""
    case = Case("EdgeTransformer(width=16, layers=1, heads=2, dropout=0.1, checkpoint=True)", TRIPLETS.encodings)
    trained(case, captured=False)
    with pytest.raises(CannotCaptureError, match="state of the device's generator"):
        trained(case, captured=True)


def test_a_number_that_the_host_chose_is_seen_in_a_replay() -> None:
    made: list[int] = []

    def changed(batch: Batch, loss: Tensor) -> Tensor:
        made.append(1)
        return loss * (1 + len(made) % 3)

    losses, _, _ = trained(SCALED, captured=False, change=changed)
    made.clear()
    its_losses, _, _ = trained(SCALED, captured=True, change=changed)
    assert its_losses != losses


def weights_of(run: Path) -> dict[str, Tensor]:
    return load_checkpoint(run / "last.pt")["model"]


def same(mine: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(mine[key], other[key]) for key in other)


@pytest.mark.parametrize("more", [{}, {"ema_decay": 0.9, "decay_of": "matrices"}])
def test_a_run_of_captured_steps_is_that_of_the_plain_loop_and_resumes_in_its_bits(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
) -> None:
    model = "GPS(width=8, layers=1, heads=2, local='GCN', dropout=0.1)"
    options = options | {"model": model, "epochs": 3, "batch_size": 16} | more
    monkeypatch.setitem(choose.ENGINES, "cpu", EachTime)
    captured = train(options, tmp_path / "captured")

    def plainly(steps: CapturedSteps, batch: Batch, rate: float) -> tuple[Tensor, ...]:
        for group in steps._optimizer.param_groups:
            group["lr"] = rate
        return steps._compute(batch)

    with monkeypatch.context() as changed:
        changed.setattr(CapturedSteps, "__call__", plainly)
        plain = train(options, tmp_path / "plain")
    assert same(weights_of(tmp_path / "captured"), weights_of(tmp_path / "plain"))
    assert (captured["test"], captured["valid"]) == (plain["test"], plain["valid"])

    step = Training._step

    def stopped(self: Training, batch: Batch) -> tuple[Tensor, Tensor]:
        if self.state.total_steps == 8:  # 5 steps an epoch
            self.save()
            raise Interrupted("stopped", 2)
        return step(self, batch)

    with monkeypatch.context() as changed:
        changed.setattr(Training, "_step", stopped)
        with pytest.raises(Interrupted):
            train(options, tmp_path / "resumed")
    folder = RunFolder.open(tmp_path / "resumed")
    resumed = run_experiment(folder.read_config(), resume=folder, progress=False, workers=1)
    assert same(weights_of(tmp_path / "resumed"), weights_of(tmp_path / "plain"))
    assert resumed["test"] == plain["test"]


def test_padded_and_captured_training_is_that_of_batches_as_they_are(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = options | {"model": "GINE(width=8, layers=2)", "epochs": 2, "batch_size": 16, "precision": "64-true"}
    plain = train(options, tmp_path / "plain")
    monkeypatch.setitem(choose.ENGINES, "cpu", EachTime)
    captured = train(options, tmp_path / "captured")
    off = train(options, tmp_path / "off", graphs=False)
    assert same(weights_of(tmp_path / "off"), weights_of(tmp_path / "plain"))
    assert not same(weights_of(tmp_path / "captured"), weights_of(tmp_path / "plain")), "nothing was padded"
    for key, value in weights_of(tmp_path / "plain").items():
        torch.testing.assert_close(weights_of(tmp_path / "captured")[key], value, atol=1e-4, rtol=1e-4)
    assert captured["test"] == pytest.approx(plain["test"], rel=1e-4)
    assert off["test"] == plain["test"]
