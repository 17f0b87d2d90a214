"""Specformer: Bo et al., "Specformer: Spectral Graph Neural Networks Meet Transformers" (ICLR 2023, arXiv:2303.01028).

Design choices: filters are functions of the whole spectrum, which a transformer over the eigenvalues decodes; along
eigenvectors they are exact, with no polynomial in between; each channel has its own combination of them.

Shape legend: N nodes, B graphs, K eigenpairs of a graph, D width, M heads and filters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data

from graphpe.arguments import check_choice, check_counts, check_divides, check_probabilities
from graphpe.errors import GraphPEValueError
from graphpe.models.attention.padding import PaddedNodes, padded_nodes
from graphpe.models.batches.nodes import NodeToGraph
from graphpe.models.encoders.eigen.eigenpairs import Eigenpairs
from graphpe.models.encoders.eigen.spectral_basis import SpectralBasis
from graphpe.models.encoders.set_attention import SetAttention
from graphpe.models.layers.heads import READOUTS, Readout, pool
from graphpe.models.layers.multi_head import FeedForward
from graphpe.models.layers.normalization import Norm, RowLayerNorm, build_norm
from graphpe.models.layers.precision import ExactBuffers, exactly, in_half_precision
from graphpe.models.layers.stem import EncodingsIn, add_edges, encoding_norms, read_for_layers
from graphpe.models.layers.text import call_text

# Of the sinusoids' arguments: eigenvalues of "sym" are at most 2.
_SCALE = 100.0


class Specformer(nn.Module):
    """Graph convolutions with filters that a transformer learns from the eigenvalues (Bo et al. 2023).

        z_k = E [lambda_k, sin(100 lambda_k / 10000^(2i/D)), cos(...)]             one token for each eigenvalue
        z <- z + MHA(LayerNorm(z)),   z <- z + FFN(LayerNorm(z))                   over the spectrum of each graph
        lambda'_m = (W z)_m                                                        M filters, one for each head
        y_d = w_0d x_d + sum_m w_md U diag(lambda'_m) U^H x_d                      for each channel d
        x <- x + Dropout(GELU(Norm(V y + v)))                                      `layers` times

    U are the eigenvectors of a `SpectralBasis` among the `encodings`; without one, those that `T.LaplacianPE` writes.
    `LaplacianPE(k=64, drop_zero_modes=False)` is the whole spectrum of graphs of up to 64 nodes, and the smoothest 64
    waves of larger ones, to which the identity (w_0) adds all others alike. With complex eigenvectors (from
    `MagneticLaplacianPE`) there are M filters more, and

        y_d = w_0d x_d + sum_m w_md Re(U diag(lambda'_m) U^H) x_d + w'_md Im(U diag(lambda''_m) U^H) x_d

    whose last part is antisymmetric and knows directions. With several potentials tokens say which one they are of.

    Symmetry: exactly invariant (up to rounding) to the sign or phase of every eigenvector and to the basis of every
    eigenspace that lies among the k eigenvectors as a whole; reordering the nodes reorders the result.

    The filters have 6 D^2 + O(M D) parameters, a layer D^2 + (M + 4) D. Cost: O(B K^2 D) for the spectra, once, and
    O(N D (2 K + D)) a layer; nothing of the size of the pairs. The published configuration for ZINC is
    `Specformer(width=160, layers=4, heads=8, dropout=0.05, filter_dropout=0.1)`.

    Differs from the paper and the released code (DSL-Lab/Specformer):

    * Channels combine filters linearly, as in the released code for nodes. That for graphs maps the M + 1 numbers of
      each pair of nodes by a feed-forward network to D, which takes O(n^2 D) memory a graph; features of edges then
      enter each pair, here once, as the mean over the edges that end in a node.
    * Normalisation of each layer, and the residual connection of the paper also for nodes (released: none there).
    * The last two layers are the task's head.
    * Complex eigenvectors, several potentials, and a part of the spectrum.

    Example:
        >>> data = Data(x=torch.randn(5, 3), edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]))
        >>> data = T.LaplacianPE(k=5, drop_zero_modes=False)(data)
        >>> head = torch.nn.Linear(16, 1)
        >>> model = M.Specformer(width=16, layers=2, node_encoder=M.LinearNodes(3, 16), head=head)
        >>> model(Batch.from_data_list([data, data])).shape
        torch.Size([2, 1])

    Args:
        width: Width D of nodes and of eigenvalues' tokens.
        layers: Number of convolutions.
        heads: Number M of attention heads over eigenvalues, and of filters; divides `width`.
        norm: `batch` or `layer` normalisation.
        dropout: Probability of dropout on a convolution's result.
        filter_dropout: Probability of dropout in the transformer over eigenvalues.
        readout: Pooling over the nodes of a graph: `mean`, `sum`, `max`; `none` for node-level output.
        encodings_in: `first`: encodings are added to the node embeddings, once; `every_layer`: to the input of each
            layer, after a LayerNorm of its own (LaPE: `graphpe.models.layers.stem.LayerEncodings`).
        node_encoder: From a batch to node embeddings `[N, width]`.
        edge_encoder: From a batch to edge embeddings `[E, width]`, or None where edges carry nothing.
        encodings: Modules from a batch to `[N, width]`, added to the node embeddings, and at most one `SpectralBasis`.
        head: From `[B, width]` (`[N, width]` with `readout="none"`) to the output; None for the embeddings themselves.

    Raises:
        GraphPEValueError: If a number is out of range, `heads` does not divide `width`, an option is unknown, or there
            is more than one `SpectralBasis`.
    """

    default_encodings: ClassVar[tuple[str, ...]] = ("LaplacianPE(k=64, drop_zero_modes=False)",)

    def __init__(
        self,
        *,
        width: int = 64,
        layers: int = 4,
        heads: int = 4,
        norm: Norm = "batch",
        dropout: float = 0.0,
        filter_dropout: float = 0.0,
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
        dropout, filter_dropout = check_probabilities(dropout=dropout, filter_dropout=filter_dropout)
        check_choice("norm", norm, get_args(Norm))
        check_choice("readout", readout, READOUTS)
        self.width = width
        self.heads = heads
        self.norm = norm
        self.dropout = float(dropout)
        self.filter_dropout = float(filter_dropout)
        self.readout = readout

        self.node_encoder = node_encoder
        self.edge_encoder = edge_encoder
        self.encodings = nn.ModuleList(encodings)
        self.encodings_in: EncodingsIn = encodings_in
        bases = [each for each in encodings if isinstance(each, SpectralBasis)]
        if len(bases) > 1:
            raise GraphPEValueError(
                f"Specformer filters along one basis, got the eigenvectors {[each.key for each in bases]}: give one"
            )
        self.basis = bases[0] if bases else _default_basis()
        parts = 2 if self.basis.complex else 1
        self.filters = SpectralFilters(width, heads, parts, self.basis.potentials, self.filter_dropout)
        self.layers = nn.ModuleList(FilterLayer(width, heads * parts, norm, self.dropout) for _ in range(layers))
        added = [each for each in encodings if not isinstance(each, SpectralBasis)]
        self.encoding_norms = encoding_norms(encodings_in, added, width, layers)
        self.head = head if head is not None else nn.Identity()

    @property
    def attention_layout(self) -> Literal["spectrum"]:
        """What attention runs over: the eigenvalues of each graph."""
        return "spectrum"

    @property
    def attends_to_all_pairs(self) -> bool:
        """True: a filter joins all nodes of a connected component."""
        return True

    @in_half_precision
    def forward(self, batch: Data) -> Tensor:
        """The head's output for a `Batch`, or for a `Data` as a batch of one graph.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph.

        Raises:
            GraphPEValueError: If the batch lacks what an encoder reads; the message says what to add.
        """
        members, edge_index, x, encodings = read_for_layers(self, batch, without=self.basis)
        x = add_edges(x, batch, self.edge_encoder, edge_index)
        eigen = self.basis(batch, x.dtype)
        waves, filters = waves_of(eigen, members), self.filters(eigen)
        for number, layer in enumerate(self.layers):
            x = layer(encodings.join(x, number), waves, filters)
        return self.head(pool(x, members, self.readout))

    def __repr__(self) -> str:
        return call_text(self, ("width", "layers", "heads", "norm", "dropout", "filter_dropout", "readout"))


def _default_basis() -> SpectralBasis:
    return SpectralBasis("laplacian_eigenvector_pe", eigenvalues_key="laplacian_eigenvalues", mask_key="laplacian_mask")


@dataclass(frozen=True, eq=False)
class Waves:
    """The eigenvectors U of a batch in padded blocks, made once for all layers.

    Attributes:
        nodes: The nodes of each graph in blocks.
        blocks: Eigenvectors of each block, `[b, n, K]`, or `[b, n, 2 K]` with real parts first; zero at padding.
        graphs: Graphs of each block, `[b]`.
        is_complex: Whether there are imaginary parts.
    """

    nodes: PaddedNodes
    blocks: Sequence[Tensor]
    graphs: Sequence[Tensor]
    is_complex: bool

    def filter(self, x: Tensor, response: Tensor) -> Tensor:
        """The filtered channels, `[N, D]`.

            U diag(a) U^T x                                     real U, with a of each channel
            Re(U diag(a) U^H) x + Im(U diag(c) U^H) x           complex U, with a and c

        Args:
            x: Node embeddings in the order of their graphs, `[N, D]`.
            response: a of each channel, `[B, K, D]`, or a and c, `[B, 2 K, D]`.
        """
        out = []
        for u, graphs, h in zip(self.blocks, self.graphs, self.nodes.split(x), strict=True):
            here, spectrum = response.index_select(0, graphs), u.mT @ h  # [b, K or 2 K, D]
            if self.is_complex:
                (a, c), (real, imag) = here.chunk(2, dim=1), spectrum.chunk(2, dim=1)
                spectrum = torch.cat([a * real - c * imag, a * imag + c * real], dim=1)
            else:
                spectrum = here * spectrum
            out.append(u @ spectrum)
        return self.nodes.join(out) if out else torch.zeros_like(x)


def waves_of(eigen: Eigenpairs, members: NodeToGraph) -> Waves:
    """The eigenvectors of a batch in blocks.

    Args:
        eigen: The eigenpairs, nodes in the batch's order.
        members: The partition of the nodes into graphs.
    """
    nodes = padded_nodes(members)
    vectors = members.sort(eigen.vectors.transpose(1, 2).flatten(1))
    blocks = [
        u.masked_fill(block.key_mask.view(block.graphs, block.size, 1) != 0, 0)
        for u, block in zip(nodes.split(vectors), nodes.blocks, strict=True)
    ]
    graphs = nodes.graph.split([block.graphs for block in nodes.blocks])
    return Waves(nodes, blocks, graphs, eigen.vectors.shape[2] == 2)


class SpectralFilters(ExactBuffers):
    """A transformer over the eigenvalues of each graph, and what it makes of each: a value for every filter.

    Args:
        width: Width D of a token.
        heads: Number M of attention heads.
        parts: Values for each head: 2 of complex eigenvectors.
        potentials: Number of potentials.
        dropout: Probability of dropout.
    """

    frequencies: Tensor

    def __init__(self, width: int, heads: int, parts: int, potentials: int, dropout: float) -> None:
        super().__init__()
        number = (width + 1) // 2
        frequencies = _SCALE * 10000.0 ** -(torch.arange(number) / number)
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.embed = nn.Linear(2 * number + (1 if potentials == 1 else 1 + potentials), width)
        self.attention_norm = RowLayerNorm(width)
        self.attention = SetAttention(width, heads, width // heads, bias=True, dropout=dropout)
        self.norm = RowLayerNorm(width)
        self.feed_forward = FeedForward(width, width, activation="gelu", dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.decode = nn.Linear(width, heads * parts)

    def forward(self, eigen: Eigenpairs) -> Tensor:
        """The filters at each eigenvalue, `[B, K, M]`, or `[B, K, 2 M]`.

        Args:
            eigen: The eigenpairs.
        """
        turns = eigen.values.unsqueeze(2) * self.frequencies.to(eigen.values.dtype)
        tokens = torch.cat([eigen.labelled_values, turns.sin(), turns.cos()], dim=2)
        z = self.embed(tokens.to(self.embed.weight.dtype))
        z = z + self.dropout(self.attention(self.attention_norm(z), eigen.mask))
        return self.decode(z + self.feed_forward(self.norm(z)))


class FilterLayer(nn.Module):
    """A convolution of each channel with its combination of the filters, and a residual connection.

    Args:
        width: Width D.
        filters: Number of filters, those of imaginary parts included.
        norm: `batch` or `layer` normalisation.
        dropout: Probability of dropout on the result.
    """

    def __init__(self, width: int, filters: int, norm: Norm, dropout: float) -> None:
        super().__init__()
        self.own = nn.Parameter(torch.ones(width))
        self.combine = nn.Parameter(torch.ones(filters, width))
        self.linear = nn.Linear(width, width)
        self.norm = build_norm(norm, width)
        self.dropout = dropout

    def forward(self, x: Tensor, waves: Waves, filters: Tensor) -> Tensor:
        """Node embeddings `[N, D]` after the layer.

        Args:
            x: Node embeddings, `[N, D]`.
            waves: The eigenvectors.
            filters: The filters at each eigenvalue, `[B, K, M]` or `[B, K, 2 M]`.
        """
        with torch.autocast(x.device.type, enabled=False):
            weight, h = exactly(self.combine), exactly(x)
            parts = 2 if waves.is_complex else 1
            each = zip(exactly(filters).chunk(parts, dim=2), weight.chunk(parts), strict=True)
            response = torch.cat([values @ share for values, share in each], dim=1)
            y = exactly(self.own) * h + waves.filter(h, response)
        y = functional.gelu(self.norm(self.linear(y.to(x.dtype))))
        return x + functional.dropout(y, self.dropout, self.training)
