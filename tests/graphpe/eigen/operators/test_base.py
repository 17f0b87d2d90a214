from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sparse
import torch
from scipy.sparse.linalg import LinearOperator, aslinearoperator
from torch import Tensor

from graphpe.eigen import eigsh
from graphpe.eigen.operators.base import MatrixOperator, as_operator
from graphpe.errors import GraphPEError


class Products:
    shape = (3, 3)
    dtype = torch.float64
    device = torch.device("cpu")

    def __init__(self, matrix: Tensor) -> None:
        self.matrix = matrix

    def matmul(self, block: Tensor) -> Tensor:
        return self.matrix @ block


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64, torch.complex128])
def test_duplicate_entries_add(dtype: torch.dtype) -> None:
    coo = torch.sparse_coo_tensor(
        [[0, 0, 1, 1], [1, 1, 0, 0]], torch.ones(4, dtype=dtype), (2, 2), check_invariants=True
    )
    for given in (
        coo,
        sparse.coo_array((np.ones(4), ([0, 0, 1, 1], [1, 1, 0, 0])), (2, 2)).astype(coo.to_dense().numpy().dtype),
    ):
        operator = as_operator(given)
        assert isinstance(operator, MatrixOperator)
        assert operator.is_sparse
        assert operator.dtype == dtype
        torch.testing.assert_close(
            operator.matmul(torch.eye(2, dtype=dtype)), torch.tensor([[0, 2], [2, 0]], dtype=dtype)
        )


@pytest.mark.parametrize(
    ("operator", "message"),
    [
        ("matrix", "operator must be a torch tensor"),
        (torch.eye(3, dtype=torch.long), "operator must be float32, float64, complex64 or complex128, got torch.int64"),
        (torch.ones(2, 3), "operator must be square, got [2, 3]"),
        (torch.ones(3), "operator must be square, got [3]"),
        (torch.tensor([[0.0, torch.nan], [torch.nan, 0.0]]), "operator holds nan or inf"),
        (torch.tensor([[0.0, torch.inf], [torch.inf, 0.0]]), "operator holds nan or inf"),
        (torch.ones(3, 3).triu(), "operator is not Hermitian"),
        (torch.ones(3, 3).triu().to_sparse_csr(), "operator is not Hermitian"),
        (1j * torch.eye(3), "operator is not Hermitian"),
        (sparse.csr_array(np.triu(np.ones((3, 3)))), "operator is not Hermitian"),
        (torch.ones(3, 3, dtype=torch.complex64) * (1 + 1j), "operator is not Hermitian"),
        (Products(torch.ones(3, 3, dtype=torch.float64).triu()), "operator is not Hermitian"),
        (Products(torch.full((3, 3), torch.nan, dtype=torch.float64)), "operator is not Hermitian"),
        (
            Products(torch.ones(2, 3, dtype=torch.float64)),
            "operator.matmul must map [3, 2] to the same shape, got [2, 2]",
        ),
    ],
)
def test_bad_operators_are_named(operator: Any, message: str) -> None:
    with pytest.raises(GraphPEError, match=re.escape(message)) as caught:
        as_operator(operator)
    assert "\n" not in str(caught.value)


class OnlyAt:
    """A shape and `@`, nothing more."""

    shape = (3, 3)

    def __matmul__(self, block: Tensor) -> Tensor:
        return SYMMETRIC @ block


class OnlyMatvec:
    """SciPy's protocol without its class."""

    shape = (3, 3)
    dtype = np.dtype(np.float64)

    def matvec(self, vector: np.ndarray) -> np.ndarray:
        return SYMMETRIC.numpy() @ vector


class NoDevice(Products):
    dtype = None  # type: ignore[assignment]
    device = None  # type: ignore[assignment]


SYMMETRIC = torch.tensor([[2.0, -1.0, 0.0], [-1.0, 2.0, -1.0], [0.0, -1.0, 2.0]], dtype=torch.float64)
FORMATS = ("bsr", "coo", "csc", "csr", "dia", "dok", "lil")
PRODUCTS = {
    **{f"{name} matrix": sparse.csr_matrix(SYMMETRIC.numpy()).asformat(name) for name in FORMATS},
    **{f"{name} array": sparse.csr_array(SYMMETRIC.numpy()).asformat(name) for name in FORMATS},
    "integers": sparse.csr_array(SYMMETRIC.numpy()).astype(np.int32),
    "NumPy": SYMMETRIC.numpy(),
    "NumPy integers": SYMMETRIC.numpy().astype(np.int64),
    "np.matrix": np.matrix(SYMMETRIC.numpy()),
    "COO": SYMMETRIC.to_sparse_coo(),
    "CSR": SYMMETRIC.to_sparse_csr(),
    "CSC": SYMMETRIC.to_sparse_csc(),
    "BSR": SYMMETRIC.to_sparse_bsr((1, 1)),
    "BSC": SYMMETRIC.to_sparse_bsc((1, 1)),
    "requires grad": SYMMETRIC.clone().requires_grad_(),
    "LinearOperator": aslinearoperator(SYMMETRIC.numpy()),
    "LinearOperator of a sparse matrix": aslinearoperator(sparse.csr_array(SYMMETRIC.numpy())),
    "LinearOperator of a function": LinearOperator((3, 3), matvec=lambda v: SYMMETRIC.numpy() @ v),
    "LinearOperator of integers": aslinearoperator(SYMMETRIC.numpy().astype(np.int64)),
    "shape and @": OnlyAt(),
    "shape and matvec": OnlyMatvec(),
    "no dtype, no device": NoDevice(SYMMETRIC),
}


@pytest.mark.parametrize("given", PRODUCTS.values(), ids=PRODUCTS.keys())
@pytest.mark.filterwarnings("ignore:Sparse")
def test_anything_with_a_product(given: Any) -> None:
    operator = as_operator(given)
    assert operator.shape == (3, 3)
    assert operator.dtype == torch.float64
    assert operator.device == torch.device("cpu")
    torch.testing.assert_close(operator.matmul(torch.eye(3, dtype=torch.float64)), SYMMETRIC)
    found = eigsh(given, 2)
    torch.testing.assert_close(found.values, torch.linalg.eigvalsh(SYMMETRIC)[:2])


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128, np.float32])
def test_operators_of_scipy_keep_their_dtype(dtype: Any) -> None:
    matrix = np.array([[1, 1j], [-1j, 2]]) if np.dtype(dtype).kind == "c" else np.diag([1.0, 2.0])
    operator = as_operator(aslinearoperator(matrix.astype(dtype)))
    assert operator.matmul(torch.eye(2, dtype=operator.dtype)).numpy().dtype == dtype
    assert eigsh(operator, 1).values.dtype == operator.dtype.to_real()


class NoProduct:
    shape = (3, 3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda block: block, "a function has no size: give scipy.sparse.linalg.LinearOperator"),
        (NoProduct(), r"an object with shape and matmul\(block\), got NoProduct"),
        (aslinearoperator(np.ones((2, 3))), r"operator must be square, got \[2, 3\]"),
        (aslinearoperator(np.triu(np.ones((3, 3)))), "operator is not Hermitian"),
        (sparse.coo_array(np.ones(3)), r"operator must be square, got \[3\]"),
        (np.array([["a"]]), "operator must be of real or complex numbers"),
    ],
)
def test_what_is_no_operator(given: Any, message: str) -> None:
    with pytest.raises(GraphPEError, match=message):
        as_operator(given)
