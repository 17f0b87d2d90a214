"""The edges of a batch sorted by either end, once a batch, for sums over what enters and what leaves each node."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from graphpe.compiled.kernel import has_kernels
from graphpe.errors import GraphPEValueError


class Side(NamedTuple):
    """The pairs (j -> i) of nodes, sorted by one end.

    P pairs, N nodes.

    Attributes:
        ptr: First pair of each node and, last, P: `[N + 1]`.
        own: That end of each, ascending, `[P]`.
        other: The other end of each, `[P]`.
        place: Number of each pair, `[P]`: pairs are numbered in the order in which they are sorted by target.
    """

    ptr: Tensor
    own: Tensor
    other: Tensor
    place: Tensor


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The directed edges of a batch, parallel ones as often as they are there.

    Sorting takes O(E log E), when it is first asked for; nothing waits for a device.

    Whoever asks for either side gets an error if an edge has an end that is no node (on a CPU, and where Triton's
    kernels run, from the device).

    Attributes:
        edge_index: Edges (source, target), `[2, E]`.
        num_nodes: Number N of nodes.
        itself: Whether each node is a neighbour of itself, beside its self-loops.
    """

    edge_index: Tensor
    num_nodes: int
    itself: bool = False

    @property
    def num_pairs(self) -> int:
        """Number P of pairs: E, and N more where each node is a neighbour of itself."""
        return self.edge_index.shape[1] + (self.num_nodes if self.itself else 0)

    @cached_property
    def entering(self) -> Side:
        """The pairs by the node that they enter, their target."""
        source, target, order = self._by_target
        number = torch.arange(target.numel(), device=target.device)
        return Side(_first_of_each(target, self.num_nodes), target, source.index_select(0, order), number)

    @property
    def order(self) -> Tensor:
        """The edge of each pair, `[P]`; where each node is a neighbour of itself, these come after the edges."""
        return self._by_target[2]

    @cached_property
    def _by_target(self) -> tuple[Tensor, Tensor, Tensor]:
        """Sources in the order of the edges, targets ascending, and the edge of each of these, `[P]`."""
        source, target = self.edge_index
        _check_ends(self.edge_index, self.num_nodes)
        if self.itself:
            node = torch.arange(self.num_nodes, device=source.device)
            source, target = torch.cat([source, node]), torch.cat([target, node])
        return source, *target.sort(stable=True)

    @cached_property
    def leaving(self) -> Side:
        """The pairs by the node that they leave, their source."""
        source, place = self.entering.other.sort(stable=True)
        return Side(_first_of_each(source, self.num_nodes), source, self.entering.own.index_select(0, place), place)

    @cached_property
    def degree(self) -> Tensor:
        """Number of pairs that enter each node, `[N]`."""
        return self.entering.ptr.diff()


def _check_ends(edge_index: Tensor, nodes: int) -> None:
    """Compiled passes, on a CPU, follow these numbers wherever they lead; a look elsewhere waits for the device."""
    if has_kernels(edge_index.device):  # so do kernels: a device stops here at what is no node
        torch.arange(nodes, device=edge_index.device).index_select(0, edge_index.flatten())
    if torch.compiler.is_compiling() or edge_index.device.type != "cpu" or not edge_index.numel():
        return
    low, high = (int(end) for end in edge_index.aminmax())
    if low < 0 or high >= nodes:
        wrong = low if low < 0 else high
        raise GraphPEValueError(f"edge_index holds node {wrong}, but there are {nodes} nodes")


def _first_of_each(node: Tensor, num_nodes: int) -> Tensor:
    return torch.searchsorted(node, torch.arange(num_nodes + 1, device=node.device))
