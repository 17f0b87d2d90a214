"""The tensors of many graphs, and what is counted of them; `PackedGraphs` adds what can be done with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from graphpe.graphs.ragged import Ints


@dataclass(frozen=True, eq=False, repr=False)
class Fields:
    """The fields of a `PackedGraphs`, where they are described, and the sizes and pointers that follow from them."""

    edge_index: Tensor
    ptr: Tensor
    edge_ptr: Tensor
    edge_weight: Tensor | None = None
    node: dict[str, Tensor] = field(default_factory=dict)
    edge: dict[str, Tensor] = field(default_factory=dict)
    graph: dict[str, Tensor] = field(default_factory=dict)
    pair: dict[str, Tensor] = field(default_factory=dict)
    objects: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def num_graphs(self) -> int:
        """Number of graphs; those without a node count."""
        return self.ptr.numel() - 1

    @property
    def num_nodes(self) -> int:
        """Nodes of all graphs."""
        return int(self.host_ptr[-1])

    @property
    def num_edges(self) -> int:
        """Directed edges of all graphs; parallel ones count each."""
        return self.edge_index.size(1)

    @property
    def num_pairs(self) -> int:
        """Ordered pairs of nodes of one graph, over all graphs: sum n_b^2."""
        return int(self.host_pair_ptr[-1])

    @property
    def max_size(self) -> int:
        """Nodes of the largest graph; 0 without graphs."""
        return int(np.diff(self.host_ptr).max(initial=0))

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.edge_index.device

    @cached_property
    def sizes(self) -> Tensor:
        """Nodes of each graph `[B]`."""
        return self.ptr.diff()

    @cached_property
    def edge_sizes(self) -> Tensor:
        """Edges of each graph `[B]`."""
        return self.edge_ptr.diff()

    @cached_property
    def pair_ptr(self) -> Tensor:
        """`[B + 1]`: graph b owns pair rows `pair_ptr[b]` to `pair_ptr[b + 1]`."""
        return torch.from_numpy(self.host_pair_ptr).to(self.device)

    @cached_property
    def batch(self) -> Tensor:
        """The graph of each node `[N]`."""
        if self.num_graphs == 1:
            return torch.zeros(self.num_nodes, dtype=torch.long, device=self.device)
        return torch.arange(self.num_graphs, device=self.device).repeat_interleave(
            self.sizes, output_size=self.num_nodes
        )

    @cached_property
    def edge_batch(self) -> Tensor:
        """The graph of each edge `[E]`."""
        return torch.arange(self.num_graphs, device=self.device).repeat_interleave(
            self.edge_sizes, output_size=self.num_edges
        )

    # Pointers are also kept as NumPy arrays: on small batches NumPy's calls cost a third of torch's,
    # and graphs on a GPU are then selected without waiting for it.

    @cached_property
    def host_ptr(self) -> Ints:
        return self.ptr.numpy(force=True)

    @cached_property
    def host_edge_ptr(self) -> Ints:
        """`edge_ptr` on the host."""
        return self.edge_ptr.numpy(force=True)

    @cached_property
    def host_pair_ptr(self) -> Ints:
        """`pair_ptr` on the host."""
        return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(np.diff(self.host_ptr) ** 2)])

    @cached_property
    def host_edge_index(self) -> Ints:
        """`edge_index` on the host: for what is counted or built there of graphs on a device."""
        return self.edge_index.numpy(force=True)

    @classmethod
    def trusted(cls, **content: Any) -> Self:
        """An object from fields (and cached properties) that are known to be right; skips the checks.

        Args:
            **content: Fields and cached properties, by name.
        """
        out = object.__new__(cls)
        out.__dict__.update(content)
        return out
