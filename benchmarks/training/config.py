"""The options of a training run."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from graphpe.calls import LARGEST
from graphpe.errors import GraphPEValueError

Accelerator = Literal["auto", "cpu", "cuda", "mps", "tpu"]
Precision = Literal["32-true", "bf16-mixed", "16-mixed", "bf16-true", "64-true"]

_MOST = {"threads": 1024, "devices": 1024, "nodes": 65_536}
"""More than any machine has; the system cannot start so many threads or processes."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """What decides the outcome of a training run.

    Args:
        task: The task, as a call: "python-source", "python-source(graph='ast')", "code2"; see `graphpe list tasks`.
        root: Folder with the task's data; for python-source a source tree (default: the interpreter's own library).
        model: The model, as a call: "GraphTransformer(width=64, layers=4)"; see `graphpe list models`.
        encodings: Encodings, as calls: "LaplacianPE(k=8)"; see `graphpe list encodings`. Those of nodes are computed
            once, those of pairs for each batch. "none" for no encoding; "published", or None, for what the model is
            published with, or else suits the task.
        encoder: What brings eigenvectors to the model, as a call: "SignNet", "SPE(hidden=16)"; see `graphpe list
            encoders`.
        bias: For models whose attention takes encodings of pairs as biases, how: "PairBias(head='kerple_log')";
            "auto" for a choice by the kind of encoding.
        epochs: Passes over the training part.
        batch_size: Graphs in a batch, on each device.
        max_nodes: Most nodes in a batch, 0 for no limit; a larger graph is a batch of its own.
        max_pairs: Most pairs of nodes (the sum of squared sizes) in a batch, likewise; it bounds the memory of models
            over all pairs.
        learning_rate: Peak learning rate of AdamW.
        weight_decay: Weight decay of AdamW.
        warmup_steps: Steps of linear warm-up, before the cosine decay to zero.
        clip: Largest norm of the gradient; 0 clips nothing.
        patience: Stop after so many epochs without a better validation metric; 0 never stops early.
        max_steps: Stop after so many steps in all, evaluate and finish; 0 means no limit.
        max_minutes: Stop after so many minutes of training, at the end of an epoch, and finish; 0 means no limit. The
            learning rate falls as for all epochs.
        checkpoint_minutes: Save within an epoch, too, whenever so many minutes have passed.
        precision: Number format of the computation, as in Lightning Fabric.
        accelerator: Kind of device, as in Lightning Fabric.
        devices: Number of devices (processes, on CPU) on this machine.
        nodes: Number of machines, each started by torchrun or SLURM.
        seed: Seed of everything random.
        threads: CPU threads of each process. Small graphs gain little from more than one, and lose much where cores are
            shared; the result of a run depends on it in its last bits.
    """

    task: str = "python-source"
    root: str | None = None
    model: str = "GraphTransformer(width=64, layers=2, heads=8, dropout=0.1, readout='max')"
    encodings: tuple[str, ...] | None = None
    encoder: str = "EigenvectorEncoding"
    bias: str = "auto"
    epochs: int = 14
    batch_size: int = 32
    max_nodes: int = 0
    max_pairs: int = 0
    learning_rate: float = 3e-3
    weight_decay: float = 0.1
    warmup_steps: int = 100
    clip: float = 1.0
    patience: int = 5
    max_steps: int = 0
    max_minutes: float = 0.0
    checkpoint_minutes: float = 5.0
    precision: Precision = "32-true"
    accelerator: Accelerator = "auto"
    devices: int = 1
    nodes: int = 1
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        if self.encodings is not None:
            texts = (self.encodings,) if isinstance(self.encodings, str) else tuple(self.encodings)
            object.__setattr__(self, "encodings", texts)
        for each in fields(self):
            value = getattr(self, each.name)
            if each.type == "int" and (isinstance(value, bool) or not isinstance(value, int)):
                raise GraphPEValueError(f"{each.name} is {value!r}; it must be a whole number")
            if each.type == "float" and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise GraphPEValueError(f"{each.name} is {value!r}; it must be a number")
            if each.type == "int":
                most = _MOST.get(each.name, LARGEST)
                self._check(each.name, value <= most, f"at most {most}")
        for name in ("epochs", "batch_size", "devices", "nodes", "threads"):
            self._check(name, getattr(self, name) >= 1, "at least 1")
        for name in (
            "warmup_steps",
            "patience",
            "max_steps",
            "max_nodes",
            "max_pairs",
            "seed",
            "weight_decay",
            "clip",
            "max_minutes",
        ):
            self._check(name, getattr(self, name) >= 0, "0 or more")
        for name in ("learning_rate", "checkpoint_minutes"):
            self._check(name, getattr(self, name) > 0, "more than 0")
        for name in ("learning_rate", "weight_decay", "clip", "max_minutes", "checkpoint_minutes"):
            self._check(name, math.isfinite(getattr(self, name)), "finite")

    def _check(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise GraphPEValueError(f"{name} is {getattr(self, name)!r}; it must be {expected}")

    def as_dict(self) -> dict[str, Any]:
        """The options as plain values for YAML and JSON."""
        return asdict(self) | {"encodings": None if self.encodings is None else list(self.encodings)}

    def differences(self, given: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
        """The options in `given` whose value is not this config's: name -> (this config's, given)."""
        known = {field.name for field in fields(self)}
        mine = self.as_dict()
        pairs = {
            key: (mine[key], list(value) if key == "encodings" and value is not None else value)
            for key, value in given.items()
            if key in known
        }
        return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}
