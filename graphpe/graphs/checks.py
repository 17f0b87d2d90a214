"""Checks of a PackedGraphs that was built from outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from graphpe.errors import GraphPERuntimeError, GraphPETypeError, GraphPEValueError
from graphpe.graphs.fields import Fields
from graphpe.graphs.levels import Level, check_name

MAX_NODES = 2**31
"""More nodes than this, in a graph or a file of them, are taken for a mistake: one number a node would be 8 GiB."""

LEVELS: tuple[Level, ...] = ("node", "edge", "graph", "pair")


def check_integers(name: str, value: Any) -> None:
    """`value` is a tensor of integers.

    Args:
        name: What the message calls it.
        value: The argument.
    """
    if not isinstance(value, Tensor) or value.is_floating_point() or value.is_complex() or value.dtype == torch.bool:
        raise GraphPETypeError(f"{name} must be a tensor of integers, got {describe(value)}")


def check_device(device: Any) -> torch.device:
    """A device of torch, or the name of one.

    Args:
        device: The argument.

    Raises:
        GraphPEValueError: It is no device.
        GraphPERuntimeError: It is a GPU that is not here.
    """
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError):
        raise GraphPEValueError(f"device must be one of torch, such as 'cpu' or 'cuda:0', got {device!r}") from None
    if found.type == "cuda" and (found.index or 0) >= (count := torch.cuda.device_count()):
        raise GraphPERuntimeError(f"device is {str(found)!r}, but torch finds {count} GPUs here: use device='cpu'")
    return found


def check_graphs(graphs: Fields) -> None:
    """All of it, in O(nodes and edges).

    Args:
        graphs: The fields of the graphs.
    """
    _check_pointers(graphs)
    _check_edges(graphs)
    for level in LEVELS:
        check_values(graphs, level, getattr(graphs, level))
    check_objects(graphs, graphs.objects)
    check_unique(graphs)


def check_objects(graphs: Fields, objects: Mapping[str, list[Any]]) -> None:
    """There is one Python value per graph, under names that PyG leaves alone.

    Args:
        graphs: The fields of the graphs.
        objects: The values by name.
    """
    for key, values in objects.items():
        check_name(key, "object")
        if len(values) != graphs.num_graphs:
            raise GraphPEValueError(f"objects[{key!r}] holds {len(values)} values for {graphs.num_graphs} graphs")


def check_num_nodes(num_nodes: int, of: str = "the graph") -> None:
    """A graph is of a size for which one number a node can be written down.

    Args:
        num_nodes: The number of nodes.
        of: What the message says it is the number of.
    """
    if not 0 <= num_nodes <= MAX_NODES:
        raise GraphPEValueError(f"num_nodes of {of} is {num_nodes:,}: it must be from 0 to {MAX_NODES:,}")


def check_values(graphs: Fields, level: Level, values: Mapping[str, Tensor]) -> None:
    """Values of one level have its number of rows, and names that PyG leaves alone.

    Args:
        graphs: The fields of the graphs.
        level: The level.
        values: The values by name.
    """
    if not values:
        return
    rows = {"node": graphs.num_nodes, "edge": graphs.num_edges, "graph": graphs.num_graphs}
    expected = graphs.num_pairs if level == "pair" else rows[level]
    for key, value in values.items():
        check_name(key, level)
        if not isinstance(value, Tensor):
            raise GraphPETypeError(f"{level} value {key!r} must be a tensor, got {describe(value)}")
        if value.dim() == 0 or value.size(0) != expected:
            raise GraphPEValueError(f"{level} value {key!r} must be [{expected}, ...], got {describe(value)}")
        if value.device != graphs.device:
            raise GraphPEValueError(f"{level} value {key!r} is on {value.device}, the graphs on {graphs.device}")


def check_unique(graphs: Fields) -> None:
    """No name is used in two levels.

    Args:
        graphs: The fields of the graphs.
    """
    seen: dict[str, str] = {}
    for level in (*LEVELS, "objects"):
        for key in getattr(graphs, level):
            if key in seen:
                raise GraphPEValueError(f"{key!r} is used in {seen[key]} and in {level}: rename one of them")
            seen[key] = level


def describe(value: Any) -> str:
    """What a wrong value is, for a message.

    Args:
        value: The value.
    """
    if isinstance(value, Tensor):
        small = f" {value.tolist()}" if value.dim() == 1 and len(value) <= 8 and value.device.type != "meta" else ""
        return f"{value.dtype} {list(value.shape)}{small}"
    return type(value).__name__


def _check_pointers(graphs: Fields) -> None:
    if graphs.edge_index.dim() != 2 or graphs.edge_index.size(0) != 2:
        raise GraphPEValueError(f"edge_index must be [2, E], got {list(graphs.edge_index.shape)}")
    for name, ptr in (("ptr", graphs.ptr), ("edge_ptr", graphs.edge_ptr)):
        if ptr.device != graphs.device:
            raise GraphPEValueError(f"{name} is on {ptr.device}, edge_index on {graphs.device}: move one of them")
        if ptr.dim() != 1 or ptr.numel() == 0 or int(ptr[0]) != 0 or bool((ptr.diff() < 0).any()):
            raise GraphPEValueError(f"{name} must be [B + 1], begin with 0 and never decrease, got {describe(ptr)}")
    if graphs.ptr.numel() != graphs.edge_ptr.numel():
        raise GraphPEValueError(
            f"ptr is of {graphs.num_graphs} graphs, edge_ptr of {graphs.edge_ptr.numel() - 1}: both must be [B + 1]"
        )
    if int(graphs.edge_ptr[-1]) != graphs.num_edges:
        raise GraphPEValueError(
            f"edge_ptr ends with {int(graphs.edge_ptr[-1])}, but edge_index holds {graphs.num_edges} edges"
        )


def _check_edges(graphs: Fields) -> None:
    edge_batch = graphs.edge_batch
    lower, upper = graphs.ptr[:-1][edge_batch], graphs.ptr[1:][edge_batch]
    outside = ((graphs.edge_index < lower) | (graphs.edge_index >= upper)).any(dim=0)
    if bool(outside.any()):
        edge = int(outside.nonzero()[0])
        raise GraphPEValueError(
            f"edge {edge}, {graphs.edge_index[:, edge].tolist()}, leaves its graph {int(edge_batch[edge])} "
            f"of nodes {int(lower[edge])} to {int(upper[edge]) - 1} (ids count over all graphs)"
        )
    weight = graphs.edge_weight
    if weight is not None:
        if not isinstance(weight, Tensor) or weight.shape != (graphs.num_edges,):
            raise GraphPEValueError(f"edge_weight must be [{graphs.num_edges}], got {describe(weight)}")
        if weight.device != graphs.device:
            raise GraphPEValueError(f"edge_weight is on {weight.device}, edge_index on {graphs.device}")
