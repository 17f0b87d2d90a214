"""The command that makes one run of a grid again."""

from __future__ import annotations

from dataclasses import fields

from graphpe.benchmarks.console.quoting import quoted
from graphpe.benchmarks.training.config import TrainConfig

ALWAYS = ("epochs", "batch_size", "learning_rate", "weight_decay", "warmup_steps", "patience")
"""Options whose default may be the task's own (`Task.training_defaults`): they are always named."""


def train_command(config: TrainConfig) -> str:
    """`graphpe train` with the options of a run: what it is of, and all that is not the default.

    Args:
        config: The options of the run.
    """
    words = ["graphpe", "train"]
    for field in fields(TrainConfig):
        name, value = field.name, getattr(config, field.name)
        option = f"--{name.replace('_', '-')}"
        if name == "encodings":
            words += [option, *map(quoted, value or ["none"])]
        elif name == "imports":
            words += [word for module in value for word in ("--import", quoted(module))]
        elif name == "graphs":
            words += [] if value else ["--no-graphs"]
        elif name in ("task", "model", "seed", *ALWAYS) or value not in (field.default, f"{field.default}()"):
            words += [option, *map(quoted, map(str, value if isinstance(value, tuple) else [value]))]
    return " ".join(words)
