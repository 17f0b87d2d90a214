"""One training run from options to result: load, encode, build, train, test once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from graphpe.benchmarks.calls.attention_parts import canonical_bias, without_bias
from graphpe.benchmarks.calls.build import (
    build_encodings,
    build_model,
    build_task,
    canonical_encodings,
    canonical_head,
    canonical_model,
    canonical_task,
    check_built,
    default_encodings,
    split_encodings,
)
from graphpe.benchmarks.calls.own import check_outside, imported
from graphpe.benchmarks.calls.parts import (
    Learned,
    canonical_encoder,
    canonical_perturb,
    not_perturbed,
    without_encoder,
)
from graphpe.benchmarks.calls.text import encoding_calls
from graphpe.benchmarks.console.memory import memory_errors
from graphpe.benchmarks.pretraining.auxiliary import WithEncodings
from graphpe.benchmarks.runs.initial import InitialWeights
from graphpe.benchmarks.runs.table import part_frame
from graphpe.benchmarks.tasks.by_size import load_task
from graphpe.benchmarks.tasks.graph_level import GraphTargets
from graphpe.benchmarks.tasks.molecules.fingerprints import fingerprint_baseline
from graphpe.benchmarks.tasks.task import Task, TaskData
from graphpe.benchmarks.tasks.user.files.encoded import held_keys
from graphpe.benchmarks.tasks.user.task import OwnData
from graphpe.benchmarks.training.allocator import keep_freed_memory
from graphpe.benchmarks.training.batch_transform import BatchTransform, encode_graphs, encode_stored
from graphpe.benchmarks.training.batches.choose import check_sampler
from graphpe.benchmarks.training.batches.memory import check_attention_fits
from graphpe.benchmarks.training.config import Log, TrainConfig, inputs_and_head
from graphpe.benchmarks.training.distributed.devices import make_fabric, started_from_outside
from graphpe.benchmarks.training.distributed.processes import Job, run_in_processes
from graphpe.benchmarks.training.distributed.ranks import agree, contact
from graphpe.benchmarks.training.logs.epoch_log import EpochLog, check_log, logged
from graphpe.benchmarks.training.loop import Training
from graphpe.benchmarks.training.run_folder import RunFolder
from graphpe.benchmarks.training.state import TrainState
from graphpe.benchmarks.training.steps.flops import flops_per_graph
from graphpe.benchmarks.training.steps.optimizer import build_optimizer
from graphpe.benchmarks.training.summary import answers_alike, summarise
from graphpe.compiled.jit import everything_compiled
from graphpe.errors import GraphPEError, GraphPERuntimeError, GraphPEValueError
from graphpe.files.once import forget
from graphpe.graphs.packed import PackedGraphs
from graphpe.transforms.base import Encoding, LinkEncoding


def resolve(config: TrainConfig) -> TrainConfig:
    """Check the texts of a config and write them out in full, so that equal runs have equal configs.

    Raises:
        GraphPEValueError: For an unknown task, model or encoding, or an argument it does not take.
    """
    with imported(config.imports):
        task = canonical_task(config.task, config.root)
        model = canonical_model(config.model, build_task(task))
        built = build_task(task)
        labelled = built.of if isinstance(built, WithEncodings) else built
        if isinstance(labelled, OwnData) and not labelled.target_names:
            raise GraphPEValueError(
                f"{task} names no target, and there is nothing to learn: name one, or let `graphpe pretrain` predict "
                "encodings of the graphs"
            )
        encodings = None if config.encodings is None else encoding_calls(config.encodings)
        if encodings is None:
            held = built.held_encodings() if config.encodings is None else ()
            encodings = held or default_encodings(model, task)
        built.check_encodings(build_encodings(encodings))
        return replace(
            config,
            task=task,
            root=None,  # it is in the task's text now
            model=model,
            encodings=canonical_encodings(encodings),
            encoder=canonical_encoder(config.encoder),
            bias=canonical_bias(config.bias),
            perturb=canonical_perturb(config.perturb),
            head=canonical_head(config.head),
            init=None if config.init is None else str(Path(config.init).expanduser().absolute()),
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
    if given.get("imports"):
        config = replace(config, imports=tuple(given["imports"]))
    else:
        check_outside(config.imports, run.path)
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
    log: Log = "none",
) -> dict[str, Any]:
    """Train, and test once at the best validation epoch.

    For several devices, this process starts one for each and waits for them, unless torchrun or SLURM has started them.

    Args:
        config: The options, resolved.
        run_path: Folder of a new run; None means the next free one below `runs/`.
        resume: A run to go on with, instead of a new one.
        workers: Processes that read data; 0 means as many as there are cores.
        cache: Folder for data worth keeping; None means the user's cache folder.
        progress: Whether to show progress.
        log: Where epochs are logged beside the files of the run folder: `tensorboard` or `wandb`.

    Returns:
        The summary, as it is saved in the run folder.

    Raises:
        GraphPEError: There are no such devices, the data cannot be read, another process is at work in the folder,
            training diverged, or memory did not suffice.
    """
    check_log(log)
    fabric = make_fabric(config)
    several = config.devices * config.nodes > 1
    here = several and not started_from_outside(fabric)
    if here and config.nodes > 1:
        raise GraphPEValueError(
            f"nodes={config.nodes}, but this process was started by itself: start one for each device with torchrun or "
            "SLURM"
        )
    if several and not here:
        fabric.launch()
    with ExitStack() as stack:
        stack.enter_context(imported(config.imports))
        stack.enter_context(contact(fabric))
        run, lock = None, None
        if here or fabric.is_global_zero:
            run = resume or RunFolder.create(run_path, build_task(config.task).name)
            lock = stack.enter_context(run.at_work(new=resume is None))
        if several and not here:
            run = fabric.broadcast(run)
        assert run is not None
        job = Job(run, config, resumed=resume is not None, workers=workers, cache=cache, progress=progress, log=log)
        if job.resumed and (finished := _finished(job, fabric)) is not None:
            return finished
        if here:
            forget()
            return run_in_processes(train_in, job, config.devices, lock)
        return train_in(job, fabric)


def _finished(job: Job, fabric: Fabric) -> dict[str, Any] | None:
    """The result of a run that has one."""
    try:
        return job.run.read_summary()
    except GraphPERuntimeError as error:
        if job.progress and fabric.is_global_zero:
            print(f"{error}: evaluating again", flush=True)
        return None


def train_in(job: Job, fabric: Fabric) -> dict[str, Any]:
    """Train in a run folder whose lock is held, on the device of this process."""
    advice = "lower batch_size, bound max_nodes or max_pairs, or take a smaller model; what was saved before is kept"
    # Compiled from the first step on: a run gives the same bits on a machine that has compiled nothing yet.
    log = EpochLog(job.log, job.run.path, job.config)
    with imported(job.config.imports), memory_errors(advice), everything_compiled(), logged(log):
        return _train_in(
            job.run,
            job.config,
            build_task(job.config.task),
            fabric,
            resumed=job.resumed,
            workers=job.workers,
            cache=job.cache,
            progress=job.progress and fabric.is_global_zero,
            log=log,
        )


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
    log: EpochLog,
) -> dict[str, Any]:
    started = time.perf_counter()
    keep_freed_memory()
    torch.set_num_threads(config.threads)
    say = _Say(progress)
    initial = None if resumed and run.last.exists() else InitialWeights.read(config)
    transforms = build_encodings(config.encodings or ())
    with fabric.rank_zero_first():
        data = load_task(task, config.sizes, workers=workers, cache=cache, progress=progress)
    forget()
    if agree(fabric, lambda: data.fingerprint) != data.fingerprint:
        raise GraphPERuntimeError(f"processes read different data of {task!r}: it changed meanwhile; start again")
    for note in data.notes:
        say(note)
    check_sampler(data, config, fabric.world_size)
    parts = ", ".join(f"{name} {len(ids):,}" for name, ids in data.split.items())
    say(f"{_counted(data)} ({parts})")
    loaded = time.perf_counter()
    read = [each for each in transforms if repr(each) in data.encodings]
    computed = [each for each in transforms if repr(each) not in data.encodings]
    of_nodes, of_pairs = split_encodings(computed)
    released: list[Callable[[], None]] = []
    if data.store is None:
        graphs = encode_graphs(_held_only(data, read), of_nodes, progress=progress)
    else:
        with fabric.rank_zero_first():
            graphs, release = encode_stored(data.graphs, of_nodes, workers=workers, cache=cache, progress=progress)
        released = [data.store.release, release]
    encode_seconds = time.perf_counter() - loaded
    if read:
        say(f"encodings as they are in the data: {', '.join(map(repr, read))}")
    if of_nodes:
        say(f"encoded with {', '.join(map(repr, of_nodes))} in {encode_seconds:.1f} s")
    if made := [each for each in transforms if isinstance(each, Learned)]:
        say(f"the model makes {', '.join(map(repr, made))} itself")
    if of_pairs:
        say(f"encoding each batch with {', '.join(map(repr, of_pairs))}")

    torch.manual_seed(config.seed)  # the initial weights
    bare_model = build_model(config.model, data.adapter, transforms, **inputs_and_head(config))
    check_built(bare_model, config.model, transforms)
    if data.unit != "graph":
        check_attention_fits(bare_model, graphs, config, fabric.device)
    description = repr(bare_model)
    parameters = sum(p.numel() for p in bare_model.parameters())
    say(f"{description}: {parameters:,} parameters")
    unused = [*without_encoder(bare_model, transforms, config.encoder), *without_bias(bare_model, config.bias)]
    for line in [*unused, *not_perturbed(bare_model, config.perturb)]:
        say(line)
    if initial is not None:
        for line in initial.give(bare_model, config, data.adapter):
            say(line)
    optimizer = build_optimizer(bare_model, config)
    model, optimizer = fabric.setup(bare_model, optimizer)
    asked = [each for each in computed if isinstance(each, LinkEncoding) and each.pairs is not None]
    if asked:
        say(f"encoding the pairs of each batch with {', '.join(map(repr, asked))}")
    transform = BatchTransform(of_pairs, data.adapter, asked, released, config.rewire)
    training = Training(
        fabric, model, optimizer, data, graphs, transform, config, run, TrainState(), description, progress, log
    )

    for note in training.notes:
        say(note)
    if resumed and agree(fabric, lambda: _task_is_kept(run, data, task)):
        training.resume()
        say(f"resumed {run.path} at epoch {training.state.epoch + 1}, step {training.state.step}")
    elif fabric.is_global_zero:
        if resumed:
            say(f"there is no {run.last}: the run starts again from its first step")
        run.write_task(data.adapter.state(), data.fingerprint)
        run.write_config(config)  # last: with it, the folder is a run
    say(f"run folder {run.path}")
    try:
        training.fit()
    except GraphPEError:
        if not resumed and fabric.is_global_zero and not training.state.total_steps:
            run.withdraw()  # the first batch showed that model and data do not fit
        raise

    training.saves.load_best(training.state)
    predictions, loss = training.predict("test")
    test = training.score(predictions, loss, "test")
    seconds = {"read": loaded - started, "encode": encode_seconds}
    others = _other_readings(training)
    summary = summarise(
        training,
        test=test,
        answers_alike=answers_alike(predictions),
        larger=_larger(training),
        parameters=parameters,
        flops=flops_per_graph(training),
        seconds=seconds,
        other_readings=others,
        fingerprints=_fingerprints(data, cache, say) if fabric.is_global_zero else {},
    )
    if fabric.is_global_zero:
        indices = data.split["test"]
        run.write_test_predictions(part_frame(data, predictions, indices))
        log.write_test(data.metric, test.metric, training.state.best_epoch + 1)
        run.write_summary(summary)
    return summary


def _larger(training: Training) -> dict[str, float]:
    """The metric on each bin of larger graphs; NaN where it is not defined, as of one class."""
    found: dict[str, float] = {}
    for part in training.data.mean_sizes:
        if part != "test":
            try:
                found[part] = training.evaluate(part).metric
            except GraphPEValueError:
                found[part] = math.nan
    return found


def _other_readings(training: Training) -> dict[str, dict[str, float]]:
    """The metric where the adapter's other ways to read outputs are taken, by name and part."""
    data, own = training.data, training.data.adapter
    found: dict[str, dict[str, float]] = {}
    try:
        for name, reading in own.other_readings().items():
            data.adapter = reading
            found[name] = {part: training.evaluate(part).metric for part in ("valid", "test")}
    finally:
        data.adapter = own
    return found


