"""Where a run is: the part of a checkpoint that is not weights."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from graphpe.errors import GraphPERuntimeError


@dataclass
class TrainState:
    """Counters of a run. Plain values only, so that a checkpoint holding them loads with `weights_only=True`.

    Attributes:
        epoch: The epoch under way, from 0.
        step: Batches seen in this epoch, on each device.
        total_steps: Steps of the optimizer made in all.
        loss_sum: Sum of the training loss over the graphs of this epoch so far, of all devices.
        graphs_seen: Graphs of this epoch so far, of all devices.
        best_metric: Validation metric of the best epoch, which is finite; None before the first.
        best_epoch: That epoch.
        best_digest: Of its weights: `best.pt` belongs to this state where it holds these.
        seconds: Where the time of this epoch went: `load`, `step`, `evaluate`.
        cpu_seconds: Processor seconds of loading and steps of this epoch, of all threads of this process; nan where a
            part of them is not known.
        history: The record of every finished epoch.
    """

    epoch: int = 0
    step: int = 0
    total_steps: int = 0
    loss_sum: float = 0.0
    graphs_seen: int = 0
    best_metric: float | None = None
    best_epoch: int = -1
    best_digest: str = ""
    seconds: dict[str, float] = field(default_factory=lambda: {"load": 0.0, "step": 0.0, "evaluate": 0.0})
    cpu_seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, values: Any, path: Path) -> TrainState:
        """The state that a checkpoint holds.

        Raises:
            GraphPERuntimeError: It is no state.
        """
        plain = cls().as_dict()
        if isinstance(values, dict):  # checkpoints had it not always
            values = {"cpu_seconds": math.nan} | values
        if not isinstance(values, dict) or values.keys() != plain.keys():
            raise GraphPERuntimeError(f"{path} does not say where its run is; start a new run")
        for each in fields(cls):
            levels = (float, type(None)) if each.name == "best_metric" else (type(plain[each.name]), int)
            if not isinstance(values[each.name], levels):
                raise GraphPERuntimeError(f"{path} says {each.name}={values[each.name]!r}; start a new run")
        return cls(**values)

    def as_dict(self) -> dict[str, Any]:
        """The state as plain values."""
        return asdict(self)

    def start_epoch(self) -> None:
        """Go on to the next epoch."""
        self.epoch += 1
        self.step = 0
        self.loss_sum = 0.0
        self.graphs_seen = 0
        self.cpu_seconds = 0.0
        self.seconds = {"load": 0.0, "step": 0.0, "evaluate": 0.0}
