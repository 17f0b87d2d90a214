"""Tasks that ask about every ordered pair of nodes: adapter and data.

The score of a pair is that of a network with one hidden layer over the embeddings of its two nodes,

    s(u, v) = sum_f +-relu(a_uf + b_vf) + c_u + d_v,

where the head gives a, b, c, d of each node: relu(w z) = w relu(z) for w > 0, so that weights of either sign after the
hidden layer are part of a and b. Nothing is learned beyond the head's output, and a pair costs no product of matrices.
Of several targets, or classes, each has its own a, b, c, d.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Batch

from graphpe.benchmarks.tasks.graph_level import GraphAdapter, GraphTargets
from graphpe.benchmarks.tasks.node_level import check_node_outputs
from graphpe.benchmarks.tasks.targets import target_loss
from graphpe.errors import GraphPEValueError
from graphpe.graphs.levels import Level
from graphpe.graphs.packed import PackedGraphs
from graphpe.models.batches.nodes import node_to_graph

HIDDEN = 64
"""Units of the hidden layer, half of them with a positive weight."""

_CHUNK_PAIRS = 1 << 17


@dataclass(frozen=True)
class PairAdapter(GraphAdapter):
    """Adapter for targets of pairs, `batch.y` `[sum n_b^2, T]`: NaN, or negative among integers, where not known.

    Numbers are distances, softplus(score), at least 0, unless `scale` standardises them. Outputs are parts of scores
    `[N, targets (2 HIDDEN + 2)]`; the model reads no edges, so that encodings are all it knows of the graph.
    """

    @property
    def level(self) -> Level:
        """What `columns` has a row for: ordered pairs of nodes."""
        return "pair"

    def columns(self, predictions: Tensor, graphs: PackedGraphs) -> dict[str, Sequence[Any]]:
        """As of graphs, a row for each ordered pair of nodes."""
        return super().columns(self.decode(predictions, graphs), graphs)

    def prediction_rows(self, graphs: PackedGraphs) -> Tensor:
        """As many as a graph has nodes: parts of scores."""
        return graphs.sizes

    def model_graphs(self, graphs: PackedGraphs) -> PackedGraphs:
        return graphs.without_edges()

    def head(self, width: int) -> nn.Module:
        """Two layers, from node embeddings to the parts of scores."""
        return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, self.targets * (2 * HIDDEN + 2)))

    def loss(self, output: Tensor, batch: Batch, label_smoothing: float = 0.0) -> Tensor:
        """Mean loss over the targets of pairs that are known.

        Raises:
            GraphPEValueError: If the model pools over nodes.
        """
        check_node_outputs(output, batch)
        score = pair_scores(output.float(), node_to_graph(batch).ptr, batch.num_pairs)
        return target_loss(self.loss_name, self._positive(score), self._scaled(batch.y), label_smoothing)

    def decode(self, parts: Tensor, graphs: PackedGraphs) -> Tensor:
        """`predict_pairs` from parts of scores of many graphs, some of them at a time: `[sum n_b^2, targets]`."""
        scores = [torch.zeros(0, self.targets)]
        many = max(1, _CHUNK_PAIRS // max(graphs.max_size**2, 1))
        for start in range(0, len(graphs), many):
            some = graphs.ptr[start : start + many + 1]
            pairs = graphs.pair_ptr[start : start + many + 1]
            of_some = parts[some[0] : some[-1]].float()
            scores.append(pair_scores(of_some, some - some[0], int(pairs[-1] - pairs[0])))
        return self.predict_pairs(torch.cat(scores))

    def predict_pairs(self, score: Tensor) -> Tensor:
        """What the metric needs of scores `[pairs, targets]`: distances, numbers in their own units, or logits."""
        score = self._positive(score)
        return score * self._row(self.scale, score) + self._row(self.shift, score) if self.scale else score

    def predict(self, output: Tensor) -> Tensor:
        """The parts of scores."""
        return output.float()

    def _positive(self, score: Tensor) -> Tensor:
        return functional.softplus(score) if self.loss_name in ("absolute", "squared") and not self.scale else score


def pair_scores(parts: Tensor, ptr: Tensor, num_pairs: int) -> Tensor:
    """Scores of all ordered pairs of nodes of each graph, row-major, `[num_pairs, T]`.

    Args:
        parts: a, b, c, d of each node, for each of T targets, `[N, T (2 HIDDEN + 2)]`.
        ptr: First node of each graph and, last, N.
        num_pairs: sum n_b^2.
    """
    tail, head = ordered_pairs(ptr, len(parts), num_pairs)
    return torch.stack([_scores(each, tail, head) for each in parts.split(2 * HIDDEN + 2, dim=1)], dim=1)


def ordered_pairs(ptr: Tensor, nodes: int, num_pairs: int) -> tuple[Tensor, Tensor]:
    """First and second node of all ordered pairs of nodes of each graph, row-major, each `[num_pairs]`.

    Args:
        ptr: First node of each graph and, last, the number of nodes.
        nodes: That number.
        num_pairs: sum n_b^2.
    """
    sizes = ptr.diff()
    length = sizes.repeat_interleave(sizes, output_size=nodes)  # pairs that begin with each node
    first = ptr[:-1].repeat_interleave(sizes, output_size=nodes)
    tail = torch.arange(nodes, device=ptr.device).repeat_interleave(length, output_size=num_pairs)
    shift = first - (length.cumsum(0) - length)
    return tail, torch.arange(num_pairs, device=ptr.device) + shift[tail]


def _scores(parts: Tensor, tail: Tensor, head: Tensor) -> Tensor:
    a, b, more = parts.split([HIDDEN, HIDDEN, 2], dim=1)
    hidden = torch.relu(a[tail] + b[head])
    half = HIDDEN // 2
    score = (hidden[:, :half].sum(1) - hidden[:, half:].sum(1)) / math.sqrt(HIDDEN)
    return score + more[tail, 0] + more[head, 1]


@dataclass
class PairTargets(GraphTargets):
    """Graphs with targets of ordered pairs, `y [sum n_b^2, T]` in `graphs.pair`.

    Predictions are parts of scores, the graphs' nodes in order.
    """

    row: ClassVar[str] = "pair"

    adapter: PairAdapter

    def target_rows(self, graphs: PackedGraphs) -> Tensor:
        return graphs.pair["y"]

    def decode(self, predictions: Tensor, graphs: PackedGraphs) -> Tensor:
        """Predictions of pairs `[sum n_b^2, targets]` from parts of scores `[nodes of the graphs, ...]`.

        Raises:
            GraphPEValueError: If there is not one row for each node.
        """
        expected = [graphs.num_nodes, self.adapter.targets * (2 * HIDDEN + 2)]
        if list(predictions.shape) != expected:
            raise GraphPEValueError(f"predictions must be {expected}, one row a node, got {list(predictions.shape)}")
        return self.adapter.decode(predictions, graphs)
