"""Conditional encodings: a few local layers over the node features."""

from __future__ import annotations

from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import check_counts, check_flags
from graphpe.models.batches.nodes import node_to_graph, read_edges
from graphpe.models.encoders.element_network import ElementNetwork
from graphpe.models.encoders.learned.learned_encoding import LearnedEncoding
from graphpe.models.layers.precision import in_half_precision


class ConditionalEncoding(LearnedEncoding):
    """Conditional encodings (CPE, Chu et al. 2021, arXiv:2102.10882): what surrounds a node says where it is.

        out = W ReLU(GNN(h)) + b,    h = nodes(batch)

    for embeddings h of the node features. GNN is a graph isomorphism network of `layers` rounds, `hidden` wide
    (`graphpe.models.encoders.element_network.ElementNetwork`): sums over predecessors, a network with LayerNorm. What
    in an image is a convolution over patches is here messages along edges. Positions that features and degrees within
    `layers` steps do not tell apart, it does not tell apart either.

    Symmetry: exactly equivariant, reordering the nodes reorders the result. W and b start at zero: training starts from
    the model without the encoding. Cost: O(layers (E + N hidden) hidden).

    Differs from the paper in: the encoding is of the input's own embedding, which `nodes` makes for it, and is added
    to what enters the first layer (paper: computed from the first layer's result, and added to it).

    Example:
        >>> data = Data(x=torch.randn(4, 3), edge_index=torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]]))
        >>> M.ConditionalEncoding(M.LinearNodes(3, 16), 16)(data).shape
        torch.Size([4, 16])

    Args:
        nodes: From a batch to embeddings of the node features, `[N, width]`.
        width: Width of the result.
        hidden: Width of the GNN.
        layers: Rounds of messages.
        directed: Whether messages also go against the edges, by a map of their own.

    Raises:
        GraphPETypeError: If an argument is of another type.
        GraphPEValueError: If a number is out of range; in `forward` if the batch has no edges that are those of graphs,
            or lacks what `nodes` reads.
    """

    def __init__(
        self, nodes: nn.Module, width: int, *, hidden: int = 32, layers: int = 2, directed: bool = False
    ) -> None:
        super().__init__()
        width, hidden, layers = check_counts(width=width, hidden=hidden, layers=layers)
        self.hidden = hidden
        self.layers = layers
        (self.directed,) = check_flags(directed=directed)
        self.nodes = nodes
        self.network = ElementNetwork("gin", width, hidden, hidden, layers, directed=self.directed)
        self.out = nn.Linear(hidden, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    @in_half_precision
    def forward(self, batch: Data) -> Tensor:
        """The encoding at the model's width, `[num_nodes, width]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with the node features.
        """
        members = node_to_graph(batch)
        edge_index = read_edges(batch, members)
        found = self.network(members.sort(self.nodes(batch)).unsqueeze(1), edge_index)
        return self.out(members.restore(found.squeeze(1).relu()))

    def __repr__(self) -> str:
        return f"ConditionalEncoding(hidden={self.hidden}, layers={self.layers}, directed={self.directed})"
