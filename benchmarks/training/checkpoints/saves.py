"""What a run saves of itself: `last.pt`, from which it goes on, and `best.pt`, whose weights are its result.

They are written one after the other, and a kill may come in between: `best.pt` belongs to `last.pt` where it has the
weights that `last.pt` notes the digest of, and is mended from it where it can be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricModule, _FabricOptimizer

from graphpe.benchmarks.tasks.metrics import figure
from graphpe.benchmarks.tasks.task import TaskData
from graphpe.benchmarks.training.checkpoints.file import (
    check_same_run,
    digest,
    load_checkpoint,
    load_optimizer,
    load_weights,
    save_checkpoint,
)
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.benchmarks.training.distributed.ranks import agree
from graphpe.benchmarks.training.run_folder import RunFolder
from graphpe.benchmarks.training.state import TrainState
from graphpe.benchmarks.training.steps.average import AverageWeights, judged, judged_weights
from graphpe.errors import GraphPERuntimeError, GraphPEValueError


@dataclass
class Saves:
    """The checkpoints of one run. On several devices the first one writes, and all read.

    Attributes:
        fabric: Devices and precision.
        model: The model, set up by `fabric`.
        optimizer: Its optimizer, set up by `fabric`.
        average: The average of its weights, if the run keeps one.
        data: The task's data.
        config: The options.
        run: The folder of the run.
        description: The model's `repr`: a checkpoint of another model is refused.
    """

    fabric: Fabric
    model: _FabricModule
    optimizer: _FabricOptimizer
    average: AverageWeights | None
    data: TaskData
    config: TrainConfig
    run: RunFolder
    description: str

    def write_last(self, state: TrainState) -> None:
        """Write everything that the run needs to go on.

        Args:
            state: Where the run is.
        """
        if not self.fabric.is_global_zero:
            return
        optimizer = self.optimizer.state_dict()
        for group in optimizer["param_groups"]:
            group["lr"] = float(group["lr"])  # of captured steps it is on the device
        content = {
            "model": self.model.module.state_dict(),
            "optimizer": optimizer,
            "precision": self.fabric.strategy.precision.state_dict(),
            **self._about(state),
        }
        if self.average is not None:
            content["average"] = self.average.state_dict()
        save_checkpoint(self.run.last, content)

    def write_best(self, state: TrainState) -> None:
        """Write the weights that the run is judged by, for prediction: half the size of `last.pt`.

        Args:
            state: Where the run is.
        """
        if self.fabric.is_global_zero:
            with judged(self.average):
                save_checkpoint(self.run.best, {"model": self.model.module.state_dict(), **self._about(state)})

    def judged_digest(self) -> str:
        """The digest of the weights that the run is judged by, as they are now."""
        with judged(self.average):
            return agree(self.fabric, lambda: digest(self.model.module.state_dict()))

    def load_last(self) -> TrainState:
        """Take weights, averages and the optimizer's state of the newest checkpoint; where the run was then.

        Raises:
            GraphPERuntimeError: It is damaged, or of another model, other options or other data; or `best.pt` is not
                the one that it was saved with.
        """
        content = agree(self.fabric, self._read_last)
        load_weights(self.model.module, content, self.run.last)
        load_optimizer(self.optimizer.optimizer, content, self.run.last)
        if self.average is not None:
            self.average.load_state_dict(content.get("average"))
        self.fabric.strategy.precision.load_state_dict(content["precision"])
        return TrainState.of(content["state"], self.run.last)

    def load_best(self, state: TrainState) -> None:
        """Take the weights of the best validation epoch, on all devices.

        Args:
            state: Where the run is.

        Raises:
            GraphPERuntimeError: `best.pt` is damaged, or not of this run.
        """

        def read() -> dict[str, Any]:
            content = load_checkpoint(self.run.best)
            check_same_run(content, self.description, self.config, self.run.best)
            if digest(content["model"]) != state.best_digest:
                raise GraphPERuntimeError(f"{self.run.best} was changed by something else: start a new run")
            return content

        load_weights(self.model.module, agree(self.fabric, read), self.run.best)

    def _about(self, state: TrainState) -> dict[str, Any]:
        return {
            "state": state.as_dict(),
            "description": self.description,
            "config": self.config.as_dict(),
            "fingerprint": self.data.fingerprint,
        }

    def _read_last(self) -> dict[str, Any]:
        content = load_checkpoint(self.run.last)
        check_same_run(content, self.description, self.config, self.run.last)
        if content["fingerprint"] != self.data.fingerprint:
            raise GraphPEValueError(f"the data changed since {self.run.path} was started; start a new run")
        state = TrainState.of(content["state"], self.run.last)
        if state.best_metric is not None:
            weights = judged_weights(content) if state.step == 0 and state.best_epoch == state.epoch - 1 else None
            self._mend_best(state, weights)
        return content

    def _mend_best(self, state: TrainState, weights: dict[str, Any] | None) -> None:
        """See that `best.pt` belongs to the newest checkpoint; after a kill between the two, write it again."""
        try:
            found = digest(load_checkpoint(self.run.best)["model"])
        except GraphPERuntimeError:
            if weights is None:
                raise
            found = None
        if found == state.best_digest:
            return
        if weights is None or digest(weights) != state.best_digest:
            assert state.best_metric is not None
            raise GraphPERuntimeError(
                f"{self.run.best} is not the one that last.pt was saved with (epoch {state.best_epoch + 1}, valid "
                f"{self.data.metric} {figure(state.best_metric)}): put that one back, or start a new run"
            )
        save_checkpoint(self.run.best, {"model": weights, **self._about(state)})
