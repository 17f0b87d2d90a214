"""Hermitian operators that iterative solvers work on: a shape, a dtype, a device, and a product with a block."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from graphpe.errors import GraphPETypeError, GraphPEValueError

_DTYPES = (torch.float32, torch.float64, torch.complex64, torch.complex128)


@runtime_checkable
class Operator(Protocol):
    """A Hermitian operator on vectors of length n.

    Attributes:
        shape: `(n, n)`.
        dtype: float32, float64, complex64 or complex128.
        device: Where its products are computed.
    """

    shape: tuple[int, int]
    dtype: torch.dtype
    device: torch.device

    def matmul(self, block: Tensor) -> Tensor:
        """The operator times a block `[n, m]`."""
        ...


class MatrixOperator:
    """A matrix with explicit entries.

    Attributes:
        matrix: The matrix: torch CSR, or dense `[n, n]`.
    """

    def __init__(self, matrix: Tensor) -> None:
        self.matrix = matrix
        self.shape = (matrix.shape[0], matrix.shape[1])
        self.dtype = matrix.dtype
        self.device = matrix.device

    def matmul(self, block: Tensor) -> Tensor:
        """The matrix times a block `[n, m]`."""
        return self.matrix @ block

    @property
    def is_sparse(self) -> bool:
        """Whether `matrix` is CSR."""
        return self.matrix.layout == torch.sparse_csr


def as_operator(operator: Any) -> Operator:
    """What `eigsh` takes as an operator, as an `Operator`; explicit matrices become a `MatrixOperator`.

    Args:
        operator: A torch tensor (CSR, COO or dense), a SciPy sparse matrix, a NumPy array, or an object with `shape`,
            `dtype`, `device` and `matmul`.

    Raises:
        GraphPETypeError: It is nothing of these, or of another dtype.
        GraphPEValueError: It is not square, holds nan or inf, or is not Hermitian.
    """
    if hasattr(operator, "tocsr") and not isinstance(operator, Tensor):
        operator = _from_scipy(operator)
    if isinstance(operator, np.ndarray):
        operator = torch.from_numpy(operator)
    if isinstance(operator, Tensor):
        _check_dtype(operator.dtype)
        _check_square(tuple(operator.shape))
        if operator.layout not in (torch.strided, torch.sparse_csr):
            with _quiet():
                operator = operator.to_sparse_csr()
        _check_entries(operator)
        return MatrixOperator(operator)
    if not isinstance(operator, Operator):
        raise GraphPETypeError(
            "operator must be a torch tensor (CSR, COO or dense), a SciPy sparse matrix, a NumPy array, or an object "
            f"with shape, dtype, device and matmul(block), got {type(operator).__name__}"
        )
    _check_dtype(operator.dtype)
    _check_square(tuple(operator.shape))
    return operator


def _check_dtype(dtype: Any) -> None:
    if dtype not in _DTYPES:
        raise GraphPETypeError(f"operator must be float32, float64, complex64 or complex128, got {dtype}")


def _check_square(shape: tuple[int, ...]) -> None:
    if len(shape) != 2 or shape[0] != shape[1]:
        raise GraphPEValueError(f"operator must be square, got {list(shape)}")


def _check_entries(matrix: Tensor) -> None:
    values = matrix.values() if matrix.layout == torch.sparse_csr else matrix
    if not bool(values.abs().isfinite().all()):  # not of `values`: torch fails on views of a complex CSR's values
        raise GraphPEValueError("operator holds nan or inf: its entries must be finite")
    # x^H A y = (A x)^H y for random vectors, which no operator but a Hermitian one has (but for a set of measure 0).
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(matrix.shape[0], 1, generator=generator, dtype=torch.float64).to(matrix) for _ in range(2))
    if matrix.dtype.is_complex:
        x, y = x * (1 + 0.5j), y * (0.3 - 1j)
    ax, ay = matrix @ x, matrix @ y
    left, right = (x.mH @ ay).item() if len(x) else 0, (ax.mH @ y).item() if len(x) else 0
    size = float(ax.norm() * y.norm() + ay.norm() * x.norm())
    if abs(left - right) > 1e3 * torch.finfo(matrix.dtype).eps * size:
        raise GraphPEValueError("operator is not Hermitian (symmetric, if real): x^H A y differs from (A x)^H y")


def _from_scipy(matrix: Any) -> Tensor:
    csr = matrix.tocsr()
    if csr.dtype not in (np.float32, np.float64, np.complex64, np.complex128):
        csr = csr.astype(np.float64)
    csr.sum_duplicates()
    with _quiet():
        return torch.sparse_csr_tensor(
            torch.from_numpy(csr.indptr.astype(np.int64)),
            torch.from_numpy(csr.indices.astype(np.int64)),
            torch.from_numpy(csr.data),
            csr.shape,
            check_invariants=False,
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's remark, once per process, that its CSR layout is young."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        yield
