"""Random regular graphs laid over the graphs of a batch, with a mark on what is added."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from graphpe.arguments import check_integer, check_seed
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.graphs.ragged import Ints, take

ADDED = "added"
"""Under which key edges say whether they were added, `[E]` bool."""

_LOW_BITS = (1 << 62) - 1


@dataclass(frozen=True)
class RandomRewiring:
    """Random edges beside those of each graph, new ones in each batch of training (GRASS, Liao & Poczos 2024).

    The edges of a random graph are added, both ways: the union of `degree` random permutations of the nodes, with edges
    v -> pi(v) and pi(v) -> v, without self-loops, each pair of nodes once (Friedman 2003: nearly Ramanujan with high
    probability; Liao & Poczos 2024, arXiv:2407.05649). Most nodes get 2 `degree` new neighbours; in a graph of few
    nodes at most all others, a single node none. An edge of the graph and an added one may join the same nodes.
    Distances between nodes become O(log n). The key `added` of edges, `[E]` bool, says what was added;
    `graphpe.models.RewiredEdges` reads it.

    Features of added edges are zero, and their weight is 1. Encodings of nodes and of pairs stay those of the graph
    as it was.

    As the `transform` of a `PackedLoader` it adds other edges in each batch and epoch, a function of the loader's
    seed, the epoch and the number of the batch. Called by itself it is a function of `seed` and, graph by graph, of
    the number of nodes: the same for the graph alone or in any batch. It depends on the numbering of nodes; its
    distribution does not. O(E + degree N log N), on the host; nothing waits for a device.

    Differs from the released code (grass-gnn/grass): pairs that two permutations join both ways are added once; the
    number of permutations is not less in graphs of few nodes, where they meet anyway.

    Example:
        >>> from graphpe import PackedGraphs, PackedLoader
        >>> from graphpe.sampling.rewiring import RandomRewiring
        >>> path = Data(edge_index=torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]]), num_nodes=5)
        >>> loader = PackedLoader(PackedGraphs.from_data_list([path] * 8), 4, transform=RandomRewiring(degree=1))
        >>> batch = next(iter(loader))
        >>> int((~batch.added).sum()), bool(batch.added.any())
        (16, True)

    Args:
        degree: Permutations whose edges are added.
        seed: Seed, from 0 to 2^64 - 1.

    Raises:
        GraphPETypeError: An argument is no integer; when called, the graphs are no `PackedGraphs`.
        GraphPEValueError: One is out of range; when called, edges have a value `added` already.
    """

    degree: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "degree", check_integer("degree", self.degree, least=1, most=1024))
        object.__setattr__(self, "seed", check_seed(self.seed))

    def seeded(self, seed: int) -> Self:
        """The same with another seed: what a loader applies to a batch.

        Args:
            seed: The seed of the batch.
        """
        return replace(self, seed=seed)

    def __call__(self, graphs: PackedGraphs) -> PackedGraphs:
        """The graphs with more edges, each behind those that its graph had.

        Args:
            graphs: The graphs, on any device.
        """
        if not isinstance(graphs, PackedGraphs):
            raise GraphPETypeError(
                f"RandomRewiring takes a PackedGraphs, got {type(graphs).__name__}: PackedGraphs.from_data makes one"
            )
        if ADDED in graphs.edge:
            raise GraphPEValueError(f"edges have a value {ADDED!r} already: they were rewired before")
        return superpose(graphs, self._edges(graphs.host_ptr))

    def _edges(self, ptr: Ints) -> Ints:
        """The edges that are added, `[2, A]`, both ways, sorted by graph."""
        nodes = int(ptr[-1])
        owner = np.repeat(np.arange(len(ptr) - 1), np.diff(ptr))
        ends = regular_edges(torch.from_numpy(owner), torch.from_numpy(ptr), self.degree, self.seed & _LOW_BITS).numpy()
        low, high = ends.min(0), ends.max(0)
        key = np.unique((low * nodes + high)[low < high])
        low, high = key // max(nodes, 1), key % max(nodes, 1)
        return np.stack([np.stack([low, high], 1).ravel(), np.stack([high, low], 1).ravel()])


def superpose(graphs: PackedGraphs, added: Ints) -> PackedGraphs:
    """Graphs with more edges, marked as such, whose features are zero.

    Args:
        graphs: The graphs, on any device.
        added: The edges, between nodes of one graph each, sorted by graph, `[2, A]`.
    """
    device, before = graphs.device, graphs.num_edges
    per_graph = np.bincount(
        np.searchsorted(graphs.host_ptr, added[0], side="right") - 1, minlength=graphs.num_graphs
    ).astype(np.int64)
    number = np.arange(graphs.num_graphs)
    owner = np.concatenate([np.repeat(number, np.diff(graphs.host_edge_ptr)), np.repeat(number, per_graph)])
    order = np.argsort(owner, kind="stable")
    edge_ptr = graphs.host_edge_ptr + np.append(0, np.cumsum(per_graph))
    rows: Any = order if device.type == "cpu" else _there(order, device)
    known: dict[str, Any] = {"host_edge_ptr": edge_ptr}
    if "host_edge_index" in vars(graphs):
        known["host_edge_index"] = np.concatenate([graphs.host_edge_index, added], axis=1)[:, order]
    weight = graphs.edge_weight
    edge = {key: _longer(value, added.shape[1], 0) for key, value in graphs.edge.items()}
    edge[ADDED] = _there(np.arange(len(order)) >= before, device)
    return graphs.with_trusted_edges(
        edge_index=take(torch.cat([graphs.edge_index, _there(added, device)], dim=1), rows, dim=1),
        edge_ptr=_there(edge_ptr, device),
        edge_weight=None if weight is None else take(_longer(weight, added.shape[1], 1), rows),
        edge={key: take(value, rows) for key, value in edge.items()},
        **known,
    )


def regular_edges(owner: Tensor, ptr: Tensor, degree: int, seed: int) -> Tensor:
    """Edges of a random 2 `degree`-regular multigraph on the nodes of each graph, `[2, 2 degree N]`.

    The union of `degree` random permutations pi: edges v -> pi(v) and pi(v) -> v. A permutation is the order of hashes
    of (seed, its number, size of the graph, place of the node): it depends on a graph's size and on the numbering of
    its nodes, not on the batch or on a global generator. O(degree N log N) without a loop over graphs, on any device
    and without waiting for it.

    Args:
        owner: Graph of each node, `[N]`, non-decreasing.
        ptr: First node of each graph and, last, the number of nodes, `[B + 1]`.
        degree: Number of permutations.
        seed: Seed, from 0 to 2^62 - 1.
    """
    node = torch.arange(owner.numel(), device=owner.device)
    place = node - ptr.index_select(0, owner)
    size = ptr.diff().index_select(0, owner)
    ends = [node.new_empty(2, 0)]
    for number in range(degree):
        value = _mix(_mix(_mix(_mix(torch.full_like(node, seed)) + number) + size) + place)
        order = value.argsort()
        order = order[owner.index_select(0, order).argsort(stable=True)]
        ends += [torch.stack([node, order]), torch.stack([order, node])]
    return torch.cat(ends, dim=1)


def _mix(x: Tensor) -> Tensor:
    """A hash of 62 bits (the finaliser of SplitMix64, on non-negative numbers)."""
    x = (x + 0x1E3779B97F4A7C15) & _LOW_BITS
    x = ((x ^ (x >> 30)) * 0x3F58476D1CE4E5B9) & _LOW_BITS
    x = ((x ^ (x >> 27)) * 0x14D049BB133111EB) & _LOW_BITS
    return x ^ (x >> 31)


def _longer(value: Tensor, rows: int, fill: int) -> Tensor:
    return torch.cat([value, value.new_full((rows, *value.shape[1:]), fill)])


def _there(values: Any, device: torch.device) -> Tensor:
    value = torch.from_numpy(values)
    if device.type == "cuda":
        value = value.pin_memory()  # else the copy waits for what the device does before it
    return value.to(device, non_blocking=True)
