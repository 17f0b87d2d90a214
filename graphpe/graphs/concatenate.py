"""Several PackedGraphs as one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs

_LEVELS = ("node", "edge", "graph", "pair", "objects")


def concatenate(parts: Sequence[PackedGraphs]) -> PackedGraphs:
    """The graphs of all parts, one part after the other.

    Args:
        parts: The graphs of each part; all hold values of the same names and levels.

    Raises:
        GraphPEValueError: There is no part, or parts differ in what they hold.
    """
    if not parts:
        raise GraphPEValueError("concatenate needs at least one PackedGraphs, got none")
    first = parts[0]
    for number, part in enumerate(parts):
        for level in _LEVELS:
            mine, other = sorted(getattr(first, level)), sorted(getattr(part, level))
            if mine != other:
                raise GraphPEValueError(f"part 0 has {level} values {mine}, but part {number} has {other}")
        if (part.edge_weight is None) != (first.edge_weight is None):
            raise GraphPEValueError(f"of parts 0 and {number}, one has edge weights and the other has none")
    nodes = np.cumsum([0, *(part.num_nodes for part in parts)]).tolist()
    edges = np.cumsum([0, *(part.num_edges for part in parts)]).tolist()
    values = {
        level: {key: torch.cat([getattr(part, level)[key] for part in parts]) for key in getattr(first, level)}
        for level in ("node", "edge", "graph", "pair")
    }
    shifted = list(zip(parts, nodes, edges, strict=False))
    weights = [part.edge_weight for part in parts if part.edge_weight is not None]
    return PackedGraphs(
        edge_index=torch.cat([part.edge_index + node for part, node, _ in shifted], dim=1),
        ptr=torch.cat([first.ptr[:1], *(part.ptr[1:] + node for part, node, _ in shifted)]),
        edge_ptr=torch.cat([first.edge_ptr[:1], *(part.edge_ptr[1:] + edge for part, _, edge in shifted)]),
        edge_weight=torch.cat(weights) if weights else None,
        objects={key: [value for part in parts for value in part.objects[key]] for key in first.objects},
        **values,
    )
