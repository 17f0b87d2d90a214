"""Which pairs of nodes a model is asked about, and what their targets are.

Every node has the same number of partners in its graph: all of its nodes where there are no more than that; otherwise
half of them drawn evenly, and half the ends of walks of one to four steps (either way along edges), since what an
encoding says about near pairs is most of what it says. Draws depend on the graphs of a batch alone, so that a run that
was resumed asks about the same pairs; nothing is as large as the number of all pairs, unless an encoding is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from graphpe.benchmarks.pretraining.targets import UNKNOWN, AskedPairs, PairTarget
from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.plan import Plan
from graphpe.transforms.reading import read_packed

_STEPS = 4


def partners(graphs: PackedGraphs, most: int) -> Tensor:
    """Partners of every node, by their number in its graph, `[N, K]` on the host; -1 for none.

    Args:
        graphs: The graphs.
        most: How many a node has at most; K is that, or the size of the largest graph.
    """
    sizes = np.diff(graphs.host_ptr)
    width = int(min(most, sizes.max(initial=1)))
    own = np.repeat(sizes, sizes)
    found = np.broadcast_to(np.arange(width), (len(own), width)).copy()
    found[found >= own[:, None]] = -1
    large = np.flatnonzero(own > width)
    if len(large):
        random = np.random.default_rng(len(own))
        first = np.repeat(graphs.host_ptr[:-1], sizes)
        half = width - width // 2
        found[large, :half] = (random.random((len(large), half)) * own[large, None]).astype(np.int64)
        found[large, half:] = _walks(graphs, large, width - half, random) - first[large, None]
    return torch.from_numpy(found)


def _walks(graphs: PackedGraphs, start: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Nodes at which walks from `start` end, `[len(start), count]`; a node without edges is never left."""
    edges = graphs.edge_index.numpy(force=True)
    tail, head = np.concatenate([edges, edges[::-1]], axis=1)
    order = np.argsort(tail, kind="stable")
    head = head[order]
    degree = np.bincount(tail, minlength=graphs.num_nodes)
    first = np.cumsum(degree) - degree
    at = np.repeat(start[:, None], count, axis=1)
    steps = 1 + np.arange(count) % _STEPS
    for step in range(_STEPS):
        draw = random.random(at.shape)
        moving = (steps > step) & (degree[at] > 0)
        chosen = first[at] + (draw * degree[at]).astype(np.int64)
        at = np.where(moving, head[np.where(moving, chosen, 0)] if len(head) else at, at)
    return at


def asked_pairs(graphs: PackedGraphs, partner: Tensor) -> tuple[AskedPairs, Tensor]:
    """The pairs of nodes and their partners, and the place of each in `partner`, flattened.

    Args:
        graphs: The graphs.
        partner: As `partners` gives them, on the device of the graphs.
    """
    place = (partner.flatten() >= 0).nonzero().flatten()
    source = place // max(partner.shape[1], 1)
    owner = graphs.batch[source]
    second = partner.flatten()[place]
    first = graphs.ptr[owner]
    row = graphs.pair_ptr[owner] + (source - first) * graphs.sizes[owner] + second
    return AskedPairs(source, first + second, row), place


def pair_values(graphs: PackedGraphs, targets: Sequence[PairTarget], most: int) -> tuple[Tensor, Tensor]:
    """Partners `[N, K]` and targets of pairs `[N, K, columns]`, on the device of the graphs.

    Args:
        graphs: The graphs, as encodings see them.
        targets: What is asked of a pair.
        most: Partners of a node, at most.
    """
    read = read_packed(graphs, *(each.encoding for each in targets))
    plan = Plan(read, [need for each in targets for need in each.encoding.needs])
    partner = partners(graphs, most).to(graphs.device)
    pairs, place = asked_pairs(read, partner)
    columns = sum(each.columns for each in targets)
    found = torch.full((partner.numel(), columns), UNKNOWN, device=graphs.device)
    if len(place):
        found[place] = torch.cat([each.values(plan, pairs) for each in targets], dim=1)
    return partner, found.view(*partner.shape, columns)
