"""A trained run, loaded: its model, its encodings, and predictions for other graphs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch

from graphpe.benchmarks.calls.build import build_encodings, build_model, build_task, split_encodings
from graphpe.benchmarks.calls.own import any_imported, imported
from graphpe.benchmarks.runs.inputs import Inputs, read_inputs
from graphpe.benchmarks.runs.table import prediction_frame, rows_of
from graphpe.benchmarks.tasks.task import Task, TaskAdapter
from graphpe.benchmarks.training.batch_transform import BatchTransform, encode_graphs
from graphpe.benchmarks.training.checkpoint import check_same_run, load_checkpoint, load_weights
from graphpe.benchmarks.training.config import TrainConfig, inputs_and_head
from graphpe.benchmarks.training.run_folder import RunFolder
from graphpe.compiled.jit import everything_compiled
from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.graphs.loader import PackedLoader
from graphpe.graphs.packed import PackedGraphs
from graphpe.progress import progress_bar
from graphpe.transforms.base import Encoding
from graphpe.transforms.compose import Compose


def load_run(path: str | Path, *, device: str | torch.device = "cpu", imports: Sequence[str] = ()) -> Run:
    """A run of `graphpe train`, with the weights of its best epoch. Nothing in the folder is executed.

    Args:
        path: The run's folder.
        device: Where the model computes.
        imports: Modules of one's own that the run was trained with (`--import`), `my_module` or `my_model.py`. The
            folder names them, too, but is not asked what code to run.

    Raises:
        GraphPEValueError: There is no run, it has saved no weights yet, or it needs modules that are not given.
        GraphPERuntimeError: It is damaged.

    Example:
        >>> import graphpe
        >>> run = graphpe.load_run("runs/smiles-table-001")  # doctest: +SKIP
        >>> run.predict("new_molecules.csv").to_csv("predictions.csv")  # doctest: +SKIP
    """
    folder = RunFolder.open(Path(path).expanduser())
    config = folder.read_config()
    if config.imports and not imports and not any_imported():
        again = " ".join(f"--import {name}" for name in config.imports)
        raise GraphPEValueError(
            f"{folder.path} was trained with {again}: say that again (load_run: imports={list(config.imports)}), if "
            "that code may run; a run folder alone runs none"
        )
    with imported(imports):
        return _loaded(folder, config, device)


def _loaded(folder: RunFolder, config: TrainConfig, device: str | torch.device) -> Run:
    task = build_task(config.task)
    adapter = task.adapter(folder.read_task()[0])
    encodings = build_encodings(config.encodings or ())
    model = build_model(config.model, adapter, encodings, **inputs_and_head(config))
    content = load_checkpoint(folder.best)
    check_same_run(content, repr(model), config, folder.best)
    load_weights(model, content, folder.best)
    if config.precision == "64-true":
        model.double()
    model.requires_grad_(False)
    return Run(folder, config, task, adapter, encodings, model.eval().to(device))


@contextmanager
def _as_trained() -> Iterator[None]:
    """Compiled as in training, so that the bits are the same; without gradients."""
    with everything_compiled(), torch.no_grad():
        yield


class Run:
    """A trained run.

    Attributes:
        folder: Its folder and files.
        config: The options that it was trained with.
        task: Its task, without the data.
        adapter: The two ends of the model, and the words of targets and classes.
        encodings: Its encodings.
        transform: The same as one PyG transform.
        model: The model in evaluation mode, with the best weights; it takes the batches of `batch`.
    """

    def __init__(
        self,
        folder: RunFolder,
        config: TrainConfig,
        task: Task,
        adapter: TaskAdapter,
        encodings: Sequence[Encoding],
        model: nn.Module,
    ) -> None:
        self.folder, self.config, self.task, self.adapter = folder, config, task, adapter
        self.encodings, self.transform, self.model = list(encodings), Compose(list(encodings)), model

    def __repr__(self) -> str:
        return f"Run({str(self.folder.path)!r}: {self.config.task}, {self.config.model})"

    @property
    def summary(self) -> dict[str, Any]:
        """The result: metrics, parameters, times.

        Raises:
            GraphPERuntimeError: The run has not finished.
        """
        summary = self.folder.read_summary()
        if summary is None:
            raise GraphPERuntimeError(f"{self.folder.path} has not finished: `graphpe train --resume` goes on")
        return summary

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return next(self.model.parameters()).device

    def predict(self, source: Any, *, batch_size: int = 64, workers: int = 1, progress: bool = False) -> Any:
        """Predictions for graphs.

        Args:
            source: A path, or paths, of what the task reads (for molecules a table with a column of SMILES, for code
                Python files, for own data its own format, or PyG's `.pt` files); or a `Data`, a `Batch`, a list of
                `Data`, a PyG dataset or a `PackedGraphs` with the `x` and `edge_attr` of the task. Targets may be
                missing, and are not looked at.
            batch_size: Graphs predicted at once.
            workers: Processes that read files; 0 means as many as there are cores.
            progress: Whether to show bars.

        Returns:
            A pandas DataFrame in the order of the input, with a row for each graph (node, ordered pair of nodes, where
            the task asks about those): the columns of a table or the number of a graph, then `predicted_<target>` in
            the target's units, `probability_<target or class>`, and for classes the word. A row that could not be read
            has a reason in the column `error`, and no prediction.

        Raises:
            GraphPEError: Nothing could be read, or it is not of the run's task.
        """
        inputs = read_inputs(self.task, self.adapter, source, workers=workers, progress=progress)
        return self.predict_inputs(inputs, batch_size=batch_size, progress=progress)

    @_as_trained()
    def predict_inputs(self, inputs: Inputs, *, batch_size: int = 64, progress: bool = False) -> Any:
        """`predict`, of inputs that were read.

        Args:
            inputs: What was read.
            batch_size: Graphs predicted at once.
            progress: Whether to show bars.
        """
        found: dict[int, dict[str, Any]] = {}
        for ids, graphs, batch in self._batches(inputs.graphs, batch_size, progress):
            columns = self.adapter.describe(self.model(batch), batch, graphs)
            rows = rows_of(self.adapter.level, graphs)
            ends = np.cumsum(rows)
            for graph, start, end in zip(ids.tolist(), ends - rows, ends, strict=True):
                found[graph] = {name: values[start:end] for name, values in columns.items()}
        return prediction_frame(inputs, self.adapter.level, [found[graph] for graph in range(len(inputs.graphs))])

    @_as_trained()
    def embed(self, source: Any, *, batch_size: int = 64, workers: int = 1, progress: bool = False) -> Tensor:
        """What the model's head reads: a vector for each graph, `[B, width]`, or for each node where it is about nodes.

        Args:
            source: As for `predict`.
            batch_size: Graphs at once.
            workers: Processes that read files.
            progress: Whether to show bars.

        Raises:
            GraphPEError: As for `predict`, or a row cannot be read.
        """
        inputs = read_inputs(self.task, self.adapter, source, workers=workers, progress=progress)
        if inputs.errors:
            row = min(inputs.errors)
            raise GraphPEValueError(f"row {row} cannot be read ({inputs.errors[row]}): leave it out")
        seen: list[Tensor] = []
        head = self.model.head
        assert isinstance(head, nn.Module)
        handle = head.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        parts: dict[int, Tensor] = {}
        try:
            for ids, graphs, batch in self._batches(inputs.graphs, batch_size, progress):
                seen.clear()
                self.model(batch)
                vectors = seen[0].float().cpu()
                of_nodes = len(vectors) != len(graphs)
                split = vectors.split(graphs.sizes.tolist() if of_nodes else 1)
                parts |= dict(zip(ids.tolist(), split, strict=True))
        finally:
            handle.remove()
        return torch.cat([parts[graph] for graph in range(len(inputs.graphs))])

    def batch(self, source: Any) -> Batch:
        """Graphs as one batch that `model` takes: with encodings, and the task's own changes such as inverse edges.

        Args:
            source: Graphs, as `predict` takes them.
        """
        graphs = read_inputs(self.task, self.adapter, source).graphs
        with everything_compiled():
            return BatchTransform(self.encodings, self.adapter)(graphs.to(self.device)).to_batch()

    def _batches(
        self, graphs: PackedGraphs, batch_size: int, progress: bool
    ) -> Iterator[tuple[Tensor, PackedGraphs, Batch]]:
        """Numbers of graphs, the graphs, and their batch for the model; graphs of similar size together."""
        of_nodes, of_pairs = split_encodings(self.encodings)
        encoded = encode_graphs(graphs, of_nodes, progress=progress)
        transform = BatchTransform(of_pairs, self.adapter)
        loader = PackedLoader(
            encoded,
            batch_size,
            max_nodes=self.config.max_nodes or None,
            max_pairs=self.config.max_pairs or None,
            bucket_by_size=True,
        )
        batches = loader.batch_indices(epoch=0)
        for ids in progress_bar(batches, desc="predict", leave=False, disable=not progress, unit="batch"):
            yield ids, graphs.select(ids), transform(encoded.select(ids).to(self.device)).to_batch()
