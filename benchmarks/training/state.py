"""Where a run is: the part of a checkpoint that is not weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class TrainState:
    """Counters of a run. Plain values only, so that a checkpoint holding them loads with `weights_only=True`.

    Attributes:
        epoch: The epoch under way, from 0.
        step: Steps made in this epoch.
        total_steps: Steps made in all.
        loss_sum: Sum of the training loss over the graphs of this epoch so far.
        graphs_seen: Graphs of this epoch so far.
        best_metric: Validation metric of the best epoch; None before the first.
        best_epoch: That epoch.
        seconds: Where the time of this epoch went: `load`, `step`, `evaluate`.
        history: The record of every finished epoch.
    """

    epoch: int = 0
    step: int = 0
    total_steps: int = 0
    loss_sum: float = 0.0
    graphs_seen: int = 0
    best_metric: float | None = None
    best_epoch: int = -1
    seconds: dict[str, float] = field(default_factory=lambda: {"load": 0.0, "step": 0.0, "evaluate": 0.0})
    history: list[dict[str, Any]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The state as plain values."""
        return asdict(self)

    def start_epoch(self) -> None:
        """Go on to the next epoch."""
        self.epoch += 1
        self.step = 0
        self.loss_sum = 0.0
        self.graphs_seen = 0
        self.seconds = {"load": 0.0, "step": 0.0, "evaluate": 0.0}
