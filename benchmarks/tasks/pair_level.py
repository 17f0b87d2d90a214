"""Tasks that ask about every ordered pair of nodes: adapter, data, metrics.

The score of a pair is that of a network with one hidden layer over the embeddings of its two nodes,

    s(u, v) = sum_f +-relu(a_uf + b_vf) + c_u + d_v,

where the head gives a, b, c, d of each node: relu(w z) = w relu(z) for w > 0, so that weights of either sign after the
hidden layer are part of a and b. Nothing is learned beyond the head's output, and a pair costs no product of matrices.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Batch

from graphpe.benchmarks.tasks.graph_level import GraphAdapter
from graphpe.benchmarks.tasks.node_level import check_node_outputs
from graphpe.benchmarks.tasks.task import TaskData
from graphpe.errors import GraphPEValueError
from graphpe.graphs.levels import Level
from graphpe.graphs.packed import PackedGraphs
from graphpe.models.batches.nodes import node_to_graph

HIDDEN = 64
"""Units of the hidden layer, half of them with a positive weight."""

_CHUNK_PAIRS = 1 << 17


@dataclass(frozen=True)
class PairAdapter(GraphAdapter):
    """Adapter for an answer a pair: targets `batch.y` `[sum n_b^2, 1]`, negative where a pair does not count.

    `loss_name` is `binary` (an answer, 0 or 1) or `squared` (a distance, at least 0). Outputs are parts of scores
    `[N, 2 HIDDEN + 2]`; the model reads no edges, so that encodings are all it knows of the graph.
    """

    @property
    def level(self) -> Level:
        """What `columns` has a row for: ordered pairs of nodes."""
        return "pair"

    def columns(self, predictions: Tensor, graphs: PackedGraphs) -> dict[str, Sequence[Any]]:
        """`probability`, or `predicted_distance`, of every ordered pair of nodes."""
        scores = graph_pair_scores(predictions, graphs).double()
        if self.loss_name == "binary":
            return {"probability": scores.sigmoid().tolist()}
        return {"predicted_distance": functional.softplus(scores).tolist()}

    def target_columns(self, graphs: PackedGraphs) -> dict[str, Sequence[Any]]:
        """`target`: the answer, or the distance; None for pairs that do not count."""
        y = graphs.pair.get("y")
        return {} if y is None else {"target": [None if value < 0 else value for value in y.flatten().tolist()]}

    def prediction_rows(self, graphs: PackedGraphs) -> Tensor:
        """As many as a graph has nodes: parts of scores."""
        return graphs.sizes

    def model_graphs(self, graphs: PackedGraphs) -> PackedGraphs:
        return graphs.with_edges(graphs.edge_index[:, :0], torch.zeros_like(graphs.edge_ptr))

    def head(self, width: int) -> nn.Module:
        """Two layers, from node embeddings to the parts of scores."""
        return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2 * HIDDEN + 2))

    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Mean loss over the pairs that count: cross-entropy, or the squared error of softplus(score).

        Raises:
            GraphPEValueError: If the model pools over nodes.
        """
        check_node_outputs(output, batch)
        score = pair_scores(output.float(), node_to_graph(batch).ptr, batch.num_pairs)
        target = batch.y.flatten().to(score.dtype)
        counts = (target >= 0).to(score.dtype)
        if self.loss_name == "binary":
            each = functional.binary_cross_entropy_with_logits(score, target.clamp(min=0), reduction="none")
        else:
            each = (functional.softplus(score) - target).square()
        return (each * counts).sum() / counts.sum().clamp(min=1)


def pair_scores(parts: Tensor, ptr: Tensor, num_pairs: int) -> Tensor:
    """Scores of all ordered pairs of nodes of each graph, row-major.

    Args:
        parts: a, b, c, d of each node, `[N, 2 HIDDEN + 2]`.
        ptr: First node of each graph and, last, N.
        num_pairs: sum n_b^2.
    """
    sizes = ptr.diff()
    length = sizes.repeat_interleave(sizes, output_size=len(parts))  # pairs that begin with each node
    first = ptr[:-1].repeat_interleave(sizes, output_size=len(parts))
    tail = torch.arange(len(parts), device=parts.device).repeat_interleave(length, output_size=num_pairs)
    shift = first - (length.cumsum(0) - length)
    head = torch.arange(num_pairs, device=parts.device) + shift[tail]
    a, b, more = parts.split([HIDDEN, HIDDEN, 2], dim=1)
    hidden = torch.relu(a[tail] + b[head])
    half = HIDDEN // 2
    score = (hidden[:, :half].sum(1) - hidden[:, half:].sum(1)) / math.sqrt(HIDDEN)
    return score + more[tail, 0] + more[head, 1]


