"""Random walks of a batch, drawn on the host, as what the layers of a model read on its device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphpe.graphs.ragged import Ints
from graphpe.models.batches.nodes import NodeToGraph, read_edges
from graphpe.models.batches.on_host import structure_on_host
from graphpe.models.layers.precision import exactly
from graphpe.sampling.random_walks import Roads, drawn_starts, graph_keys, roads, walk
from graphpe.sampling.walk_windows import unpacked, window_words


@dataclass(frozen=True)
class WalkPlan:
    """How walks are drawn.

    Attributes:
        length: Steps of a walk.
        window: Steps back that features compare.
        backtracking: Whether a step may lead straight back.
    """

    length: int
    window: int
    backtracking: bool


@dataclass(frozen=True, eq=False)
class BatchWalks:
    """W walks of at most T nodes, P nodes in all, each a row: made once a batch, for all layers.

    Attributes:
        shape: W and T.
        place: Where each row stands in `[W T]`, ascending, `[P]`.
        node: Its node, `[P]`.
        window: Identity and connectivity of the steps before it, `[P, 2 window - 1]` bool.
        leaving: Rows from which a walk goes on, `[Q]`.
        edge: The edge that it takes there, `[Q]`.
        node_visits: Rows of each node, at least 1, `[N, 1]`.
        edge_visits: How often walks take each edge, at least 1, `[E, 1]`.
    """

    shape: tuple[int, int]
    place: Tensor
    node: Tensor
    window: Tensor
    leaving: Tensor
    edge: Tensor
    node_visits: Tensor
    edge_visits: Tensor

    def as_sequences(self, rows: Tensor) -> Tensor:
        """Rows as padded sequences `[W, T, D]`, zero after the end of a walk.

        Args:
            rows: `[P, D]`.
        """
        walks, steps = self.shape
        flat = rows.new_zeros(walks * steps, rows.shape[1]).index_copy(0, self.place, rows)
        return flat.view(walks, steps, rows.shape[1])

    def as_rows(self, sequences: Tensor) -> Tensor:
        """The rows `[P, D]` of sequences `[W, T, D]`.

        Args:
            sequences: `[W, T, D]`.
        """
        return sequences.flatten(0, 1).index_select(0, self.place)

    def over_nodes(self, rows: Tensor) -> Tensor:
        """Means over the visits of each node, `[N, D]`; zero where there are none. In float32 or better.

        Args:
            rows: `[P, D]`.
        """
        rows = exactly(rows)
        total = rows.new_zeros(len(self.node_visits), rows.shape[1]).index_add(0, self.node, rows)
        return total / self.node_visits

    def over_edges(self, rows: Tensor) -> Tensor:
        """Means over the steps along each edge, of the row that it is taken from, `[E, D]`; otherwise as `over_nodes`.

        Args:
            rows: `[P, D]`.
        """
        rows = exactly(rows.index_select(0, self.leaving))
        total = rows.new_zeros(len(self.edge_visits), rows.shape[1]).index_add(0, self.edge, rows)
        return total / self.edge_visits


class HostStructure:
    """The edges of a batch by node, on the host: made once a batch, however often walks are drawn.

    Known without waiting for a device where the batch tells (`graphpe.models.batches.on_host`).

    Args:
        batch: The batch.
        members: Its partition into graphs.
        edge_index: Its edges, between nodes in the order of their graphs.
    """

    def __init__(self, batch: Data, members: NodeToGraph, edge_index: Tensor) -> None:
        known = structure_on_host(batch) if members.order is None else None
        self.ptr: Ints = members.ptr.numpy(force=True) if known is None else known.host_ptr
        ends = read_edges(batch, members).numpy(force=True) if known is None else known.host_edge_index
        self.roads: Roads = roads(ends, int(self.ptr[-1]))
        self.device = edge_index.device

    def walks(self, plan: WalkPlan, seed: int, *, rate: float = 1.0, alike: bool = True) -> BatchWalks:
        """Walks from the nodes.

        Args:
            plan: How they are drawn.
            seed: Their seed.
            rate: Probability of each node that a walk starts there.
            alike: Whether equal graphs have equal walks.
        """
        keys = graph_keys(seed, len(self.ptr) - 1, alike=alike)
        starts = drawn_starts(self.ptr, keys, rate)
        found = walk(self.roads, self.ptr, starts, keys, plan.length, backtracking=plan.backtracking)
        return self.read(found.nodes, found.edges, plan.window)

    def read(self, nodes: Any, edges: Any, window: int) -> BatchWalks:
        """Walks that are drawn, as layers read them.

        Args:
            nodes: Their nodes, `[W, L + 1]`; -1 after the end.
            edges: Their edges, `[W, L]`; -1 likewise.
            window: Steps back that features compare.
        """
        steps = max(int((nodes >= 0).sum(1).max(initial=1)), 1)  # none is longer
        nodes, edges = np.ascontiguousarray(nodes[:, :steps]), edges[:, :steps]
        words = window_words(self.roads, nodes, window).reshape(-1)
        place = np.flatnonzero(nodes.reshape(-1) >= 0)
        node = nodes.reshape(-1)[place].astype(np.int64)
        goes_on = np.zeros(nodes.shape, dtype=bool)
        goes_on[:, : edges.shape[1]] = edges >= 0
        leaving = np.flatnonzero(goes_on.reshape(-1)[place])
        edge = edges[edges >= 0].astype(np.int64)
        node_visits = np.bincount(node, minlength=self.ptr[-1]).clip(1)
        edge_visits = np.bincount(edge, minlength=len(self.roads.entries)).clip(1)
        return BatchWalks(
            nodes.shape,
            self._on_device(place),
            self._on_device(node),
            unpacked(self._on_device(words[place]), window),
            self._on_device(leaving),
            self._on_device(edge),
            self._on_device(node_visits).unsqueeze(1),
            self._on_device(edge_visits).unsqueeze(1),
        )

    def _on_device(self, values: Any) -> Tensor:
        value = torch.from_numpy(values)
        if self.device.type == "cuda":
            value = value.pin_memory()  # else the copy waits for what the device does before it
        return value.to(self.device, non_blocking=True)
