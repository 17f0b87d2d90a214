"""A transformer over the eigenpairs of each node."""

from __future__ import annotations

from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import check_counts, check_flags, check_probabilities
from graphpe.errors import GraphPEValueError
from graphpe.models.encoders.eigen.eigenpairs import EigenKeys, EigenpairEncoder, masked_sum
from graphpe.models.encoders.feed_forward import feed_forward, starts_at_zero
from graphpe.models.encoders.set_attention import SetTransformerLayer
from graphpe.models.layers.precision import in_half_precision


class EigenvectorTransformer(EigenpairEncoder):
    """A transformer over the set of eigenpairs of each node u, as SAN's and GraphGPS's LapPE encoder.

        rho(sum_k Transformer({A [Re v_k(u), Im v_k(u), lambda_k] + a}_k)_k),        rho feed-forward with ReLU

    with layers of attention between the eigenpairs of one node. With several potentials a pair says to which it belongs
    (a one-hot row).

    Symmetry: reordering the nodes reorders the result; the order of the eigenpairs does not matter. It is *not*
    invariant to signs, phases or the basis of an eigenspace. In training each vector of each graph gets a random sign
    (phase); in evaluation the vectors are used as they are.

    The last linear map starts at zero: training starts from the model without the encoding. Cost: O(N K (K + hidden)
    hidden) a layer.

    Differs from the released code (GraphGPS) in: signs are drawn for each graph (released: one for each column of the
    batch); the feed-forward network of a layer is 4 hidden wide (released: torch's default, 2048); no dropout unless
    asked for (released: torch's default, 0.1); complex vectors; padding has a mask (released: NaN in the values); a
    node all of whose pairs are padding gets zero from the set (released: NaN); the result is added to the node
    embeddings by a last linear map (released: concatenated).

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]), num_nodes=5)
        >>> data = T.LaplacianPE(k=3)(data)
        >>> keys = {"eigenvalues_key": "laplacian_eigenvalues", "mask_key": "laplacian_mask"}
        >>> encoder = M.EigenvectorTransformer("laplacian_eigenvector_pe", 3, 16, **keys)
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
        hidden: Width of a token (GraphGPS's `dim_pe`).
        layers: Number of transformer layers.
        heads: Number of heads; divides `hidden`.
        dropout: Probability of dropout.
        post_layers: Number of linear maps of rho.
        random_signs: Draw signs and phases in training. False for vectors whose signs mean something, as after
            `LaplacianPE(sign="canonical")`.
        gap_width: With a width above 0, vectors weigh gap^2 / (gap^2 + gap_width^2): what the graph hardly decides
            fades out (`graphpe.models.encoders.eigen.eigenpairs.gap_weights`; the transform needs `certificate=True`).

    Raises:
        GraphPEValueError: If a parameter is out of range; in `forward` if the batch has no tensors of those names, or
            of another shape or kind.

    References:
        Kreuzer et al.: Rethinking Graph Transformers with Spectral Attention. NeurIPS 2021, arXiv:2106.03893.
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
        heads: int = 4,
        dropout: float = 0.0,
        post_layers: int = 1,
        random_signs: bool = True,
        gap_width: float = 0.0,
    ) -> None:
        super().__init__(EigenKeys(key, k, eigenvalues_key, mask_key, complex, potentials), width, gap_width)
        name = "EigenvectorTransformer"
        hidden, layers, heads, post_layers = check_counts(
            hidden=hidden, layers=layers, heads=heads, post_layers=post_layers
        )
        (random_signs,) = check_flags(random_signs=random_signs)
        if hidden % heads:
            raise GraphPEValueError(f"{name}: hidden must be a multiple of heads (got hidden={hidden}, heads={heads})")
        self.hidden = hidden
        self.layers = layers
        self.heads = heads
        self.dropout = check_probabilities(dropout=dropout)[0]
        self.post_layers = post_layers
        self.random_signs = random_signs
        self.embed = nn.Linear(self.token_width, hidden)
        self.stack = nn.ModuleList(SetTransformerLayer(hidden, heads, dropout=dropout) for _ in range(layers))
        self.rho = starts_at_zero(feed_forward(hidden, 2 * hidden, width, post_layers))

    @in_half_precision
    def forward(self, batch: Data) -> Tensor:
        """The encoding at the model's width, `[num_nodes, width]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with the eigenpairs that the encoder names.
        """
        eigen = self.read(batch, randomise=self.training and self.random_signs)
        mask = eigen.node_mask
        x = self.embed(eigen.tokens)
        for layer in self.stack:
            x = layer(x, mask)
        return self.rho(masked_sum(x, mask))
