"""DeepSet over the eigenpairs of each node."""

from __future__ import annotations

from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import check_counts, check_flags, check_integer
from graphpe.errors import GraphPEValueError
from graphpe.models.encoders.eigen.eigenpairs import EigenKeys, EigenpairEncoder, masked_sum
from graphpe.models.encoders.feed_forward import feed_forward, starts_at_zero
from graphpe.models.layers.precision import in_half_precision


class EigenvectorDeepSet(EigenpairEncoder):
    """A sum over the set of eigenpairs of each node u, as GraphGPS's LapPE encoder with `model: DeepSet`.

        rho(sum_k phi([Re v_k(u), Im v_k(u), lambda_k])),        phi, rho feed-forward with ReLU, phi ending in one

    With several potentials a pair says to which it belongs (a one-hot row).

    Symmetry: reordering the nodes reorders the result; the order of the eigenpairs does not matter. It is *not*
    invariant to signs, phases or the basis of an eigenspace. In training each vector of each graph gets a random sign
    (phase); in evaluation the vectors are used as they are.

    The last linear map starts at zero: training starts from the model without the encoding. Cost: O(N K hidden^2).

    Differs from the released code in: signs are drawn for each graph (released: one for each column of the batch);
    complex vectors; padding has a mask (released: NaN in the values); the result is added to the node embeddings by a
    last linear map (released: concatenated).

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]), num_nodes=5)
        >>> data = T.LaplacianPE(k=3)(data)
        >>> keys = {"eigenvalues_key": "laplacian_eigenvalues", "mask_key": "laplacian_mask"}
        >>> encoder = M.EigenvectorDeepSet("laplacian_eigenvector_pe", 3, 16, **keys)
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
        hidden: Width of the sum (GraphGPS's `dim_pe`); hidden layers of phi are twice as wide.
        layers: Number of linear maps of phi.
        post_layers: Number of linear maps of rho; 0 for none, where `hidden` is the width (GraphGPS on Peptides).
        random_signs: Draw signs and phases in training. False for vectors whose signs mean something, as after
            `LaplacianPE(sign="canonical")`.
        gap_width: With a width above 0, vectors weigh gap^2 / (gap^2 + gap_width^2): what the graph hardly decides
            fades out (`graphpe.models.encoders.eigen.eigenpairs.gap_weights`; the transform needs `certificate=True`).

    Raises:
        GraphPEValueError: If a parameter is out of range; in `forward` if the batch has no tensors of those names, or
            of another shape or kind.

    References:
        Rampášek et al.: Recipe for a General, Powerful, Scalable Graph Transformer. NeurIPS 2022, arXiv:2205.12454.
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
        hidden: int = 16,
        layers: int = 2,
        post_layers: int = 1,
        random_signs: bool = True,
        gap_width: float = 0.0,
    ) -> None:
        super().__init__(EigenKeys(key, k, eigenvalues_key, mask_key, complex, potentials), width, gap_width)
        hidden, layers = check_counts(hidden=hidden, layers=layers)
        post_layers = check_integer("post_layers", post_layers, least=0)
        if not post_layers and hidden != width:
            raise GraphPEValueError(f"without post_layers, hidden must be the width {width}, got {hidden}")
        (random_signs,) = check_flags(random_signs=random_signs)
        self.hidden = hidden
        self.layers = layers
        self.post_layers = post_layers
        self.random_signs = random_signs
        self.phi = feed_forward(self.token_width, 2 * hidden, hidden, layers).append(nn.ReLU())
        self.rho: nn.Module = nn.Identity()
        if post_layers:
            self.rho = starts_at_zero(feed_forward(hidden, 2 * hidden, width, post_layers))

    @in_half_precision
    def forward(self, batch: Data) -> Tensor:
        """The encoding at the model's width, `[num_nodes, width]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with the eigenpairs that the encoder names.
        """
        eigen = self.read(batch, randomise=self.training and self.random_signs)
        return self.rho(masked_sum(self.phi(eigen.tokens), eigen.node_mask))
