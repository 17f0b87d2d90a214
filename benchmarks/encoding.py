"""Encoding a task's graphs before training, with a progress bar."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.transforms import BaseTransform
from tqdm import tqdm

from graphpe.packed import PackedGraphs

CHUNK = 512
"""Graphs encoded at once: enough to fill batched solvers, few enough for a bar that moves."""


def encode_graphs(graphs: PackedGraphs, transforms: Sequence[BaseTransform], *, progress: bool) -> PackedGraphs:
    """Apply encodings to packed graphs, chunk by chunk.

    Graphs are taken in order of size: graphs of one size share a batched decomposition.

    Args:
        graphs: The graphs.
        transforms: Transforms that take `PackedGraphs` and add values to them.
        progress: Whether to show a bar.
    """
    if not transforms or not graphs.num_graphs:
        return graphs
    order = torch.argsort(graphs.sizes, stable=True)
    structure = graphs.structure()
    node: dict[str, list[Tensor]] = {}
    graph: dict[str, list[Tensor]] = {}
    with tqdm(total=graphs.num_graphs, desc="encode", unit="graph", leave=False, disable=not progress) as bar:
        for chunk in order.split(CHUNK):
            encoded = structure.select(chunk)
            for transform in transforms:
                encoded = transform(encoded)
            for key, value in encoded.node.items():
                node.setdefault(key, []).append(value)
            for key, value in encoded.graph.items():
                graph.setdefault(key, []).append(value)
            bar.update(len(chunk))
    # Back to the graphs' own order: encode a packed copy of the row numbers the same way and invert it.
    rows = structure.with_values(node={"row": torch.arange(graphs.num_nodes)}).select(order).node["row"]
    back_nodes, back_graphs = torch.argsort(rows), torch.argsort(order)
    return graphs.with_values(
        node={key: torch.cat(parts)[back_nodes] for key, parts in node.items()},
        graph={key: torch.cat(parts)[back_graphs] for key, parts in graph.items()},
    )
