"""The result of a run, for files and for people."""

from __future__ import annotations

import resource
import sys
from collections.abc import Mapping
from typing import Any

import torch

from graphpe.benchmarks.training.loop import Training


def summarise(training: Training, *, test: float, parameters: int, seconds: Mapping[str, float]) -> dict[str, Any]:
    """The result of a finished run as plain values.

    Args:
        training: The run.
        test: The test metric at the best validation epoch.
        parameters: Number of the model's parameters.
        seconds: What was spent before training: `read`, `encode`.
    """
    state, data, config = training.state, training.data, training.config
    epochs = len(state.history)
    spent = {part: sum(record["seconds"][part] for record in state.history) / epochs for part in state.seconds}
    constant_valid, prediction = data.constant_baseline(data.split["valid"])
    constant_test, _ = data.constant_baseline(data.split["test"])
    return {
        "task": config.task,
        "encodings": list(config.encodings or ()),
        "model": training.description,
        "metric": data.metric,
        "maximize": data.maximize,
        "valid": state.best_metric,
        "test": test,
        "best_epoch": state.best_epoch + 1,
        "epochs": epochs,
        "constant_prediction": prediction,
        "constant_valid": constant_valid,
        "constant_test": constant_test,
        "parameters": parameters,
        "seconds_per_epoch": {**spent, "total": sum(spent.values())},
        "seconds_before": dict(seconds),
        "peak_bytes": peak_memory(),
        "run": str(training.run.path),
    }


def peak_memory() -> int:
    """Most memory that this process had at once: of the GPU where it used one, else of the machine."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def summary_lines(summary: Mapping[str, Any]) -> list[str]:
    """A run's result for people."""
    metric, spent, before = summary["metric"], summary["seconds_per_epoch"], summary["seconds_before"]
    return [
        f"{'':<22} valid {metric:<4}  test {metric}",
        f"{'best epoch (' + str(summary['best_epoch']) + ')':<22} {summary['valid']:.4f}      {summary['test']:.4f}",
        f"{'constant prediction':<22} {summary['constant_valid']:.4f}      {summary['constant_test']:.4f}"
        f"      (always {summary['constant_prediction']})",
        f"{summary['parameters']:,} parameters; {spent['total']:.1f} s an epoch (load {spent['load']:.1f}, "
        f"step {spent['step']:.1f}, evaluate {spent['evaluate']:.1f}); before training: read {before['read']:.1f} s, "
        f"encode {before['encode']:.1f} s",
        f"run folder {summary['run']}",
    ]
