"""Losses of the steps since the devices last met, kept on the device: to read them at every step would stall a GPU."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from torch import Tensor

from graphpe.benchmarks.training.distributed.ranks import gather

MOST_STEPS = 20
"""Steps after which the sums are read at the latest."""

_PAUSE = 1.0  # seconds after which devices that wait for each other should meet, so that Ctrl-C is heard


@dataclass(frozen=True)
class Meeting:
    """What all devices know after they met.

    Attributes:
        loss_sum: Sum of the loss over all graphs of all devices.
        graphs: Their number.
        diverged_at: The first step with a loss or gradient that is not finite; None where all are.
        signal_number: The signal that asked one of them to stop, or 0.
        save: Whether the first device finds that it is time to save.
        steps: Steps until they meet again.
    """

    loss_sum: float
    graphs: int
    diverged_at: int | None
    signal_number: int
    save: bool
    steps: int


class Tally:
    """Sums over steps, on the device.

    Args:
        fabric: The devices.
    """

    def __init__(self, fabric: Fabric) -> None:
        self.fabric = fabric
        self.steps = 0
        self.seconds = 0.0
        self._graphs = 0
        zero = torch.zeros((), dtype=torch.float64, device=fabric.device)
        self._loss, self._never = zero, zero + math.inf
        self._diverged_at = self._never

    def add(self, loss: Tensor, finite: Tensor, graphs: int, step: int, seconds: float) -> None:
        """Count a step, without reading what it gave.

        Args:
            loss: Its mean loss over its graphs.
            finite: Whether loss and gradient are, a scalar on the device.
            graphs: Its graphs.
            step: Its number, from 1.
            seconds: What it took.
        """
        self._loss = self._loss + loss.double() * graphs
        self._diverged_at = torch.where(finite, self._diverged_at, self._diverged_at.clamp(max=step))
        self._graphs += graphs
        self.steps += 1
        self.seconds += seconds

    def meet(self, *, signal_number: int, save: bool) -> Meeting:
        """Add up what all devices have, decide together, and start anew."""
        often = math.ceil(_PAUSE / max(self.seconds / max(self.steps, 1), 1e-9))
        steps = min(MOST_STEPS, often) if self.fabric.world_size > 1 else MOST_STEPS
        host = [float(self._graphs), float(signal_number), float(save), float(steps)]
        row = torch.cat(
            [torch.stack([self._loss, self._diverged_at]), torch.tensor(host, dtype=torch.float64).to(self._loss)]
        )
        loss, diverged, graphs, signals, saves, pauses = torch.stack(gather(self.fabric, row), dim=1).tolist()
        self._loss, self._diverged_at = torch.zeros_like(self._loss), self._never
        self.steps, self.seconds, self._graphs = 0, 0.0, 0
        return Meeting(
            loss_sum=sum(loss),
            graphs=int(sum(graphs)),
            diverged_at=None if math.isinf(min(diverged)) else int(min(diverged)),
            signal_number=int(max(signals)),
            save=bool(saves[0]),
            steps=int(pauses[0]),
        )
