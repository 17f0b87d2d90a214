"""Batches of links of one graph: pairs with as many that are none, on the whole graph or on sampled neighbours.

All that is seen of the graph are the training edges. The pairs that are none are drawn by (seed, epoch, number of the
batch).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch_geometric.data import Batch

from graphpe.benchmarks.tasks.links.link_data import LinkData
from graphpe.benchmarks.tasks.links.model import LinkModel, pair_features
from graphpe.benchmarks.tasks.links.negatives import Negatives
from graphpe.benchmarks.training.batch_transform import BatchTransform
from graphpe.benchmarks.training.batches.shared_graph import SharedGraph
from graphpe.benchmarks.training.batches.source import TrainBatch
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.benchmarks.training.evaluation import evaluated
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.graphs.ragged import Ints
from graphpe.sampling.neighbors import NeighborSampler
from graphpe.sampling.subgraph import cut_out
from graphpe.structure.plan import Plan

_ORDER, _NEGATIVES, _DRAWS = 0, 1, 2  # streams of random numbers
_AT_ONCE = 1 << 16  # pairs that are scored at once


class LinkBatches(SharedGraph):
    """`batch_size` links of the training part in random order, and as many pairs that are none, at every step.

    A last batch of fewer is left out where there is a full one.

    Raises:
        GraphPEValueError: Encodings of pairs would see the edge that they are to predict.
    """

    data: LinkData

    def __init__(
        self, data: LinkData, graphs: PackedGraphs, transform: BatchTransform, config: TrainConfig, fabric: Fabric
    ) -> None:
        self.asked = transform.asked
        if self.asked and data.sees_its_links:
            raise GraphPEValueError(
                f"{self.asked[0]!r} of a training link would see the link itself, as of no other pair: hide some links "
                "that supervise, disjoint=0.3 in the task"
            )
        super().__init__(data, graphs, transform, config, fabric)
        self.plan = Plan(data.graphs.structure())
        self.negatives = Negatives(data.known.numpy(), data.graphs.num_nodes)
        self._ids = data.split["train"].numpy()
        self._whole = super().whole() if config.sampler == "whole" or config.evaluation == "whole" else None
        self.sampler = NeighborSampler(self.graphs, config.fanout) if config.sampler == "neighbors" else None

    def whole(self) -> Batch:
        assert self._whole is not None
        return self._whole

    def count(self, epoch: int) -> int:
        return len(self._ids) // self.config.batch_size or 1

    def train(self, epoch: int, *, start: int = 0, stride: int = 1) -> Iterator[TrainBatch]:
        seed, size = self.config.seed, self.config.batch_size
        order = np.random.default_rng([seed, epoch, _ORDER]).permutation(self._ids)
        for number in range(start, self.count(epoch), stride):
            links = self.data.pairs[:, torch.from_numpy(order[number * size : (number + 1) * size])].long()
            others = self.negatives.draw(links.shape[1], np.random.default_rng([seed, epoch, _NEGATIVES, number]))
            pairs = torch.cat([links, torch.from_numpy(others)], dim=1)
            labels = torch.arange(pairs.shape[1]) < links.shape[1]
            rng = np.random.default_rng([seed, epoch, _DRAWS, number])
            yield TrainBatch(self._around(pairs, labels, rng), pairs.shape[1])

    def _around(self, pairs: Tensor, labels: Tensor, rng: np.random.Generator) -> Batch:
        """A batch that asks for pairs: the whole graph, or what is sampled around their nodes."""
        if self.sampler is None:
            batch, local = copy.copy(self.whole()), pairs
        else:
            nodes: Ints
            nodes, place = np.unique(pairs.numpy(), return_inverse=True)
            batch = self.model_batch(cut_out(self.graphs, self.sampler.sample(nodes, rng)))
            local = torch.from_numpy(place.reshape(2, -1))
        for key, value in self._columns(pairs, local, labels).items():
            batch[key] = value
        return batch

    def _columns(self, pairs: Tensor, local: Tensor, labels: Tensor) -> dict[str, Tensor]:
        device = self.fabric.device
        found: dict[str, Any] = {"edge_label_index": local.to(device), "edge_label": labels.to(device)}
        if self.asked:
            found["pair_features"] = pair_features(self.asked, self.plan, pairs).to(device)
        return found

    @torch.no_grad()
    def predict(self, model: nn.Module, part: str, *, progress: bool) -> tuple[Tensor, float]:
        bare = evaluated(model, self.fabric)
        assert isinstance(bare, LinkModel)
        ids = self.data.split[part]
        vectors: Tensor | None = None
        if self._whole is not None and self.config.evaluation == "whole":
            with self.fabric.autocast():
                vectors = bare.model(self._whole)
        rows, loss = [], 0.0
        for first in range(0, len(ids), _AT_ONCE):
            some = ids[first : first + _AT_ONCE]
            pairs, labels = self.data.pairs[:, some].long(), self.data.labels[some]
            if vectors is None:
                asked = self._around(pairs, labels, np.random.default_rng([self.config.seed, first]))
                with self.fabric.autocast():
                    output = bare(asked)
            else:
                asked = Batch(**self._columns(pairs, pairs, labels))
                with self.fabric.autocast():
                    output = bare.score(vectors, asked.edge_label_index, asked.get("pair_features"))
            loss += float(self.adapter.loss(output, asked)) * len(some)
            rows.append(self.adapter.predict_batch(output, asked).cpu())
        return torch.cat(rows), loss / max(len(ids), 1)
