"""MagLapNet: the encoder of Magnetic-Laplacian eigenvectors of Geisler et al."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data

from graphpe.arguments import check_choice, check_counts, check_flags, check_probabilities
from graphpe.models.encoders.eigen.eigenpairs import EigenKeys, EigenpairEncoder
from graphpe.models.encoders.element_network import ElementNetwork, Phi
from graphpe.models.encoders.set_attention import SetAttention
from graphpe.models.layers.normalization import RowLayerNorm
from graphpe.models.layers.precision import in_half_precision

Approximate = Literal["none", "tanh"]


class MagLapNet(EigenpairEncoder):
    """MagLapNet (Geisler et al. 2023): attention between the eigenvectors of a node, then one map of all of them.

    For node u and eigenvector v_k, of norm sqrt(n) for n nodes, with v_k(u) as the two numbers Re, Im:

        x_k = gelu(phi(v_k)(u)) + gelu(phi(-v_k)(u))        2 hidden numbers (hidden, if the vectors are real)
        x_k <- LayerNorm([lambda_k, x_k])
        x_k <- x_k + Attention(x)_k                         over the k eigenvectors of u; no feed-forward network
        gelu(W dropout([x_1, ..., x_K]) + b)

    With `phi="mlp"`, phi is one linear map of the node's own numbers; with `gin`, a round of messages along and against
    the edges (the published OGB configuration). Without `signnet`, x_k = gelu(phi(v_k)(u)).

    Symmetry: reordering the nodes reorders the result. With `signnet` it is exactly invariant to the factor -1 for
    every eigenvector, but *not* to other phases, nor to the basis of an eigenspace; without it, to none of them. In
    training each vector of each graph gets a random sign or, if complex, phase; in evaluation the vectors are used as
    they are. `SPE` and `BasisNet` are invariant to phases and bases.

    W and b start at zero: training starts from the model without the encoding. Cost: O(N K (K hidden + hidden^2 +
    width hidden)).

    Differs from the released code (digraph_transformer) in: the map after attention has no bias (released: one, which
    starts at 0; `output_bias=True`); gelu is exact (released: its tanh approximation, up to 5e-4 away;
    `approximate="tanh"`); W starts at zero (released: at random); padding has a mask (released: eigenvalue <= 0, which
    takes true zero modes for padding); entries of eigenvectors are of size 1 at every n (released: n^-1/2); phi(-v_k)
    counts for every eigenvector (released: not for the first complex one, whose sign then matters); no rule of its own
    for the first real eigenvector and its eigenvalue (released: |v_1| and 0); random phases in training; a `gin` round
    is that of `ElementNetwork`; absolute encodings only.

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]), num_nodes=5)
        >>> data = T.LaplacianPE(k=3)(data)
        >>> keys = {"eigenvalues_key": "laplacian_eigenvalues", "mask_key": "laplacian_mask"}
        >>> encoder = M.MagLapNet("laplacian_eigenvector_pe", 3, 16, **keys)
        >>> encoder(data).shape
        torch.Size([5, 16])

    Args:
        key: Name of the eigenvectors in the batch: `[num_nodes, k]`, or `[num_nodes, potentials, k]`.
        k: Number of eigenvectors (of each potential).
        width: Width of the result.
        eigenvalues_key: Name of the eigenvalues, `[num_graphs, k]` or `[num_graphs, potentials, k]`.
        mask_key: Name of a mask of the same shape, False for columns that are padding, or None.
        complex: Whether the vectors are complex.
        potentials: Number of potentials.
        phi: `mlp` or `gin`.
        hidden: Numbers for each part of an eigenvector (published: the model's width / 32).
        heads: Number of attention heads; each is (1 + hidden * parts) // heads wide, at least 1.
        signnet: Whether phi(-v_k) is added.
        attention: Whether eigenvectors attend to each other; without it there is no LayerNorm either.
        output_bias: Whether the linear map after attention has a bias. It starts at zero.
        approximate: `none` for the exact gelu, `tanh` for that of the released code.
        dropout: Probability of dropout on attention's weights and before the last map.
        random_signs: Draw signs and phases in training. False for vectors whose phases mean something, as after
            `MagneticLaplacianPE(sign="canonical")`.
        gap_width: With a width above 0, vectors weigh gap^2 / (gap^2 + gap_width^2): what the graph hardly decides
            fades out (`graphpe.models.encoders.eigen.eigenpairs.gap_weights`; the transform needs `certificate=True`).

    Raises:
        GraphPEValueError: If a parameter is out of range; in `forward` if the batch has no tensors of those names, or
            of another shape or kind.

    References:
        Geisler, Li, Mankowitz, Cemgil, Günnemann, Paduraru: Transformers Meet Directed Graphs. ICML 2023,
        arXiv:2302.00049, section 4.
    """

    def __init__(
        self,
        key: str,
        k: int,
        width: int,
        *,
        eigenvalues_key: str,
        mask_key: str | None,
        complex: bool = False,
        potentials: int = 1,
        phi: Phi = "mlp",
        hidden: int = 8,
        heads: int = 4,
        signnet: bool = True,
        attention: bool = True,
        output_bias: bool = False,
        approximate: Approximate = "none",
        dropout: float = 0.0,
        random_signs: bool = True,
        gap_width: float = 0.0,
    ) -> None:
        super().__init__(EigenKeys(key, k, eigenvalues_key, mask_key, complex, potentials), width, gap_width)
        hidden, heads = check_counts(hidden=hidden, heads=heads)
        signnet, attention, output_bias, random_signs = check_flags(
            signnet=signnet, attention=attention, output_bias=output_bias, random_signs=random_signs
        )
        check_choice("approximate", approximate, get_args(Approximate))
        check_choice("phi", phi, get_args(Phi))
        self.phi = phi
        self.hidden = hidden
        self.heads = heads
        self.signnet = signnet
        self.attention = attention
        self.output_bias = output_bias
        self.approximate: Approximate = approximate
        self.dropout = check_probabilities(dropout=dropout)[0]
        self.random_signs = random_signs
        inner = self.parts * hidden
        self.element = ElementNetwork(phi, self.parts, inner, inner, 1, directed=complex)
        self.norm = RowLayerNorm(1 + inner) if attention else None
        head_width = max((1 + inner) // heads, 1)
        self.mix = None
        if attention:
            self.mix = SetAttention(
                1 + inner, heads, head_width, bias=False, out_bias=output_bias, dropout=self.dropout
            )
            if output_bias:
                nn.init.zeros_(self.mix.out.bias)
        self.aggregate = nn.Linear(self.pairs * (1 + inner), width)
        nn.init.zeros_(self.aggregate.weight)
        nn.init.zeros_(self.aggregate.bias)

    @in_half_precision
    def forward(self, batch: Data) -> Tensor:
        """The encoding at the model's width, `[num_nodes, width]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with the eigenpairs that the encoder names.
        """
        eigen = self.read(batch, randomise=self.training and self.random_signs).scaled()
        mask, edges = eigen.node_mask, getattr(batch, "edge_index", None)
        x = self._gelu(self.element(eigen.vectors, edges))
        if self.signnet:
            x = x + self._gelu(self.element(-eigen.vectors, edges))
        x = torch.cat([eigen.values.index_select(0, eigen.graph).unsqueeze(2).to(x.dtype), x], dim=2)
        if self.norm is not None and self.mix is not None:
            x = self.norm(x)
            x = x + self.mix(x, mask)
        x = x.masked_fill(~mask.unsqueeze(2), 0).flatten(1)
        return self._gelu(self.aggregate(functional.dropout(x, self.dropout, self.training)))

    def _gelu(self, x: Tensor) -> Tensor:
        return functional.gelu(x, approximate=self.approximate)
