"""From an encoding's values to what users get back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from graphpe.graphs.packed import PackedGraphs
from graphpe.transforms.asked import asked_parts
from graphpe.transforms.hetero import HomogeneousView
from graphpe.transforms.into_x import appended
from graphpe.transforms.precision import in_single
from graphpe.transforms.values import Values


def write_packed(graphs: PackedGraphs, values: Values) -> PackedGraphs:
    """The packed graphs with the values.

    Args:
        graphs: The graphs.
        values: The values of encodings, by level and key.

    Raises:
        GraphRangeError: A value is not finite in single precision.
    """
    values = values_in_single(values, graphs)
    node: dict[str, Tensor] = dict(graphs.node)
    for key, value in values.node.items():
        _set(node, key, value)
    written = {key or "x": node[key or "x"] for key in values.node}
    objects = {key: list(asked_parts(each, graphs)) for key, each in values.asked.items()}
    graphs = graphs.with_values(node=written, graph=values.graph, pair=values.pair)
    return graphs.with_objects(objects) if objects else graphs


def write_data(data: Data, graphs: PackedGraphs, values: Values) -> None:
    """Set the values on a `Data` or `Batch` (whose own dictionaries of slices are replaced, never changed).

    Args:
        data: The `Data` or `Batch`.
        graphs: Its graphs.
        values: The values of encodings, by level and key.

    Raises:
        GraphRangeError: A value is not finite in single precision.
    """
    values = values_in_single(values, graphs)
    content = vars(vars(data)["_store"])["_mapping"]
    for written in (values.node, values.graph, values.pair):
        for key, value in written.items():
            _set(content, key, value)
    for key, asked in values.asked.items():
        content[key] = asked.values
    if not isinstance(data, Batch) or not hasattr(data, "_slice_dict"):
        return
    still = torch.zeros(graphs.num_graphs, dtype=torch.long)
    slices = dict.fromkeys((key or "x" for key in values.node), graphs.ptr.cpu())
    slices |= dict.fromkeys(values.graph, torch.arange(graphs.num_graphs + 1))
    slices |= dict.fromkeys(values.pair, graphs.pair_ptr.cpu())
    slices |= {key: data._slice_dict[each.key] for key, each in values.asked.items() if each.key in data._slice_dict}
    data._slice_dict = {**data._slice_dict, **slices}
    data._inc_dict = {**data._inc_dict, **dict.fromkeys(slices, still)}


def write_list(
    data_list: Sequence[Any], views: Sequence[HomogeneousView | None], graphs: PackedGraphs, values: Values
) -> None:
    """Set each graph's part of the values, in memory of its own: PyG saves all of what a view is of."""
    ptr, pair_ptr = graphs.ptr.numpy(force=True), graphs.pair_ptr.numpy(force=True)
    ones = np.ones(len(data_list), dtype=np.int64)
    writers: tuple[tuple[Mapping[Any, Tensor], np.ndarray, Callable[[HomogeneousView], Any]], ...] = (
        (values.node, np.diff(ptr), lambda view: view.write_nodes),
        (values.graph, ones, lambda view: view.write_graphs),
        (values.pair, np.diff(pair_ptr), lambda view: view.write_graphs),
    )
    for level, counts, write in writers:
        for key, value in level.items():
            for data, view, part in zip(data_list, views, value.split(counts.tolist()), strict=True):
                if view is not None:
                    write(view)(data, key, part.clone())
                else:
                    _set(vars(vars(data)["_store"])["_mapping"], key, part.clone())
    for key, asked in values.asked.items():
        for data, part in zip(data_list, asked_parts(asked, graphs), strict=True):
            data[key] = part.clone()


def _set(content: dict[str, Any], key: str | None, value: Tensor) -> None:
    """Values under their key, or behind the columns of `x`."""
    content[key or "x"] = appended(content.get("x"), value) if key is None else value


def values_in_single(values: Values, graphs: PackedGraphs) -> Values:
    """The values in single precision (`graphpe.transforms.precision`).

    Args:
        values: The values.
        graphs: The graphs that they are of.

    Raises:
        GraphRangeError: One is not finite in single precision.
    """
    return Values(
        node={key: in_single(key or "x", value, "node", graphs) for key, value in values.node.items()},
        graph={key: in_single(key, value, "graph", graphs) for key, value in values.graph.items()},
        pair={key: in_single(key, value, "pair", graphs) for key, value in values.pair.items()},
        asked={
            key: each._replace(values=in_single(key, each.values, "pair", graphs, each.source))
            for key, each in values.asked.items()
        },
    )
