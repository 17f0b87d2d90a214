"""The eigenpairs along which a model filters."""

from __future__ import annotations

from copy import copy

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import check_counts, check_flags
from graphpe.models.encoders.eigen.eigenpairs import Eigenpairs, read_eigenpairs


class SpectralBasis(nn.Module):
    """Eigenvectors as a basis: read for `M.Specformer`, which filters along them, and never added to nodes.

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]), num_nodes=5)
        >>> data = T.LaplacianPE(k=5, drop_zero_modes=False)(data)
        >>> keys = {"eigenvalues_key": "laplacian_eigenvalues", "mask_key": "laplacian_mask"}
        >>> M.SpectralBasis("laplacian_eigenvector_pe", 5, **keys)(data).vectors.shape
        torch.Size([5, 5, 1])

    Args:
        key: Name of the eigenvectors in the batch: `[num_nodes, k]`, or `[num_nodes, potentials, k]`.
        k: Number of eigenvectors (of each potential); None for as many as the batch has.
        eigenvalues_key: Name of the eigenvalues, `[num_graphs, k]` or `[num_graphs, potentials, k]`.
        mask_key: Name of a mask of the same shape, False for columns that are padding, or None.
        complex: Whether the vectors are complex.
        potentials: Number of potentials.

    Raises:
        GraphPEValueError: If a number is not positive; in `forward` if the batch has no tensors of those names, or of
            another shape or kind.
    """

    def __init__(
        self,
        key: str,
        k: int | None = None,
        *,
        eigenvalues_key: str,
        mask_key: str | None,
        complex: bool = False,
        potentials: int = 1,
    ) -> None:
        super().__init__()
        self.key = key
        self.k = None if k is None else check_counts(k=k)[0]
        self.eigenvalues_key = eigenvalues_key
        self.mask_key = mask_key
        (self.complex,) = check_flags(complex=complex)
        (self.potentials,) = check_counts(potentials=potentials)

    def forward(self, batch: Data, dtype: torch.dtype = torch.float32) -> Eigenpairs:
        """The eigenpairs of a batch, its nodes in the batch's order.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with the eigenpairs.
            dtype: Their precision, at least float32.
        """
        reader = self
        if self.k is None:
            vectors = getattr(batch, self.key, None)
            reader = copy(self)
            reader.k = vectors.shape[-1] if isinstance(vectors, Tensor) and vectors.dim() > 1 else 1
        return read_eigenpairs(reader, batch, dtype)  # type: ignore[arg-type]
