"""NeuralWalker: Chen et al., "Learning Long Range Dependencies on Graphs via Random Walks" (arXiv:2406.03386, 2024).

Design choices: random walks are drawn anew for each batch; in every block a sequence model reads them, its results are
averaged over the visits of each node and edge, and messages along edges and a global layer follow. What walks see of
the graph around them comes from windows of identity and connectivity, as in CRaWl (Toenshoff et al. 2023).

Shape legend: N nodes, E edges, B graphs, D width; W walks of at most T nodes, P rows (nodes of all walks).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import (
    check_choice,
    check_counts,
    check_divides,
    check_flags,
    check_integer,
    check_number,
    check_probabilities,
    check_seed,
)
from graphpe.errors import GraphPEValueError
from graphpe.models.attention.neighbours.neighbours import Neighbours
from graphpe.models.batches.nodes import NodeToGraph
from graphpe.models.layers.convolutions import GatedGCNLayer, Local, build_local
from graphpe.models.layers.heads import READOUTS, Readout, pool
from graphpe.models.layers.multi_head import AllPairs, all_pairs_of
from graphpe.models.layers.normalization import Norm
from graphpe.models.layers.precision import exactly, in_half_precision
from graphpe.models.layers.stem import EncodingsIn, LayerEncodings, embed_edges, encoding_norms, read_for_layers
from graphpe.models.layers.text import call_text
from graphpe.models.walks.batch_walks import BatchWalks, HostStructure, WalkPlan
from graphpe.models.walks.blocks import GlobalAttention, VirtualNode, WalkerBlock, WalkLayer
from graphpe.models.walks.sequence import WalkSequence, build_sequence
from graphpe.sampling.random_walks import MOST_STEPS
from graphpe.sampling.walk_windows import MOST_WINDOW

Global = Literal["virtual_node", "attention", "none"]


class NeuralWalker(nn.Module):
    """Sequence models along random walks, message passing and a global layer, block by block (Chen et al. 2024).

    Of a walk w_0, ..., w_L along edges, with the window features r_t of its nodes (`sampling.walk_windows`),

        h_t = LN(x_{w_t} + P e_{(w_t, w_t+1)} + R r_t),    h <- sequence(h)
        x_v <- x_v + MLP(mean of h_t over all walks and t with w_t = v)
        e   <- e + MLP(mean of h_t over all steps along e)
        x, e <- x + Local(x, e)
        x_v <- x_v + u_graph(v),    u <- MLP(u + sum_v x_v)                 global_layer="virtual_node"
        x <- Norm(x_in + Attention(Norm(x))),  x <- Norm(x + FFN(x))        global_layer="attention"

    MLP is Linear, Norm, ReLU, dropout, Linear. `sequence="conv"` is a convolution of `kernel` nodes for each channel,
    then one over channels, as in CRaWl; `recurrent` a gated linear recurrence both ways; `attention` a transformer
    layer with rotary positions (`graphpe.models.walks.sequence`).

    One walk of `walk_length` steps starts from every node, in training with `rate` < 1 from each with that probability.
    Steps follow edges along their direction, uniformly among parallel ones, by default not straight back; a walk ends
    at a sink, and at once at an isolated node (`graphpe.sampling.random_walks`). In training walks are new in each
    step, drawn on the host from torch's generator, whose state a run keeps: it resumes to the bit. In evaluation they
    are a function of `seed` and the graph: a graph has the same output at each call, alone or in any batch, and
    `samples` outputs of different walks are averaged.

    The output depends on the numbering of nodes through the walks that a seed gives; its distribution over seeds, and
    so its expectation, does not.

    Costs per block (multiply-adds): P (kernel + 1) D for `conv`, with 2 E D^2 + 2 N D^2 for the rest of the walk
    layer, `recurrent` 8 P D^2, `attention` 8 P D^2 + 2 W T^2 D; then those of the local and global layers. P is at most
    (walk_length + 1) N. Window features are 2 window - 1 numbers a row. Walks of a batch are drawn in
    O(E log E + P window).

    Differs from the released code (BorgwardtLab/NeuralWalker):

    * The sequence model Mamba (and S4) has `recurrent` in its place.
    * `walk_length` counts steps, of which the released code takes one less.
    * Averages, and statistics of batch norms, leave out what is behind the end of a walk.
    * Edges without features start as zero vectors. The map P has no part where a walk takes no edge.
    * GINE's MLP has no norm inside and no learned epsilon; GatedGCN normalises after its sums, not before.
    * There is no MLP between the last block and the readout.

    Example:
        >>> data = Data(x=torch.randn(5, 3), edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]))
        >>> data = T.RandomWalkPE(walk_length=4)(data)
        >>> encoding = M.LinearEncoding("random_walk_pe", 4, 16)
        >>> head = torch.nn.Linear(16, 1)
        >>> model = M.NeuralWalker(width=16, layers=2, walk_length=10,
        ...     node_encoder=M.LinearNodes(3, 16), encodings=[encoding], head=head)
        >>> model(Batch.from_data_list([data, data])).shape
        torch.Size([2, 1])

    Args:
        width: Width D of node and edge embeddings.
        layers: Number of blocks.
        sequence: `conv`, `recurrent` or `attention`.
        walk_length: Steps of a walk.
        window: Steps back that window features compare, at most 32.
        backtracking: Whether a step may lead straight back.
        rate: Probability of a node in training that a walk starts there.
        samples: Outputs of different walks that are averaged in evaluation.
        seed: Seed of the walks in evaluation.
        kernel: Nodes that a convolution sees, odd.
        heads: Heads of attention along walks and over nodes; divides `width`.
        local: Layer along edges: `GatedGCN`, `GINE`, `GCN`, `GAT` or `none`.
        global_layer: `virtual_node` (not in the last block), `attention` over all nodes of a graph, or `none`.
        norm: `batch` or `layer` normalisation.
        dropout: Probability of dropout.
        readout: Pooling over the nodes of a graph: `mean`, `sum`, `max`; `none` for node-level output.
        encodings_in: `first`: encodings are added to the node embeddings, once; `every_layer`: to the input of each
            block, after a LayerNorm of its own (LaPE: `graphpe.models.layers.stem.LayerEncodings`).
        node_encoder: From a batch to node embeddings `[N, width]`.
        edge_encoder: From a batch to edge embeddings `[E, width]`, or None where edges carry nothing.
        encodings: Modules from a batch to `[N, width]`, added to the node embeddings.
        head: From `[B, width]` (`[N, width]` with `readout="none"`) to the output; None for the embeddings themselves.

    Raises:
        GraphPEValueError: If a number is out of range, `heads` does not divide `width`, or an option is unknown.
    """

    def __init__(
        self,
        *,
        width: int = 64,
        layers: int = 3,
        sequence: WalkSequence = "conv",
        walk_length: int = 50,
        window: int = 8,
        backtracking: bool = False,
        rate: float = 1.0,
        samples: int = 1,
        seed: int = 0,
        kernel: int = 9,
        heads: int = 4,
        local: Local = "GINE",
        global_layer: Global = "virtual_node",
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
        width, layers, samples, heads = check_counts(width=width, layers=layers, samples=samples, heads=heads)
        check_divides(heads, width)
        check_choice("sequence", sequence, get_args(WalkSequence))
        if sequence == "attention" and width // heads % 2:
            raise GraphPEValueError(
                f"sequence='attention' turns pairs of channels, and heads={heads} of width={width} have an odd number: "
                "give another number of heads"
            )
        self.walk_length = check_integer("walk_length", walk_length, least=1, most=MOST_STEPS)
        self.window = check_integer("window", window, least=1, most=MOST_WINDOW)
        (self.backtracking,) = check_flags(backtracking=backtracking)
        self.rate = check_number("rate", rate, least=0, most=1)
        if not self.rate:
            raise GraphPEValueError("rate is 0, and no walk would start: give a number above 0, at most 1")
        self.kernel = check_integer("kernel", kernel, least=1)
        if self.kernel % 2 == 0:
            raise GraphPEValueError(f"kernel must be odd, to have a node in its middle, got {kernel}")
        check_choice("local", local, get_args(Local))
        check_choice("global_layer", global_layer, get_args(Global))
        check_choice("norm", norm, get_args(Norm))
        check_choice("readout", readout, READOUTS)
        (self.dropout,) = check_probabilities(dropout=dropout)
        self.width, self.samples, self.heads, self.seed = width, samples, heads, check_seed(seed)
        self.sequence, self.local, self.global_layer = sequence, local, global_layer
        self.norm, self.readout = norm, readout

        self.node_encoder = node_encoder
        self.edge_encoder = edge_encoder
        self.encodings = nn.ModuleList(encodings)
        self.encodings_in: EncodingsIn = encodings_in
        self.layers = nn.ModuleList(
            WalkerBlock(
                WalkLayer(
                    width,
                    build_sequence(sequence, width, kernel=self.kernel, heads=heads, norm=norm, dropout=self.dropout),
                    window=self.window,
                    norm=norm,
                    dropout=self.dropout,
                    updates_edges=local != "none" or number < layers - 1,
                ),
                build_local(local, width, heads=heads, edges=True, norm=norm, dropout=self.dropout),
                self._global(number == layers - 1),
                dropout=self.dropout,
            )
            for number in range(layers)
        )
        last = self.layers[-1].local
        if isinstance(last, GatedGCNLayer):
            last.skip_edge_update()
        self.encoding_norms = encoding_norms(encodings_in, encodings, width, layers)
        self.head = head if head is not None else nn.Identity()

    def _global(self, last: bool) -> VirtualNode | GlobalAttention | None:
        if self.global_layer == "attention":
            return GlobalAttention(self.width, self.heads, norm=self.norm, dropout=self.dropout)
        if self.global_layer == "none" or last:  # nothing reads the virtual node after the last block
            return None
        return VirtualNode(self.width, norm=self.norm, dropout=self.dropout)

    @property
    def attention_layout(self) -> Literal["padded", "walks and virtual nodes", "walks"]:
        """What reaches beyond edges: all pairs in padded blocks, or walks."""
        if self.global_layer == "attention":
            return "padded"
        return "walks and virtual nodes" if self.global_layer == "virtual_node" and len(self.layers) > 1 else "walks"

    @property
    def attends_to_all_pairs(self) -> bool:
        """Whether every node attends to every node of its graph."""
        return self.global_layer == "attention"

    @in_half_precision
    def forward(self, batch: Data) -> Tensor:
        """The head's output for a `Batch`, or for a `Data` as a batch of one graph.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph.

        Raises:
            GraphPEValueError: If the batch lacks what an encoder reads; the message says what to add.
        """
        members, edge_index, x, encodings = read_for_layers(self, batch)
        edge = embed_edges(batch, self.edge_encoder)
        edge = x.new_zeros(edge_index.shape[1], self.width) if edge is None else edge
        pairs = all_pairs_of(batch, members) if self.global_layer == "attention" else None
        edges = Neighbours(edge_index, x.shape[0])
        outputs = [
            self.head(self._embed(x, edge, encodings, walks, edges, pairs, members))
            for walks in self._walks(batch, members, edge_index)
        ]
        if len(outputs) == 1:
            return outputs[0]
        return torch.stack([exactly(each) for each in outputs]).mean(0).to(outputs[0].dtype)

    def _embed(
        self,
        x: Tensor,
        edge: Tensor,
        encodings: LayerEncodings,
        walks: BatchWalks,
        edges: Neighbours,
        pairs: AllPairs | None,
        members: NodeToGraph,
    ) -> Tensor:
        """Pooled embeddings for one set of walks."""
        virtual: Tensor | None = None
        for number, block in enumerate(self.layers):
            x, edge, virtual = block(encodings.join(x, number), edge, virtual, walks, edges, pairs, members)
        return pool(x, members, self.readout)

    @torch.compiler.disable
    def _walks(self, batch: Data, members: NodeToGraph, edge_index: Tensor) -> list[BatchWalks]:
        """The walks of each output: one in training, `samples` in evaluation."""
        structure = HostStructure(batch, members, edge_index)
        plan = WalkPlan(self.walk_length, self.window, self.backtracking)
        if self.training:
            seed = int(torch.randint(2**63 - 1, ()))  # of the host's generator, which no device is asked for
            return [structure.walks(plan, seed, rate=self.rate, alike=False)]
        return [structure.walks(plan, (self.seed + number) % 2**64) for number in range(self.samples)]

    def __repr__(self) -> str:
        names = ("width", "layers", "sequence", "walk_length", "window", "backtracking", "rate", "samples", "seed")
        return call_text(self, (*names, "kernel", "heads", "local", "global_layer", "norm", "dropout", "readout"))
