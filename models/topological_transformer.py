"""Topological transformer: linear attention masked by distances along a spanning tree.

Choromanski et al., "Fast Tree-Field Integrators: From Low Displacement Rank to Topological Transformers" (NeurIPS 2024,
arXiv:2406.15881), after Choromanski et al., "From block-Toeplitz matrices to differential equations on graphs" (ICML
2022, arXiv:2107.07999).

Design choices: kernel attention over all nodes, whose weights are multiplied by a learned function of the tree
distance; the sums over pairs are integrated over the tree, so that nothing of the size of the pairs is computed (but
for small graphs, where that is faster).
Pre-norm layers. The tree is made once a batch.

Shape legend: N nodes, E edges, B graphs, D width, H heads, C = D / H.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import check_choice, check_counts, check_divides, check_probabilities
from graphpe.models.attention.positions.node_positions import NodePositions, check_positions
from graphpe.models.attention.softmax.tree_mask import MaskSharing, TreeAttention, TreeChoice, TreeNodes, tree_nodes
from graphpe.models.layers.heads import READOUTS, Readout, pool
from graphpe.models.layers.multi_head import FeedForward
from graphpe.models.layers.normalization import RowLayerNorm
from graphpe.models.layers.precision import in_half_precision
from graphpe.models.layers.stem import EncodingsIn, add_edges, encoding_norms, read_for_layers
from graphpe.models.layers.text import call_text


class TopologicalTransformer(nn.Module):
    """A transformer of linear attention with a tree mask (Choromanski et al. 2024).

        x <- x + O [sum_j f_h(d(i, j)) (phi(q_i) . phi(k_j)) v_j / sum_j f_h(d(i, j)) (phi(q_i) . phi(k_j))]_h
        x <- x + FFN(Norm(x))                                hidden width 2 D

    with q, k, v from Norm(x), phi = elu + 1, d(i, j) in hops along a spanning tree of the graph, and in every layer

        f(d) = exp(-r_1 d) + w exp(-r_2 d)                   r_1, r_2, w > 0 learned, for each head or for all

    Nodes of different connected components do not see each other (in no layer; the readout joins them); a node without
    edges attends to itself. With `mask="none"` f is 1 over the whole graph: the plain linear transformer.

    Edge features enter once, added to the nodes at which the edges end, as their mean.

    The tree is deterministic and follows a renumbering of the nodes where the structure alone decides it, colours after
    16 rounds of refinement; what they do not tell apart, as the edges of a cycle, is decided by the nodes' numbers
    (`graphpe.trees.spanning`), and on such graphs the model is equivariant only up to that choice.

    Costs per layer (multiply-adds): 8 N D^2 for projections and the feed-forward network, about 8 N D (C + 1) for the
    attention on the CPU (times log N elsewhere); memory N C (C + 1) numbers of 8 bytes a head. Batches of graphs of at
    most 256 nodes are faster with matrices of all pairs, 2 P D for P pairs, and get them. Forward and backward on one
    CPU thread, a layer is faster than softmax attention from about 500 nodes on with 8 channels a head, from 1,800 with
    16 (`python -m graphpe.benchmarks.measure.speed.tree_attention`). Every batch needs its trees once, O(E log E) on
    the CPU: of the processor time of a training step (one thread) that is 3 % for 128 molecules of ogbg-molhiv at the
    default size, 9 % at width 32 with 3 layers, and 1 % for 32 syntax trees of functions.

    Differs from the paper:

    * f is a mixture of two exponentials, which trees integrate exactly in two passes, with three parameters that all
      matter; the paper's exp(a_0 + a_1 d + a_2 d^2) has one that the normalisation cancels, and may overflow.
    * phi is elu + 1 (paper: relu and others), as in the library's linear attention.
    * Images, grids and their class tokens are not treated apart: nodes are those of any graph.
    * Edge features, which the paper does not have.

    Example:
        >>> data = Data(x=torch.randn(5, 3), edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]))
        >>> data = T.RandomWalkPE(walk_length=4)(data)
        >>> encoding = M.LinearEncoding("random_walk_pe", 4, 16)
        >>> head = torch.nn.Linear(16, 1)
        >>> model = M.TopologicalTransformer(width=16, layers=2, heads=4,
        ...     node_encoder=M.LinearNodes(3, 16), encodings=[encoding], head=head)
        >>> model(Batch.from_data_list([data, data])).shape
        torch.Size([2, 1])

    Args:
        width: Width D of node and edge embeddings.
        layers: Number of layers.
        heads: Number of attention heads; divides `width`.
        mask: A function f for each head (`heads`), one for all heads of a layer (`synced`), or 1 (`none`).
        tree: `minimum`: a minimum spanning tree of edges of length 1 (whose order refinement decides); `shortest`:
            shortest paths from a node of largest degree.
        dropout: Probability of dropout of both branches and inside the feed-forward network.
        readout: Pooling over the nodes of a graph: `mean`, `sum`, `max`; `none` for node-level output.
        encodings_in: `first`: encodings are added to the node embeddings, once; `every_layer`: to the input of each
            layer, after a LayerNorm of its own (LaPE: `graphpe.models.layers.stem.LayerEncodings`).
        node_encoder: From a batch to node embeddings `[N, width]`.
        edge_encoder: From a batch to edge embeddings `[E, width]`, or None where edges carry nothing.
        encodings: Modules from a batch to `[N, width]`, added to the node embeddings.
        positions: `NodePositions` modules that are linear, which map features of queries and keys at each node.
        head: From `[B, width]` (`[N, width]` with `readout="none"`) to the output; None for the embeddings themselves.

    Raises:
        GraphPEValueError: If a number is out of range, `heads` does not divide `width`, or an option is unknown.
    """

    def __init__(
        self,
        *,
        width: int = 64,
        layers: int = 6,
        heads: int = 4,
        mask: MaskSharing = "heads",
        tree: TreeChoice = "shortest",
        dropout: float = 0.0,
        readout: Readout = "mean",
        encodings_in: EncodingsIn = "first",
        node_encoder: nn.Module,
        edge_encoder: nn.Module | None = None,
        encodings: Sequence[nn.Module] = (),
        positions: Sequence[NodePositions] = (),
        head: nn.Module | None = None,
    ) -> None:
        super().__init__()
        width, layers, heads = check_counts(width=width, layers=layers, heads=heads)
        check_divides(heads, width)
        (dropout,) = check_probabilities(dropout=dropout)
        check_choice("mask", mask, get_args(MaskSharing))
        check_choice("tree", tree, get_args(TreeChoice))
        check_choice("readout", readout, READOUTS)
        self.width = width
        self.heads = heads
        self.mask = mask
        self.tree = tree
        self.dropout = float(dropout)
        self.readout = readout

        self.node_encoder = node_encoder
        self.edge_encoder = edge_encoder
        self.encodings = nn.ModuleList(encodings)
        self.encodings_in: EncodingsIn = encodings_in
        check_positions(positions, linear=True)
        self.positions = nn.ModuleList(positions)
        self.layers = nn.ModuleList(
            TopologicalLayer(width, heads, mask=mask, dropout=self.dropout) for _ in range(layers)
        )
        self.norm = RowLayerNorm(width)
        self.encoding_norms = encoding_norms(encodings_in, encodings, width, layers)
        self.head = head if head is not None else nn.Identity()

    @property
    def attention_layout(self) -> Literal["trees", "linear"]:
        """What the attention of every layer runs over: sums along spanning trees, or sums over nodes."""
        return "linear" if self.mask == "none" else "trees"

    @property
    def attends_to_all_pairs(self) -> bool:
        """Whether every node attends to every node of its graph: with a mask, to those of its component only."""
        return self.mask == "none"

    @in_half_precision
    def forward(self, batch: Data) -> Tensor:
        """The head's output for a `Batch`, or for a `Data` as a batch of one graph.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph.

        Raises:
            GraphPEValueError: If the batch lacks what an encoder reads; the message says what to add.
        """
        members, edge_index, x, encodings = read_for_layers(self, batch)
        x = add_edges(x, batch, self.edge_encoder, edge_index)
        where = tree_nodes(batch, members, None if self.mask == "none" else self.tree, [*self.positions])
        for number, layer in enumerate(self.layers):
            x = layer(encodings.join(x, number), where)
        return self.head(pool(self.norm(x), members, self.readout))

    def __repr__(self) -> str:
        return call_text(self, ("width", "layers", "heads", "mask", "tree", "dropout", "readout"))


class TopologicalLayer(nn.Module):
    """One layer: attention with a tree mask, then a feed-forward network, each with a residual connection.

    Args:
        width: Width D.
        heads: Number of heads; divides `width`.
        mask: How heads share functions of the distance.
        dropout: Probability of dropout.
    """

    def __init__(self, width: int, heads: int, *, mask: MaskSharing, dropout: float) -> None:
        super().__init__()
        self.attention_norm = RowLayerNorm(width)
        self.attention = TreeAttention(width, heads, mask=mask)
        self.dropout = nn.Dropout(dropout)
        self.norm = RowLayerNorm(width)
        self.feed_forward = FeedForward(width, 2 * width, activation="gelu", dropout=dropout)

    def forward(self, x: Tensor, where: TreeNodes) -> Tensor:
        """Node embeddings `[N, D]` after the layer.

        Args:
            x: Node embeddings, `[N, D]`.
            where: The nodes of the batch, and their trees where there is a mask.
        """
        x = x + self.dropout(self.attention(self.attention_norm(x), where))
        return x + self.feed_forward(self.norm(x))
