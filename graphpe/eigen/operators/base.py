"""Hermitian operators that iterative solvers work on: a shape, a dtype, a device, and a product with a block."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, aslinearoperator
from torch import Tensor

from graphpe.errors import GraphPETypeError, GraphPEValueError

_DTYPES = (torch.float32, torch.float64, torch.complex64, torch.complex128)
# The largest entry is left as it is from 2^-40 to 2^40: solvers work in single precision, too.
_EXPONENT = 40
_NUMPY = {
    np.dtype(np.float32): torch.float32,
    np.dtype(np.float64): torch.float64,
    np.dtype(np.complex64): torch.complex64,
    np.dtype(np.complex128): torch.complex128,
}


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
        """The operator times a block `[n, m]`.

        Args:
            block: The block, `[n, m]`.
        """
        ...


class MatrixOperator:
    """A matrix with explicit entries.

    Attributes:
        matrix: The matrix: torch CSR, or dense `[n, n]`.
        unit: What was given is this power of two times `matrix`: 1, unless squares of its entries are no numbers.

    Args:
        matrix: The matrix, dense or torch CSR, `[n, n]`.
        unit: The power of two that what was given is times `matrix`.
    """

    def __init__(self, matrix: Tensor, unit: float = 1.0) -> None:
        self.matrix, self.unit = matrix, unit
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


class TorchOperator:
    """An object with a product of tensors that does not say its dtype or device, or has `@` alone.

    Attributes:
        shape: `(n, n)`.
        dtype: The object's own, or that of its product with a vector of float64.
        device: The object's own, or the CPU.

    Args:
        operator: An object with `shape` and `matmul` or `@`, of tensors.
    """

    def __init__(self, operator: Any) -> None:
        self._product = operator.matmul if hasattr(operator, "matmul") else operator.__matmul__
        self.shape: tuple[int, int] = _shape(operator)
        self.device = torch.device(getattr(operator, "device", None) or "cpu")
        dtype = getattr(operator, "dtype", None)
        if not isinstance(dtype, torch.dtype):
            image = self._product(torch.zeros(self.shape[1], 1, dtype=torch.float64, device=self.device))
            if not isinstance(image, Tensor):
                raise GraphPETypeError(
                    f"{type(operator).__name__}'s product with a tensor must be a tensor, got {type(image).__name__}"
                )
            dtype = image.dtype
        self.dtype = dtype

    def matmul(self, block: Tensor) -> Tensor:
        """The operator times a block `[n, m]`."""
        return self._product(block)


class HostOperator:
    """An operator on NumPy arrays: SciPy's `LinearOperator`, or an object with `shape` and `matvec` or `matmat`.

    Args:
        operator: A SciPy `LinearOperator`, or an object with `shape` and `matvec` or `matmat`.
    """

    def __init__(self, operator: Any) -> None:
        self._operator: LinearOperator = aslinearoperator(operator)
        given = np.dtype(self._operator.dtype if self._operator.dtype is not None else np.float64)
        self._dtype = given if given in _NUMPY else np.dtype(np.complex128 if given.kind == "c" else np.float64)
        self.shape: tuple[int, int] = _shape(self._operator)
        self.dtype = _NUMPY[self._dtype]
        self.device = torch.device("cpu")

    def matmul(self, block: Tensor) -> Tensor:
        """The operator times a block `[n, m]`."""
        image = np.asarray(self._operator.matmat(block.numpy(force=True)))
        return torch.from_numpy(np.ascontiguousarray(image, dtype=self._dtype))


def as_operator(operator: Any) -> Operator:
    """What `eigsh` takes as an operator, as an `Operator`; explicit matrices become a `MatrixOperator`.

    Args:
        operator: A torch tensor of any layout, a SciPy sparse matrix or array of any format, a NumPy array, SciPy's
            `LinearOperator`, or an object with `shape` and a product: `matmul` or `@` of tensors (its `dtype` and
            `device` are taken where it has them), or `matvec` or `matmat` of NumPy arrays.

    Raises:
        GraphPETypeError: It is nothing of these, or of another dtype.
        GraphPEValueError: It is not square, holds nan or inf, or is not Hermitian.
    """
    if hasattr(operator, "tocsr") and not isinstance(operator, Tensor):
        _check_square(_shape(operator))
        operator = csr_tensor(operator)
    if isinstance(operator, np.ndarray):
        if operator.dtype.kind in "biu":
            operator = operator.astype(np.float64)
        if operator.dtype not in _NUMPY:
            raise GraphPETypeError(f"operator must be of real or complex numbers in float or double, {operator.dtype}")
        operator = torch.from_numpy(np.asarray(operator))
    if isinstance(operator, Tensor):
        operator = operator.detach()
        _check_dtype(operator.dtype)
        _check_square(tuple(operator.shape))
        if operator.layout not in (torch.strided, torch.sparse_csr):
            with quiet():
                operator = operator.to_sparse_coo().to_sparse_csr()
        _check_entries(operator)
        matrix = _in_units(operator)
        _check_hermitian(matrix)
        return matrix
    taken = _with_product(operator)
    _check_dtype(taken.dtype)
    _check_square(taken.shape)
    _check_hermitian(taken)
    return taken


def _with_product(operator: Any) -> Operator:
    """An object that is no explicit matrix."""
    if isinstance(operator, Operator) and isinstance(operator.dtype, torch.dtype):
        return operator
    if hasattr(operator, "shape") and not isinstance(operator, type):
        _check_square(_shape(operator))
        on_arrays = isinstance(getattr(operator, "dtype", None), np.dtype) or not hasattr(operator, "matmul")
        if on_arrays and (hasattr(operator, "matvec") or hasattr(operator, "matmat")):
            return HostOperator(operator)
        if hasattr(operator, "matmul") or hasattr(operator, "__matmul__"):
            return TorchOperator(operator)
    hint = ""
    if callable(operator):
        hint = "; a function has no size: give scipy.sparse.linalg.LinearOperator((n, n), matvec=function)"
    raise GraphPETypeError(
        "operator must be a torch tensor, a SciPy sparse matrix, a NumPy array, a LinearOperator, or an object with "
        f"shape and matmul(block), got {type(operator).__name__}{hint}"
    )


def _shape(operator: Any) -> tuple[Any, Any]:
    """The shape, of any number of dimensions, as a tuple of integers."""
    try:
        return tuple(int(size) for size in operator.shape)  # type: ignore[return-value]
    except (TypeError, ValueError):
        raise GraphPETypeError(f"operator.shape must be (n, n), got {operator.shape!r}") from None


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


def _in_units(matrix: Tensor) -> MatrixOperator:
    """The operator of a matrix, divided by a power of two where squares of its largest entry overflow or vanish."""
    values = matrix.values() if matrix.layout == torch.sparse_csr else matrix
    if values.numel() == 0:
        return MatrixOperator(matrix)
    exponent = min(math.frexp(float(values.abs().max()))[1], 1023)
    if abs(exponent) <= _EXPONENT:
        return MatrixOperator(matrix)
    half = exponent // 2  # 2^-exponent may be no number
    parts = 2.0**-half, 2.0 ** (half - exponent)
    if matrix.layout == torch.sparse_csr:
        with quiet():
            scaled = torch.sparse_csr_tensor(
                matrix.crow_indices(), matrix.col_indices(), values * parts[0] * parts[1], matrix.shape
            )
    else:
        scaled = matrix * parts[0] * parts[1]
    return MatrixOperator(scaled, 2.0**exponent)


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
    """A SciPy sparse matrix as a torch CSR tensor.

    Args:
        matrix: The matrix.
    """
    csr = matrix.tocsr()
    csr.sum_duplicates()
    if csr.dtype not in _NUMPY:
        csr = csr.astype(np.complex128 if csr.dtype.kind == "c" else np.float64)
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
