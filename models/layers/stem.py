"""What every architecture begins with: a batch read and compared, embeddings of its nodes and edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, Self, get_args

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import check_choice
from graphpe.errors import GraphPEValueError
from graphpe.models.batches.nodes import NodeToGraph, node_to_graph, read_edges, stated_edges
from graphpe.models.batches.unread import ReadsNodes, warn_unread
from graphpe.models.layers.normalization import RowLayerNorm

EncodingsIn = Literal["first", "every_layer"]


def read_nodes(
    model: ReadsNodes, batch: Data, *, without: nn.Module | None = None
) -> tuple[NodeToGraph, Tensor, Tensor]:
    """The graphs, the edges and the node embeddings that a model starts from.

    At a model's first batch it warns of encodings that the batch has and the model does not read.

    Example:
        >>> model = M.GCN(width=4, layers=1, node_encoder=M.LinearNodes(3, 4))
        >>> data = Data(x=torch.randn(2, 3), edge_index=torch.tensor([[0], [1]]))
        >>> members, edge_index, x = M.read_nodes(model, data)
        >>> members.num_graphs, edge_index.tolist(), x.shape
        (1, [[0], [1]], torch.Size([2, 4]))

    Args:
        model: The architecture.
        batch: A `Batch`, or a `Data` as a batch of one graph.
        without: The one of its encodings that is left out, for the architecture to read it in its own way.

    Returns:
        The partition of N nodes into graphs; the edges `[2, E]` between nodes in the order of their graphs; the sum of
        the node embeddings and encodings `[N, D]`, in the same order.

    Raises:
        GraphPETypeError: If `batch` is not a PyG `Data` or `Batch`.
        GraphPEValueError: If its nodes or edges are not those of graphs, or it lacks what an encoder reads, or an
            encoder gives another number of rows.
    """
    members = node_to_graph(batch)
    edge_index = read_edges(batch, members)
    x = _rows(model.node_encoder(batch), members.num_nodes, "node_encoder", model.node_encoder)
    for encoding in model.encodings:
        if encoding is without:
            continue
        x = x + _rows(encoding(batch), members.num_nodes, "encoding", encoding)
    warn_unread(model, batch)
    return members, edge_index, members.sort(x)


class ReadsEncodings(ReadsNodes, Protocol):
    """A model whose layers may have the encodings again.

    Attributes:
        encoding_norms: What `encoding_norms` made for it.
    """

    encoding_norms: nn.ModuleList | None


@dataclass(frozen=True, eq=False)
class LayerEncodings:
    """Encodings that enter every layer, with a LayerNorm of its own in each (LaPE, Yu et al. 2022, arXiv:2212.05262).

        x_l <- layer_l(x_l + LN_l(p)),    p the sum of the encodings, x_0 the node embeddings without them

    for each layer l of a model. Norms and weights of the layers then do not decide how strong the encodings are beside
    the embeddings, and each layer has the share of them that suits it. LN_l has 2 D parameters, the cost is O(N D).

    Differs from the paper, whose layers attend to LN(x) + LN_l(p) and add the result to x: p is in the residual
    connection as well, which is the same for every kind of layer. Where encoders start at zero, LN_l(p) is zero, and
    their first step brings it to a size of 1.

    Attributes:
        norms: LN_l of each layer; None where encodings have been added once.
        value: p, `[N, D]`; None likewise.
        rows: Rows of x that are the nodes', `[N]`, where it has others; None for all.
    """

    norms: nn.ModuleList | None = None
    value: Tensor | None = None
    rows: Tensor | None = None

    def at(self, rows: Tensor) -> Self:
        """The same for embeddings in which the nodes have these rows among others.

        Args:
            rows: Row of each node, `[N]`.
        """
        return replace(self, rows=rows)

    def join(self, x: Tensor, layer: int) -> Tensor:
        """The input of a layer: `x`, with the encodings where they enter every layer.

        Args:
            x: Embeddings, `[N, D]`, or `[R, D]` with those of other nodes.
            layer: Number of the layer.
        """
        if self.norms is None or self.value is None:
            return x
        found = self.norms[layer](self.value).to(x.dtype)
        return x + found if self.rows is None else x.index_add(0, self.rows, found)


def encoding_norms(
    encodings_in: EncodingsIn, encodings: Sequence[nn.Module], width: int, layers: int
) -> nn.ModuleList | None:
    """The norms of `LayerEncodings`; None where encodings are added once, or there are none.

    Args:
        encodings_in: `first`: added to the node embeddings; `every_layer`: to the input of each layer.
        encodings: The encodings.
        width: Width D.
        layers: Number of layers.

    Raises:
        GraphPEValueError: `encodings_in` is neither.
    """
    check_choice("encodings_in", encodings_in, get_args(EncodingsIn))
    if encodings_in == "first" or not len(encodings):
        return None
    return nn.ModuleList(RowLayerNorm(width) for _ in range(layers))


def read_for_layers(
    model: ReadsEncodings, batch: Data, *, without: nn.Module | None = None
) -> tuple[NodeToGraph, Tensor, Tensor, LayerEncodings]:
    """`read_nodes` for a model whose layers may have the encodings again.

    Args:
        model: The architecture.
        batch: A `Batch`, or a `Data` as a batch of one graph.
        without: The one of its encodings that is left out, for the architecture to read it in its own way.

    Returns:
        As `read_nodes`, and what enters every layer. Where something does, node embeddings are without encodings.

    Raises:
        GraphPETypeError: As in `read_nodes`.
        GraphPEValueError: As in `read_nodes`.
    """
    members = node_to_graph(batch)
    edge_index = read_edges(batch, members)
    x = _rows(model.node_encoder(batch), members.num_nodes, "node_encoder", model.node_encoder)
    total: Tensor | None = None
    for encoding in model.encodings:
        if encoding is without:
            continue
        found = _rows(encoding(batch), members.num_nodes, "encoding", encoding)
        if model.encoding_norms is None:
            x = x + found
        else:
            total = found if total is None else total + found
    warn_unread(model, batch)
    again = LayerEncodings() if total is None else LayerEncodings(model.encoding_norms, members.sort(total))
    return members, edge_index, members.sort(x), again


def embed_edges(batch: Data, encoder: nn.Module | None, plain: Tensor | None = None) -> Tensor | None:
    """Embeddings of the edges `[E, D]`: from the encoder, or one vector for all; None if there is neither.

    Example:
        >>> data = Data(x=torch.randn(2, 3), edge_index=torch.tensor([[0], [1]]), edge_attr=torch.randn(1, 5))
        >>> M.embed_edges(data, M.LinearEdges(5, 4)).shape
        torch.Size([1, 4])

    Args:
        batch: The batch.
        encoder: The module that makes them.
        plain: The vector of every edge where there is no encoder, `[D]`.

    Raises:
        GraphPEValueError: If the encoder gives another number of rows; whatever it raises itself.
    """
    edge_index = stated_edges(batch)
    if edge_index is None or (encoder is None and plain is None):
        return None
    if encoder is not None:
        return _rows(encoder(batch), edge_index.shape[1], "edge_encoder", encoder)
    return None if plain is None else plain.expand(edge_index.shape[1], -1)


def add_edges(x: Tensor, batch: Data, encoder: nn.Module | None, edge_index: Tensor) -> Tensor:
    """Node embeddings plus the mean of the embeddings of the edges that end in each node; 0 without any.

    What models do with features of edges that have no place for them in their layers. Means are in float32 or better.

    Args:
        x: Node embeddings, `[N, D]`.
        batch: The batch.
        encoder: The module that makes embeddings of edges; None where edges carry nothing.
        edge_index: The edges between nodes in the order of `x`, `[2, E]`.

    Raises:
        GraphPEValueError: As in `embed_edges`.
    """
    edge = embed_edges(batch, encoder)
    if edge is None:
        return x
    edge, target = edge.to(torch.promote_types(edge.dtype, torch.float32)), edge_index[1]
    count = edge.new_zeros(x.shape[0]).index_add(0, target, edge.new_ones(len(target)))
    total = edge.new_zeros(x.shape).index_add(0, target, edge)
    return x + (total / count.clamp(min=1).unsqueeze(1)).to(x.dtype)


def _rows(value: Tensor, rows: int, what: str, module: nn.Module) -> Tensor:
    if value.dim() != 2 or value.shape[0] != rows:
        of = "edges" if what == "edge_encoder" else "nodes"
        raise GraphPEValueError(
            f"the {what} {type(module).__name__} gave {list(value.shape)} for {rows} {of}: it has to give a row each"
        )
    return value
