"""Naming the functions of Python files with a trained run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from graphpe.benchmarks.calls.build import build_encodings, build_model, build_task, split_encodings
from graphpe.benchmarks.tasks import PythonSource
from graphpe.benchmarks.training.batch_transform import BatchTransform, encode_graphs
from graphpe.benchmarks.training.checkpoint import check_same_run, load_checkpoint, load_weights
from graphpe.benchmarks.training.run_folder import RunFolder
from graphpe.compiled.jit import everything_compiled
from graphpe.errors import GraphPEValueError
from graphpe.graphs.loader import PackedLoader


@dataclass(frozen=True)
class NamedFunction:
    """A function and the model's guess.

    Attributes:
        where: File and line.
        name: Its own name.
        predicted: Sub-tokens with their probabilities.
    """

    where: str
    name: str
    predicted: list[tuple[str, float]]


@torch.no_grad()
@everything_compiled()  # as the model was trained
def name_functions(run: RunFolder, paths: Sequence[Path], *, batch_size: int) -> tuple[list[NamedFunction], list[str]]:
    """Name every function below `paths` with the best weights of a run.

    Returns:
        The functions, in the order of their files; and notes about files that could not be read.

    Raises:
        GraphPEValueError: If the run's task is not about Python source, or there is no function.
        GraphPERuntimeError: If the run is damaged.
    """
    config = run.read_config()
    task = build_task(config.task)
    if not isinstance(task, PythonSource):
        raise GraphPEValueError(
            f"{run.path} was trained on {config.task}; names are predicted by runs of python-source"
        )
    adapter = task.adapter(run.read_task()[0])
    transforms = build_encodings(config.encodings or ())
    of_nodes, of_pairs = split_encodings(transforms)
    model = build_model(config.model, adapter, transforms, encoder=config.encoder, bias=config.bias)
    content = load_checkpoint(run.best)
    check_same_run(content, repr(model), config, run.best)
    load_weights(model, content, run.best)
    model.eval()

    functions, notes = task.functions(paths, adapter)
    graphs = encode_graphs(functions, of_nodes, progress=False)
    transform = BatchTransform(of_pairs, adapter)
    loader = PackedLoader(
        graphs,
        batch_size,
        max_nodes=config.max_nodes or None,
        max_pairs=config.max_pairs or None,
        bucket_by_size=True,
    )
    named: dict[int, NamedFunction] = {}
    for indices in loader.batch_indices(epoch=0):
        guesses = adapter.decode(model(transform(graphs.select(indices)).to_batch()))
        for index, guess in zip(indices.tolist(), guesses, strict=True):
            named[index] = NamedFunction(graphs.objects["where"][index], graphs.objects["name"][index], guess)
    return [named[index] for index in range(len(named))], notes
