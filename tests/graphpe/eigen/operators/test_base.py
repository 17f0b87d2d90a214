from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sparse
import torch
from torch import Tensor

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
