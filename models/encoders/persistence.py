"""Persistence diagrams of learned filtrations, as an encoding of nodes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data

from graphpe.arguments import check_counts
from graphpe.errors import GraphPEValueError
from graphpe.models.batches.nodes import NodeToGraph, node_to_graph
from graphpe.models.batches.on_host import structure_of
from graphpe.models.batches.reading import read_encoding
from graphpe.models.layers.precision import exactly, in_half_precision
from graphpe.structure.persistence import persistence

_TIE = 1e-5
"""Filtration values of a graph that tie: nodes that a symmetry exchanges differ by rounding, from 1e-7 to 1e-6."""


class PersistenceEncoding(nn.Module):
    """Persistent homology over the node encoding `batch[key]` `[N, channels]` (PiPE, Verma et al. 2025).

        f(v) = sigmoid(A' ReLU(A c_v + a) + a'),    F filtrations, and f(u, v) = max(f(u), f(v)) of an edge
        h_v  = mean over points (b, d, o) that v shares of ReLU(B_f [b, d, o] + b_f)
        g_v  = 1/2 sum over edges e at v of share(e) ReLU(C_f f(e) + c_f)
        out  = W [c_v || h_v || g_v] + w

    for the encoding c_v of node v, with h and g of all filtrations f side by side. In each filtration v begins a
    component at b = f(v), which ends at d, where an older one joins it; the oldest of a component of the graph never
    ends, and has o = 1 (else o = 0) and in d's place f of the last edge there, its own b without edges. share(e) is the
    number of independent cycles that e closes (`graphpe.structure.persistence`, where ties are shared). Sums over the
    nodes of a graph are sums over the points of its diagrams of dimension 0 and 1. Births and deaths are values f of
    nodes, through which gradients go; which ones has none.

    Symmetry: exactly equivariant, up to rounding: values of f that differ by 1e-5 or less tie, so that nodes which a
    symmetry of the graph exchanges have the same result. What is free in the encoding (signs of eigenvectors) stays so.
    Not continuous where values pass each other at that distance. Directions of edges, and self-loops, do not count.
    Cost: O(F (N + E) (log E + hidden)); diagrams are computed on the host, and a batch on a GPU waits for them. f is in
    float32 or better. W and w start at zero: training starts from the model without the encoding.

    Differs from PiPE and its released code in: filtrations of an encoding as it is (there of SPE's or another network's
    embeddings, after each of its layers); an embedding of nodes, that the architecture reads from its first layer on
    (released: a vector of the graph, the mean over layers, which the head reads); ties are shared, where theirs depend
    on the order of nodes and edges; essential points are marked. From TOGL (Horn et al. 2022): that is one layer within
    a GNN. From RePHINE (Immonen et al. 2023): edges have no filtration of their own. Extended persistence, with which
    Hofer et al. (2020) have compared, is not here.

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]), num_nodes=5)
        >>> data = T.RandomWalkPE(walk_length=4)(data)
        >>> M.PersistenceEncoding("random_walk_pe", 4, 16)(data).shape
        torch.Size([5, 16])

    Args:
        key: Name of the encoding in the batch.
        channels: Its number of columns.
        width: Width of the result.
        filtrations: Number F of filtrations.
        hidden: Width of the hidden layer that makes them, and of the points of one filtration.

    Raises:
        GraphPEValueError: If a size is not positive; in `forward` if the batch has no real encoding of that name with
            that many columns, no edges that are those of graphs, or f is not finite.
    """

    def __init__(self, key: str, channels: int, width: int, *, filtrations: int = 8, hidden: int = 16) -> None:
        super().__init__()
        channels, width, filtrations, hidden = check_counts(
            channels=channels, width=width, filtrations=filtrations, hidden=hidden
        )
        self.key = key
        self.channels = channels
        self.filtrations = filtrations
        self.hidden = hidden
        self.inner = nn.Linear(channels, hidden)
        self.outer = nn.Linear(hidden, filtrations)
        self.of_components = nn.Parameter(torch.empty(filtrations, 3, hidden).uniform_(-1, 1))  # B
        self.component_bias = nn.Parameter(torch.empty(filtrations, hidden).uniform_(-1, 1))
        self.of_cycles = nn.Parameter(torch.empty(filtrations, hidden).uniform_(-1, 1))  # C
        self.cycle_bias = nn.Parameter(torch.empty(filtrations, hidden).uniform_(-1, 1))
        self.out = nn.Linear(channels + 2 * filtrations * hidden, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    @in_half_precision
    def forward(self, batch: Data) -> Tensor:
        """The encoding at the model's width, `[num_nodes, width]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with the encoding under `key`.
        """
        members = node_to_graph(batch)
        value = read_encoding(batch, self.key, self.channels)
        if value.is_complex():
            raise GraphPEValueError(f"batch.{self.key} is complex: use EigenvectorEncoding(..., complex=True)")
        with torch.autocast(value.device.type, enabled=False):  # what is equal in half precision would tie
            points = self._points(batch, members, members.sort(value))
        return self.out(members.restore(points).to(self.out.weight.dtype))

    def _points(self, batch: Data, members: NodeToGraph, value: Tensor) -> Tensor:
        """`[c || h || g]`, `[N, channels + 2 F hidden]`, in float32 or better."""
        value = value.to(exactly(self.inner.weight).dtype)
        inner = functional.linear(value, exactly(self.inner.weight), exactly(self.inner.bias)).relu()
        birth = functional.linear(inner, exactly(self.outer.weight), exactly(self.outer.bias)).sigmoid()  # [N, F]
        edges, last, essential, tie, share = _diagrams(batch, members, birth)
        entry = torch.maximum(birth.index_select(0, edges[0]), birth.index_select(0, edges[1]))  # [P, F]
        nodes, count = len(birth), len(entry)
        rows = torch.where(last < 0, count + torch.arange(nodes, device=last.device).unsqueeze(1), last)
        death = torch.cat([entry, birth]).gather(0, rows)
        points = torch.stack([birth, death, essential.to(birth.dtype)], dim=2)  # [N, F, 3]
        found = torch.einsum("nfc,fch->nfh", points, exactly(self.of_components)) + exactly(self.component_bias)
        group = (tie * self.filtrations + torch.arange(self.filtrations, device=tie.device)).flatten()
        total = birth.new_zeros(nodes * self.filtrations, self.hidden)
        total = total.index_add(0, group, found.relu().flatten(0, 1))
        sharing = birth.new_zeros(len(group)).index_add(0, group, birth.new_ones(len(group)))
        components = total.index_select(0, group) / sharing.index_select(0, group).unsqueeze(1)
        cycles = (entry.unsqueeze(2) * exactly(self.of_cycles) + exactly(self.cycle_bias)).relu()  # [P, F, hidden]
        cycles = (cycles * (share.to(birth.dtype) / 2).unsqueeze(2)).flatten(1)
        around = cycles.new_zeros(nodes, cycles.shape[1]).index_add(0, edges[0], cycles).index_add(0, edges[1], cycles)
        return torch.cat([value, components.view(nodes, self.filtrations * self.hidden), around], dim=1)

    def __repr__(self) -> str:
        return f"PersistenceEncoding(filtrations={self.filtrations}, hidden={self.hidden})"


@torch.compiler.disable
def _diagrams(batch: Data, members: NodeToGraph, birth: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Edges, and of `Persistence` `last`, where `death` is infinite, `tie` and `share`, where the batch is."""
    found = persistence(structure_of(batch, members), birth, tolerance=_TIE)
    arrays = (found.edges, found.last, found.death == float("inf"), found.tie, found.share)
    edges, last, essential, tie, share = (torch.from_numpy(each).to(birth.device) for each in arrays)
    return edges, last, essential, tie, share
