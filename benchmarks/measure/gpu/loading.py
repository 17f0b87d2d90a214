"""Batches and epochs: `PackedLoader` against PyG's loader, and training on as many molecules as ZINC's subset has."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch_geometric.data import Batch
from torch_geometric.loader import DataLoader

from graphpe.benchmarks.calls.build import build_encodings, build_model
from graphpe.benchmarks.measure.gpu.run import Record, Run
from graphpe.benchmarks.measure.gpu.steps import MODELS, Trainer, adapter
from graphpe.benchmarks.measure.inputs.graphs import molecules, random_molecules
from graphpe.benchmarks.training.batch_transform import BatchTransform
from graphpe.benchmarks.training.batches.pad import Padded
from graphpe.benchmarks.training.batches.shapes import choose_shapes, sizes_of_batches
from graphpe.benchmarks.training.steps.captured import CapturedSteps, CudaGraphs, EachTime
from graphpe.graphs.loader import PackedLoader

_EPOCH = 10_000


def time_loaders(run: Run) -> None:
    """Batches a second that arrive on the device."""
    source, graphs = molecules(200 if run.small else 8_192, run.data, np.random.default_rng(0))
    data_list = [data.clone() for data in graphs.to_data_list()]
    there = graphs.to(run.device)
    for size in (32, 256):
        sides: dict[str, Iterable[Any]] = {
            "PackedLoader, graphs on the host": PackedLoader(graphs, size, shuffle=True, device=run.device),
            "PackedLoader, graphs on the device": PackedLoader(there, size, shuffle=True),
            "PyG's DataLoader": DataLoader(data_list, size, shuffle=True),
        }
        for name, loader in sides.items():
            run.add(f"{name}, {size} molecules ({source})", partial(_batches, run, loader))


def _batches(run: Run, loader: Iterable[Any], most: int = 200) -> Record:
    run.wait()
    begin, count = time.perf_counter(), 0
    for batch in itertools.islice(loader, most):
        batch.to(run.device)
        count += 1
    run.wait()
    return {"batches_per_second": count / (time.perf_counter() - begin)}


def time_epoch(run: Run) -> None:
    """Epochs of 10,000 molecules, 32 at a time, encodings of pairs included: loader, steps, and nothing else."""
    graphs = random_molecules(160 if run.small else _EPOCH, np.random.default_rng(0))
    graphs = graphs.with_values(graph={"y": torch.randn(len(graphs), 1)})
    for name in ("GRIT", "GPS"):
        for captured in (False, True):
            what = f"{name}, {len(graphs):,} molecules, 32 a batch{', captured' if captured else ''}"
            run.add(what, partial(_epoch, run, name, graphs, captured=captured), needs=10)


def _epoch(run: Run, name: str, graphs: Any, *, captured: bool) -> Record:
    text, calls = MODELS[name]
    encodings = build_encodings(calls)
    of_nodes = [each for each in encodings if not each.pair_keys]
    of_pairs = [each for each in encodings if each.pair_keys]
    for encoding in of_nodes:
        graphs = encoding(graphs)
    torch.manual_seed(0)
    model = build_model(text.replace("layers=10", "layers=2") if run.small else text, adapter(), encodings)
    trainer = Trainer(run, model, None, lambda model, batch: adapter().loss(model(batch), batch))
    transform: Any = BatchTransform(of_pairs, adapter())
    loader = PackedLoader(graphs, 32, shuffle=True, transform=transform, device=run.device)
    step: Callable[[Batch], object] = trainer.step_on
    if captured:  # as `graphpe train` does
        padded = Padded(transform, choose_shapes(sizes_of_batches(loader)))
        loader = PackedLoader(graphs, 32, shuffle=True, transform=padded, device=run.device)
        engine = CudaGraphs() if run.device.type == "cuda" else EachTime()
        steps_of = CapturedSteps(trainer.step_on, trainer.optimizer, engine, run.device)

        def step(batch: Batch) -> object:
            return steps_of(padded.mark(batch), 1e-4)

    batches = iter(loader)
    warm = 3 if run.small else 30  # each shape is captured at its second batch
    for batch in itertools.islice(batches, warm):
        step(batch)
    run.wait()
    begin, steps = time.perf_counter(), 0
    for batch in batches:
        step(batch)
        steps += 1
        if run.left < 2:
            break
    run.wait()
    each = (time.perf_counter() - begin) / max(steps, 1)
    return {"seconds": each * (len(graphs) / 32), "steps_measured": steps, "ms_a_step": 1e3 * each}
