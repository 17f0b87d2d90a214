"""What a prediction hangs on: predictions without a part of the input, weights of attention, PyG's Explainer."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from graphpe.benchmarks.calls.parts import Learned
from graphpe.benchmarks.runs.inputs import Inputs, free_name
from graphpe.benchmarks.runs.table import PLACES, place_columns
from graphpe.benchmarks.tasks.task import rows_of
from graphpe.errors import GraphPEValueError
from graphpe.graphs.levels import Level
from graphpe.graphs.packed import PackedGraphs
from graphpe.models.attention.recording import record_attention
from graphpe.models.layers.inputs import ConcatenatedNodes
from graphpe.transforms.base import Encoding
from graphpe.transforms.compose import Compose

Columns = dict[str, np.ndarray]


@dataclass
class Change:
    """What a prediction loses without a part of the input.

    Attributes:
        graph: Number of the graph.
        part: What was taken away: the text of an encoding, or the number of a node.
        columns: The prediction as it is minus that without, by column, a number for each of the graph's rows.
    """

    graph: int
    part: Any
    columns: Columns


def numbers_of(columns: dict[str, Any]) -> Columns:
    """The columns of a prediction in which a difference means something: probabilities, or else predicted numbers.

    Args:
        columns: As `TaskAdapter.describe` gives them.

    Raises:
        GraphPEValueError: There are none.
    """
    arrays = {name: np.asarray(values) for name, values in columns.items()}
    numbers = {name: values.astype(np.float64) for name, values in arrays.items() if values.dtype.kind in "fiu"}
    probabilities = {name: values for name, values in numbers.items() if name.startswith("probability_")}
    if not numbers:
        raise GraphPEValueError(f"the run predicts {', '.join(columns)}, no numbers whose change could be told")
    return probabilities or numbers


def without_encoding(batch: Batch, encoding: Encoding) -> Batch:
    """A copy of a batch in which all that an encoding writes is zero, masks False.

    Args:
        batch: The batch.
        encoding: One of its encodings.
    """
    out = copy.copy(batch)
    for key in (*encoding.keys, *encoding.graph_keys, *encoding.pair_keys):
        out[key] = torch.zeros_like(batch[key])
    return out


@contextmanager
def without_module(model: Any, encodings: Sequence[Encoding], encoding: Encoding) -> Iterator[None]:
    """Inside, an encoding that the model makes itself is zero; nothing changes for one that is computed.

    Args:
        model: The architecture.
        encodings: Its encodings.
        encoding: One of them.
    """
    if not isinstance(encoding, Learned):
        yield
        return
    first = model.node_encoder
    modules = first.encodings if isinstance(first, ConcatenatedNodes) else model.encodings
    of_nodes = [each for each in encodings if each.pairs is None and not each.pair_keys]
    module = modules[of_nodes.index(encoding)]
    handle = module.register_forward_hook(lambda _, __, found: torch.zeros_like(found))
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def mean_node(model: Any, nodes: Tensor, sizes: Tensor) -> Iterator[None]:
    """Inside, the embedding of one node of each graph is the mean of its graph's nodes, and nothing that was its own.

    Args:
        model: The architecture; its `node_encoder` makes the embeddings.
        nodes: The node of each graph, counted over the batch, `[B]`.
        sizes: Nodes of each graph, `[B]`.
    """

    def replaced(_: nn.Module, __: Any, found: Tensor) -> Tensor:
        owner = torch.arange(len(sizes), device=found.device).repeat_interleave(sizes.to(found.device))
        mean = found.new_zeros(len(sizes), found.shape[1]).index_add(0, owner, found)
        mean = mean / sizes.to(found.device, found.dtype).unsqueeze(1)
        return found.index_copy(0, nodes.to(found.device), mean)

    handle = model.node_encoder.register_forward_hook(replaced)
    try:
        yield
    finally:
        handle.remove()


def change_frame(inputs: Inputs, level: Level, part: str, changes: Sequence[Change]) -> Any:
    """A table with a row for each change and, where a task predicts nodes or pairs, for each of these.

    Args:
        inputs: The rows that the graphs are of.
        level: What the task predicts.
        part: What the column of parts is called.
        changes: The changes.
    """
    import pandas

    sizes = inputs.graphs.sizes.tolist()
    counts = rows_of(level, inputs.graphs).tolist()
    table: dict[str, list[Any]] = {name: [] for name in inputs.names}
    places: list[tuple[int, ...]] = []
    parts: list[Any] = []
    values: dict[str, list[float]] = {}
    for change in changes:
        count, row = counts[change.graph], inputs.positions[change.graph]
        for name, column in inputs.names.items():
            table[name] += [column[row]] * count
        places += place_columns(level, sizes[change.graph])
        parts += [change.part] * count
        for name, numbers in change.columns.items():
            values.setdefault(f"change_{name}", []).extend(numbers.tolist())
    axes = PLACES[level]
    out: dict[str, list[Any]] = dict(table)
    added = {axis: [place[i] for place in places] for i, axis in enumerate(axes)} | {part: parts} | values
    for name, column in added.items():
        out[free_name(name, out)] = column
    return pandas.DataFrame(out)


def attention_of(model: nn.Module, batch: Batch, text: str) -> list[Tensor]:
    """The weights of each layer's attention on one graph, `[heads, n, n]`.

    Args:
        model: The architecture.
        batch: The graph.
        text: What the model is called, for the message.

    Raises:
        GraphPEValueError: It has none.
    """
    with record_attention() as layers:
        model(batch)
    if not layers:
        raise GraphPEValueError(
            f"{text} has no weights of pairs of nodes to show: it passes messages or its attention is linear; "
            "GraphTransformer, GPS(attention='softmax'), GRIT, Graphormer, SAT, Exphormer, RelationalTransformer and "
            "EdgeTransformer have them"
        )
    return [layer.matrix() for layer in layers]


class _Given(nn.Module):
    """Embeddings of nodes that the batch has as `x`."""

    def forward(self, batch: Data) -> Tensor:
        """The embeddings, `[N, width]`.

        Args:
            batch: The batch.
        """
        x = batch.x
        assert isinstance(x, Tensor)
        return x


class PyGModel(nn.Module):
    """A run's model as PyG's `Explainer` calls models: `forward(x, edge_index, batch=None, edge_attr=None, ...)`.

    `x` are embeddings of nodes, what the model's own node encoder gives: those can be masked and have gradients, which
    categories of atoms do not. `inputs` gives them with all else that `forward` takes. Values of encodings that are not
    given are computed from the edges at each call. Masks of edges have no effect: the models are no `MessagePassing`.

    Example:
        >>> module = run.as_pyg()  # doctest: +SKIP
        >>> explainer = torch_geometric.explain.Explainer(
        ...     module, GNNExplainer(epochs=100), explanation_type="model", node_mask_type="object",
        ...     model_config=dict(mode="regression", task_level="graph", return_type="raw"),
        ... )  # doctest: +SKIP
        >>> explainer(**module.inputs(graphs[0])).node_mask  # doctest: +SKIP
    """

    def __init__(self, model: nn.Module, encodings: Sequence[Encoding], batch_of: Callable[[Any], Batch]) -> None:
        super().__init__()
        self.model = copy.deepcopy(model)
        self.node_encoder, self.model.node_encoder = self.model.node_encoder, _Given()
        self.encodings, self._batch_of = list(encodings), batch_of
        assert isinstance(model.width, int)
        self.width = model.width
        self.eval()  # an Explainer puts a module back as it found it: dropout is off afterwards, too

    @torch.no_grad()
    def inputs(self, source: Any) -> dict[str, Tensor]:
        """What `forward` takes, by name: embeddings, edges, `batch`, values of edges, nodes and encodings.

        Args:
            source: Graphs, as for `Run.batch`.
        """
        batch = self._batch_of(source)
        node_encoder = self.node_encoder
        assert isinstance(node_encoder, nn.Module)
        values = {key: value for key, value in batch.to_dict().items() if isinstance(value, Tensor)}
        values.pop("ptr", None)
        return values | {"x": node_encoder(batch)}

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor,
        batch: Tensor | None = None,
        edge_attr: Tensor | None = None,
        **values: Tensor,
    ) -> Tensor:
        """The model's output: of each graph, or of each node or pair where the task is about those.

        Args:
            x: Embeddings of nodes, `[N, width]`.
            edge_index: Edges, `[2, E]`.
            batch: Graph of each node, `[N]`; None for one graph.
            edge_attr: Values of edges, where the run reads them.
            **values: Values of encodings, and others that the run reads, by key.

        Raises:
            GraphPEValueError: `x` are no embeddings of the model's width.
        """
        if x.dim() != 2 or x.size(1) != self.width or not x.is_floating_point():
            raise GraphPEValueError(
                f"x must be embeddings of nodes, [N, {self.width}], got {list(x.shape)} of {x.dtype}: `inputs(graphs)` "
                "gives them"
            )
        data = Data(x=x, edge_index=edge_index, **values)
        data.batch = torch.zeros(len(x), dtype=torch.long, device=x.device) if batch is None else batch
        if edge_attr is not None:
            data.edge_attr = edge_attr
        missing = [each for each in self.encodings if not all(key in data for key in (*each.keys, *each.pair_keys))]
        if missing:
            data = Compose(missing)(data)
        return self.model(data)


def copies_of(graphs: PackedGraphs, most: int) -> Iterator[tuple[int, range]]:
    """Each graph with runs of its nodes, of at most so many.

    Args:
        graphs: The graphs.
        most: The number.
    """
    for graph, size in enumerate(graphs.sizes.tolist()):
        for start in range(0, size, most):
            yield graph, range(start, min(start + most, size))