def _fingerprints(data: TaskData, cache: Path | None, say: Callable[[str], object]) -> dict[str, Any]:
    """The baseline of molecules, or why it is left out; nothing for other graphs."""
    if not isinstance(data, GraphTargets) or data.smiles is None:
        return {}
    try:
        return fingerprint_baseline(data, cache=cache, say=say)._asdict()
    except GraphPEError as error:
        return {"left_out": str(error)}


def _counted(data: TaskData) -> str:
    graphs = data.graphs
    if data.unit == "graph":
        return f"{len(graphs):,} graphs, {graphs.num_nodes:,} nodes"
    several = "" if len(graphs) == 1 else f"{len(graphs):,} graphs, "
    return f"{several}{graphs.num_nodes:,} nodes, {graphs.num_edges:,} edges; a split of {data.unit}s"


def _held_only(data: TaskData, encodings: Sequence[Encoding]) -> PackedGraphs:
    """The graphs of a task, which of the encodings that they hold keep only some."""
    if not data.encodings:
        return data.graphs
    dropped = held_keys(data.encodings) - held_keys([repr(encoding) for encoding in encodings])
    levels = {
        level: {key: value for key, value in getattr(data.graphs, level).items() if key not in dropped}
        for level in ("node", "edge", "graph", "pair")
    }
    return data.graphs.structure().with_values(**levels)


def _task_is_kept(run: RunFolder, data: TaskData, task: Task) -> bool:
    """Whether there is a checkpoint to go on from, of a run on this data.

    Raises:
        GraphPEValueError: The run was started on other data.
        GraphPERuntimeError: `task.json` is damaged.
    """
    if (run.path / "task.json").is_file():
        _, fingerprint = run.read_task()
        if fingerprint != data.fingerprint:
            raise GraphPEValueError(f"the data of {task!r} changed since {run.path} was started; start a new run")
    elif run.last.exists():
        run.write_task(data.adapter.state(), data.fingerprint)  # `last.pt` says, too, which data it was
    return run.last.exists()


class _Say:
    """Prints on the first device only."""

    def __init__(self, aloud: bool) -> None:
        self.aloud = aloud

    def __call__(self, line: str) -> None:
        if self.aloud:
            print(line, flush=True)
