"""A trained run, loaded: its model, its encodings, and predictions for other graphs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch

from graphpe.arguments import check_choice, shown
from graphpe.benchmarks.calls.build import build_encodings, build_model, build_task, split_encodings
from graphpe.benchmarks.calls.own import any_imported, imported
from graphpe.benchmarks.calls.parts import Learned
from graphpe.benchmarks.runs.explain import (
    Change,
    Columns,
    PyGModel,
    attention_of,
    change_frame,
    copies_of,
    mean_node,
    numbers_of,
    without_encoding,
    without_module,
)
from graphpe.benchmarks.runs.inputs import Inputs, read_inputs
from graphpe.benchmarks.runs.links import predict_links
from graphpe.benchmarks.runs.node_vectors import before_pooling, random_nodes, read_keys
from graphpe.benchmarks.runs.table import prediction_frame
from graphpe.benchmarks.tasks.links.link_data import LinkAdapter
from graphpe.benchmarks.tasks.links.model import LinkModel
from graphpe.benchmarks.tasks.task import Task, TaskAdapter, rows_of
from graphpe.benchmarks.training.batch_transform import BatchTransform, encode_graphs
from graphpe.benchmarks.training.checkpoints.file import check_same_run, digest, load_checkpoint, load_weights
from graphpe.benchmarks.training.config import TrainConfig, inputs_and_head
from graphpe.benchmarks.training.run_folder import RunFolder
from graphpe.compiled.jit import everything_compiled
from graphpe.errors import GraphPERuntimeError, GraphPETypeError, GraphPEValueError
from graphpe.graphs.checks import check_device
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
        GraphPETypeError: `path` is no path.
        GraphPEValueError: There is no run, it has saved no weights yet, it needs modules that are not given, or there
            is no such device here.
        GraphPERuntimeError: It is damaged.

    Example:
        >>> import graphpe
        >>> run = graphpe.load_run("runs/smiles-table-001")  # doctest: +SKIP
        >>> run.predict("new_molecules.csv").to_csv("predictions.csv")  # doctest: +SKIP
    """
    if not isinstance(path, str | os.PathLike):
        raise GraphPETypeError(f"path must be the folder of a run, got {shown(path)}")
    device = check_device(device)
    folder = RunFolder.open(Path(path).expanduser().absolute())  # wherever the process goes later
    config = folder.read_config()
    if config.imports and not imports and not any_imported():
        again = " ".join(f"--import {name}" for name in config.imports)
        raise GraphPEValueError(
            f"{folder.path} was trained with {again}: say that again (load_run: imports={list(config.imports)}), if "
            "that code may run; a run folder alone runs none"
        )
    with imported(imports):
        return _loaded(folder, config, device)


def _loaded(folder: RunFolder, config: TrainConfig, device: torch.device) -> Run:
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


