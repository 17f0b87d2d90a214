"""Large graphs of a batch, one by one, by `eigsh`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags_array

from graphpe.eigen.batched.eigh import KnownModes
from graphpe.eigen.eigsh import eigsh
from graphpe.eigen.operators.base import csr_tensor
from graphpe.structure.laplacian import Entries, Floats, Ints

# Features, not only eigenvalues, come of these: well below the default, and the seed is fixed.
TOL = 1e-8


def lowest_by_eigsh(
    operator: Entries, ptr: Ints, k: int, known: KnownModes, graph: int, device: torch.device | None = None
) -> tuple[Floats, NDArray[Any]]:
    """The lowest eigenpairs of one diagonal block, the known modes apart, with residuals of `TOL` times its norm.

    Nodes without edges, whose modes are known, take no part. Memory is O(nnz + k n), and that of sparse factors where
    these are quickest.

    Args:
        operator: Hermitian and block diagonal.
        ptr: `[B + 1]`: block b owns rows `ptr[b]` to `ptr[b + 1]`.
        k: Number of eigenpairs; a block of n rows with c known modes has min(k, n - c) of them.
        known: Modes that are taken out.
        graph: The block.
        device: Where to solve; None for the CPU.

    Returns:
        Values `[min(k, n - c)]`, ascending, and vectors `[n, min(k, n - c)]`.

    Raises:
        EigenError: An eigenpair did not converge.
    """
    start, stop = int(ptr[graph]), int(ptr[graph + 1])
    mode, component = known.vector[start:stop], known.component[start:stop]
    entries = slice(*np.searchsorted(operator.row, (start, stop)))
    row, col, value = operator.row[entries] - start, operator.col[entries] - start, operator.value[entries]
    joined = mode == 0
    joined[row[row != col]] = True
    nodes = np.flatnonzero(joined)
    place = np.cumsum(joined) - 1
    here = joined[row]
    square = len(nodes), len(nodes)
    matrix = csr_matrix((value[here], (place[row[here]], place[col[here]])), square)
    matrix += diags_array(operator.diagonal[start:stop][nodes], dtype=value.dtype).tocsr()
    basis = _basis(mode[nodes], component[nodes], value.dtype)
    k = min(k, len(nodes) - basis.shape[1])
    vectors = np.zeros((stop - start, k), value.dtype)
    if k == 0:
        return np.zeros(0), vectors
    matrix, basis = (csr_tensor(part).to(device or "cpu") for part in (matrix, basis))
    result = eigsh(matrix, k, tol=TOL, deflate=basis)
    vectors[nodes] = result.vectors.numpy(force=True)
    return result.values.numpy(force=True), vectors


def _basis(mode: NDArray[Any], component: Ints, dtype: Any) -> csr_matrix:
    """The known modes as columns."""
    rows = np.flatnonzero(mode)
    names, column = np.unique(component[rows], return_inverse=True)
    return csr_matrix((mode[rows].astype(dtype), (rows, column)), (len(mode), len(names)))
