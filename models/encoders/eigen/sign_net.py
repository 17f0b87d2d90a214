"""SignNet: eigenvectors whose signs do not matter."""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor
from torch_geometric.data import Data

from graphpe.arguments import check_choice, check_counts, check_flags
from graphpe.models.encoders.eigen.eigenpairs import EigenKeys, EigenpairEncoder, masked_sum
from graphpe.models.encoders.element_network import ElementNetwork, Phi
from graphpe.models.encoders.feed_forward import feed_forward, starts_at_zero
from graphpe.models.layers.precision import in_half_precision

Rho = Literal["mlp", "deepset"]


class SignNet(EigenpairEncoder):
    """SignNet (Lim et al. 2023): a network of each eigenvector and of its negative.

        rho([phi(v_k, lambda_k) + phi(-v_k, lambda_k)]_k)

    phi is one network for all eigenvectors, which enter with norm sqrt(n) for n nodes. With `phi="gin"` it passes
    messages along the edges (with complex vectors, also against them), so that a result at a node depends on how an
    eigenvector changes around it, up to one sign for the whole graph. With `phi="mlp"` it sees one node at a time, so
    that what is left of a real vector is |v_k(u)|. rho is a feed-forward network of all k results side by side (`mlp`)
    or of their sum (`deepset`).

    Symmetry: exactly invariant to the sign of every real eigenvector, in training and evaluation; reordering the nodes
    reorders the result; with `rho="deepset"` the order of the eigenpairs does not matter. It is *not* invariant to the
    basis of an eigenspace of more than one dimension. A complex eigenvector is free up to a phase: SignNet is exactly
    invariant to the factor -1 only, so that in training each vector of each graph gets a random phase; `SPE` and
    `BasisNet` are invariant to all of them.

    The last linear map starts at zero: training starts from the model without the encoding. Cost: with `gin`, O(E K
    hidden + N K hidden^2) a layer, twice.

    Differs from the released code (cptq/SignNet-BasisNet, GraphGPS) in: eigenvalues enter phi (released: computed, then
    not used); LayerNorm (released: BatchNorm, with statistics of phi(v) and phi(-v) apart, so that in training the
    result does depend on signs); padding has a mask (released: a count of nodes); phi(v) and phi(-v)
    are one pass; entries of eigenvectors are of size 1 at every n (released: n^-1/2, and BatchNorm); the result is
    added to the node embeddings (released: concatenated).

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]), num_nodes=5)
        >>> data = T.LaplacianPE(k=3)(data)
        >>> keys = {"eigenvalues_key": "laplacian_eigenvalues", "mask_key": "laplacian_mask"}
        >>> encoder = M.SignNet("laplacian_eigenvector_pe", 3, 16, **keys)
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
        phi: `gin` or `mlp`.
        hidden: Width of the hidden layers of phi and rho.
        channels: Width of phi's result for an eigenvector.
        layers: Number of layers of phi.
        rho: `mlp` or `deepset`.
        post_layers: Number of linear maps of rho.
        random_signs: Draw the phases of complex vectors in training.
        gap_width: With a width above 0, vectors weigh gap^2 / (gap^2 + gap_width^2): what the graph hardly decides
            fades out (`graphpe.models.encoders.eigen.eigenpairs.gap_weights`; the transform needs `certificate=True`).

    Raises:
        GraphPEValueError: If a parameter is out of range; in `forward` if the batch has no tensors of those names, or
            of another shape or kind.

    References:
        Lim, Robinson, Zhao, Smidt, Sra, Maron, Jegelka: Sign and Basis Invariant Networks for Spectral Graph
        Representation Learning. ICLR 2023, arXiv:2202.13013.
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
        phi: Phi = "gin",
        hidden: int = 32,
        channels: int = 4,
        layers: int = 2,
        rho: Rho = "mlp",
        post_layers: int = 2,
        random_signs: bool = True,
        gap_width: float = 0.0,
    ) -> None:
        super().__init__(EigenKeys(key, k, eigenvalues_key, mask_key, complex, potentials), width, gap_width)
        hidden, channels, layers, post_layers = check_counts(
            hidden=hidden, channels=channels, layers=layers, post_layers=post_layers
        )
        (random_signs,) = check_flags(random_signs=random_signs)
        check_choice("phi", phi, get_args(Phi))
        check_choice("rho", rho, get_args(Rho))
        self.phi = phi
        self.hidden = hidden
        self.channels = channels
        self.layers = layers
        self.rho = rho
        self.post_layers = post_layers
        self.random_signs = random_signs
        self.element = ElementNetwork(phi, self.token_width, hidden, channels, layers, directed=complex)
        joined = channels if rho == "deepset" else self.pairs * channels
        self.join = starts_at_zero(feed_forward(joined, hidden, width, post_layers))

    @in_half_precision
    def forward(self, batch: Data) -> Tensor:
        """The encoding at the model's width, `[num_nodes, width]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with the eigenpairs that the encoder names.
        """
        eigen = self.read(batch, randomise=self.training and self.random_signs and self.complex).scaled()
        x = self.element.over_signs(eigen.tokens, self.parts, getattr(batch, "edge_index", None))
        if self.rho == "deepset":
            return self.join(masked_sum(x, eigen.node_mask))
        return self.join(x.masked_fill(~eigen.node_mask.unsqueeze(2), 0).flatten(1))
