"""Exphormer: Shirzad et al., "Exphormer: Sparse Transformers for Graphs" (ICML 2023, arXiv:2303.06147).

Design choices: GPS layers whose attention runs over a sparse set of pairs instead of all: the edges of the graph, the
edges of a random expander on the same nodes, and the edges to and from a few virtual nodes. Everything is linear in
nodes and edges, and any node reaches any other in two steps.

Shape legend: N nodes, E edges, B graphs, V virtual nodes a graph, D width, H heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import check_choice, check_counts, check_divides, check_integer, check_probabilities
from graphpe.models.attention import edge_attention
from graphpe.models.attention.gpu.edges import EdgeOrder, edges_for
from graphpe.models.attention.neighbours.neighbours import Neighbours
from graphpe.models.layers.convolutions import GatedGCNLayer, Local, build_local
from graphpe.models.layers.expander import expander_edges
from graphpe.models.layers.gpu.residual import add_and_norm
from graphpe.models.layers.heads import READOUTS, Readout, pool
from graphpe.models.layers.multi_head import FeedForward
from graphpe.models.layers.normalization import Norm, build_norm
from graphpe.models.layers.precision import in_half_precision
from graphpe.models.layers.stem import EncodingsIn, embed_edges, encoding_norms, read_for_layers
from graphpe.models.layers.text import call_text


class Exphormer(nn.Module):
    """Sparse attention over local, expander and virtual edges beside message passing (Shirzad et al. 2023).

    Its outputs depend on the order of the nodes: the same graph numbered otherwise gets another random expander. See
    below for what does not.

        l, e <- Local(x, e)                                                    on the graph's own edges and nodes
        score_ij = (K x_j * Q x_i) / sqrt(C) * (P e_ij)                         element-wise
        a_ij     = exp(clamp(sum(score_ij), -5, 5)), normalised over j
        x_i <- Norm(l_i) + Norm(x_i + O sum_j a_ij V x_j)
        x_i <- Norm(x_i + FFN(x_i))

    Pairs (j -> i) are the edges with their embeddings e_ij; those of a random 2 `degree`-regular graph, with one
    learned vector for all (`graphpe.models.layers.expander`); and those between each of V virtual nodes and every node,
    both ways, with one learned vector for each virtual node. Virtual nodes start as learned vectors and go through the
    layers with their graph; the readout leaves them out.

    The expander of a graph depends on its size, `seed` and the numbering of its nodes, on nothing else: the same graph
    in the same order has the same in every batch and run. For one seed the model is therefore not equivariant under
    renumbering; the distribution of its outputs over seeds is. With `degree=0` the model is.

    Costs per layer (multiply-adds): 8 N D^2, (E + 1) D^2 for edge features and 2 D for each of the
    E + 2 degree N + 2 V N pairs; O(N + E) memory.

    Differs from the released code (hamed1375/Exphormer):

    * Expanders are made from the batch, by seed and size, instead of stored with each graph, and are not tested for
      their spectral gap. Self-pairs and parallel pairs of the permutations are kept.
    * Virtual nodes go through the residual connection, norm and feed-forward network as others do; in the released code
      attention's result is taken as it is.
    * There is an output projection O. Edge features are those of the local layer's edge stream where it has one.
    * A pair that is an edge and an expander's is two messages, as in the released code.

    Example:
        >>> data = Data(x=torch.randn(5, 3), edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]))
        >>> data = T.RandomWalkPE(walk_length=4)(data)
        >>> encoding = M.LinearEncoding("random_walk_pe", 4, 16)
        >>> head = torch.nn.Linear(16, 1)
        >>> model = M.Exphormer(width=16, layers=2, heads=4,
        ...     node_encoder=M.LinearNodes(3, 16), encodings=[encoding], head=head)
        >>> model(Batch.from_data_list([data, data])).shape
        torch.Size([2, 1])

    Args:
        width: Width D of node and edge embeddings.
        layers: Number of layers.
        heads: Number of attention heads; divides `width`.
        local: Local layer beside the attention: `GatedGCN`, `GINE`, `GCN`, `GAT` or `none`.
        degree: Permutations of the expander, which is 2 `degree`-regular; 0 for none.
        virtual_nodes: Number of virtual nodes a graph; 0 for none.
        seed: Seed of the expander.
        norm: `batch` or `layer` normalisation.
        dropout: Probability of dropout of both branches and inside the feed-forward network.
        readout: Pooling over the nodes of a graph: `mean`, `sum`, `max`; `none` for node-level output.
        encodings_in: `first`: encodings are added to the node embeddings, once; `every_layer`: to the input of each
            layer, after a LayerNorm of its own (LaPE: `graphpe.models.layers.stem.LayerEncodings`).
        node_encoder: From a batch to node embeddings `[N, width]`.
        edge_encoder: From a batch to edge embeddings `[E, width]`, or None: every edge is one learned vector.
        encodings: Modules from a batch to `[N, width]`, added to the node embeddings.
        head: From `[B, width]` (`[N, width]` with `readout="none"`) to the output; None for the embeddings themselves.

    Raises:
        GraphPEValueError: If a number is out of range, `heads` does not divide `width`, or an option is unknown.
    """

    def __init__(
        self,
        *,
        width: int = 64,
        layers: int = 5,
        heads: int = 4,
        local: Local = "GatedGCN",
        degree: int = 3,
        virtual_nodes: int = 1,
        seed: int = 0,
        norm: Norm = "batch",
        dropout: float = 0.0,
        readout: Readout = "mean",
        encodings_in: EncodingsIn = "first",
        node_encoder: nn.Module,
        edge_encoder: nn.Module | None = None,
        encodings: Sequence[nn.Module] = (),
        head: nn.Module | None = None,
    ) -> None:
        super().__init__()
        width, layers, heads = check_counts(width=width, layers=layers, heads=heads)
        check_divides(heads, width)
        (dropout,) = check_probabilities(dropout=dropout)
        degree = check_integer("degree", degree, least=0)
        virtual_nodes = check_integer("virtual_nodes", virtual_nodes, least=0)
        seed = check_integer("seed", seed, least=0, most=2**62 - 1)  # a graph's size is added to it
        check_choice("local", local, get_args(Local))
        check_choice("norm", norm, get_args(Norm))
        check_choice("readout", readout, READOUTS)
        self.width = width
        self.heads = heads
        self.local = local
        self.degree = degree
        self.virtual_nodes = virtual_nodes
        self.seed = seed
        self.norm = norm
        self.dropout = float(dropout)
        self.readout = readout

        self.node_encoder = node_encoder
        self.edge_encoder = edge_encoder
        self.encodings = nn.ModuleList(encodings)
        self.encodings_in: EncodingsIn = encodings_in
        self.plain_edge = nn.Parameter(torch.randn(width)) if edge_encoder is None else None
        # Embeddings of virtual nodes; of expander pairs and of each virtual node's pairs.
        self.virtual = nn.Parameter(torch.randn(virtual_nodes, width)) if virtual_nodes else None
        kinds = virtual_nodes + (1 if degree else 0)
        self.kinds = nn.Parameter(torch.randn(kinds, width)) if kinds else None
        stack = [
            ExphormerLayer(
                width,
                heads,
                build_local(local, width, heads=heads, edges=True, norm=norm, dropout=self.dropout),
                norm=norm,
                dropout=self.dropout,
            )
            for _ in range(layers)
        ]
        self.layers = nn.ModuleList(stack)
        if isinstance(stack[-1].local, GatedGCNLayer):  # attention of a layer reads the edges before it
            stack[-1].local.skip_edge_update()
        self.encoding_norms = encoding_norms(encodings_in, encodings, width, layers)
        self.head = head if head is not None else nn.Identity()

    @property
    def attention_layout(self) -> Literal["edges", "expander", "virtual nodes", "expander and virtual nodes"]:
        """What the attention of every layer runs over, beside the edges."""
        if not self.degree:
            return "virtual nodes" if self.virtual_nodes else "edges"
        return "expander and virtual nodes" if self.virtual_nodes else "expander"

    @property
    def attends_to_all_pairs(self) -> bool:
        """False: attention is over a sparse set of pairs."""
        return False

    @in_half_precision
    def forward(self, batch: Data) -> Tensor:
        """The head's output for a `Batch`, or for a `Data` as a batch of one graph.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph.

        Raises:
            GraphPEValueError: If the batch lacks what an encoder reads; the message says what to add.
        """
        members, edge_index, x, encodings = read_for_layers(self, batch)
        edge = embed_edges(batch, self.edge_encoder, self.plain_edge)
        nodes, graphs = x.shape[0], members.num_graphs
        ends, kind = [edge_index], []
        if self.degree:
            ends.append(expander_edges(members, self.degree, self.seed))
            kind.append(ends[-1].new_full((ends[-1].shape[1],), self.virtual_nodes))
        if self.virtual is not None:
            # Virtual node v of graph b stands at N + b V + v.
            place = torch.arange(self.virtual_nodes, device=x.device)
            real = torch.arange(nodes, device=x.device).unsqueeze(1).expand(-1, self.virtual_nodes)
            virtual = nodes + members.graph.unsqueeze(1) * self.virtual_nodes + place  # [N, V]
            of = place.expand(nodes, -1).flatten()
            ends.append(torch.stack([torch.cat([real, virtual]).flatten(), torch.cat([virtual, real]).flatten()]))
            kind += [of, of]
            x = torch.cat([x, self.virtual.to(x.dtype).repeat(graphs, 1)])
            encodings = encodings.at(real[:, 0])
        pairs = edges_for(torch.cat(ends, dim=1), x.shape[0])
        kinds = torch.cat(kind) if kind else None
        edges = Neighbours(edge_index, nodes)
        for number, layer in enumerate(self.layers):
            x, edge = layer(encodings.join(x, number), edge, edges, pairs, self.kinds, kinds, nodes)
        return self.head(pool(x[:nodes], members, self.readout))

    def __repr__(self) -> str:
        names = ("width", "layers", "heads", "local", "degree", "virtual_nodes", "seed", "norm", "dropout", "readout")
        return call_text(self, names)


class ExphormerLayer(nn.Module):
    """One layer: messages on the graph and sparse attention side by side, then a feed-forward network.

    Args:
        width: Width D.
        heads: Number of heads; divides `width`.
        local: The local layer, or None.
        norm: `batch` or `layer`.
        dropout: Probability of dropout.
    """

    def __init__(self, width: int, heads: int, local: nn.Module | None, *, norm: Norm, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.local = local
        self.local_norm = build_norm(norm, width) if local is not None else None
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.edge_projection = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width)
        self.attention_norm = build_norm(norm, width)
        self.dropout = nn.Dropout(dropout)
        self.feed_forward = FeedForward(width, 2 * width, dropout=dropout)
        self.norm = build_norm(norm, width)

    def forward(
        self,
        x: Tensor,
        edge: Tensor,
        edges: Neighbours,
        pairs: Tensor | EdgeOrder,
        kinds: Tensor | None,
        kind: Tensor | None,
        nodes: int,
    ) -> tuple[Tensor, Tensor]:
        """Node and edge embeddings after the layer.

        Args:
            x: Embeddings of nodes and, after them, virtual nodes, `[N + B V, D]`.
            edge: Of the graph's edges, `[E, D]`.
            edges: The graph's edges.
            pairs: The edges and, after them, all other pairs (source, target), `[2, P]`, or in both orders.
            kinds: Embeddings of kinds of other pairs.
            kind: Kind of each of them, `[P - E]`.
            nodes: N.
        """
        query, key, value = self.query_key_value(x).chunk(3, dim=1)
        factor = self.edge_projection(edge)
        if kinds is not None and kind is not None:
            factor = torch.cat([factor, self.edge_projection(kinds).index_select(0, kind)])
        message, _ = edge_attention(query, key, value, pairs, factor, heads=self.heads)
        dropout = self.dropout.p if self.training else 0.0
        attended = add_and_norm(self.attention_norm, x, message, self.out, dropout)
        if self.local is not None and self.local_norm is not None:
            own = x[:nodes]
            update, edge = self.local(own, edge, edges)
            if not isinstance(self.local, GatedGCNLayer):  # its residual connection is inside
                update = own + self.dropout(update)
            attended = torch.cat([attended[:nodes] + self.local_norm(update), attended[nodes:]])
        return self.norm(attended + self.feed_forward(attended)), edge
