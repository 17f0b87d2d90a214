"""A feed-forward network over all eigenpairs of a node side by side."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphpe.arguments import check_counts, check_flags
from graphpe.models.encoders.eigen.eigenpairs import EigenKeys, EigenpairEncoder
from graphpe.models.encoders.feed_forward import feed_forward, starts_at_zero
from graphpe.models.layers.precision import in_half_precision


class EigenvectorMLP(EigenpairEncoder):
    """A feed-forward network (ReLU) of each node u's entries of the eigenvectors and of the eigenvalues.

        MLP([Re v_1(u), Im v_1(u), ..., lambda_1, ..., lambda_K])

    Symmetry: reordering the nodes reorders the result. It is *not* invariant to signs, phases or the basis of an
    eigenspace. In training each vector of each graph gets a random sign (phase), so that the model learns not to depend
    on it; in evaluation the vectors are used as they are.

    The last linear map starts at zero: training starts from the model without the encoding. Cost: O(N (K + hidden)
    hidden).

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]), num_nodes=5)
        >>> data = T.LaplacianPE(k=3)(data)
        >>> keys = {"eigenvalues_key": "laplacian_eigenvalues", "mask_key": "laplacian_mask"}
        >>> encoder = M.EigenvectorMLP("laplacian_eigenvector_pe", 3, 16, **keys)
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
        hidden: Width of the hidden layers.
        layers: Number of linear maps.
        random_signs: Draw signs and phases in training. False for vectors whose signs mean something, as after
            `LaplacianPE(sign="canonical")`.
        gap_width: With a width above 0, vectors weigh gap^2 / (gap^2 + gap_width^2): what the graph hardly decides
            fades out (`graphpe.models.encoders.eigen.eigenpairs.gap_weights`; the transform needs `certificate=True`).

    Raises:
        GraphPEValueError: If a parameter is out of range; in `forward` if the batch has no tensors of those names, or
            of another shape or kind.
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
        hidden: int = 64,
        layers: int = 2,
        random_signs: bool = True,
        gap_width: float = 0.0,
    ) -> None:
        super().__init__(EigenKeys(key, k, eigenvalues_key, mask_key, complex, potentials), width, gap_width)
        hidden, layers = check_counts(hidden=hidden, layers=layers)
        (random_signs,) = check_flags(random_signs=random_signs)
        self.hidden = hidden
        self.layers = layers
        self.random_signs = random_signs
        self.network = starts_at_zero(feed_forward(self.pairs * (self.parts + 1), hidden, width, layers))

    @in_half_precision
    def forward(self, batch: Data) -> Tensor:
        """The encoding at the model's width, `[num_nodes, width]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with the eigenpairs that the encoder names.
        """
        eigen = self.read(batch, randomise=self.training and self.random_signs)
        values = eigen.values.index_select(0, eigen.graph)
        return self.network(torch.cat([eigen.vectors.flatten(1), values], dim=1))
