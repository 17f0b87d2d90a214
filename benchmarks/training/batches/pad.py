"""A batch filled up to a shape with dummy graphs, which no loss, gradient or statistic of the real ones notices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphpe.benchmarks.training.batches.shapes import Shape, shape_for
from graphpe.graphs.packed import PackedGraphs
from graphpe.graphs.ragged import Ints
from graphpe.models.batches.nodes import PADDED_TO, PaddedTo
from graphpe.models.batches.real_rows import REAL


def pad(graphs: PackedGraphs, shapes: Sequence[Shape]) -> PackedGraphs:
    """The graphs and, after them, dummy graphs up to the first shape that they fit into; as they are if none fits.

    Dummy graphs have values of zero, edges from nodes to themselves, and targets `y` that are not known: NaN, or -1
    among integers. For each level it is added which rows are real (`REAL`): statistics over rows are to be those of the
    real ones (`graphpe.models.batches.real_rows`).

    Args:
        graphs: The graphs of a batch, with all that the model reads, on any device.
        shapes: The shapes, the smallest first.
    """
    sizes, edges = np.diff(graphs.host_ptr), graphs.num_edges
    shape = shape_for(shapes, sizes, edges) if graphs.num_nodes > 1 and edges > 1 else None
    dummies = None if shape is None else shape.dummies(sizes, edges)
    if shape is None or dummies is None:
        return graphs
    real = {"node": graphs.num_nodes, "edge": edges, "graph": len(sizes), "pair": graphs.num_pairs}
    rows = {"node": shape.nodes, "edge": shape.edges, "graph": shape.graphs, "pair": shape.pairs}
    values: dict[str, dict[str, Tensor]] = {
        level: {key: _filled(key, value, rows[level]) for key, value in getattr(graphs, level).items()}
        for level in real
    }
    for level, key in REAL.items():
        mask = torch.zeros(rows[level], device=graphs.device)
        mask[: real[level]] = 1
        values[level][key] = mask
    loops, owner = _loops(dummies, shape.edges - edges)
    ptr = np.append(graphs.host_ptr, graphs.num_nodes + np.cumsum(dummies))
    edge_ptr = np.append(graphs.host_edge_ptr, edges + np.cumsum(np.bincount(owner, minlength=len(dummies))))
    more = torch.from_numpy(np.stack([loops, loops]) + graphs.num_nodes)
    known: dict[str, Any] = {"host_ptr": ptr, "host_edge_ptr": edge_ptr}
    if "host_edge_index" in vars(graphs):
        known["host_edge_index"] = np.concatenate([graphs.host_edge_index, more.numpy()], axis=1)
    weight = graphs.edge_weight
    return PackedGraphs.trusted(
        edge_index=torch.cat([graphs.edge_index, more.to(graphs.device, non_blocking=True)], 1),
        ptr=torch.from_numpy(ptr).to(graphs.device, non_blocking=True),
        edge_ptr=torch.from_numpy(edge_ptr).to(graphs.device, non_blocking=True),
        edge_weight=None if weight is None else torch.cat([weight, weight.new_ones(shape.edges - edges)]),
        objects={},  # Python objects have no shape
        **values,
        **known,
    )


@dataclass(frozen=True)
class Padded:
    """What is done to the graphs of a batch, and then `pad`.

    Attributes:
        transform: What is done.
        shapes: The shapes.
    """

    transform: Callable[[PackedGraphs], PackedGraphs]
    shapes: Sequence[Shape]

    def __call__(self, graphs: PackedGraphs) -> PackedGraphs:
        """The graphs as the model sees them."""
        return pad(self.transform(graphs), self.shapes)

    def mark(self, batch: Batch) -> Batch:
        """Write to a padded batch which shape it has, as models read it.

        Args:
            batch: The batch.
        """
        if all(key in batch for key in REAL.values()):
            pairs, graphs = batch[REAL["pair"]].shape[0], batch.num_graphs
            shape = next(each for each in self.shapes if (each.pairs, each.graphs) == (pairs, graphs))
            batch[PADDED_TO] = PaddedTo(shape.graphs, shape.pairs, shape.groups)
        return batch


def _filled(key: str, value: Tensor, rows: int) -> Tensor:
    """Values with rows for dummy graphs: unknown targets, and zero."""
    nothing = (torch.nan if value.is_floating_point() else -1) if key == "y" else 0
    return torch.cat([value, value.new_full((rows - len(value), *value.shape[1:]), nothing)])


def _loops(dummies: Ints, edges: int) -> tuple[Ints, Ints]:
    """Dummy nodes at which edges begin and end, dealt evenly among them and sorted; and the graphs of these."""
    nodes = int(dummies.sum())
    ends = np.arange(edges) * nodes // max(edges, 1)
    return ends, np.repeat(np.arange(len(dummies)), dummies)[ends]
