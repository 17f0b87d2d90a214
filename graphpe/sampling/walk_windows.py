"""What the last steps of a random walk say of the graph around it: which nodes came again, which are adjacent."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphpe.arguments import check_integer
from graphpe.compiled.jit import compiled, compiled_by_steps
from graphpe.graphs.packed import PackedGraphs
from graphpe.sampling.random_walks import Roads, Walks, roads
from graphpe.sampling.threads import in_parts

MOST_WINDOW = 32
"""The longest window: its features are the bits of one integer."""

Words = NDArray[np.int64]


def window_features(graphs: PackedGraphs, walks: Walks, window: int) -> Tensor:
    """Identity and connectivity of the nodes of walks within a window, `[W, L + 1, 2 window - 1]` bool.

        identity      [w, t, s - 1]           = w_t is w_{t-s},                   s = 1 ... window
        connectivity  [w, t, window + s - 2]  = an edge leads w_{t-s} -> w_t,     s = 2 ... window

    (Tönshoff et al. 2023, section 3.1; Chen et al. 2024, section 3.2.) Where a walk has no node s steps before, or has
    ended, all is False. Node features of walks and these determine the subgraph that every window of `window` + 1 nodes
    induces, up to the edge of two nodes side by side, which the walk took.

    O(W L window log degree) time.

    Example:
        >>> from graphpe.graphs.packed import PackedGraphs
        >>> from graphpe.sampling.random_walks import random_walks
        >>> from graphpe.sampling.walk_windows import window_features
        >>> edges = torch.tensor([[0, 1, 2], [1, 2, 0]])  # a directed triangle: walks have no choice
        >>> graphs = PackedGraphs(edges, torch.tensor([0, 3]), torch.tensor([0, 3]))
        >>> window_features(graphs, random_walks(graphs, 3), 3)[0].int().tolist()[3]  # back at its start
        [0, 0, 1, 0, 0]

    Args:
        graphs: The graphs that the walks were drawn on.
        walks: The walks.
        window: Steps back that are compared, at most 32.

    Raises:
        GraphPETypeError: `window` is no integer.
        GraphPEValueError: It is out of range.
    """
    window = check_integer("window", window, least=1, most=MOST_WINDOW)
    words = window_words(roads(graphs.host_edge_index, graphs.num_nodes), walks.nodes, window)
    return unpacked(torch.from_numpy(words), window)


def window_words(roads: Roads, nodes: NDArray[Any], window: int) -> Words:
    """The features of each node of each walk as the bits of an integer, `[W, L + 1]`: `unpacked` spreads them out.

    Args:
        roads: The edges that the walks ran along.
        nodes: Nodes of the walks, `[W, L + 1]`.
        window: Steps back that are compared, at most 32.
    """
    words = np.empty(nodes.shape, dtype=np.int64)
    marks = _marks(*roads)
    in_parts(len(nodes), window * nodes.size, lambda a, b: _windows(*roads, marks, nodes[a:b], window, words[a:b]))
    return words


def unpacked(words: Tensor, window: int) -> Tensor:
    """The features one by one, `[..., 2 window - 1]` bool, on any device.

    Args:
        words: Of `window_words`, `[...]`.
        window: Its window.
    """
    bit = torch.arange(2 * window - 1, device=words.device)
    return ((words.unsqueeze(-1) >> bit) & 1).bool()


@compiled
def _bit(node: Any) -> Any:
    """One of 64 bits for each node."""
    return np.uint64(1) << ((np.uint64(node) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(58))


@compiled
def _marks(ptr: Any, entries: Any) -> Any:
    """The bits of the nodes that edges of each node lead to: most pairs that are not adjacent show at once."""
    marks = np.zeros(len(ptr) - 1, np.uint64)
    for node in range(len(marks)):
        for place in range(ptr[node], ptr[node + 1]):
            marks[node] |= _bit(entries[place, 0])
    return marks


@compiled
def _leads(ptr: Any, entries: Any, source: Any, target: Any) -> Any:
    """Whether an edge leads from one node to another."""
    low, end = ptr[source], ptr[source + 1]
    high = end
    while low < high:
        middle = (low + high) // 2
        if entries[middle, 0] < target:
            low = middle + 1
        else:
            high = middle
    return low < end and entries[low, 0] == target


@compiled_by_steps(lambda ptr, entries, marks, nodes, window, words: 8 * window * nodes.size)
def _windows(ptr: Any, entries: Any, marks: Any, nodes: Any, window: Any, words: Any) -> None:
    for walk in range(nodes.shape[0]):
        for step in range(nodes.shape[1]):
            node = nodes[walk, step]
            word = np.int64(0)
            if node >= 0:
                bit = _bit(node)
                for back in range(1, min(window, step) + 1):
                    before = nodes[walk, step - back]
                    if before == node:
                        word |= np.int64(1) << np.int64(back - 1)
                    if back > 1 and marks[before] & bit and _leads(ptr, entries, before, node):
                        word |= np.int64(1) << np.int64(window + back - 2)
            words[walk, step] = word
