"""PEARL: positional encodings from a graph neural network over random or basis node features."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import check_choice, check_counts, check_flags, check_seed
from graphpe.models.batches.nodes import NodeToGraph, node_to_graph, read_edges
from graphpe.models.encoders.element_network import ElementNetwork
from graphpe.models.encoders.learned.fixed_normals import fixed_normals
from graphpe.models.encoders.learned.learned_encoding import LearnedEncoding
from graphpe.models.layers.precision import in_half_precision

Features = Literal["random", "basis"]


class PEARLEncoding(LearnedEncoding):
    """PEARL (Kanatsoulis et al. 2025, arXiv:2502.01122): messages from random node features, averaged over draws.

        out = W mean_m ReLU(GNN(q^(m))) + b,    q^(m) one number at each node

    GNN is one graph isomorphism network for all m (`graphpe.models.encoders.element_network.ElementNetwork`): sums over
    predecessors, a network with LayerNorm, `layers` rounds, `hidden` wide. Messages move what makes nodes different, so
    that the mean over m depends on walks and overlaps around a node, as functions of eigenvectors do, and on no
    eigenvector.

    `features="random"` (R-PEARL): q^(m) are standard normal, m = 1 ... `samples`.

    * Equivariant in distribution: with the nodes in another order the result has the distribution of the reordered
      one, and its expectation over draws is exactly equivariant; the mean over M draws is off by about M^-1/2.
    * In training draws are fresh in each step, from torch's generator, whose state a run keeps: it resumes to the bit.
    * In evaluation q is a fixed function of `seed`, m and the place of the node in its graph. So a graph has the same
      encoding at each call, alone or in any batch; with its nodes in another order it has another draw's.
    * Cost: O(layers M (E + N hidden) hidden), linear in the graph; no eigenvectors.

    `features="basis"` (B-PEARL): q^(m) is the m-th unit vector, m = 1 ... n for the n nodes of a graph.

    * Exactly equivariant (to rounding) and without draws: the mean over all nodes' unit vectors has no order.
    * Cost: O(layers N n (degree + hidden) hidden) for graphs of up to n nodes, quadratic: for small graphs.

    W and b start at zero: training starts from the model without the encoding.

    Differs from the paper in: LayerNorm inside the rounds; the mean is the only statistic; with `directed`, messages
    against the edges have a map of their own.

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]]), num_nodes=4)
        >>> M.PEARLEncoding(16, samples=8)(data).shape
        torch.Size([4, 16])

    Args:
        width: Width of the result.
        features: `random` or `basis`.
        samples: Draws M of random features.
        hidden: Width of the GNN.
        layers: Rounds of messages.
        directed: Whether messages also go against the edges, by a map of their own.
        seed: Of the random features in evaluation.

    Raises:
        GraphPETypeError: If an argument is of another type.
        GraphPEValueError: If a number is out of range, or `features` unknown; in `forward` if the batch has no edges
            that are those of graphs.
    """

    def __init__(
        self,
        width: int,
        *,
        features: Features = "random",
        samples: int = 16,
        hidden: int = 32,
        layers: int = 4,
        directed: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        width, samples, hidden, layers = check_counts(width=width, samples=samples, hidden=hidden, layers=layers)
        check_choice("features", features, get_args(Features))
        self.features: Features = features
        self.samples = samples
        self.hidden = hidden
        self.layers = layers
        (self.directed,) = check_flags(directed=directed)
        self.seed = check_seed(seed)
        self.network = ElementNetwork("gin", 1, hidden, hidden, layers, directed=self.directed)
        self.out = nn.Linear(hidden, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    @in_half_precision
    def forward(self, batch: Data) -> Tensor:
        """The encoding at the model's width, `[num_nodes, width]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph.
        """
        members = node_to_graph(batch)
        edge_index = read_edges(batch, members)
        values, share = self._inputs(members, torch.promote_types(self.out.weight.dtype, torch.float32))
        found = self.network(values.unsqueeze(2), edge_index).relu()  # [N, M, hidden]
        return self.out(members.restore((found * share.unsqueeze(2)).sum(1)))

    def _inputs(self, members: NodeToGraph, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """The node features q `[N, M]`, and the share of each in the mean, `[N, M]` or `[1, 1]`."""
        place = torch.arange(members.num_nodes, device=members.graph.device)
        place = place - members.ptr.index_select(0, members.graph)
        if self.features == "random":
            if self.training:
                values = torch.randn(members.num_nodes, self.samples, dtype=dtype, device=place.device)
            else:
                values = fixed_normals(place, self.samples, self.seed).to(dtype)
            return values, values.new_full((1, 1), 1 / self.samples)
        sizes = members.sizes
        largest = int(sizes.max()) if members.max_size is None and len(sizes) else members.max_size or 0
        column = torch.arange(largest, device=place.device)
        size = sizes.index_select(0, members.graph).unsqueeze(1)
        return (place.unsqueeze(1) == column).to(dtype), (column < size) / size.to(dtype)

    def __repr__(self) -> str:
        names = ("features", "samples", "hidden", "layers", "directed", "seed")
        return f"PEARLEncoding({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"
