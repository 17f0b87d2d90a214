"""Data of a task about links: the graph of the training edges, and pairs that are links and that are none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, get_args

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch

from graphpe.benchmarks.tasks.fingerprint import fingerprint
from graphpe.benchmarks.tasks.graph_level import GraphAdapter
from graphpe.benchmarks.tasks.links.metrics import LinkMetric
from graphpe.benchmarks.tasks.links.model import LinkModel, Score, feature_channels
from graphpe.benchmarks.tasks.task import TaskData
from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.graphs.levels import Level
from graphpe.graphs.packed import PackedGraphs
from graphpe.transforms.base import Encoding, LinkEncoding


@dataclass(frozen=True)
class LinkAdapter(GraphAdapter):
    """Adapter for pairs `batch.edge_label_index` `[2, P]` with labels `batch.edge_label` `[P]`; outputs `[P, 1]`.

    Attributes:
        score: How a pair is scored from the vectors of its nodes (`LinkModel`).
    """

    score: Score = "hadamard"

    @property
    def level(self) -> Level:
        """What `columns` has a row for: pairs."""
        return "pair"

    def state(self) -> dict[str, Any]:
        return super().state() | {"score": self.score}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        adapter = super().from_state(state)
        if state.get("score") not in get_args(Score):
            raise GraphPEValueError(f"expected the adapter of a task about links, but score={state.get('score')!r}")
        object.__setattr__(adapter, "score", state["score"])
        return adapter

    def head(self, width: int) -> nn.Module:
        """A linear map to the vectors that pairs are scored from."""
        return nn.Linear(width, width)

    def around(self, model: nn.Module, encodings: Sequence[Encoding]) -> nn.Module:
        """The model with a score of pairs, which reads encodings of chosen pairs."""
        asked = [each for each in encodings if isinstance(each, LinkEncoding) and each.pairs is not None]
        return LinkModel(model, int(model.width), self.score, feature_channels(asked))  # type: ignore[arg-type]

    def loss(self, output: Tensor, batch: Batch, label_smoothing: float = 0.0) -> Tensor:
        """Mean cross-entropy of the pairs."""
        return nn.functional.binary_cross_entropy_with_logits(output[:, 0].float(), batch.edge_label.float())

    def columns(self, predictions: Tensor, graphs: PackedGraphs) -> dict[str, Sequence[Any]]:
        """The probability that a pair is a link."""
        return {"probability_link": predictions[:, 0].double().sigmoid().tolist()}


@dataclass
class LinkData(TaskData):
    """One graph of training edges, pairs, and which of them are links.

    Attributes:
        pairs: `[2, P]` node ids; the split holds ids of these.
        labels: `[P]`: whether they are links. Those of the training part all are: pairs that are none are drawn.
        known: Edges that are never drawn as such, `[2, E]`: those of the graph, and those that only supervise.
        scored_by: The metric.
    """

    unit: ClassVar[Level] = "pair"

    pairs: Tensor = field(kw_only=True)
    labels: Tensor = field(kw_only=True)
    known: Tensor = field(kw_only=True)
    scored_by: LinkMetric = field(kw_only=True)

    def __post_init__(self) -> None:
        for part in ("valid", "test"):
            links = self.labels[self.split[part]]
            if bool(links.all()) or not bool(links.any()):
                missing = "pairs that are no links (negatives)" if bool(links.any()) else "links"
                raise GraphPEValueError(f"the {part} part of the split has no {missing}: {self.metric} needs both")
        if not len(self.split["train"]):
            raise GraphPEValueError("the train part of the split has no links: give it at least one")

    @property
    def metric(self) -> str:
        return self.scored_by.name

    @property
    def sees_its_links(self) -> bool:
        """Whether links of the training part are edges of the graph."""
        size, edges = self.graphs.num_nodes, self.graphs.edge_index
        links = self.pairs[:, self.split["train"]].long()
        return bool(torch.isin(links[0] * size + links[1], edges[0] * size + edges[1]).any())

    def evaluate(self, predictions: Tensor, indices: Tensor) -> float:
        if list(predictions.shape) != [len(indices), 1]:
            raise GraphPEValueError(
                f"predictions must be {[len(indices), 1]}, one row a pair, got {list(predictions.shape)}"
            )
        links = self.labels[indices]
        return self.scored_by(predictions[links, 0], predictions[~links, 0])

    def table(self, predictions: Tensor, indices: Tensor) -> tuple[dict[str, Any], dict[str, Sequence[Any]]]:
        source, target = self.pairs[:, indices].numpy()
        columns = self.adapter.columns(predictions, self.graphs)
        return {"source": source, "target": target}, {"target_link": self.labels[indices].int().tolist(), **columns}

    def constant_baseline(self, indices: Tensor) -> tuple[float, str]:
        return self.evaluate(torch.zeros(len(indices), 1), indices), "the same score for every pair"


@dataclass(frozen=True)
class Links:
    """The content of a task about links.

    Attributes:
        x: Features of nodes, `[N, columns]`, numbers; None for none.
        nodes: Number of nodes.
        edges: Edges that the model and its encodings see, `[2, E]`: of the training part alone.
        train: Links of the training part, `[2, n]`.
        valid: Links and other pairs of the validation part.
        test: The same of the test part.
        edge_weight: Of the edges, `[E]`; None for none.
    """

    x: Tensor | None
    nodes: int
    edges: Tensor
    train: Tensor
    valid: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    edge_weight: Tensor | None = None

    def data(self, what: str, *, score: Score, metric: LinkMetric, notes: list[str]) -> LinkData:
        """A task's data.

        Args:
            what: Names it in messages.
            score: How pairs are scored.
            metric: The metric.
            notes: Lines worth telling.

        Raises:
            GraphPERuntimeError: Pairs name nodes that are not there, or one node twice; features are not finite; or a
                part lacks links or other pairs.
        """
        parts = {
            "training links": self.train,
            "validation links": self.valid[0],
            "validation pairs that are no links": self.valid[1],
            "test links": self.test[0],
            "test pairs that are no links": self.test[1],
        }
        for name, pairs in parts.items():
            self._check_pairs(what, name, pairs)
        both = sum(int((pairs[0] == pairs[1]).sum()) for pairs in (self.valid[1], self.test[1]))
        if both:  # drawn at random for a published set: they count, as its evaluator has it
            notes = [*notes, f"{both:,} of the pairs that are no links are of one node with itself"]
        x = torch.zeros(self.nodes, 1, dtype=torch.long) if self.x is None else self.x
        if len(x) != self.nodes:
            raise GraphPERuntimeError(f"{what}: x has {len(x):,} rows for {self.nodes:,} nodes")
        if x.is_floating_point() and not bool(x.isfinite().all()):
            row, column = (~x.isfinite()).nonzero()[0].tolist()
            raise GraphPERuntimeError(
                f"{what}: x has {float(x[row, column])} in row {row}, column {column}, no finite number"
            )
        small = torch.int32 if self.nodes < 2**31 else torch.int64
        together = torch.cat([each.to(small) for each in parts.values()], dim=1)
        ends = [0, *torch.tensor([each.shape[1] for each in parts.values()]).cumsum(0).tolist()]
        labels = torch.ones(ends[-1], dtype=torch.bool)
        for number in (2, 4):
            labels[ends[number] : ends[number + 1]] = False
        split = {
            "train": torch.arange(ends[1]),
            "valid": torch.arange(ends[1], ends[3]),
            "test": torch.arange(ends[3], ends[5]),
        }
        try:
            graphs = PackedGraphs(
                edge_index=self.edges.long().contiguous(),
                ptr=torch.tensor([0, self.nodes]),
                edge_ptr=torch.tensor([0, self.edges.shape[1]]),
                edge_weight=self.edge_weight,
                node={"x": x},
            )
            adapter = LinkAdapter(
                () if x.is_floating_point() else (1,),
                (),
                1,
                "binary",
                node_channels=x.shape[1] if x.is_floating_point() else 0,
                score=score,
            )
            return LinkData(
                graphs,
                split,
                adapter,
                fingerprint(graphs, {**split, "pairs": together, "labels": labels}, [metric.name]),
                notes,
                pairs=together,
                labels=labels,
                known=torch.cat([self.edges.long(), self.train.long()], dim=1),
                scored_by=metric,
            )
        except GraphPEValueError as error:
            raise GraphPERuntimeError(f"{what}: {error}") from None

    def _check_pairs(self, what: str, name: str, pairs: Tensor) -> None:
        if pairs.dim() != 2 or len(pairs) != 2 or pairs.is_floating_point():
            raise GraphPERuntimeError(f"{what}: {name} must be node ids [2, n], got {list(pairs.shape)}")
        wrong = ((pairs < 0) | (pairs >= self.nodes)).any(dim=0)
        if bool(wrong.any()):
            raise GraphPERuntimeError(
                f"{what}: {name} have {pairs[:, wrong][:, 0].tolist()}, but there are {self.nodes:,} nodes: ids run "
                f"from 0 to {self.nodes - 1}"
            )
        if "no links" not in name and bool((pairs[0] == pairs[1]).any()):
            node = int(pairs[0, pairs[0] == pairs[1]][0])
            raise GraphPERuntimeError(
                f"{what}: {name} have node {node} with itself: a link is of two nodes; leave self-links out"
            )
