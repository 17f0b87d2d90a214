"""Pictures of encodings on their graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Data

from graphpe.drawing.node_positions import layout
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS = 64
"""The most columns drawn in one picture."""

_INK, _EDGE = "#222222", "#9a9a9a"
# From this many nodes on a heat map says nothing that its graph's picture could label.
_MOST_TICKS = 24


def plot_encoding(data: Any, key: str | Callable[[Any], Any], index: int = 0, *, columns: int | None = None) -> Figure:
    """Draw an encoding on its graph: one small picture for each column.

    * Real values of nodes colour the nodes: blue to red about 0 where a column has both signs, light to dark otherwise.
    * Complex values: the hue is the phase, strength the modulus (relative to the column's largest).
    * Integers: one colour for each value.
    * Values of pairs: heat maps, row = query i, column = key j.
    * Values of a graph: bars.

    Nodes are placed by stress majorisation of hop distances, without chance: the same graph gives the same picture.
    Arrows stand on edges that go one way only. Nothing is shown or written: call `.savefig(path)` on the result.

    Args:
        data: A PyG `Data` or `Batch`, a `PackedGraphs`, a dataset of PyG graphs, or a networkx graph.
        key: The key of an encoding that the graph has, or a transform that is applied first (the only way for networkx
            graphs).
        index: Which graph, where there are several.
        columns: How many columns to draw, from the first; by default at most 8.

    Returns:
        A matplotlib figure.

    Raises:
        GraphPETypeError: `data` is nothing of these.
        GraphPEValueError: The graph has no such key, `index` or `columns` is out of range, or the key holds no numbers.
    """
    graphs = _one_graph(data, index)
    if not isinstance(key, str):
        graphs = key(graphs)
        key = key.value_key if hasattr(key, "value_key") else _only_key(key)
    level, value = _find(graphs, key)
    panels = value.reshape(len(value), int(np.prod(value.shape[1:])))
    most = min(8, panels.shape[1]) if columns is None else columns
    if not 1 <= most <= min(MOST_PANELS, max(panels.shape[1], 1)):
        limit = min(MOST_PANELS, panels.shape[1])
        raise GraphPEValueError(f"columns must be from 1 to {limit} for {key!r} of shape {value.shape}, got {columns}")
    names = _panel_names(graphs, key, value.shape[1:], most)
    if level == "graph":
        return _draw_bars(panels[0], key)
    if level == "pair":
        return _draw_heat_maps(panels[:, :most], graphs.num_nodes, names, key)
    return _draw_nodes(graphs, panels[:, :most], names, key)


def _one_graph(data: Any, index: int) -> PackedGraphs:
    if isinstance(data, nx.Graph):
        return PackedGraphs.from_networkx(data)
    if isinstance(data, Data):  # a Batch, too
        graphs = PackedGraphs.from_data(data)
    elif isinstance(data, PackedGraphs):
        graphs = data
    elif hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        if not -len(data) <= index < len(data):
            raise GraphPEValueError(f"index must be below the number of graphs, {len(data)}, got {index}")
        return _one_graph(data[index], 0)
    else:
        raise GraphPETypeError(
            f"plot_encoding takes a PyG or networkx graph, PackedGraphs or a dataset, got {type(data).__name__}"
        )
    if not -len(graphs) <= index < len(graphs):
        raise GraphPEValueError(f"index must be below the number of graphs, {len(graphs)}, got {index}")
    return graphs.select([index]).to("cpu")


def _only_key(transform: Any) -> str:
    keys = [key for level in ("keys", "pair_keys") for key in getattr(transform, level, [])]
    if len(keys) != 1:
        raise GraphPEValueError(f"{transform!r} writes {keys}: apply it first and name the key to draw")
    return keys[0]


def _find(graphs: PackedGraphs, key: str) -> tuple[str, NDArray[Any]]:
    for level in ("node", "pair", "graph", "edge"):
        value = getattr(graphs, level).get(key)
        if isinstance(value, Tensor):
            if level == "edge":
                raise GraphPEValueError(f"{key!r} is a value of edges: pictures are of nodes, pairs and graphs")
            return level, value.numpy(force=True)
    known = [*graphs.node, *graphs.pair, *graphs.graph]
    raise GraphPEValueError(f"the graph has no {key!r} to draw: it has {', '.join(map(repr, known)) or 'no values'}")


def _panel_names(graphs: PackedGraphs, key: str, shape: tuple[int, ...], most: int) -> list[str]:
    """Titles: the column, and its eigenvalue where the graph has eigenvalues of that shape beside the key."""
    places = [np.unravel_index(i, shape) if shape else () for i in range(most)]
    names = [", ".join(map(str, place)) if place else key for place in places]
    stem = key.removesuffix("_eigenvector_pe")
    values = graphs.graph.get(f"{stem}_eigenvalues", graphs.graph.get(f"{key}_eigenvalues"))
    if values is not None and tuple(values.shape[1:]) == shape:
        names = [
            f"{name}   λ = {float(values[0].numpy(force=True)[place]):.3g}"
            for name, place in zip(names, places, strict=True)
        ]
    return names


def _draw_nodes(graphs: PackedGraphs, panels: NDArray[Any], names: list[str], key: str) -> Figure:
    position = layout(graphs)
    figure, axes = _grid(len(names), key)
    size = float(np.clip(2400 / max(graphs.num_nodes, 1), 4, 160))
    for axis, values, name in zip(axes, panels.T, names, strict=True):
        _draw_edges(axis, graphs, position)
        colours, bar = _colours(values)
        axis.scatter(position[:, 0], position[:, 1], s=size, c=colours, edgecolors=_INK, linewidths=0.4, zorder=2)
        axis.set_title(name, fontsize=9)
        axis.set_aspect("equal")
        axis.margins(0.12)
        axis.axis("off")
        if bar is not None:
            figure.colorbar(bar, ax=axis, shrink=0.6, pad=0.02).ax.tick_params(labelsize=6)
        elif np.iscomplexobj(values):
            _draw_wheel(axis)
    return figure


def _draw_edges(axis: Axes, graphs: PackedGraphs, position: NDArray[np.float64]) -> None:
    from matplotlib.collections import LineCollection, PolyCollection

    edges = np.unique(graphs.edge_index.numpy(force=True).T, axis=0)
    edges = edges[edges[:, 0] != edges[:, 1]]
    both = set(map(tuple, edges.tolist())) & set(map(tuple, edges[:, ::-1].tolist()))
    axis.add_collection(LineCollection(position[edges], colors=_EDGE, linewidths=0.7, zorder=1))
    one_way = np.array([edge for edge in edges.tolist() if tuple(edge) not in both], dtype=np.int64).reshape(-1, 2)
    if len(one_way):
        tail, head = position[one_way[:, 0]], position[one_way[:, 1]]
        ahead = (head - tail) * 0.11
        aside = ahead[:, ::-1] * (-0.55, 0.55)
        middle = (tail + head) / 2 - ahead / 3
        triangles = np.stack([middle + ahead, middle + aside, middle - aside], axis=1)
        axis.add_collection(PolyCollection(list(triangles), facecolors=_EDGE, zorder=1))


def _colours(values: NDArray[Any]) -> tuple[Any, Any]:
    """Colours of nodes, and what a colour bar is drawn from (None for phases)."""
    import matplotlib
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize, hsv_to_rgb

    if np.iscomplexobj(values):
        modulus = np.abs(values)
        strength = modulus / max(modulus.max(initial=0), 1e-30)
        hue = (np.angle(values) / (2 * np.pi)) % 1.0
        return hsv_to_rgb(np.stack([hue, strength, np.full_like(strength, 0.92)], axis=-1)), None
    if values.dtype.kind in "iub":
        levels, number = np.unique(values, return_inverse=True)
        if len(levels) <= 20:  # colours are names here, not amounts: no bar
            return matplotlib.colormaps["tab20"](number), None
    values = values.astype(np.float64)
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    if low < 0 < high:
        top = max(-low, high)
        scale = ScalarMappable(Normalize(-top, top), "RdBu_r")
    else:
        scale = ScalarMappable(Normalize(low, high if high > low else low + 1), "viridis")
    return scale.to_rgba(values), scale


def _draw_wheel(axis: Axes) -> None:
    """A small wheel of phases beside the graph: red is a positive real number, hue turns counter-clockwise."""
    from matplotlib.colors import hsv_to_rgb

    # The panel keeps its shape, so that the wheel has its size beside a flat graph too; outside it is no node.
    axis.set_aspect("equal", adjustable="datalim")
    wheel = axis.inset_axes((1.0, 0.0, 0.16, 0.16), polar=True)
    angle = np.linspace(0, 2 * np.pi, 65)
    hue = (angle[:-1] / (2 * np.pi))[None, :, None]
    colours = hsv_to_rgb(np.concatenate([hue, np.ones_like(hue), np.full_like(hue, 0.92)], axis=-1))
    wheel.pcolormesh(angle, [0.55, 1.0], np.zeros((1, 64)), color=colours.reshape(-1, 3))
    wheel.axis("off")


def _draw_heat_maps(panels: NDArray[Any], size: int, names: list[str], key: str) -> Figure:
    figure, axes = _grid(len(names), key)
    for axis, values, name in zip(axes, panels.T, names, strict=True):
        square = values.reshape(size, size)
        shown = np.abs(square) if np.iscomplexobj(square) else square.astype(np.float64)
        both_signs = size > 0 and shown.min() < 0 < shown.max()
        top = float(np.abs(shown).max(initial=0))
        low, high = (-top, top) if both_signs else (None, None)
        colours = "RdBu_r" if both_signs else "viridis"
        image = axis.imshow(shown, cmap=colours, interpolation="nearest", vmin=low, vmax=high)
        figure.colorbar(image, ax=axis, shrink=0.8, pad=0.03).ax.tick_params(labelsize=6)
        axis.set_title(name, fontsize=9)
        axis.tick_params(labelsize=6)
        if size <= _MOST_TICKS:
            axis.set_xticks(range(size))
            axis.set_yticks(range(size))
        axis.set_xlabel("key j", fontsize=7)
        axis.set_ylabel("query i", fontsize=7)
    return figure


def _draw_bars(values: NDArray[Any], key: str) -> Figure:
    figure, (axis,) = _grid(1, key)
    axis.bar(np.arange(len(values)), values.astype(np.float64), color="#4c72b0")
    axis.set_xlabel("column", fontsize=8)
    axis.tick_params(labelsize=7)
    return figure


def _grid(count: int, title: str) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels, at most four in a row. No pyplot: nothing is registered, nothing pops up."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    across = min(count, 4)
    down = -(-count // across)
    figure = Figure(figsize=(3.1 * across + 0.4, 2.8 * down + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11)
    return figure, [figure.add_subplot(down, across, i + 1) for i in range(count)]
