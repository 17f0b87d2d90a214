"""One training run from options to result: load, encode, build, train, test once."""

from __future__ import annotations

import time
import warnings
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from graphpe.benchmarks.calls.build import (
    build_encodings,
    build_model,
    build_task,
    canonical_bias,
    canonical_encoder,
    canonical_encodings,
    canonical_model,
    canonical_task,
    check_built,
    default_encodings,
    split_encodings,
)
from graphpe.benchmarks.calls.text import encoding_calls
from graphpe.benchmarks.tasks.task import Task
from graphpe.benchmarks.training.allocator import keep_freed_memory
from graphpe.benchmarks.training.batch_transform import BatchTransform, encode_graphs
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.benchmarks.training.loop import Training
from graphpe.benchmarks.training.run_folder import RunFolder
from graphpe.benchmarks.training.state import TrainState
from graphpe.benchmarks.training.summary import summarise
from graphpe.errors import GraphPERuntimeError, GraphPEValueError


def resolve(config: TrainConfig) -> TrainConfig:
    """Check the texts of a config and write them out in full, so that equal runs have equal configs.

    Raises:
        GraphPEValueError: For an unknown task, model or encoding, or an argument it does not take.
    """
    task = canonical_task(config.task, config.root)
    model = canonical_model(config.model, build_task(task))
    encodings = None if config.encodings is None else encoding_calls(config.encodings)
    if encodings is None:
        encodings = default_encodings(model, task)
    return replace(
        config,
        task=task,
        root=None,  # it is in the task's text now
        model=model,
        encodings=canonical_encodings(encodings),
        encoder=canonical_encoder(config.encoder),
        bias=canonical_bias(config.bias),
    )


def check_resumable(run: RunFolder, given: dict[str, Any]) -> TrainConfig:
    """The config of a run to go on with, if what was given beside it agrees.

    Args:
        run: The run.
        given: Options the user gave explicitly.

    Raises:
        GraphPEValueError: If one of them is not the run's.
    """
    config = run.read_config()
    known = {field.name for field in fields(TrainConfig)}
    asked = resolve(replace(config, **{key: value for key, value in given.items() if key in known}))
    for name, (mine, other) in config.differences(asked.as_dict()).items():
        raise GraphPEValueError(
            f"{run.path} was made with {name}={mine!r}, but {name}={other!r} is asked for: resume without that option, "
            "or start a new run"
        )
    return config


