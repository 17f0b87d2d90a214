"""The training loop: steps, epochs, validation, checkpoints.

Everything random in a step is a function of (seed, epoch, step), and the order of the batches of (seed, epoch): a run
that is killed and resumed makes the same steps as one that is not, and on CPU ends in the same bits.

On several devices, what depends on clocks, signals and files is decided by the first one (`distributed/ranks.py`), and
sums are those of all (`distributed/tally.py`). A loss or gradient that is not finite ends the run, on every kind of
device, when the sums are read: at the latest `MOST_STEPS` steps later, and before anything is saved.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from shlex import quote
from typing import Any, NamedTuple

import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricModule, _FabricOptimizer
from torch_geometric.data import Batch

from graphpe.benchmarks.tasks.metrics import figure
from graphpe.benchmarks.tasks.task import TaskData
from graphpe.benchmarks.training.batch_transform import BatchTransform
from graphpe.benchmarks.training.batches.choose import batch_source
from graphpe.benchmarks.training.checkpoints.saves import Saves
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.benchmarks.training.distributed.ranks import agree
from graphpe.benchmarks.training.distributed.tally import MOST_STEPS, Tally
from graphpe.benchmarks.training.interrupt import Interrupted, StopRequest, stop_on_signals
from graphpe.benchmarks.training.logs.epoch_log import EpochLog
from graphpe.benchmarks.training.run_folder import RunFolder
from graphpe.benchmarks.training.schedule import LEAST_RATE, learning_rate, plateau_reductions, step_seed
from graphpe.benchmarks.training.state import TrainState
from graphpe.benchmarks.training.steps.average import AverageWeights, judged
from graphpe.benchmarks.training.steps.captured import CapturedSteps
from graphpe.benchmarks.training.steps.choose import capturing
from graphpe.benchmarks.training.steps.clipping import UpdateClipping, clip_gradients, units_of
from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.models.batches.real_rows import real_rows_of
from graphpe.progress import progress_bar

_PLANNED_EPOCHS = 100
"""Epochs whose steps are counted before training, for the schedule of the learning rate; more are like them."""


class Diverged(GraphPERuntimeError):
    """Training gave numbers that are not finite. What was saved before stays."""


class Evaluation(NamedTuple):
    """What the weights of one moment give on one part of the split.

    Attributes:
        metric: The metric.
        loss: The mean loss.
        by_target: The metric of each target alone, where there are several.
    """

    metric: float
    loss: float
    by_target: dict[str, float | None]


@dataclass
class Training:
    """One run under way.

    Attributes:
        fabric: Devices and precision.
        model: The model, set up by `fabric`.
        optimizer: Its optimizer, set up by `fabric`.
        data: The task's data.
        graphs: The graphs, encoded.
        transform: What is done to the graphs of each batch.
        config: The options.
        run: The folder of the run.
        state: Where the run is.
        description: The model's `repr`, checked when a checkpoint is loaded.
        progress: Whether to show progress.
        log: Where epochs are logged beside the run's own files, if anywhere.
        notes: What the user may want to know of how steps are made, a line each.
    """

    fabric: Fabric
    model: _FabricModule
    optimizer: _FabricOptimizer
    data: TaskData
    graphs: PackedGraphs
    transform: BatchTransform
    config: TrainConfig
    run: RunFolder
    state: TrainState
    description: str
    progress: bool
    log: EpochLog | None = None

    def __post_init__(self) -> None:
        config = self.config
        engine, why_not = capturing(self.model.module, self.data, config, self.fabric)
        self.source = batch_source(
            self.data, self.graphs, self.transform, config, self.fabric, padded=engine is not None
        )
        self.notes = [note for note in (why_not, *self.source.notes) if note]
        self._captured = None
        if engine is not None:
            optimizer, device = self.optimizer.optimizer, self.fabric.device
            self._captured = CapturedSteps(self._compute, optimizer, engine, device)
        first = self._epoch_steps(0)
        if first == 0:
            raise GraphPEValueError(
                f"{len(self.data.split['train'])} training {self.data.unit}s give no batch of {config.batch_size} for "
                f"each of {self.fabric.world_size} devices; use a smaller batch_size"
            )
        # With limits, epochs differ in their number of batches; to look at all of them may take longer than training.
        looked_at = range(min(config.epochs, _PLANNED_EPOCHS)) if self.source.varies else range(1)
        steps = sum(math.ceil(self._epoch_steps(epoch) / config.accumulate) for epoch in looked_at)
        steps = steps * config.epochs // len(looked_at)
        self.planned_steps = min(steps, config.max_steps) if config.max_steps else steps
        self._end = first  # batches of the epoch under way
        self._units = units_of(self.model.module) if config.clip > 0 and config.clip_by != "norm" else []
        self._update = UpdateClipping(self._units, config.clip) if config.clip_by == "update" and self._units else None
        self._average = AverageWeights(self.model.module, config.ema_decay) if config.ema_decay else None
        self.saves = Saves(
            self.fabric, self.model, self.optimizer, self._average, self.data, config, self.run, self.description
        )
        if config.label_smoothing and not self.data.adapter.has_classes:
            raise GraphPEValueError(
                f"label_smoothing={config.label_smoothing} is for tasks of classes, which this is not: leave it 0"
            )
        self._smoothing = {"label_smoothing": config.label_smoothing} if config.label_smoothing else {}
        self._last_save = time.monotonic()

    def _epoch_steps(self, epoch: int) -> int:
        return self.source.count(epoch) // self.fabric.world_size

    def _rate(self) -> float:
        """The learning rate of the step that comes."""
        config, reductions = self.config, 0
        if config.schedule == "plateau":
            losses = [record["valid_loss"] for record in self.state.history]
            reductions = plateau_reductions(losses, config.plateau_patience)
        return learning_rate(
            self.state.total_steps,
            peak=config.learning_rate,
            least=config.min_learning_rate,
            warmup_steps=config.warmup_steps,
            total_steps=self.planned_steps,
            schedule=config.schedule,
            restart_steps=config.restart_steps,
            restart_factor=config.restart_factor,
            reductions=reductions,
            plateau_factor=config.plateau_factor,
        )

    @property
    def finished(self) -> bool:
        """Whether nothing is left to train: all steps or minutes made, no progress, or the end of a plateau."""
        state, config = self.state, self.config
        stale = config.patience > 0 and state.epoch - 1 - state.best_epoch >= config.patience
        spent = sum(sum(record["seconds"].values()) for record in state.history) / 60
        late = config.max_minutes > 0 and spent >= config.max_minutes
        made = config.max_steps > 0 and state.total_steps >= config.max_steps
        warm = state.total_steps >= min(config.warmup_steps, self.planned_steps)
        flat = config.schedule == "plateau" and warm and self._rate() < LEAST_RATE
        return state.epoch >= config.epochs or made or stale or late or flat

    @property
    def on_one_core(self) -> bool:
        """Whether processor seconds of this process say what training costs: no other device has a part in it."""
        return self.fabric.device.type == "cpu" and self.fabric.world_size == 1

    def fit(self) -> None:
        """Train until finished.

        Raises:
            Interrupted: After SIGINT or SIGTERM, with the state saved.
            Diverged: A loss or a gradient was not finite, or no epoch gave a finite validation metric.
        """
        with stop_on_signals() as stop:
            while not self._finished_anywhere():
                self._train_epoch(stop)
                better = self._validate()
                self.state.start_epoch()
                self.save()
                if better:  # second: where only `last.pt` is there, the best weights are in it
                    self.saves.write_best(self.state)
                signal_number = Tally(self.fabric).meet(signal_number=stop.signal_number, save=False).signal_number
                if signal_number and not self._finished_anywhere():
                    self._interrupt(signal_number)
        if self.state.best_metric is None:
            raise Diverged(
                f"no epoch of {self.state.epoch} gave a finite validation {self.data.metric}: lower learning_rate, "
                "raise warmup_steps, or use precision 32-true, in a new run"
            )

    def _finished_anywhere(self) -> bool:
        return agree(self.fabric, lambda: self.finished)

    def _train_epoch(self, stop: StopRequest) -> None:
        state, config = self.state, self.config
        self.model.train()
        world, rank = self.fabric.world_size, self.fabric.global_rank
        batches = self.source.train(state.epoch, start=state.step * world + rank, stride=world)
        end = self._epoch_steps(state.epoch)
        if config.max_steps:
            end = min(end, state.step + config.accumulate * (config.max_steps - state.total_steps))
        self._end = end
        bar = progress_bar(
            total=end,
            initial=state.step,
            desc=f"epoch {state.epoch + 1}/{config.epochs}",
            unit="step" if config.accumulate == 1 else "batch",
            leave=False,
            disable=not self.progress,
        )
        tally = Tally(self.fabric)
        next_meeting = state.step + (1 if world > 1 else MOST_STEPS)
        used = time.process_time()
        with bar:
            while state.step < end:
                started = time.perf_counter()
                batch, asked = next(batches)
                loaded = time.perf_counter()
                loss, finite = self._step(batch)
                done = time.perf_counter()
                whole = self._ends_a_step
                state.step += 1
                state.total_steps += whole
                state.seconds["load"] += loaded - started
                state.seconds["step"] += done - loaded
                now = time.process_time()
                state.cpu_seconds += now - used
                used = now
                tally.add(loss, finite, asked, state.total_steps + (not whole), done - started)
                bar.update()
                if not whole:  # what is saved, and where devices stop, has no gradients left over
                    continue
                due = time.monotonic() - self._last_save > 60 * config.checkpoint_minutes
                alone = world == 1 and bool(due or stop.signal_number)  # several devices meet at steps they agreed on
                if not (alone or state.step >= next_meeting or state.step == end):
                    continue
                met = tally.meet(signal_number=stop.signal_number, save=due)
                next_meeting = state.step + met.steps
                state.loss_sum += met.loss_sum
                state.graphs_seen += met.graphs
                if met.diverged_at is not None:
                    self._diverged(met.diverged_at)
                bar.set_postfix(loss=f"{state.loss_sum / state.graphs_seen:.3f}", refresh=False)
                if (met.save or met.signal_number) and state.step < end:
                    self.save()
                    if met.signal_number:
                        bar.close()
                        self._interrupt(met.signal_number)

    def _step(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """One step: its loss, and whether loss and gradient are finite; both on the device, not read."""
        state, config = self.state, self.config
        seed = step_seed(config.seed, state.epoch, state.step, self.fabric.global_rank)
        # `torch.manual_seed` notes its caller's stack for each kind of device that is not in use: a millisecond.
        (torch.default_generator if self.fabric.device.type == "cpu" else torch).manual_seed(seed)
        rate = self._rate()
        if self._captured is not None:
            loss, finite = self._captured(batch, rate)
            return loss, finite
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return self._compute(batch)

    def _compute(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """What a step does on the device."""
        state, config = self.state, self.config
        before = state.step % config.accumulate  # batches of this step that were before this one
        together = min(config.accumulate, self._end - state.step + before)
        if not before:
            self.optimizer.zero_grad(set_to_none=True)
        with self.fabric.no_backward_sync(self.model, enabled=not self._ends_a_step):
            loss = self.loss(batch)
            self.fabric.backward(loss if together == 1 else loss / together)
        loss = loss.detach()
        finite = torch.isfinite(loss)
        if not self._ends_a_step:
            return loss, finite
        norm = self._clip()
        self._optimize()
        # With scaled gradients of 16 bits, some steps overflow by design: they are left out, and the scale falls.
        return loss, finite if config.precision == "16-mixed" else finite & torch.isfinite(norm)

    def loss(self, batch: Batch) -> torch.Tensor:
        """The loss of a batch as training has it.

        Args:
            batch: The batch.
        """
        with real_rows_of(batch):
            return self.data.adapter.loss(self.model(batch), batch, **self._smoothing)

    @property
    def _ends_a_step(self) -> bool:
        """Whether the batch that comes is the last one of a step of the optimizer."""
        reached = self.state.step + 1
        return reached % self.config.accumulate == 0 or reached == self._end

    def _optimize(self) -> None:
        """The optimizer's step; what it changes is clipped, if that is to be."""
        if self._update is not None:
            self._update.before()
        self.optimizer.step()
        if self._update is not None:
            self._update.after()
        if self._average is not None:
            self._average.update()

    def _clip(self) -> torch.Tensor:
        """Clip the gradient, if it is to be; its norm before."""
        if self.config.clip > 0 and self.config.clip_by == "norm":
            norm = self.fabric.clip_gradients(
                self.model, self.optimizer, max_norm=self.config.clip, error_if_nonfinite=False
            )
            assert norm is not None
            return norm
        if self._units:
            self.fabric.strategy.precision.unscale_gradients(self.optimizer.optimizer)
        gradients = [weight.grad for weight in self.model.parameters() if weight.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if self.config.clip_by == "unit":
            clip_gradients(self._units, self.config.clip)
        return norm

    def _diverged(self, step: int) -> None:
        best = self.state.best_metric
        kept = (
            f"; the weights of epoch {self.state.best_epoch + 1} (valid {self.data.metric} {figure(best)}) are in "
            f"{self.run.best}"
            if best is not None
            else ""
        )
        raise Diverged(
            f"loss or gradient is not finite at step {step}, in epoch {self.state.epoch + 1}: lower learning_rate, "
            f"raise warmup_steps, or use clip and precision 32-true, in a new run (resuming repeats it){kept}"
        )

    def evaluate(self, part: str) -> Evaluation:
        """The current weights on a part of the split."""
        return self.score(*self.predict(part), part)

    def predict(self, part: str) -> tuple[torch.Tensor, float]:
        """What the current weights predict for a part of the split, and the mean loss."""
        return self.source.predict(self.model, part, progress=self.progress)

    def score(self, predictions: torch.Tensor, loss: float, part: str) -> Evaluation:
        """The metrics of what was predicted for a part of the split."""
        indices = self.data.split[part]
        return agree(self.fabric, lambda: self._score(predictions, indices, loss))

    def _score(self, predictions: torch.Tensor, indices: torch.Tensor, loss: float) -> Evaluation:
        """The metrics; NaN for predictions that are not finite, on which no metric is defined."""
        finite = not predictions.is_floating_point() or bool(torch.isfinite(predictions).all())
        if not finite or math.isnan(loss):
            return Evaluation(math.nan, loss, {})
        return Evaluation(self.data.evaluate(predictions, indices), loss, self.data.target_scores(predictions, indices))

    def _validate(self) -> bool:
        """Evaluate and note the epoch; whether it is the best one."""
        state, data = self.state, self.data
        started = time.perf_counter()
        with judged(self._average):
            metric, loss, by_target = self.evaluate("valid")
        state.seconds["evaluate"] += time.perf_counter() - started
        state.seconds = agree(self.fabric, lambda: state.seconds)
        best = state.best_metric
        better = math.isfinite(metric) and (best is None or (metric > best if data.maximize else metric < best))
        record = {
            "epoch": state.epoch + 1,
            "steps": state.total_steps,
            "learning_rate": float(self.optimizer.param_groups[0]["lr"]),
            "train_loss": state.loss_sum / max(state.graphs_seen, 1),
            "valid_loss": loss,
            f"valid_{data.metric}": metric,
            **({"valid_by_target": by_target} if by_target else {}),
            "seen": state.graphs_seen,
            "cpu_seconds": round(state.cpu_seconds, 4) if self.on_one_core else math.nan,
            "seconds": {key: round(value, 3) for key, value in state.seconds.items()},
        }
        state.history.append(record)
        if better:
            state.best_metric, state.best_epoch = metric, state.epoch
            state.best_digest = self.saves.judged_digest()
        if self.fabric.is_global_zero:
            self.run.write_metrics(state.history)
            if self.log is not None:
                self.log.write(state.history)
            if self.progress:
                print(self._epoch_line(record), flush=True)
        return better

    def _epoch_line(self, record: dict[str, Any]) -> str:
        state, seconds = self.state, self.state.seconds
        total = sum(seconds.values())
        made = math.ceil(state.step / self.config.accumulate)
        left = (self.planned_steps - state.total_steps) / max(made, 1) * total
        metric, best = record[f"valid_{self.data.metric}"], state.best_metric
        shown = "no finite one yet" if best is None else f"best {figure(best)} at epoch {state.best_epoch + 1}"
        return (
            f"epoch {record['epoch']:>3}  loss: train {figure(record['train_loss'])}, "
            f"valid {figure(record['valid_loss'])}  "
            f"valid {self.data.metric} {figure(metric)} ({shown})  {total:.0f} s, about {left / 60:.1f} min left"
        )

    def save(self) -> None:
        """Write what the run needs to go on."""
        self.saves.write_last(self.state)
        self._last_save = time.monotonic()

    def resume(self) -> None:
        """Go on from the newest checkpoint.

        Raises:
            GraphPERuntimeError: It is damaged, or of another model, other options or other data; or `best.pt` is not
                the one that it was saved with.
        """
        self.state = self.saves.load_last()

    def _interrupt(self, signal_number: int) -> None:
        agree(self.fabric, lambda: None)  # the first device has saved
        raise Interrupted(
            f"stopped at epoch {self.state.epoch + 1}, step {self.state.step}, and saved; "
            f"go on with `graphpe train --resume {quote(str(self.run.path))}`",
            signal_number,
        )
