from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch_geometric.data import Batch

from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.models import SpectralBasis

KEYS = {"eigenvalues_key": "eigenvalues", "mask_key": "eigenmask"}


@pytest.mark.parametrize("complex", [False, True])
@pytest.mark.parametrize("potentials", [1, 2])
def test_reads_what_the_batch_has(eigen_batch: Callable[..., Batch], complex: bool, potentials: int) -> None:
    batch = eigen_batch(complex=complex, potentials=potentials)
    for k in (4, None):
        basis = SpectralBasis("vectors", k, **KEYS, complex=complex, potentials=potentials)
        eigen = basis(batch, torch.double)
        assert basis.k == k
        assert eigen.vectors.dtype == torch.double
        found = torch.complex(*eigen.vectors.unbind(2)) if complex else eigen.vectors[:, :, 0]
        assert torch.equal(found, batch.vectors.flatten(1))
        assert torch.equal(eigen.values, batch.eigenvalues.flatten(1))
    assert basis(batch).vectors.dtype == torch.float32


def test_errors(eigen_batch: Callable[..., Batch]) -> None:
    batch = eigen_batch()
    with pytest.raises(GraphPEValueError, match="is real: build SpectralBasis with complex=False"):
        SpectralBasis("vectors", **KEYS, complex=True)(batch)
    with pytest.raises(GraphPEValueError, match="built for 3 columns"):
        SpectralBasis("vectors", 3, **KEYS)(batch)
    with pytest.raises(GraphPEValueError, match="no `nothing`"):
        SpectralBasis("nothing", **KEYS)(batch)
    with pytest.raises(GraphPETypeError, match="k must be an integer"):
        SpectralBasis("vectors", 1.5, **KEYS)
