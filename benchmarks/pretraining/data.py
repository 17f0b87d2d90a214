"""Graphs with encodings to be predicted, and the metric."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from graphpe.benchmarks.pretraining.adapter import SUMS, EncodingAdapter, Scaling
from graphpe.benchmarks.pretraining.pairs import asked_pairs, pair_values
from graphpe.benchmarks.pretraining.targets import PairTarget, is_asked
from graphpe.benchmarks.tasks.task import TaskData
from graphpe.errors import GraphPEValueError
from graphpe.graphs.levels import Level
from graphpe.graphs.packed import PackedGraphs

LOOKED_AT = 1000
"""Graphs of the training part whose numbers say how all are standardised."""

_CHUNK = 64
_SAME = 1e-8  # of one minus a correlation: rounding
_NOISE = 1e-6  # deviations below this share of the mean are rounding


@dataclass
class EncodingTargets(TaskData):
    """Graphs with encodings of nodes in `graphs.node["y"]`; those of pairs are computed for each batch.

    The metric of an encoding is R2 = 1 - (sum of squared errors) / (sum of squared deviations from the training mean),
    over all its numbers, standardised; that of the run is the mean over encodings. Predictions are the sums that
    `EncodingAdapter.predict_batch` keeps.
    """

    metric: ClassVar[str] = "R2"
    adapter: EncodingAdapter

    def answers(self, indices: Tensor) -> PackedGraphs:
        """Some graphs without edges and values."""
        return self.graphs.only_values(()).select(indices)

    def evaluate(self, predictions: Tensor, indices: Tensor) -> float:
        """The mean R2 of the encodings that differ among what was asked.

        Raises:
            GraphPEValueError: None does, or predictions are of another shape.
        """
        expected = [len(indices), SUMS * len(self.adapter.names)]
        if list(predictions.shape) != expected:
            raise GraphPEValueError(
                f"predictions must be {expected}, one row a {self.unit}, got {list(predictions.shape)}"
            )
        of_each = fits(self.adapter, predictions)
        found = [value for name in self.adapter.names if (value := of_each[name]) is not None]
        if not found:
            raise GraphPEValueError(
                f"no encoding of {', '.join(self.adapter.names)} differs from the training mean in a part of the "
                f"split ({len(indices):,} {self.unit}s): give it others, or predict other encodings"
            )
        return sum(found) / len(found)

    def target_scores(self, predictions: Tensor, indices: Tensor) -> dict[str, float | None]:
        """R2 and loss of each encoding."""
        return fits(self.adapter, predictions)

    def constant_baseline(self, indices: Tensor) -> tuple[float, str]:
        """0: that of the training mean of every number."""
        return 0.0, "the mean of the training part"


@dataclass
class NodeEncodingTargets(EncodingTargets):
    """The same where the split is of nodes: a pair belongs to the part that both of its nodes are in."""

    unit: ClassVar[Level] = "node"

    def table(self, predictions: Tensor, indices: Tensor) -> tuple[dict[str, Any], dict[str, Sequence[Any]]]:
        graph = self.graphs.batch[indices]
        places = {"graph": graph.numpy()} if len(self.graphs) > 1 else {}
        places["node"] = (indices - self.graphs.ptr[graph]).numpy()
        return places, self.adapter.columns(predictions, self.graphs)


def fits(adapter: EncodingAdapter, sums: Tensor) -> dict[str, float | None]:
    """R2 of each encoding by its name, and its loss; None where nothing differs, or nothing is asked.

    Args:
        adapter: The adapter.
        sums: Rows as it keeps them, `[rows, encodings * SUMS]`.
    """
    errors, deviations, counts = sums.double().view(len(sums), -1, SUMS).sum(0).unbind(1)
    found: dict[str, float | None] = {}
    losses: dict[str, float | None] = {}
    for name, error, deviation, count in zip(
        adapter.names, errors.tolist(), deviations.tolist(), counts.tolist(), strict=True
    ):
        found[name] = 1 - error / deviation if deviation > 0 else None
        losses[f"{name} loss"] = error / count if count > 0 else None
    return found | losses


def measured_scaling(
    graphs: PackedGraphs,
    train: Tensor,
    of_pairs: Sequence[PairTarget],
    most: int,
    *,
    splits_nodes: bool,
    key: str = "y",
) -> Scaling:
    """Mean and standard deviation of every number over the training part, or 1,000 graphs of it.

    Args:
        graphs: Graphs with targets of nodes.
        train: Ids of the training part's graphs, or nodes.
        of_pairs: What is asked of pairs.
        most: Pairs that a node is asked about, at most.
        splits_nodes: Whether the split is of nodes.
        key: Of the targets of nodes.

    Raises:
        GraphPEValueError: Every number is the same everywhere.
    """
    columns = graphs.node[key].shape[1] - 1
    nodes, pairs = _Moments(columns), _Moments(sum(each.columns for each in of_pairs))
    for some, own in _looked_at(graphs, train, splits_nodes):
        nodes.add(some.node[key][own, 1:])
        if of_pairs:
            partner, values = pair_values(some, of_pairs, most)
            asked, place = asked_pairs(some, partner)
            pairs.add(values.flatten(0, 1)[place][own[asked.source] & own[asked.target]])
    shift, scale = (
        np.concatenate([one, other]).tolist() for one, other in zip(nodes.read(), pairs.read(), strict=True)
    )
    if not any(scale):
        raise GraphPEValueError(
            "every number that is to be predicted is the same everywhere in the training part: predict other "
            "encodings, or give other graphs"
        )
    return Scaling(tuple(shift), tuple(scale))


def _looked_at(graphs: PackedGraphs, train: Tensor, splits_nodes: bool) -> Iterator[tuple[PackedGraphs, Tensor]]:
    """Graphs, and which of their nodes are of the training part."""
    if splits_nodes:
        own = torch.zeros(graphs.num_nodes, dtype=torch.bool)
        own[train] = True
        yield graphs, own
        return
    count = min(len(train), LOOKED_AT)
    chosen = train[torch.arange(count) * len(train) // max(count, 1)]
    for ids in chosen.split(_CHUNK):
        some = graphs.select(ids)
        yield some, torch.ones(some.num_nodes, dtype=torch.bool)


def read_off(graphs: PackedGraphs, train: Tensor, adapter: EncodingAdapter) -> list[str]:
    """Lines about columns of `x` from which a number to be predicted of nodes can be read off.

    Args:
        graphs: Graphs with features and targets of nodes.
        train: Ids of the training part's graphs.
        adapter: What is asked.
    """
    some = graphs.select(train[:_CHUNK])
    x = some.node.get("x")
    if x is None or x.dim() != 2 or not adapter.of_nodes:
        return []
    target = some.node[adapter.target_key][:, 1:].double()
    names = [each.name for each in adapter.of_nodes for _ in range(each.columns)]
    asked = is_asked(target)
    found: dict[str, list[int]] = {}
    for column, name in enumerate(names):
        known = asked[:, column]
        pair = torch.cat([target[known, column, None], x[known].double()], dim=1)
        deviation = pair - pair.mean(0)
        size = deviation.norm(dim=0)
        cosine = (deviation[:, 1:].t() @ deviation[:, 0]).abs() / (size[1:] * size[0]).clamp(min=_NOISE)
        if len(pair) > x.shape[1] + 1:
            found.setdefault(name, []).extend((cosine > 1 - _SAME).nonzero().flatten().tolist())
    return [
        f"x holds some of {name} (column {columns[0]}): what of it is in the features is read off, not learned"
        for name, columns in found.items()
        if columns
    ]


class _Moments:
    """Sums over rows, for means and standard deviations."""

    def __init__(self, columns: int) -> None:
        self.count, self.first, self.second = np.zeros((3, columns))

    def add(self, values: Tensor) -> None:
        known = is_asked(values).numpy()
        numbers = np.where(known, values.double().numpy(), 0)
        # Sums of squares about the mean so far, as Chan et al. (1983) join them.
        count = known.sum(0)
        total = self.count + count
        mean = numbers.sum(0) / np.maximum(count, 1)
        about = (np.where(known, numbers - mean, 0) ** 2).sum(0)
        delta = np.where(count > 0, mean - self.first, 0)
        self.second += about + delta**2 * self.count * count / np.maximum(total, 1)
        self.first += delta * count / np.maximum(total, 1)
        self.count = total

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Means and standard deviations; 0 for what is the same everywhere."""
        scale = np.sqrt(self.second / np.maximum(self.count, 1))
        return self.first, np.where(scale > _NOISE * np.maximum(np.abs(self.first), _NOISE), scale, 0)
