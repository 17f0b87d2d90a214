"""The training loop: steps, epochs, validation, checkpoints.

Everything random in a step is a function of (seed, epoch, step), and the order of the batches of (seed, epoch): a run
that is killed and resumed makes the same steps as one that is not, and on CPU ends in the same bits.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricModule, _FabricOptimizer
from tqdm import tqdm

from graphpe.benchmarks.tasks.task import TaskData
from graphpe.benchmarks.training.batch_transform import BatchTransform
from graphpe.benchmarks.training.checkpoint import load_checkpoint, save_checkpoint
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.benchmarks.training.evaluation import collect_predictions
from graphpe.benchmarks.training.interrupt import Interrupted, StopRequest, stop_on_signals
from graphpe.benchmarks.training.run_folder import RunFolder
from graphpe.benchmarks.training.schedule import learning_rate, step_seed
from graphpe.benchmarks.training.state import TrainState
from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.graphs.loader import PackedLoader
from graphpe.graphs.packed import PackedGraphs


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

    def __post_init__(self) -> None:
        config = self.config
        train = self.data.split["train"]
        self.loader = PackedLoader(
            self.graphs,
            config.batch_size,
            shuffle=True,
            seed=config.seed,
            indices=train,
            max_nodes=config.max_nodes or None,
            max_pairs=config.max_pairs or None,
            # A last batch of a few graphs would give BatchNorm poor statistics; a small task has no other batch.
            drop_last=len(train) >= config.batch_size and not (config.max_nodes or config.max_pairs),
            transform=self.transform,
            device=self.fabric.device,
        )
        first = self._epoch_steps(0)
        if first == 0:
            raise GraphPEValueError(
                f"{len(train)} training graphs give no batch of {config.batch_size} for each of "
                f"{self.fabric.world_size} devices; use a smaller batch_size"
            )
        # With limits, epochs differ in their number of batches.
        steps = sum(map(self._epoch_steps, range(config.epochs))) if self.loader.limited else config.epochs * first
        self.planned_steps = min(steps, config.max_steps) if config.max_steps else steps
        self._last_save = time.monotonic()

    def _epoch_steps(self, epoch: int) -> int:
        return len(self.loader.batch_indices(epoch)) // self.fabric.world_size

    @property
    def finished(self) -> bool:
        """Whether nothing is left to train: all steps or minutes made, or no progress for `patience` epochs."""
        state, patience = self.state, self.config.patience
        stale = patience > 0 and state.best_metric is not None and state.epoch - 1 - state.best_epoch >= patience
        spent = sum(sum(record["seconds"].values()) for record in state.history) / 60
        late = self.config.max_minutes > 0 and spent >= self.config.max_minutes
        return state.total_steps >= self.planned_steps or stale or late

    def fit(self) -> None:
        """Train until finished.

        Raises:
            Interrupted: After SIGINT or SIGTERM, with the state saved.
        """
        with stop_on_signals() as stop:
            while not self.finished:
                self._train_epoch(stop)
                self._validate()
                self.state.start_epoch()
                self.save(self.run.last)
                if stop.signal_number and not self.finished:
                    self._interrupt(stop)

    def _train_epoch(self, stop: StopRequest) -> None:
        state, config = self.state, self.config
        self.model.train()
        world, rank = self.fabric.world_size, self.fabric.global_rank
        batches = self.loader.batches(state.epoch, start=state.step * world + rank, stride=world)
        end = min(self._epoch_steps(state.epoch), state.step + self.planned_steps - state.total_steps)
        bar = tqdm(
            total=end,
            initial=state.step,
            desc=f"epoch {state.epoch + 1}/{config.epochs}",
            unit="step",
            leave=False,
            disable=not self.progress,
        )
        # The loss is summed on its device: to read it at every step would stall a GPU.
        loss_sum = torch.zeros((), dtype=torch.float64, device=self.fabric.device)
        with bar:
            while state.step < end:
                started = time.perf_counter()
                batch = next(batches)
                loaded = time.perf_counter()
                loss_sum += self._step(batch).double() * batch.num_graphs
                state.step += 1
                state.total_steps += 1
                state.graphs_seen += batch.num_graphs
                state.seconds["load"] += loaded - started
                state.seconds["step"] += time.perf_counter() - loaded
                if state.step % 20 == 0 or state.step == end:
                    state.loss_sum, loss_sum = state.loss_sum + float(loss_sum), torch.zeros_like(loss_sum)
                    bar.set_postfix(loss=f"{state.loss_sum / state.graphs_seen:.3f}", refresh=False)
                bar.update()
                due = time.monotonic() - self._last_save > 60 * config.checkpoint_minutes
                if (due or stop.signal_number) and state.step < end:
                    state.loss_sum, loss_sum = state.loss_sum + float(loss_sum), torch.zeros_like(loss_sum)
                    self.save(self.run.last)
                    if stop.signal_number:
                        bar.close()
                        self._interrupt(stop)

    def _step(self, batch: object) -> torch.Tensor:
        state, config = self.state, self.config
        torch.manual_seed(step_seed(config.seed, state.epoch, state.step, self.fabric.global_rank))
        rate = learning_rate(
            state.total_steps,
            peak=config.learning_rate,
            warmup_steps=config.warmup_steps,
            total_steps=self.planned_steps,
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.data.adapter.loss(self.model(batch), batch)
        self.fabric.backward(loss)
        if config.clip > 0:
            # A step with an infinite or NaN gradient would destroy the weights: say so instead of going on.
            norm = self.fabric.clip_gradients(
                self.model, self.optimizer, max_norm=config.clip, error_if_nonfinite=False
            )
            assert norm is not None
            if self.fabric.device.type == "cpu" and not torch.isfinite(norm):
                raise GraphPERuntimeError(
                    f"the gradient is {float(norm)} at step {state.total_steps + 1}: "
                    "lower learning_rate, or use precision 32-true"
                )
        self.optimizer.step()
        return loss.detach()

    def evaluate(self, part: str) -> Evaluation:
        """The current weights on a part of the split."""
        indices = self.data.split[part]
        predictions, loss = collect_predictions(
            self.fabric,
            self.model,
            self.data.adapter,
            self.graphs,
            self.transform,
            indices,
            batch_size=2 * self.config.batch_size,
            max_nodes=self.config.max_nodes or None,
            max_pairs=self.config.max_pairs or None,
            label=part,
            progress=self.progress,
        )
        metric = self.data.evaluate(predictions, indices)
        return Evaluation(metric, loss, self.data.target_scores(predictions, indices))

    def _validate(self) -> None:
        state, data = self.state, self.data
        started = time.perf_counter()
        metric, loss, by_target = self.evaluate("valid")
        state.seconds["evaluate"] += time.perf_counter() - started
        train_loss = self.fabric.all_reduce(
            torch.tensor(state.loss_sum / max(state.graphs_seen, 1), dtype=torch.float64)
        )
        better = state.best_metric is None or (
            metric > state.best_metric if data.maximize else metric < state.best_metric
        )
        record = {
            "epoch": state.epoch + 1,
            "steps": state.total_steps,
            "train_loss": float(train_loss),  # type: ignore[arg-type]
            "valid_loss": loss,
            f"valid_{data.metric}": metric,
            **({"valid_by_target": by_target} if by_target else {}),
            "seconds": {key: round(value, 3) for key, value in state.seconds.items()},
        }
        state.history.append(record)
        if better:
            state.best_metric, state.best_epoch = metric, state.epoch
            self.save(self.run.best)
        if self.fabric.is_global_zero:
            self.run.write_metrics(state.history)
            if self.progress:
                print(self._epoch_line(record), flush=True)

    def _epoch_line(self, record: dict[str, Any]) -> str:
        state, seconds = self.state, self.state.seconds
        total = sum(seconds.values())
        left = (self.planned_steps - state.total_steps) / max(state.step, 1) * total
        return (
            f"epoch {record['epoch']:>3}  loss: train {record['train_loss']:.4f}, valid {record['valid_loss']:.4f}  "
            f"valid {self.data.metric} {record[f'valid_{self.data.metric}']:.4f} (best {state.best_metric:.4f} "
            f"at epoch {state.best_epoch + 1})  {total:.0f} s, about {left / 60:.1f} min left"
        )

    def save(self, path: object) -> None:
        """Write a checkpoint, on the first device."""
        if self.fabric.is_global_zero:
            content = {
                "model": self.model.module.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "state": self.state.as_dict(),
                "description": self.description,
            }
            if path == self.run.best:  # for prediction, and half the size
                del content["optimizer"]
            save_checkpoint(path, content)  # type: ignore[arg-type]
        self._last_save = time.monotonic()

    def resume(self) -> None:
        """Go on from the newest checkpoint.

        Raises:
            GraphPERuntimeError: If it is damaged or of another model.
        """
        content = load_checkpoint(self.run.last)
        check_same_model(content, self.description, str(self.run.last))
        self.model.module.load_state_dict(content["model"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.state = TrainState(**content["state"])

    def load_best(self) -> None:
        """Take the weights of the best validation epoch."""
        content = load_checkpoint(self.run.best)
        check_same_model(content, self.description, str(self.run.best))
        self.model.module.load_state_dict(content["model"])

    def _interrupt(self, stop: StopRequest) -> None:
        raise Interrupted(
            f"stopped at epoch {self.state.epoch + 1}, step {self.state.step}, and saved; "
            f"go on with `graphpe train --resume {self.run.path}`",
            stop.signal_number,
        )


def check_same_model(content: dict[str, object], description: str, path: str) -> None:
    """Refuse a checkpoint of another model.

    Raises:
        GraphPERuntimeError: If the checkpoint was made by a model that describes itself otherwise.
    """
    if content["description"] != description:
        raise GraphPERuntimeError(
            f"{path} holds {content['description']}, not {description}; start a new run for another model"
        )
