"""Links of many small graphs, all ordered pairs of whose nodes are ranked: adapter and data.

A pair scores the product of the vectors of its nodes, s(i, j) = h_i . h_j, which the head gives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Batch

from graphpe.benchmarks.tasks.graph_level import GraphAdapter
from graphpe.benchmarks.tasks.links.ranks import RANKED, Variant, link_ranks, ranked_metrics
from graphpe.benchmarks.tasks.node_level import check_node_outputs
from graphpe.benchmarks.tasks.pair_level import ordered_pairs
from graphpe.benchmarks.tasks.task import TaskData
from graphpe.errors import GraphPEValueError
from graphpe.graphs.levels import Level
from graphpe.graphs.packed import PackedGraphs
from graphpe.models.attention.padding import padded_nodes
from graphpe.models.batches.nodes import NodeToGraph, node_to_graph

Negatives = Literal["drawn", "listed"]

_DRAWN = 2  # pairs that are none for each contact, in the published training
_CHUNK_PAIRS = 1 << 22


@dataclass(frozen=True)
class ContactAdapter(GraphAdapter):
    """Adapter for labels of pairs, `batch.y` `[sum n_b^2, 1]`; outputs are vectors of nodes `[N, width]`.

    A label is 1 for a link, 0 for a pair that is listed as none, and -1 for others.

    Attributes:
        negatives: Which pairs are to score low. `drawn`: published training draws, at every step, twice as many pairs
            (i, k) as node i has links, different ones, among those that are no link, i with itself included. Here all
            of them count, each with the probability that it would be drawn: the same loss in expectation, without the
            noise of drawing. `listed`: the pairs whose label is 0.
    """

    negatives: Negatives = "drawn"

    @property
    def level(self) -> Level:
        """What `columns` has a row for: ordered pairs of nodes."""
        return "pair"

    def state(self) -> dict[str, Any]:
        return super().state() | {"negatives": self.negatives}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        adapter = super().from_state(state)
        if state.get("negatives") not in get_args(Negatives):
            raise GraphPEValueError(f"expected the adapter of contacts, but negatives={state.get('negatives')!r}")
        object.__setattr__(adapter, "negatives", state["negatives"])
        return adapter

    def head(self, width: int) -> nn.Module:
        """A linear map to the vectors whose products are the scores."""
        return nn.Linear(width, width)

    def prediction_rows(self, graphs: PackedGraphs) -> Tensor:
        """As many as a graph has nodes: their vectors."""
        return graphs.sizes

    def loss(self, output: Tensor, batch: Batch, label_smoothing: float = 0.0) -> Tensor:
        """Cross-entropy of links and of pairs that are none, in their mean over the batch; 0 of a batch without any.

        Raises:
            GraphPEValueError: If the model pools over nodes.
        """
        check_node_outputs(output, batch)
        members = node_to_graph(batch)
        score = products(output, members, batch.num_pairs)
        label = batch.y.view(-1)
        link = (label > 0).to(score.dtype)
        weight = (label >= 0).to(score.dtype) if self.negatives == "listed" else link + _chances(link, members)
        each = functional.binary_cross_entropy_with_logits(score, link, weight=weight, reduction="sum")
        return each / weight.sum().clamp(min=1)

    def predict(self, output: Tensor) -> Tensor:
        """The vectors."""
        return output.float()

    def decode(self, vectors: Tensor, graphs: PackedGraphs) -> Tensor:
        """Scores of all ordered pairs of nodes, `[sum n_b^2]`, from vectors of nodes, some graphs at a time."""
        scores = [torch.zeros(0)]
        many = max(1, _CHUNK_PAIRS // max(graphs.max_size**2, 1))
        for start in range(0, len(graphs), many):
            ptr = graphs.ptr[start : start + many + 1]
            own = ptr - ptr[0]
            sizes = own.diff()
            graph = torch.arange(len(sizes)).repeat_interleave(sizes)
            members = NodeToGraph(graph, own, int(sizes.max()), int(sizes @ sizes))
            scores.append(products(vectors[ptr[0] : ptr[-1]], members, int(sizes @ sizes)))
        return torch.cat(scores)

    def columns(self, predictions: Tensor, graphs: PackedGraphs) -> dict[str, Sequence[Any]]:
        """The probability that a pair is a link, a row for each ordered pair of nodes."""
        return {"probability_link": self.decode(predictions, graphs).double().sigmoid().tolist()}

    def target_columns(self, graphs: PackedGraphs) -> dict[str, Sequence[Any]]:
        """Whether a pair is a link; nothing where the graphs do not say it."""
        return {"target_link": (graphs.pair["y"].view(-1) > 0).int().tolist()} if "y" in graphs.pair else {}


def products(vectors: Tensor, members: NodeToGraph, num_pairs: int) -> Tensor:
    """h_i . h_j of all ordered pairs of nodes of each graph, row-major, `[num_pairs]`, in float32 or better.

    Args:
        vectors: h, `[N, width]`.
        members: The partition of nodes into graphs.
        num_pairs: sum n_b^2.
    """
    members.check_in_order()
    vectors = vectors.to(torch.promote_types(vectors.dtype, torch.float32))
    nodes = padded_nodes(members)
    found, starts, places = [vectors.new_zeros(0)], [members.ptr.new_zeros(0)], 0
    for block, part in zip(nodes.blocks, nodes.split(vectors) if nodes.blocks else [], strict=True):
        found.append((part @ part.transpose(1, 2)).flatten())
        rows = block.graphs * block.size
        starts.append(places + block.size * torch.arange(rows, device=members.ptr.device))
        places += rows * block.size
    first, second = ordered_pairs(members.ptr, members.num_nodes, num_pairs)
    start = torch.cat(starts).index_select(0, nodes.place)  # of each node's row of products
    within = second - members.ptr.index_select(0, members.graph).index_select(0, first)
    return torch.cat(found).index_select(0, start.index_select(0, first) + within)


def _chances(link: Tensor, members: NodeToGraph) -> Tensor:
    """For each ordered pair that is no link, the probability that it would be drawn; 0 for links.

    Args:
        link: 1 for links and 0 for other pairs, `[sum n_b^2]`.
        members: The partition of nodes into graphs.
    """
    first, _ = ordered_pairs(members.ptr, members.num_nodes, link.numel())
    links = link.new_zeros(members.num_nodes).index_add(0, first, link)
    others = members.sizes.index_select(0, members.graph) - links
    chance = (_DRAWN * links / others.clamp(min=1)).clamp(max=1)
    return chance.index_select(0, first) * (1 - link)


@dataclass
class ContactData(TaskData):
    """Graphs with labels of ordered pairs of nodes, `y [sum n_b^2, 1]` in `graphs.pair`, as `ContactAdapter` has them.

    Predictions are vectors of nodes, the graphs' nodes in order.

    Attributes:
        variant: Which pairs a link is ranked among in the metric that chooses the epoch.

    Raises:
        GraphPEValueError: When built, if a part of the split has no link.
    """

    adapter: ContactAdapter
    variant: Variant = field(kw_only=True)

    def __post_init__(self) -> None:
        for part, ids in self.split.items():
            if not bool((self.answers(ids).pair["y"] > 0).any()):
                raise GraphPEValueError(f"the {part} part of the split has no contacts: give it graphs that have some")

    @property
    def metric(self) -> str:
        return f"MRR {self.variant}"

    def answers(self, indices: Tensor) -> PackedGraphs:
        """Some graphs with their labels, without edges."""
        return self.graphs.only_values(("y",)).select(indices)

    def evaluate(self, predictions: Tensor, indices: Tensor) -> float:
        return self._scores(predictions, indices, (self.variant,))[self.metric]

    def target_scores(self, predictions: Tensor, indices: Tensor) -> dict[str, float | None]:
        """MRR and Hits@1, 3 and 10 of all three published ways to rank, by name."""
        return dict(self._scores(predictions, indices, get_args(Variant)))

    def _scores(self, predictions: Tensor, indices: Tensor, variants: Sequence[Variant]) -> dict[str, float]:
        graphs = self.answers(indices)
        if len(predictions) != graphs.num_nodes or predictions.dim() != 2:
            raise GraphPEValueError(
                f"predictions must be [{graphs.num_nodes}, width], one row a node, got {list(predictions.shape)}"
            )
        return self._of_scores(self.adapter.decode(predictions, graphs), graphs, variants)

    @staticmethod
    def _of_scores(scores: Tensor, graphs: PackedGraphs, variants: Sequence[Variant]) -> dict[str, float]:
        ranks = link_ranks(scores, graphs.pair["y"].view(-1) > 0, graphs.sizes)
        found: dict[str, float] = {}
        for variant in variants:
            found |= {
                f"{name} {variant}": value
                for name, value in ranked_metrics(getattr(ranks, RANKED[variant]), ranks.graph, len(graphs)).items()
            }
        return found

    def table(self, predictions: Tensor, indices: Tensor) -> tuple[dict[str, Any], dict[str, Sequence[Any]]]:
        """A row for each link: its graph and nodes, its probability and its three ranks; other pairs are too many."""
        graphs = self.answers(indices)
        scores, link = self.adapter.decode(predictions, graphs), graphs.pair["y"].view(-1) > 0
        ranks = link_ranks(scores, link, graphs.sizes)
        first, second = ordered_pairs(graphs.ptr, graphs.num_nodes, len(link))
        begin = graphs.ptr[ranks.graph]
        places = {
            "graph": indices[ranks.graph].numpy(),
            "source": (first[link] - begin).numpy(),
            "target": (second[link] - begin).numpy(),
        }
        columns: dict[str, Sequence[Any]] = {"probability_link": scores[link].double().sigmoid().tolist()}
        return places, columns | {f"rank_{name}": getattr(ranks, name).tolist() for name in RANKED.values()}

    def constant_baseline(self, indices: Tensor) -> tuple[float, str]:
        graphs = self.answers(indices)
        scores = torch.zeros(len(graphs.pair["y"]))
        return self._of_scores(scores, graphs, (self.variant,))[self.metric], "the same score for every pair"