def run_experiment(
    config: TrainConfig,
    *,
    run_path: Path | None = None,
    resume: RunFolder | None = None,
    workers: int = 0,
    cache: Path | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Train, and test once at the best validation epoch.

    Args:
        config: The options, resolved.
        run_path: Folder of a new run; None means the next free one below `runs/`.
        resume: A run to go on with, instead of a new one.
        workers: Processes that read data; 0 means as many as there are cores.
        cache: Folder for data worth keeping; None means the user's cache folder.
        progress: Whether to show progress.

    Returns:
        The summary, as it is saved in the run folder.
    """
    if resume is not None and (finished := resume.read_summary()) is not None:
        return finished
    fabric = _start_devices(config)
    progress = progress and fabric.is_global_zero
    task = build_task(config.task)
    run = resume or _create_run(fabric, run_path, task.name)
    try:
        return _train_in(
            run, config, task, fabric, resumed=resume is not None, workers=workers, cache=cache, progress=progress
        )
    finally:
        if fabric.is_global_zero:
            run.discard_if_empty()


def _start_devices(config: TrainConfig) -> Fabric:
    """Fabric on the devices asked for, its processes started.

    Raises:
        GraphPERuntimeError: If there are no such devices, or they cannot do that precision.
    """
    several = config.devices * config.nodes > 1
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*AMP with fp16 is not supported on CPU")  # refused below
            fabric = Fabric(
                accelerator=config.accelerator,
                devices=config.devices,
                num_nodes=config.nodes,
                precision=config.precision,
                strategy="ddp" if several else "auto",
            )
    except Exception as error:  # Fabric has an exception of its own for each kind of device
        raise GraphPERuntimeError(
            f"cannot use {config.devices} device(s) of accelerator={config.accelerator!r} "
            f"with precision={config.precision!r}: {error}; try --accelerator cpu --devices 1"
        ) from None
    device = fabric.device.type
    if config.precision == "16-mixed" and device == "cpu":  # Fabric would take bf16-mixed in its place
        raise GraphPEValueError("precision='16-mixed' needs a GPU: on a CPU use --precision bf16-mixed, or 32-true")
    if config.precision == "64-true" and device == "mps":
        raise GraphPEValueError("precision='64-true' does not exist on mps: use 32-true, or --accelerator cpu")
    if several:
        fabric.launch()
    return fabric


def _create_run(fabric: Fabric, path: Path | None, name: str) -> RunFolder:
    """The new run's folder, made on the first device and told to the others."""
    run = RunFolder.create(path, name) if fabric.is_global_zero else None
    if fabric.world_size > 1:
        run = fabric.broadcast(run)
    assert run is not None
    return run


def _train_in(
    run: RunFolder,
    config: TrainConfig,
    task: Task,
    fabric: Fabric,
    *,
    resumed: bool,
    workers: int,
    cache: Path | None,
    progress: bool,
) -> dict[str, Any]:
    started = time.perf_counter()
    keep_freed_memory()
    torch.set_num_threads(config.threads)
    say = _Say(progress)
    transforms = build_encodings(config.encodings or ())
    of_nodes, of_pairs = split_encodings(transforms)
    with fabric.rank_zero_first():
        data = task.load(workers=workers, cache=cache, progress=progress)
    for note in data.notes:
        say(note)
    parts = ", ".join(f"{name} {len(ids):,}" for name, ids in data.split.items())
    say(f"{data.graphs.num_graphs:,} graphs, {data.graphs.num_nodes:,} nodes ({parts})")
    loaded = time.perf_counter()
    graphs = encode_graphs(data.graphs, of_nodes, progress=progress)
    encode_seconds = time.perf_counter() - loaded
    if of_nodes:
        say(f"encoded with {', '.join(map(repr, of_nodes))} in {encode_seconds:.1f} s")
    if of_pairs:
        say(f"encoding each batch with {', '.join(map(repr, of_pairs))}")

    torch.manual_seed(config.seed)  # the initial weights
    bare_model = build_model(config.model, data.adapter, transforms, encoder=config.encoder, bias=config.bias)
    check_built(bare_model, config.model, transforms)
    description = repr(bare_model)
    parameters = sum(p.numel() for p in bare_model.parameters())
    say(f"{description}: {parameters:,} parameters")
    optimizer = torch.optim.AdamW(
        [parameter for parameter in bare_model.parameters() if parameter.requires_grad],
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        fused=config.precision != "16-mixed",  # gradients scaled for float16 cannot be clipped before a fused step
    )
    model, optimizer = fabric.setup(bare_model, optimizer)
    transform = BatchTransform(of_pairs, data.adapter)
    training = Training(
        fabric, model, optimizer, data, graphs, transform, config, run, TrainState(), description, progress
    )

    if resumed:
        _, fingerprint = run.read_task() if (run.path / "task.json").exists() else (None, data.fingerprint)
        if fingerprint != data.fingerprint:
            raise GraphPEValueError(f"the data of {task!r} changed since {run.path} was started; start a new run")
    if resumed and run.last.exists():
        training.resume()
        say(f"resumed {run.path} at epoch {training.state.epoch + 1}, step {training.state.step}")
    elif fabric.is_global_zero:
        run.write_task(data.adapter.state(), data.fingerprint)
        run.write_config(config)  # last: with it, the folder is a run
    say(f"run folder {run.path}")
    training.fit()

    training.load_best()
    test = training.evaluate("test")
    seconds = {"read": loaded - started, "encode": encode_seconds}
    summary = summarise(training, test=test, parameters=parameters, seconds=seconds)
    if fabric.is_global_zero:
        run.write_summary(summary)
    return summary


class _Say:
    """Prints on the first device only."""

    def __init__(self, aloud: bool) -> None:
        self.aloud = aloud

    def __call__(self, line: str) -> None:
        if self.aloud:
            print(line, flush=True)
