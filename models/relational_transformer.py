"""The relational transformer of Diao & Loynd, "Relational Attention" (ICLR 2023, arXiv:2210.05062).

Design choices: every pair has a vector as every node has; queries, keys and values are made of both; layers update
pairs from the pair, its reverse and its updated nodes, so that a layer costs O(P) and not O(P N); normalisation after
addition (post-norm), ReLU, narrow hidden layers.

Shape legend: N nodes, B graphs, D width, H heads, P pairs (j -> i): all ordered pairs of nodes of each graph
(`attention="full"`), or the edges and each node with itself (`attention="sparse"`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data

from graphpe.arguments import check_choice, check_counts, check_divides, check_flags, check_probabilities
from graphpe.errors import GraphPEValueError
from graphpe.models.attention.pairs import PairSet, all_pairs, edge_pairs
from graphpe.models.attention.relational.attention import relational_attention
from graphpe.models.attention.relational.update import EPSILON, PairWeights, update_pairs
from graphpe.models.batches.nodes import NodeToGraph
from graphpe.models.batches.on_host import joined_pairs
from graphpe.models.layers.heads import READOUTS, PairHead, Readout, pool
from graphpe.models.layers.normalization import RowLayerNorm
from graphpe.models.layers.precision import in_half_precision
from graphpe.models.layers.stem import EncodingsIn, LayerEncodings, embed_edges, encoding_norms, read_for_layers
from graphpe.models.layers.text import call_text

Attention = Literal["full", "sparse"]
GlobalVector = Literal["cat", "node"]


class RelationalTransformer(nn.Module):
    """Relational transformer (Diao & Loynd, ICLR 2023).

    A layer, for every pair (j -> i) and head, with C = width / heads:

        q_ij = W_q n_i + E_q e_ij,  k_ij = W_k n_j + E_k e_ij,  v_ij = W_v n_j + E_v e_ij
        a_ij = softmax_j(q_ij k_ij / sqrt(C))
        n_i <- LN(n_i + O [sum_j a_ij v_ij]);                    n_i  <- LN(n_i + W_2 relu(W_1 n_i))
        e_ij <- LN(e_ij + W_4 relu(W_3 [e_ij, e_ji, n_j, n_i])); e_ij <- LN(e_ij + W_6 relu(W_5 e_ij))

    Linear maps have biases; the pairs' update takes the updated nodes. The published configuration is `width=192,
    heads=12`, three layers and the hidden widths that are the defaults here.

    Pairs start from the features of the edge on them (parallel edges are summed), or a learned vector where there is
    none, plus `pair_encodings`.

    Global vectors: `cat` appends a vector of the graph, the mean of its nodes' embeddings, to every node and every
    pair, and one linear map brings each back to `width`. `node` adds to every graph a node that starts from a learned
    vector, with pairs to and from all nodes that start from zero; it takes part in all layers and is left out of their
    result.

    A layer's cost for a pair, with F = `edge_hidden_1`, G = `edge_hidden_2` (nodes cost 10 D^2 more each, and little):

        flops, forward       4 D^2 for q_ij and k_ij, 2 (H + 2) D for weights and sums, (6 F + 4 G) D for the update:
                             26,000 at D = 64 and 8 heads, where mapping values and joining vectors cost 37,000
        flops, backward      twice as many; with `checkpoint` 4 D^2 more
        kept for backward    e_ij, E_q e_ij and E_k e_ij, weights and hidden layers: 3 D + H + F + G numbers;
                             with `checkpoint` D + H + F + G
        read and written     e_ij twice and e_ji, two products and the result forward: 6 D numbers; 13 D backward

    That is of the compiled passes, which run in float32 and float64 on a CPU, for widths of multiples of eight, without
    dropout of pairs. On a GPU Triton kernels run and keep D numbers. Elsewhere the formulas run as they stand; with
    `checkpoint` again in the backward pass, which then keeps D numbers.

    Differs from the released code (CameronDiao/relational-transformer):

    * Graphs of several sizes in one batch, as lists of pairs without padding; sparse sets of pairs, with e_ji = 0 where
      the reverse is not in the set. The released code takes dense arrays of one size.
    * The map of [e_ij, e_ji, n_j, n_i] is applied to its four parts; the sum of values is mapped, not every value.
    * Global vectors: graphs have no features of their own here, so that `cat` takes the mean over nodes. `node` is what
      the released code calls `core`; its third form, `att`, is left out.
    * The last layer's pairs are updated only with `pair_output`. Its parameters exist without, so that counts agree,
      but require no gradient.
    * Weights start as those of torch's linear maps.

    Example:
        >>> data = Data(x=torch.randn(5, 3), edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]))
        >>> data = T.RelativeRandomWalkPE(walk_length=4)(data)
        >>> encoding = M.PairLinear("rrwp", 4, 16)
        >>> head = torch.nn.Linear(16, 1)
        >>> model = M.RelationalTransformer(width=16, layers=2, heads=4,
        ...     node_encoder=M.LinearNodes(3, 16), pair_encodings=[encoding], head=head)
        >>> model(Batch.from_data_list([data, data])).shape
        torch.Size([2, 1])

    Args:
        width: Width D of the vectors of nodes and pairs.
        layers: Number of layers.
        heads: Number of attention heads; divides `width`.
        attention: `full`: every node attends to all nodes of its graph; `sparse`: to itself and to the sources of the
            edges that end in it.
        node_hidden: Hidden width of the nodes' network.
        edge_hidden_1: Hidden width of the pairs' first network.
        edge_hidden_2: Hidden width of their second.
        dropout: Probability of dropout on every update before it is added.
        global_vector: `cat`, `node`, or None.
        pair_output: Whether the last layer's pairs are read, by `vectors` or a `PairHead`: whether it updates them.
        checkpoint: Keep less memory for the backward pass and compute more in it: about a tenth more time.
        readout: Pooling over the nodes of a graph: `mean`, `sum`, `max`; `none` for node-level output.
        encodings_in: `first`: encodings are added to the node embeddings, once; `every_layer`: to the input of each
            layer, after a LayerNorm of its own (LaPE: `graphpe.models.layers.stem.LayerEncodings`).
        node_encoder: From a batch to node embeddings `[N, width]`.
        edge_encoder: From a batch to edge embeddings `[E, width]`; None: one learned vector for each edge.
        encodings: Modules from a batch to `[N, width]`, added to the node embeddings.
        pair_encodings: Modules from a batch and a set of pairs to `[P, width]` (`PairLinear`, `PairEmbedding`).
        head: From `[B, width]` (`[N, width]` with `readout="none"`) to the output; None for the embeddings themselves.
            A `PairHead` gets the vectors of nodes and of pairs instead.

    Raises:
        GraphPEValueError: If a number is out of range, `heads` does not divide `width`, an option is unknown, or a
            `PairHead` is given without `pair_output`.
    """

    pair_input: ClassVar[Literal["features", "biases"]] = "features"
    pair_diagonals: ClassVar[bool] = False

    def __init__(
        self,
        *,
        width: int = 64,
        layers: int = 3,
        heads: int = 8,
        attention: Attention = "full",
        node_hidden: int = 32,
        edge_hidden_1: int = 16,
        edge_hidden_2: int = 8,
        dropout: float = 0.0,
        global_vector: GlobalVector | None = None,
        pair_output: bool = False,
        checkpoint: bool = False,
        readout: Readout = "mean",
        encodings_in: EncodingsIn = "first",
        node_encoder: nn.Module,
        edge_encoder: nn.Module | None = None,
        encodings: Sequence[nn.Module] = (),
        pair_encodings: Sequence[nn.Module] = (),
        head: nn.Module | None = None,
    ) -> None:
        super().__init__()
        width, layers, heads = check_counts(width=width, layers=layers, heads=heads)
        hidden = {"node_hidden": node_hidden, "edge_hidden_1": edge_hidden_1, "edge_hidden_2": edge_hidden_2}
        hidden = dict(zip(hidden, check_counts(**hidden), strict=True))
        check_divides(heads, width)
        (dropout,) = check_probabilities(dropout=dropout)
        pair_output, checkpoint = check_flags(pair_output=pair_output, checkpoint=checkpoint)
        check_choice("attention", attention, get_args(Attention))
        check_choice("global_vector", global_vector, (None, *get_args(GlobalVector)))
        check_choice("readout", readout, READOUTS)
        if isinstance(head, PairHead) and not pair_output:
            raise GraphPEValueError("a PairHead reads vectors of pairs: give pair_output=True")
        self.width = width
        self.heads = heads
        self.attention = attention
        self.node_hidden, self.edge_hidden_1, self.edge_hidden_2 = hidden.values()
        self.dropout = float(dropout)
        self.global_vector = global_vector
        self.pair_output = pair_output
        self.checkpoint = checkpoint
        self.readout = readout

        self.node_encoder = node_encoder
        self.edge_encoder = edge_encoder
        self.encodings = nn.ModuleList(encodings)
        self.encodings_in: EncodingsIn = encodings_in
        self.pair_encodings = nn.ModuleList(pair_encodings)
        # What a pair without an edge is, and an edge without features: one learned vector each, like rows of a table.
        self.absent = nn.Parameter(torch.randn(width))
        self.present = nn.Parameter(torch.randn(width)) if edge_encoder is None else None
        self.node_input = nn.Linear(2 * width, width) if global_vector == "cat" else None
        self.pair_input_map = nn.Linear(2 * width, width) if global_vector == "cat" else None
        self.global_node = nn.Parameter(torch.randn(width)) if global_vector == "node" else None
        stack = [
            RelationalLayer(width, heads, dropout=self.dropout, checkpoint=checkpoint, **hidden) for _ in range(layers)
        ]
        if not pair_output:
            stack[-1].skip_pair_update()
        self.layers = nn.ModuleList(stack)
        self.encoding_norms = encoding_norms(encodings_in, encodings, width, layers)
        self.head = head if head is not None else nn.Identity()

    @property
    def attention_layout(self) -> Literal["edges", "pair list"]:
        """What the attention of every layer runs over: the edges and self-pairs, or all pairs as a list."""
        return "pair list" if self.attention == "full" else "edges"

    @property
    def attends_to_all_pairs(self) -> bool:
        """Whether every node attends to every node of its graph; False if only along edges."""
        return self.attention == "full"

    @in_half_precision
    def forward(self, batch: Data) -> Tensor:
        """The head's output for a `Batch`, or for a `Data` as a batch of one graph.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph.

        Raises:
            GraphPEValueError: If the batch lacks what an encoder reads; the message says what to add.
        """
        members, x, pair, pairs = self._run(batch)
        if isinstance(self.head, PairHead):
            return self.head(x, pair, pairs)
        return self.head(pool(x, members, self.readout))

    def vectors(self, batch: Data) -> tuple[Tensor, Tensor, PairSet]:
        """What the layers make of a batch: vectors of nodes `[N, D]` and of pairs `[P, D]`, and which pairs these are.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph.

        Raises:
            GraphPEValueError: If the model was built without `pair_output`, or the batch lacks what an encoder reads.
        """
        if not self.pair_output:
            raise GraphPEValueError("the model was built without pair_output: give pair_output=True")
        return self._run(batch)[1:]

    def _run(self, batch: Data) -> tuple[NodeToGraph, Tensor, Tensor, PairSet]:
        members, edge_index, x, encodings = read_for_layers(self, batch)
        pairs = (
            all_pairs(members, edge_index)
            if self.attention == "full"
            else edge_pairs(members, edge_index, joined=joined_pairs(batch))
        )
        edge = embed_edges(batch, self.edge_encoder, self.present)
        assert edge is not None, "without an edge encoder there is a vector for edges"
        pair = pairs.scatter(edge, self.absent)  # [P, D]
        if self.pair_encodings or self.pair_output:
            members.check_in_order()
        for encoding in self.pair_encodings:
            pair = pair + encoding(batch, pairs)
        if self.node_input is not None and self.pair_input_map is not None:
            vector = pool(x, members, "mean").to(x.dtype)  # [B, D]
            x = _append(self.node_input, x, vector, members.graph)
            pair = _append(self.pair_input_map, pair, vector, members.graph.index_select(0, pairs.target))
        if self.global_node is None:
            return members, *self._layers(x, pair, pairs, encodings), pairs
        wider = _with_global_nodes(members, edge_index, pairs)
        x = self.global_node.to(x.dtype).expand(wider.nodes, -1).index_copy(0, wider.node, x)
        pair = pair.new_zeros(wider.pairs.num_pairs, self.width).index_copy(0, wider.pair, pair)
        x, pair = self._layers(x, pair, wider.pairs, encodings.at(wider.node))
        return members, x.index_select(0, wider.node), pair.index_select(0, wider.pair), pairs

    def _layers(self, x: Tensor, pair: Tensor, pairs: PairSet, encodings: LayerEncodings) -> tuple[Tensor, Tensor]:
        for number, layer in enumerate(self.layers):
            x, pair = layer(encodings.join(x, number), pair, pairs)
        return x, pair

    def __repr__(self) -> str:
        names = ["width", "layers", "heads", "attention", "node_hidden", "edge_hidden_1", "edge_hidden_2", "dropout"]
        return call_text(self, [*names, "global_vector", "pair_output", "checkpoint", "readout"])


class RelationalLayer(nn.Module):
    """One layer: relational attention and a network for nodes, then two networks for pairs.

    Args:
        width: Width D.
        heads: Number of heads; divides `width`.
        node_hidden: Hidden width of the nodes' network.
        edge_hidden_1: Hidden width of the pairs' first network.
        edge_hidden_2: Hidden width of their second.
        dropout: Probability of dropout on updates.
        checkpoint: Whether to compute the update again in the backward pass where no compiled pass runs.
        checkpoint: Whether to compute products of pairs again in the backward pass.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        node_hidden: int,
        edge_hidden_1: int,
        edge_hidden_2: int,
        dropout: float = 0.0,
        checkpoint: bool = False,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.checkpoint = checkpoint
        self.dropout = dropout
        self.updates_pairs = True
        self.node_query, self.node_key, self.node_value = (nn.Linear(width, width) for _ in range(3))
        self.pair_query, self.pair_key, self.pair_value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)
        self.node_1, self.node_2 = nn.Linear(width, node_hidden), nn.Linear(node_hidden, width)
        self.node_norm_1, self.node_norm_2 = (RowLayerNorm(width, EPSILON) for _ in range(2))
        self.pair_update = PairUpdate(width, edge_hidden_1, edge_hidden_2, dropout=dropout, checkpoint=checkpoint)

    def skip_pair_update(self) -> None:
        """Leave pairs as they are: nothing reads them after this layer. Its parameters stay, without gradients."""
        self.updates_pairs = False
        self.pair_update.requires_grad_(False)

    def forward(self, x: Tensor, pair: Tensor, pairs: PairSet) -> tuple[Tensor, Tensor]:
        """Vectors of nodes `[N, D]` and pairs `[P, D]` after the layer.

        Args:
            x: Vectors of nodes, `[N, D]`.
            pair: Vectors of pairs, `[P, D]`.
            pairs: The pairs.
        """
        query = self.node_query(x) + self.pair_query.bias
        key = self.node_key(x) + self.pair_key.bias
        value = self.node_value(x) + self.pair_value.bias
        maps = (self.pair_query.weight, self.pair_key.weight, self.pair_value.weight)
        message = relational_attention(
            query, key, value, pair, *maps, pairs, heads=self.heads, checkpoint=self.checkpoint
        )
        x = self.node_norm_1(x + self._drop(self.out(message)))
        x = self.node_norm_2(x + self._drop(self.node_2(torch.relu(self.node_1(x)))))
        return x, self.pair_update(pair, x, pairs) if self.updates_pairs else pair

    def _drop(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.dropout, self.training)


class PairUpdate(nn.Module):
    """The update of pairs from themselves, their reverses and the updated nodes.

    Args:
        width: Width D.
        hidden_1: Hidden width of the first network.
        hidden_2: Hidden width of the second.
        dropout: Probability of dropout on updates.
        checkpoint: Whether to compute the update again in the backward pass where no compiled pass runs.
    """

    def __init__(self, width: int, hidden_1: int, hidden_2: int, *, dropout: float, checkpoint: bool = False) -> None:
        super().__init__()
        self.dropout = dropout
        self.checkpoint = checkpoint
        self.edge_1, self.edge_2 = nn.Linear(4 * width, hidden_1), nn.Linear(hidden_1, width)
        self.edge_3, self.edge_4 = nn.Linear(width, hidden_2), nn.Linear(hidden_2, width)
        self.norm_1, self.norm_2 = (RowLayerNorm(width, EPSILON) for _ in range(2))

    def forward(self, pair: Tensor, x: Tensor, pairs: PairSet) -> Tensor:
        """Vectors of pairs `[P, D]` after the update; `x` `[N, D]` are the updated nodes.

        Args:
            pair: Vectors of pairs, `[P, D]`.
            x: Vectors of the updated nodes, `[N, D]`.
            pairs: The pairs.
        """
        of_pair, of_reverse, of_source, of_target = self.edge_1.weight.chunk(4, dim=1)
        weights = PairWeights(
            *(of_pair, of_reverse),
            *(self.edge_2.weight, self.edge_2.bias, self.norm_1.weight, self.norm_1.bias),
            *(self.edge_3.weight, self.edge_3.bias, self.edge_4.weight, self.edge_4.bias),
            *(self.norm_2.weight, self.norm_2.bias),
        )
        source, target = functional.linear(x, of_source), functional.linear(x, of_target, self.edge_1.bias)
        dropout = self.dropout if self.training else 0.0
        return update_pairs(pair, source, target, weights, pairs, dropout=dropout, checkpoint=self.checkpoint)


@dataclass(frozen=True, eq=False)
class _Wider:
    """A set of pairs with one more node in every graph.

    Attributes:
        nodes: Number of nodes, those of the batch and the added ones.
        node: Number of each node of the batch among these, `[N]`.
        pairs: The pairs among all nodes.
        pair: Number of each pair of the batch among these, `[P]`.
    """

    nodes: int
    node: Tensor
    pairs: PairSet
    pair: Tensor


def _with_global_nodes(members: NodeToGraph, edge_index: Tensor, pairs: PairSet) -> _Wider:
    """Add to every graph, after its nodes, one that has pairs to and from all of them and to itself."""
    graph, ptr = members.graph, members.ptr
    nodes, graphs = graph.numel() + members.num_graphs, torch.arange(members.num_graphs, device=ptr.device)
    node = torch.arange(graph.numel(), device=ptr.device) + graph
    added = ptr[1:] + graphs
    owner = graph.new_empty(nodes).index_copy(0, node, graph).index_copy(0, added, graphs)
    known = (members.max_size, members.num_pairs)
    wider = NodeToGraph(
        owner,
        ptr + torch.arange(ptr.numel(), device=ptr.device),
        None if known[0] is None else known[0] + 1,
        None if known[1] is None else known[1] + 2 * graph.numel() + members.num_graphs,
    )
    edges = node[edge_index]
    if pairs.complete:
        out = all_pairs(wider, edges)
    else:
        hub = added.index_select(0, graph)
        spokes = torch.stack([torch.cat([node, hub]), torch.cat([hub, node])])
        # Of the pairs of the batch, which hold each node with itself, none is a spoke.
        joined = (pairs.num_pairs + spokes.shape[1], graph.numel())
        out = edge_pairs(wider, torch.cat([edges, spokes], dim=1), joined=joined)
        out = replace(out, slot=out.slot[: edges.shape[1]])
    key = node[pairs.target] * nodes + node[pairs.source]
    return _Wider(nodes, node, out, torch.searchsorted(out.target * nodes + out.source, key))


def _append(linear: nn.Linear, rows: Tensor, vector: Tensor, graph: Tensor) -> Tensor:
    """`linear` of the rows with the vector of their graph appended; `graph` is that of each row."""
    of_row, of_vector = linear.weight.chunk(2, dim=1)
    return functional.linear(rows, of_row) + functional.linear(vector, of_vector, linear.bias).index_select(0, graph)