def _minus(one: Columns, other: Columns) -> Columns:
    return {name: values - other[name] for name, values in one.items()}


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
        transform: Those that are computed, as one PyG transform.
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
        self.encodings, self.model = list(encodings), model
        self._computed = [each for each in encodings if not isinstance(each, Learned)]
        self.transform = Compose(self._computed)

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
            source: Of a run about links, a `Data` with known edges and pairs `edge_label_index`, or the file of one.
                Otherwise a path, or paths, of what the task reads (for molecules a table with a column of SMILES, for
                code Python files, for own data its own format, or PyG's `.pt` files); or a `Data`, a `Batch`, a list of
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
        if isinstance(self.model, LinkModel) and isinstance(self.adapter, LinkAdapter):
            with _as_trained():
                return predict_links(self.model, self.adapter, self.encodings, source, self.device)
        inputs = read_inputs(self.task, self.adapter, source, workers=workers, progress=progress)
        return self.predict_inputs(inputs, batch_size=batch_size, progress=progress)

    @property
    def about_links(self) -> bool:
        """Whether it is asked about links of one graph, a pair at a time."""
        return isinstance(self.model, LinkModel)

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
        return self._vectors(self._all_readable(source, workers, progress), batch_size, progress)

    @_as_trained()
    def embed_nodes(self, graphs: PackedGraphs, *, seed: int = 0, batch_size: int = 64) -> Tensor:
        """The model's vectors of nodes before any pooling, `[N, width]` on the CPU: what `T.PretrainedPE` writes.

        Args:
            graphs: The graphs, with the features that `reads` names.
            seed: Of the random features that the run reads, if it does.
            batch_size: Graphs at once.

        Raises:
            GraphPEError: As for `embed`, or the model has no vectors of nodes.
        """
        with before_pooling(self.model, seed):
            return self._vectors(self._all_readable(graphs, 1, False), batch_size, False)

    @property
    def reads(self) -> tuple[list[str], list[str]]:
        """Keys of the features of nodes, and of those of edges, that it cannot do without."""
        return read_keys(self.adapter)

    @property
    def random_features(self) -> bool:
        """Whether its model reads random features of nodes."""
        return bool(random_nodes(self.model))

    @property
    def digest(self) -> str:
        """A digest of all that its vectors follow from: weights, model, encodings and inputs."""
        said = [repr(self.model), [repr(each) for each in self.encodings], self.adapter.state()]
        return digest([self.model.state_dict(), *said])

    def _vectors(self, inputs: Inputs, batch_size: int, progress: bool) -> Tensor:
        """What the model's head reads, of graphs in order."""
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
                of_nodes = len(vectors) == graphs.num_nodes
                split = vectors.split(graphs.sizes.tolist() if of_nodes else 1)
                parts |= dict(zip(ids.tolist(), split, strict=True))
        finally:
            handle.remove()
        return torch.cat([parts[graph] for graph in range(len(inputs.graphs))])

    @_as_trained()
    def explain(
        self,
        source: Any,
        *,
        of: Literal["encodings", "nodes"] = "encodings",
        batch_size: int = 64,
        workers: int = 1,
        progress: bool = False,
    ) -> Any:
        """How predictions change without a part of the input (occlusion).

        Args:
            source: As for `predict`.
            of: `"encodings"`: each encoding of the run in turn has only zeros, and masks that are False, as a graph
                has that it can say nothing of (of integers, 0 is a value as any other; of what the model makes itself,
                its module gives zeros). `"nodes"`: each node in turn
                has the mean embedding of its graph's nodes for its own features; its edges and encodings stay. That
                takes one pass for each encoding; or n passes over a graph of n nodes, O(n^3) where attention is over
                all pairs.
            batch_size: Graphs, or copies of one graph, at once.
            workers: Processes that read files.
            progress: Whether to show bars.

        Returns:
            A pandas DataFrame: the columns of the input, `node` or `source` and `target` where the task predicts those,
            `encoding` or `changed_node`, and for each number of a prediction `change_<column>`: the prediction as it
            is minus that without, in the units of the column. Of classes those are probabilities.

        Raises:
            GraphPEError: As for `embed`; or the run has no encodings, or predicts no numbers.
        """
        check_choice("of", of, ("encodings", "nodes"))
        if of == "encodings" and not self.encodings:
            raise GraphPEValueError(
                f"{self.folder.path} was trained without encodings: explain(..., of='nodes') is left"
            )
        inputs = self._all_readable(source, workers, progress)
        changes: list[Change] = []
        if of == "encodings":
            for ids, graphs, batch in self._batches(inputs.graphs, batch_size, progress):
                whole = self._numbers(batch, graphs)
                for encoding in self.encodings:
                    with without_module(self.model, self.encodings, encoding):
                        part = self._numbers(without_encoding(batch, encoding), graphs)
                    pieces = zip(ids.tolist(), whole, part, strict=True)
                    changes += [Change(graph, repr(encoding), _minus(one, other)) for graph, one, other in pieces]
            changes.sort(key=lambda change: change.graph)
            return change_frame(inputs, self.adapter.level, "encoding", changes)
        encoded = encode_graphs(inputs.graphs, split_encodings(self.encodings)[0], progress=progress)
        transform = self._batch_transform(split_encodings(self.encodings)[1])
        for graph, nodes in copies_of(encoded, batch_size):
            copies = encoded.select([graph] * len(nodes))
            batch = transform(copies.to(self.device)).to_batch()
            place = copies.ptr[:-1] + torch.tensor(list(nodes))
            whole = self._numbers(batch, copies)
            with mean_node(self.model, place, copies.sizes):
                part = self._numbers(batch, copies)
            changes += [Change(graph, node, _minus(*pair)) for node, *pair in zip(nodes, whole, part, strict=True)]
        return change_frame(inputs, self.adapter.level, "changed_node", changes)

    @_as_trained()
    def attention(self, source: Any, *, workers: int = 1) -> list[list[Tensor]]:
        """The weights of attention: for each graph a list of layers, of each `[heads, n, n]` (query i, key j).

        They are what values are multiplied with. Rows sum to 1, or are 0 where nothing is attended to (a node without
        edges, in attention over edges); biases with factors (`urpe`) change sums. Where a model has extra nodes
        (Graphormer's, SAT's token, Exphormer's) they stand behind the n nodes. Computed beside the fast path, one graph
        at a time, in O(heads n^2) memory a layer.

        Args:
            source: As for `predict`.
            workers: Processes that read files.

        Raises:
            GraphPEError: As for `embed`; or the model has no softmax attention over nodes.
        """
        graphs = self._all_readable(source, workers, False).graphs
        encoded = encode_graphs(graphs, split_encodings(self.encodings)[0], progress=False)
        transform = self._batch_transform(split_encodings(self.encodings)[1])
        batches = (transform(encoded.select([i]).to(self.device)).to_batch() for i in range(len(encoded)))
        return [attention_of(self.model, batch, self.config.model) for batch in batches]

    def as_pyg(self) -> PyGModel:
        """The model as `forward(x, edge_index, batch=None, edge_attr=None, ...)`, for `torch_geometric.explain`.

        `x` are embeddings of nodes; `run.as_pyg().inputs(graphs)` gives them, and all else that it takes.

        Raises:
            GraphPEValueError: An encoding of the run is made of the node features, in whose place embeddings stand.
        """
        for each in self.encodings:
            if isinstance(each, Learned) and each.reads_features:
                raise GraphPEValueError(
                    f"{each!r} is made of node features, in whose place as_pyg has embeddings: explain() is left"
                )
        return PyGModel(self.model, self.encodings, self.batch)

    def _all_readable(self, source: Any, workers: int, progress: bool) -> Inputs:
        if self.about_links:
            raise GraphPEValueError(
                f"{self.folder.path} is a run about links, of which there is predict alone: with a Data that has "
                "edge_label_index, the pairs that are asked for"
            )
        inputs = read_inputs(self.task, self.adapter, source, workers=workers, progress=progress)
        if inputs.errors:
            row = min(inputs.errors)
            raise GraphPEValueError(f"{inputs.called(row)} cannot be read ({inputs.errors[row]}): leave it out")
        return inputs

    def _numbers(self, batch: Batch, graphs: PackedGraphs) -> list[Columns]:
        """The numbers of each graph's prediction."""
        columns = numbers_of(self.adapter.describe(self.model(batch), batch, graphs))
        ends = np.cumsum(rows_of(self.adapter.level, graphs))
        return [
            {name: values[start:end] for name, values in columns.items()}
            for start, end in zip([0, *ends[:-1]], ends, strict=True)
        ]

    def batch(self, source: Any) -> Batch:
        """Graphs as one batch that `model` takes: with encodings, and the task's own changes such as inverse edges.

        Args:
            source: Graphs, as `predict` takes them.
        """
        graphs = read_inputs(self.task, self.adapter, source).graphs
        with everything_compiled():
            return self._batch_transform(self._computed)(graphs.to(self.device)).to_batch()

    def _batch_transform(self, encodings: Sequence[Encoding]) -> BatchTransform:
        """What batches go through, with these encodings computed; added edges are those of evaluation."""
        return BatchTransform(encodings, self.adapter, rewire=self.config.rewire)

    def _batches(
        self, graphs: PackedGraphs, batch_size: int, progress: bool
    ) -> Iterator[tuple[Tensor, PackedGraphs, Batch]]:
        """Numbers of graphs, the graphs, and their batch for the model; graphs of similar size together."""
        of_nodes, of_pairs = split_encodings(self.encodings)
        encoded = encode_graphs(graphs, of_nodes, progress=progress)
        transform = self._batch_transform(of_pairs)
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