def graph_pair_scores(parts: Tensor, graphs: PackedGraphs) -> Tensor:
    """`pair_scores` of many graphs, some at a time: `[sum n_b^2]`."""
    scores = []
    many = max(1, _CHUNK_PAIRS // max(graphs.max_size**2, 1))
    for start in range(0, len(graphs), many):
        some = graphs.ptr[start : start + many + 1]
        pairs = graphs.pair_ptr[start : start + many + 1]
        scores.append(pair_scores(parts[some[0] : some[-1]].float(), some - some[0], int(pairs[-1] - pairs[0])))
    return torch.cat(scores) if scores else torch.zeros(0)


@dataclass
class PairTargets(TaskData):
    """Graphs with a target of each ordered pair, `y [sum n_b^2, 1]` in `graphs.pair`, negative where it does not count.

    Predictions are parts of scores, the graphs' nodes in order.
    """

    def evaluate(self, predictions: Tensor, indices: Tensor) -> float:
        """The metric of parts of scores `[nodes of the graphs, 2 HIDDEN + 2]`.

        Raises:
            GraphPEValueError: If there is not one row for each node, or no pair counts.
        """
        graphs = self.graphs.select(indices)
        if list(predictions.shape) != [graphs.num_nodes, 2 * HIDDEN + 2]:
            raise GraphPEValueError(
                f"predictions must be {[graphs.num_nodes, 2 * HIDDEN + 2]}, one row a node, got "
                f"{list(predictions.shape)}"
            )
        return self._evaluate_scores(graph_pair_scores(predictions, graphs), graphs)

    def _evaluate_scores(self, scores: Tensor, graphs: PackedGraphs) -> float:
        target = graphs.pair["y"].flatten()
        counts = target >= 0
        if not bool(counts.any()):
            raise GraphPEValueError(f"{self.metric} of no pair at all is not defined: give other graphs")
        return self._score(scores[counts].double(), target[counts].double())

    @abstractmethod
    def _score(self, scores: Tensor, target: Tensor) -> float: ...

    def _training_targets(self) -> Tensor:
        target = self.graphs.select(self.split["train"]).pair["y"].flatten()
        return target[target >= 0].double()


@dataclass
class PairLabels(PairTargets):
    """Scored by the F1 of the answer yes: 2 TP / (2 TP + FP + FN), 0 without any."""

    metric: ClassVar[str] = "F1"

    def _score(self, scores: Tensor, target: Tensor) -> float:
        guess, answer = scores > 0, target > 0.5
        hits = int((guess & answer).sum())
        return 2 * hits / max(int(guess.sum()) + int(answer.sum()), 1)

    def constant_baseline(self, indices: Tensor) -> tuple[float, str]:
        """The F1 of yes to everything."""
        graphs = self.graphs.select(indices)
        return self._evaluate_scores(torch.ones(graphs.num_pairs), graphs), "yes"


@dataclass
class PairDistances(PairTargets):
    """Scored by the root of the mean squared error of distances, softplus(score)."""

    metric: ClassVar[str] = "RMSE"
    maximize: ClassVar[bool] = False

    def _score(self, scores: Tensor, target: Tensor) -> float:
        return float((functional.softplus(scores) - target).square().mean().sqrt())

    def constant_baseline(self, indices: Tensor) -> tuple[float, str]:
        """The error of the mean distance of the training part."""
        mean = self._training_targets().mean()
        graphs = self.graphs.select(indices)
        score = (mean.expm1()).log()  # softplus(score) = mean
        return self._evaluate_scores(score.expand(graphs.num_pairs), graphs), f"{float(mean):.3g}"
