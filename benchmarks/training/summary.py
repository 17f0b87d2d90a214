"""The result of a run, for files and for people."""

from __future__ import annotations

import math
import resource
import shlex
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from graphpe.benchmarks.calls.build import build_task
from graphpe.benchmarks.console.machine import machine
from graphpe.benchmarks.console.sizes import Sizes
from graphpe.benchmarks.pretraining.task import EncodingTask, Pretraining
from graphpe.benchmarks.tasks import EdgeListFolder, NetworkxList, PythonSource, SmilesTable
from graphpe.benchmarks.tasks.metrics import figure
from graphpe.benchmarks.tasks.task import Task
from graphpe.benchmarks.training.loop import Evaluation, Training
from graphpe.errors import GraphPEValueError
from graphpe.models.layers.normalization import ALIKE

FINGERPRINTS = "fingerprints and boosted trees"
"""What tables call the baseline of molecules."""

_ALIKE = (
    "all test answers are alike: the model found nothing, or sees nothing that tells nodes apart (give encodings, or "
    "sum over neighbours, as local='GINE' does)"
)
_TARGETS_SHOWN = 12
_DOCUMENTATION = "https://github.com/graphpe/graphpe/blob/main/docs/index.md"


def summarise(
    training: Training,
    *,
    test: Evaluation,
    answers_alike: bool,
    larger: Mapping[str, float],
    parameters: int,
    flops: float,
    seconds: Mapping[str, float],
    other_readings: Mapping[str, Mapping[str, float]],
    fingerprints: Mapping[str, Any],
) -> dict[str, Any]:
    """The result of a finished run as plain values.

    Args:
        training: The run.
        test: The test part at the best validation epoch.
        answers_alike: Whether all its answers are.
        larger: Of a split by size, the metric on each bin of larger graphs.
        parameters: Number of the model's parameters.
        flops: Arithmetic of a step of training by graph; nan where it is not known.
        seconds: What was spent before training: `read`, `encode`.
        fingerprints: Of molecules, the metric of fingerprints with boosted trees, `valid` and `test`, or why it is
            `left_out`; empty for other graphs.
        other_readings: The metric, `valid` and `test`, where the same outputs are read in another way, by its name.
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
        "test": test.metric,
        "targets": list(data.adapter.target_names),
        "classes": list(data.adapter.class_names),
        "valid_by_target": state.history[state.best_epoch].get("valid_by_target", {}),
        "test_by_target": test.by_target,
        "answers_alike": answers_alike,
        "other_readings": {name: dict(values) for name, values in other_readings.items()},
        "best_epoch": state.best_epoch + 1,
        "epochs": epochs,
        "constant_prediction": prediction,
        "constant_valid": constant_valid,
        "constant_test": constant_test,
        "fingerprints": dict(fingerprints),
        "sizes": _sizes(training, {"test": test.metric, **larger}) if larger else {},
        "parameters": parameters,
        "seconds_per_epoch": {**spent, "total": sum(spent.values())},
        "seconds_before": dict(seconds),
        "peak_bytes": peak_memory(),
        "cost": _cost(training, flops),
        "machine": machine(training.fabric.device),
        "run": str(training.run.path),
    }


def _cost(training: Training, flops: float) -> dict[str, Any]:
    """What training cost apart from what else the machine did: graphs seen, processor seconds, arithmetic.

    Null is what is not known: processor seconds of GPUs or several devices, and of epochs from older checkpoints.
    """
    records = training.state.history
    known = [each for each in records if math.isfinite(each.get("cpu_seconds", math.nan)) and each["cpu_seconds"] > 0]
    complete = len(known) == len(records)
    return {
        "unit": training.data.unit,
        "seen": sum(each["seen"] for each in known) if complete else None,
        "cpu_seconds": sum(each["cpu_seconds"] for each in known) if complete else None,
        "per_cpu_second": statistics.median(each["seen"] / each["cpu_seconds"] for each in known) if known else None,
        "flops": flops if math.isfinite(flops) else None,
    }


def _sizes(training: Training, scores: Mapping[str, float]) -> dict[str, Any]:
    """What became of graphs of the sizes of training, the test part, and of each bin of larger ones, in order.

    A metric that is not finite is null, as JSON has it.
    """
    data, sizes = training.data, Sizes.parse(training.config.sizes)
    found = []
    for part, score in scores.items():
        ends, ids = sizes.ranges()[part], data.split[part]
        try:
            constant, _ = data.constant_baseline(ids)
        except GraphPEValueError:  # not defined on them, as the model's is not
            constant = math.nan
        numbers = {"test": score, "constant": constant}
        shown = {"sizes": ends.named, "least": ends.least, "most": ends.most}
        known = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
        found.append({**shown, "mean": data.mean_sizes[part], "graphs": len(ids), **known})
    return {"unit": build_task(training.config.task).size_unit, "parts": found}


def answers_alike(predictions: Tensor) -> bool:
    """Whether two or more answers are all the same, but for rounding.

    Args:
        predictions: A row each.
    """
    if len(predictions) < 2 or not predictions.numel():
        return False
    if not predictions.is_floating_point():
        return bool((predictions == predictions[0]).all())
    most, least = predictions.amax(0), predictions.amin(0)
    return bool((most - least <= ALIKE * torch.maximum(most.abs(), least.abs())).all())


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
        f"{'best epoch (' + str(summary['best_epoch']) + ')':<22} {figure(summary['valid'])}      "
        f"{figure(summary['test'])}",
        *(
            f"{name:<22} {figure(values['valid'])}      {figure(values['test'])}"
            for name, values in summary.get("other_readings", {}).items()
        ),
        f"{'constant prediction':<22} {figure(summary['constant_valid'])}      {figure(summary['constant_test'])}"
        f"      (always {summary['constant_prediction']})",
        *([_ALIKE] if summary.get("answers_alike") else []),
        *_fingerprint_lines(summary.get("fingerprints", {})),
        *_size_lines(summary.get("sizes", {})),
        *_target_lines(summary),
        f"{summary['parameters']:,} parameters; {spent['total']:.1f} s an epoch (load {spent['load']:.1f}, "
        f"step {spent['step']:.1f}, evaluate {spent['evaluate']:.1f}); before training: read {before['read']:.1f} s, "
        f"encode {before['encode']:.1f} s",
        *([] if math.isfinite(summary["test"]) else ["the test predictions of the best epoch are not all finite"]),
        f"run folder {summary['run']}",
    ]


def next_lines(summary: Mapping[str, Any], imports: Sequence[str] = ()) -> list[str]:
    """What to do with a run.

    Args:
        summary: Its result.
        imports: Modules that it was trained with.
    """
    task, run = build_task(summary["task"]), summary["run"]
    more = "".join(f" --import {shlex.quote(name)}" for name in imports)
    command = f"graphpe predict {_new_file(task)} --run {shlex.quote(run)}{more}"
    if isinstance(task, Pretraining):
        return [
            f"next: `graphpe train ... --init {shlex.quote(run)}{more}` starts from its weights, on any task or data",
            f'      --encodings "PretrainedPE(run={run!r})" has its vectors of nodes; {_DOCUMENTATION}',
        ]
    loaded = f"graphpe.load_run({run!r}, imports={list(imports)})" if imports else f"graphpe.load_run({run!r})"
    return [
        f"next: `{command}` predicts your own; `graphpe runs` compares runs",
        f"      {loaded} in Python; {_DOCUMENTATION}",
    ]


def _new_file(task: Task) -> str:
    """What a run of a task might be asked about."""
    task = task.of if isinstance(task, EncodingTask) else task
    if isinstance(task, PythonSource):
        return "script.py"
    if isinstance(task, EdgeListFolder):
        return "folder/"
    path = Path(task.path) if isinstance(task, SmilesTable | NetworkxList) else Path("graphs.pt")
    return f"new{''.join(path.suffixes[-2:] if path.suffix == '.gz' else path.suffixes[-1:])}"


def _fingerprint_lines(found: Mapping[str, Any]) -> list[str]:
    """What models of molecules are to be compared with."""
    if "left_out" in found:
        return [f"{FINGERPRINTS} left out: {found['left_out']}"]
    if not found:
        return []
    return [
        f"{'fingerprints, trees':<22} {found['valid']:.4f}      {found['test']:.4f}      (boosted, of Morgan counts)"
    ]


def _size_lines(sizes: Mapping[str, Any]) -> list[str]:
    """The metric on each bin of larger graphs."""
    return [
        f"{each['sizes'] + ' ' + sizes['unit']:<22} {'':<10}  {_or_nan(each['test'])}      (constant "
        f"{_or_nan(each['constant'])}; {each['graphs']:,} graphs)"
        for each in sizes.get("parts", [])[1:]
    ]


def _or_nan(value: float | None) -> str:
    return figure(math.nan if value is None else value)


def _target_lines(summary: Mapping[str, Any]) -> list[str]:
    """The metric of each target, as far as a screen takes them."""
    valid, test = (summary.get(f"{part}_by_target", {}) for part in ("valid", "test"))
    lines = [
        f"{_shortened(name):<22} {_number(valid.get(name))}      {_number(test[name])}"
        for name in list(test)[:_TARGETS_SHOWN]
    ]
    left = len(test) - _TARGETS_SHOWN
    return [*lines, f"({left} more targets are in summary.json)"] if left > 0 else lines


def _shortened(name: str) -> str:
    return name if len(name) <= 22 else name[:19] + "..."


def _number(value: float | None) -> str:
    return "      " if value is None else figure(value)
