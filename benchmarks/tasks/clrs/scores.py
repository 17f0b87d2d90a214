"""From vectors of nodes and of pairs to outputs of CLRS-30: scores, losses, decisions, metrics.

A head is linear maps; what it gives, the parts of scores, are combined here without anything learned. With parts
z of nodes i, j, k and w of pairs (i, j), F = `HIDDEN` and a_f summed with a plus sign for one half of f and a minus
sign for the other (the weights of a layer after a ReLU or a maximum are then part of a, as in
`graphpe.benchmarks.tasks.pair_level`):

    node                      z_i
    graph                     sum_f +-max_i z_if
    pointer of a node         w_ij                                  with vectors of pairs
                              sum_f +-relu(a_if + b_jf) + d_j       without
    edge                      z_i + z'_j + w_ij                     with
                              sum_f +-relu(a_if + b_jf) + z_i + z'_j  without
    pointer of an edge        sum_f +-relu(a_if + a'_jf + w_ijf + b_kf) + d_k    (w_ijf = 0 without)

Those with vectors of pairs are the decoders of the released relational transformer, which takes pointers from pairs
alone; those of edges' pointers and of graphs are dm-clrs's. Rows of pairs are (i, j), i the node that points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Batch

from graphpe.benchmarks.tasks.clrs.algorithms import Probe
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.models.attention.pairs import PairSet, all_pairs
from graphpe.models.batches.nodes import NodeToGraph, node_to_graph
from graphpe.models.layers.heads import PairHead

HIDDEN = 64
"""Units of hidden layers of scores, half of them with a positive weight."""

_CHUNK_ROWS = 1 << 16


class Parts(NamedTuple):
    """Parts of scores: of nodes `[N, ...]`, and of pairs `[P, ...]` or None."""

    nodes: Tensor
    pairs: Tensor | None = None


def part_widths(probe: Probe, *, with_pairs: bool) -> tuple[int, int]:
    """Parts of nodes and of pairs that the scores of an output take."""
    if probe.place == "graph":
        return HIDDEN * probe.classes, 0
    if probe.place == "edge":
        if probe.kind == "pointer":
            return 3 * HIDDEN + 1, HIDDEN if with_pairs else 0
        return (2 * probe.classes, probe.classes) if with_pairs else ((2 * HIDDEN + 2) * probe.classes, 0)
    if probe.kind == "pointer":
        return (0, 1) if with_pairs else (2 * HIDDEN + 1, 0)
    return probe.classes, 0


class NodeParts(nn.Module):
    """A head for models without vectors of pairs: a linear map from vectors of nodes to their parts of all scores."""

    def __init__(self, width: int, probes: Sequence[Probe]) -> None:
        super().__init__()
        self.linear = nn.Linear(width, sum(part_widths(probe, with_pairs=False)[0] for probe in probes))

    def forward(self, x: Tensor) -> Parts:
        """Parts from vectors of nodes `[N, width]`."""
        return Parts(self.linear(x))


class PairParts(PairHead):
    """A head for models with vectors of pairs: linear maps from vectors of nodes and of pairs to their parts."""

    def __init__(self, width: int, probes: Sequence[Probe]) -> None:
        super().__init__()
        of_nodes, of_pairs = (sum(part_widths(probe, with_pairs=True)[which] for probe in probes) for which in range(2))
        self.node_linear = nn.Linear(width, of_nodes) if of_nodes else None
        self.pair_linear = nn.Linear(width, of_pairs)

    def forward(self, x: Tensor, pair: Tensor, pairs: PairSet) -> Parts:
        """Parts from vectors of nodes `[N, width]` and of all pairs `[P, width]`.

        Raises:
            GraphPEValueError: If the pairs are not all pairs of each graph.
        """
        if not pairs.complete:
            raise GraphPEValueError(
                "outputs about pairs need all pairs of nodes: give attention='full', or pair_output=False"
            )
        return Parts(x[:, :0] if self.node_linear is None else self.node_linear(x), self.pair_linear(pair))


class Rows:
    """Which rows belong together in a batch: nodes of graphs, pairs (i, j) of nodes, triples (i, j, k) of pairs."""

    def __init__(self, members: NodeToGraph, edge_index: Tensor) -> None:
        self.members = members
        self.pairs = all_pairs(members, edge_index[:, :0])

    @classmethod
    def of(cls, batch: Batch) -> Rows:
        """The rows of a batch."""
        return cls(node_to_graph(batch), batch.edge_index)

    @cached_property
    def triples(self) -> Triples:
        """One row for every pair and node of its graph."""
        return Triples(self)


class Triples:
    """Rows (pair, node k of its graph): `pair` and `node` of each, and the `first` row of each pair."""

    def __init__(self, rows: Rows) -> None:
        members, target = rows.members, rows.pairs.target
        length = members.sizes[members.graph[target]]
        self.first = length.cumsum(0) - length
        self.pair = torch.arange(len(target), device=target.device).repeat_interleave(length)
        start = members.ptr[members.graph[target]] - self.first
        self.node = torch.arange(len(self.pair), device=target.device) + start[self.pair]


@dataclass(frozen=True, eq=False)
class Choice:
    """Scores of which one in each group is chosen.

    Attributes:
        score: `[R]`.
        group: Group of each row, non-decreasing, `[R]`.
        first: First row of each group, `[groups]`; no group is empty.
    """

    score: Tensor
    group: Tensor
    first: Tensor

    def log_total(self) -> Tensor:
        """The logarithm of the sum of exponentials of the scores of each group."""
        top = self._top()
        total = torch.zeros_like(top).index_add(0, self.group, (self.score - top[self.group]).exp())
        return top + total.log()

    def best(self) -> Tensor:
        """The row of the largest score of each group, the first of equal ones."""
        number = torch.arange(len(self.score), device=self.score.device)
        number = number.where(self.score == self._top()[self.group], len(self.score))
        return torch.full_like(self.first, len(self.score)).scatter_reduce(0, self.group, number, "amin")

    def _top(self) -> Tensor:
        score = self.score.detach()
        return score.new_full(self.first.shape, -math.inf).scatter_reduce(0, self.group, score, "amax")


def split_parts(parts: Parts, probes: Sequence[Probe]) -> list[Parts]:
    """The parts of each output."""
    widths = [part_widths(probe, with_pairs=parts.pairs is not None) for probe in probes]
    nodes = parts.nodes.float().split([width for width, _ in widths], 1)
    if parts.pairs is None:
        return [Parts(each) for each in nodes]
    pairs = parts.pairs.float().split([width for _, width in widths], 1)
    return [Parts(*each) for each in zip(nodes, pairs, strict=True)]


def value_scores(probe: Probe, parts: Parts, rows: Rows) -> Tensor:
    """Scores of what is no pointer, `[nodes, pairs or graphs, classes]`."""
    members, nodes = rows.members, parts.nodes
    if probe.place == "node":
        return nodes
    if probe.place == "graph":
        top = nodes.new_full((members.num_graphs, nodes.shape[1]), -math.inf)
        top = top.scatter_reduce(0, members.graph[:, None].expand_as(nodes), nodes, "amax")
        return _signed_sum(top.unflatten(1, (probe.classes, HIDDEN)))
    target, source, classes = rows.pairs.target, rows.pairs.source, probe.classes
    if parts.pairs is not None:
        of_target, of_source = nodes.split(classes, 1)
        return of_target[target] + of_source[source] + parts.pairs
    a, b, of_target, of_source = nodes.split([HIDDEN * classes, HIDDEN * classes, classes, classes], 1)
    hidden = torch.relu(a[target] + b[source]).unflatten(1, (classes, HIDDEN))
    return _signed_sum(hidden) + of_target[target] + of_source[source]


def pointer_scores(probe: Probe, parts: Parts, rows: Rows) -> Choice:
    """Scores of all nodes of the graph for each pointer."""
    pairs = rows.pairs
    if probe.place == "edge":
        return Choice(_triple_scores(parts, rows), rows.triples.pair, rows.triples.first)
    if parts.pairs is not None:
        score = parts.pairs.squeeze(1)
    else:
        a, b, d = parts.nodes.split([HIDDEN, HIDDEN, 1], 1)
        score = _signed_sum(torch.relu(a[pairs.target] + b[pairs.source])) + d[pairs.source, 0]
    return Choice(score, pairs.target, pairs.ptr[:-1])


def _triple_scores(parts: Parts, rows: Rows) -> Tensor:
    pairs, triples = rows.pairs, rows.triples
    a, a_source, b, d = parts.nodes.split([HIDDEN, HIDDEN, HIDDEN, 1], 1)
    of_pair = a[pairs.target] + a_source[pairs.source]
    if parts.pairs is not None:
        of_pair = of_pair + parts.pairs
    scores = []
    for pair, node in zip(triples.pair.split(_CHUNK_ROWS), triples.node.split(_CHUNK_ROWS), strict=True):
        scores.append(_signed_sum(torch.relu(of_pair[pair] + b[node])) + d[node, 0])
    return torch.cat(scores)


def _signed_sum(hidden: Tensor) -> Tensor:
    half = HIDDEN // 2
    return (hidden[..., :half].sum(-1) - hidden[..., half:].sum(-1)) / math.sqrt(HIDDEN)


def _one_of_graph(score: Tensor, rows: Rows) -> Choice:
    return Choice(score.squeeze(1), rows.members.graph, rows.members.ptr[:-1])


def output_loss(probe: Probe, parts: Parts, target: Tensor, rows: Rows) -> Tensor:
    """The loss of an output, as CLRS-30 defines it for its kind, over the whole batch.

    `mask`: mean cross-entropy of yes and no, where the mask counts. `mask_one`: of a softmax over the graph's nodes,
    the mean over graphs. `categorical`: of a softmax over classes, the mean over what counts. `pointer`: of a softmax
    over the graph's nodes, the mean over pointers.

    Args:
        probe: The output.
        parts: Its parts.
        target: A column of `y`.
        rows: Rows of the batch.
    """
    if probe.kind == "pointer":
        choice = pointer_scores(probe, parts, rows)
        return (choice.log_total() - choice.score[choice.first + target.long()]).mean()
    score = value_scores(probe, parts, rows)
    if probe.kind == "categorical":
        counted = (target >= 0).sum().clamp(min=1)
        return functional.cross_entropy(score, target.long(), ignore_index=-1, reduction="sum") / counted
    if probe.kind == "mask_one":
        choice = _one_of_graph(score, rows)
        chosen = (target == 1).to(score.dtype)
        return (chosen * (choice.log_total()[choice.group] - choice.score)).sum() / chosen.sum().clamp(min=1)
    counts = (target >= 0).to(score.dtype)
    each = functional.binary_cross_entropy_with_logits(score.squeeze(1), target.clamp(min=0), reduction="none")
    return (each * counts).sum() / counts.sum().clamp(min=1)


def decide(probe: Probe, parts: Parts, rows: Rows) -> Tensor:
    """The outputs, in the form of a column of `y`."""
    if probe.kind == "pointer":
        choice = pointer_scores(probe, parts, rows)
        return (choice.best() - choice.first).float()
    score = value_scores(probe, parts, rows)
    if probe.kind == "categorical":
        return score.argmax(1).float()
    if probe.kind == "mask_one":
        return torch.zeros_like(score[:, 0]).index_fill(0, _one_of_graph(score, rows).best(), 1.0)
    return (score.squeeze(1) > 0).float()


def output_score(probe: Probe, guess: Tensor, target: Tensor) -> float:
    """How good outputs are, as CLRS-30 measures it: F1 of a `mask`, else the share of right outputs.

    Over everything that counts in all graphs together, so that a larger graph has more say. F1 is 1 where there is no
    yes, neither predicted nor right.
    """
    if probe.kind == "mask":
        counts = target >= 0
        yes, right = (guess > 0.5)[counts], (target > 0.5)[counts]
        wrong = int((yes != right).sum())
        hits = int((yes & right).sum())
        return 2 * hits / (2 * hits + wrong) if hits + wrong else 1.0
    if probe.kind == "mask_one":
        return float((guess * target).double().sum() / target.double().sum())
    counts = target >= 0
    return float((guess == target)[counts].double().mean())


def constant_outputs(probe: Probe, graphs: PackedGraphs) -> dict[str, Tensor]:
    """Answers that take no input, by the rule they follow: each in the form of a column of `y`."""
    rows = Rows(NodeToGraph(graphs.batch, graphs.ptr, graphs.max_size, graphs.num_pairs), graphs.edge_index)
    place = torch.arange(graphs.num_nodes) - graphs.ptr[graphs.batch]
    if probe.place == "edge" and probe.kind == "pointer":
        first, second = place[rows.pairs.target], place[rows.pairs.source]
        return {"its first node": first.float(), "its second node": second.float()}
    if probe.kind == "pointer":
        return {"itself": place.float(), "the node before": (place - 1).clamp(min=0).float()}
    if probe.kind == "mask_one":
        last = place == graphs.sizes[graphs.batch] - 1
        return {"the first node": (place == 0).float(), "the last node": last.float()}
    count = {"node": graphs.num_nodes, "edge": graphs.num_pairs, "graph": graphs.num_graphs}[probe.place]
    if probe.kind == "categorical":
        return {f"class {number}": torch.full((count,), float(number)) for number in range(probe.classes)}
    return {"yes": torch.ones(count), "no": torch.zeros(count)}
