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
        operator = csr_tensor(operator)
    if isinstance(operator, np.ndarray):
        operator = torch.from_numpy(operator)
    if isinstance(operator, Tensor):
        _check_dtype(operator.dtype)
        _check_square(tuple(operator.shape))
        if operator.layout not in (torch.strided, torch.sparse_csr):
            with quiet():
                operator = operator.to_sparse_csr()
        _check_entries(operator)
        matrix = MatrixOperator(operator)
        _check_hermitian(matrix)
        return matrix
    if not isinstance(operator, Operator):
        raise GraphPETypeError(
            "operator must be a torch tensor (CSR, COO or dense), a SciPy sparse matrix, a NumPy array, or an object "
            f"with shape, dtype, device and matmul(block), got {type(operator).__name__}"
        )
    _check_dtype(operator.dtype)
    _check_square(tuple(operator.shape))
    _check_hermitian(operator)
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


def _check_hermitian(operator: Operator) -> None:
    """Raise unless x^H A y = (A x)^H y for random vectors, as of no other operator but for a set of measure 0."""
    if operator.shape[0] == 0:
        return
    generator = torch.Generator().manual_seed(0)
    block = torch.randn(operator.shape[0], 2, generator=generator, dtype=torch.float64)
    block = block.to(operator.device, operator.dtype)
    if operator.dtype.is_complex:
        block = block * torch.tensor([1 + 0.5j, 0.3 - 1j], dtype=operator.dtype, device=operator.device)
    image = operator.matmul(block)
    if not isinstance(image, Tensor) or image.shape != block.shape:
        given = list(image.shape) if isinstance(image, Tensor) else type(image).__name__
        raise GraphPEValueError(f"operator.matmul must map {list(block.shape)} to the same shape, got {given}")
    (x, y), (ax, ay) = block.T, image.T
    size = float(ax.norm() * y.norm() + ay.norm() * x.norm())
    difference = float(abs(torch.vdot(x, ay) - torch.vdot(ax, y)))
    if not difference <= 1e3 * torch.finfo(operator.dtype).eps * size:  # nan compares false
        raise GraphPEValueError(
            "operator is not Hermitian (symmetric, if real), or gives nan: x^H A y differs from (A x)^H y"
        )


def csr_tensor(matrix: Any) -> Tensor:
    """A SciPy sparse matrix as a torch CSR tensor."""
    csr = matrix.tocsr()
    csr.sum_duplicates()
    if csr.dtype not in (np.float32, np.float64, np.complex64, np.complex128):
        csr = csr.astype(np.float64)
    with quiet():
        return torch.sparse_csr_tensor(
            torch.from_numpy(csr.indptr.astype(np.int64)),
            torch.from_numpy(csr.indices.astype(np.int64)),
            torch.from_numpy(csr.data),
            csr.shape,
            check_invariants=False,
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Without torch's remark, once per process, that its CSR layout is young."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        yield
