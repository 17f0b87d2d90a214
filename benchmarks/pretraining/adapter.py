"""The two ends of a model that predicts encodings, and the loss between them.

Each number is standardised by its mean and standard deviation over the training part (over 1,000 graphs of it, where it
has more); one that is the same everywhere there is not asked about. The loss of an encoding is the mean square error of
its numbers, so that 1 is that of the best constant; the loss of a batch is the mean over encodings. Of what a model
predicts three sums are kept, for each graph (or node) and encoding: of squared errors, of squared deviations from the
training mean, and of numbers asked about. They are all that the metric needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch

from graphpe.benchmarks.pretraining.ends import EncodingHead, PairEncodingHead, Parts, RandomNodes
from graphpe.benchmarks.pretraining.pairs import pair_values
from graphpe.benchmarks.pretraining.targets import NodeTarget, NodeTargets, PairTarget, is_asked
from graphpe.benchmarks.tasks.node_level import check_node_outputs
from graphpe.benchmarks.tasks.task import TaskAdapter
from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.models.batches.nodes import node_to_graph
from graphpe.transforms.reading import read_packed

Features = Literal["task", "random"]

PARTNER, OF_PAIRS = "partner", "y_of_pairs"
"""Keys of the partners of each node, and of what is asked about these pairs."""

SUMS = 3
"""Of squared errors, of squared deviations, and of numbers."""


class Scaling(NamedTuple):
    """How numbers are standardised.

    Attributes:
        shift: The mean of each, those of nodes first.
        scale: The standard deviation of each; 0 where it is the same everywhere.
    """

    shift: tuple[float, ...]
    scale: tuple[float, ...]


@dataclass(frozen=True)
class EncodingAdapter(TaskAdapter):
    """Adapter for encodings of nodes `batch.y` `[N, 1 + columns]` and of pairs of nodes.

    Attributes:
        base: The adapter of the task whose graphs these are.
        of_nodes: What is predicted of nodes.
        of_pairs: What is predicted of pairs.
        scaling: How these numbers are standardised.
        features: What the model reads of nodes and edges: what the task's models do, or random features alone.
        partners: Pairs that a node is asked about, at most.
        splits_nodes: Whether sums are kept for each node, for splits of nodes.
        target_names: The encodings, as calls.
        keys: The values of nodes and edges that are read of a graph.
        target_key: Key of the targets of nodes.
    """

    base: TaskAdapter
    of_nodes: tuple[NodeTarget, ...]
    of_pairs: tuple[PairTarget, ...]
    scaling: Scaling
    features: Features
    partners: int
    splits_nodes: bool
    target_names: tuple[str, ...] = ()
    keys: tuple[str, ...] = field(default=(), kw_only=True)
    target_key: str = field(default="y", kw_only=True)

    @property
    def names(self) -> list[str]:
        """What the encodings are called: their keys, those of nodes first."""
        return [each.name for each in (*self.of_nodes, *self.of_pairs)]

    @property
    def columns_of_nodes(self) -> int:
        """Numbers of a node."""
        return sum(each.columns for each in self.of_nodes)

    @property
    def columns_of_pairs(self) -> int:
        """Numbers of a pair."""
        return sum(each.columns for each in self.of_pairs)

    def state(self) -> dict[str, Any]:
        return {
            "base": self.base.state(),
            "shift": list(self.scaling.shift),
            "scale": list(self.scaling.scale),
            "splits_nodes": self.splits_nodes,
            "target_names": list(self.target_names),
        }

    def with_scaling(self, state: Mapping[str, Any]) -> Self:
        """The adapter that a run was saved with.

        Args:
            state: What its `state` gave.

        Raises:
            GraphPEValueError: It is not the state of such an adapter.
        """
        count = self.columns_of_nodes + self.columns_of_pairs
        try:
            shift, scale = (tuple(float(number) for number in state[name]) for name in ("shift", "scale"))
            splits_nodes = bool(state["splits_nodes"])
        except (KeyError, TypeError, ValueError) as error:
            raise GraphPEValueError(f"expected the adapter of a pretraining, but {error} is wrong") from None
        if {len(shift), len(scale)} != {count}:
            raise GraphPEValueError(f"expected the adapter of a pretraining with {count} numbers, got {len(shift)}")
        return replace(self, scaling=Scaling(shift, scale), splits_nodes=splits_nodes)

    def model_graphs(self, graphs: PackedGraphs) -> PackedGraphs:
        """As the task's models see them; where targets of nodes are there, those of pairs are added."""
        seen = self.base.model_graphs(graphs) if self.features == "task" else graphs
        if not self.of_pairs or self.target_key not in graphs.node:
            return seen
        partner, values = pair_values(graphs, self.of_pairs, self.partners)
        return seen.with_values(node={PARTNER: partner, OF_PAIRS: values})

    def node_encoder(self, width: int) -> nn.Module:
        """The task's own, or a linear map of random features."""
        return self.base.node_encoder(width) if self.features == "task" else RandomNodes(width)

    def edge_encoder(self, width: int) -> nn.Module | None:
        """The task's own, or nothing beside random features."""
        return self.base.edge_encoder(width) if self.features == "task" else None

    def head(self, width: int) -> nn.Module:
        """Heads for nodes, and for pairs by vectors of their nodes."""
        return EncodingHead(width, self.columns_of_nodes, self.columns_of_pairs)

    def pair_head(self, width: int) -> nn.Module | None:
        """The same, where a model has vectors of pairs."""
        return PairEncodingHead(width, self.columns_of_nodes, self.columns_of_pairs) if self.of_pairs else None

    def loss(self, output: Any, batch: Batch) -> Tensor:
        """The mean over encodings of their mean square errors, standardised, in float32.

        Raises:
            GraphPEValueError: If the model pools over nodes.
        """
        errors, _, counts = self._sums(output, batch).sum(0).unbind(1)
        return (errors / counts.clamp(min=1)).sum() / max(len(self.names), 1)

    def predict(self, output: Any) -> Tensor:
        """Not defined: what is kept of an output are sums against what was asked.

        Raises:
            GraphPERuntimeError: Always.
        """
        raise GraphPERuntimeError("predictions of encodings need the batch: call predict_batch")

    def predict_batch(self, output: Any, batch: Batch) -> Tensor:
        """The sums, `[rows, encodings * SUMS]`: a row for each graph, or each node where those are split."""
        sums = self._sums(output, batch).flatten(1)
        if self.splits_nodes:
            return sums
        members = node_to_graph(batch)
        return sums.new_zeros(members.num_graphs, sums.shape[1]).index_add_(0, members.graph, sums)

    def _sums(self, output: Any, batch: Batch) -> Tensor:
        """The sums of each node, `[N, encodings, SUMS]`; a pair is of its first node."""
        parts = output if isinstance(output, Parts) else Parts(*output)
        check_node_outputs(parts.nodes, batch)
        asked = batch[self.target_key]
        own = asked[:, 0] == 0
        found = self._compare(parts.nodes, self._hidden(asked[:, 1:], parts), self.of_nodes, 0)
        if self.of_pairs:
            predicted, target = self._pairs(parts, batch, own)
            found += [each.sum(1) for each in self._compare(predicted, target, self.of_pairs, self.columns_of_nodes)]
        return torch.stack(found, dim=1) * own[:, None, None]

    def _hidden(self, target: Tensor, parts: Parts) -> Tensor:
        """Targets of nodes without those that the model has seen, which are not asked about."""
        if not parts.hidden:
            return target
        columns = target.split([each.columns for each in self.of_nodes], dim=1)
        seen = [parts.hidden.get(each.name) for each in self.of_nodes]
        return torch.cat(
            [
                values if hidden is None else values.masked_fill(~hidden[:, None], torch.nan)
                for values, hidden in zip(columns, seen, strict=True)
            ],
            dim=1,
        )

    def _pairs(self, parts: Parts, batch: Batch, own: Tensor) -> tuple[Tensor, Tensor]:
        """Predictions and targets of the pairs of nodes and partners, `[N, K, columns]`."""
        partner, members = batch[PARTNER], node_to_graph(batch)
        first = members.ptr[members.graph]
        second = first[:, None] + partner.clamp(min=0)
        if parts.pairs is not None:
            sizes = members.sizes
            before = (sizes.square().cumsum(0) - sizes.square())[members.graph]
            place = torch.arange(len(own), device=own.device) - first
            row = (before + place * sizes[members.graph])[:, None] + partner.clamp(min=0)
            predicted = parts.pairs.float()[row]
        else:
            assert parts.ends is not None
            left, right, weight, bias = (each.float() for each in parts.ends)
            predicted = nn.functional.linear(torch.relu(left[:, None] + right[second]), weight, bias)
        target = batch[OF_PAIRS].masked_fill(~own[second][:, :, None], torch.nan)
        return predicted, target

    def _compare(
        self, predicted: Tensor, target: Tensor, asked: Sequence[NodeTarget | PairTarget], start: int
    ) -> list[Tensor]:
        """The sums over the numbers of each encoding, `[..., SUMS]`.

        Args:
            predicted: Standardised predictions, `[..., columns]`.
            target: Numbers as they are.
            asked: The encodings that these are of.
            start: Place of the first of their numbers in `scaling`.
        """
        columns = slice(start, start + target.shape[-1])
        shift, scale = (_row_on(target.device, numbers)[columns] for numbers in self.scaling)
        known = is_asked(target) & (scale > 0)
        normal = (torch.where(known, target, shift) - shift) / torch.where(scale > 0, scale, 1)
        error = (predicted.float() - normal).square() * known
        each = torch.stack([error, normal.square(), known.float()], dim=-1)
        return [part.sum(-2) for part in each.split([one.columns for one in asked], dim=-2)]

    def check_inputs(self, graphs: PackedGraphs) -> tuple[PackedGraphs, dict[int, str]]:
        """The graphs as the task has them; edges alone beside random features."""
        if self.features == "task":
            return self.base.check_inputs(graphs)
        empty = (graphs.sizes == 0).nonzero().flatten().tolist()
        return graphs.structure(), dict.fromkeys(empty, "it has no nodes")

    def columns(self, predictions: Tensor, graphs: PackedGraphs) -> dict[str, Sequence[Any]]:
        """`loss_<key>`: the loss of each encoding, None where nothing of it is asked."""
        errors, _, counts = predictions.double().view(len(predictions), -1, SUMS).unbind(2)
        return {
            f"loss_{name}": [
                error / count if count else None
                for error, count in zip(errors[:, column].tolist(), counts[:, column].tolist(), strict=True)
            ]
            for column, name in enumerate(self.names)
        }

    def target_columns(self, graphs: PackedGraphs) -> dict[str, Sequence[Any]]:
        """Nothing: what was to be predicted follows from the graphs."""
        return {}

    def describe(self, output: Any, batch: Batch, graphs: PackedGraphs) -> dict[str, Sequence[Any]]:
        """`columns` for graphs that came without targets: they are computed."""
        read = [each.encoding for each in (*self.of_nodes, *self.of_pairs)]
        key = self.target_key
        asked = NodeTargets(self.of_nodes, key)(read_packed(graphs, *read))
        more = batch.clone()
        more[key] = asked.node[key].to(batch.edge_index.device)
        if self.of_pairs:
            partner, values = pair_values(asked, self.of_pairs, self.partners)
            more[PARTNER], more[OF_PAIRS] = (each.to(batch.edge_index.device) for each in (partner, values))
        whole = replace(self, splits_nodes=False)
        return self.columns(whole.predict_batch(output, more).cpu(), graphs)


@lru_cache(maxsize=64)
def _row_on(device: torch.device, numbers: tuple[float, ...]) -> Tensor:
    """Numbers on a device, copied there once: a step does not wait for it."""
    return torch.tensor(numbers).to(device, non_blocking=True)
