from __future__ import annotations

import pytest
import scipy.sparse
import torch

from graphpe.eigen.operators.base import MatrixOperator, as_operator
from graphpe.eigen.operators.products import CompiledProducts, PlainProducts, multiply, products_of

DTYPES = [torch.float64, torch.float32, torch.complex128, torch.complex64]


def hermitian(n: int, dtype: torch.dtype) -> MatrixOperator:
    matrix = scipy.sparse.random(n, n, 0.2, random_state=0)
    matrix = matrix + matrix.T
    if dtype.is_complex:
        other = scipy.sparse.random(n, n, 0.2, random_state=1)
        matrix = matrix + 1j * (other - other.T)
    return as_operator(matrix)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [1, 8, 13, 24, 33, 56])
@pytest.mark.parametrize("n", [1, 60, 500])  # 500: more than one thread, where torch has more
def test_compiled_step_is_torchs(n, columns, dtype):
    operator = hermitian(n, dtype)
    products = products_of(operator, dtype)
    assert isinstance(products, CompiledProducts)
    x, z = torch.randn(2, n, columns, dtype=operator.dtype)
    packed = products.pack(x)
    found = products.unpack(products.step(0.3, packed, 0.2, -0.7, products.pack(z)), x)
    expected = 0.3 * (operator.matrix.to_dense() @ x) + 0.2 * x - 0.7 * z
    assert found.dtype == x.dtype
    torch.testing.assert_close(found, expected, rtol=0, atol=1e2 * n**0.5 * torch.finfo(dtype).eps)
    torch.testing.assert_close(
        products.unpack(packed, x), x, rtol=0, atol=4 * torch.finfo(dtype).eps * float(x.abs().max())
    )


def test_other_operators_take_torchs_way():
    class Twice:
        shape, dtype, device = (5, 5), torch.float64, torch.device("cpu")

        def matmul(self, block: torch.Tensor) -> torch.Tensor:
            return 2 * block

    products = products_of(Twice(), torch.float32)
    assert isinstance(products, PlainProducts)
    block = torch.randn(5, 3, dtype=torch.float64)
    assert torch.equal(multiply(products, block), 2 * block)
    dense = as_operator(torch.eye(5, dtype=torch.float64))
    assert products_of(dense, torch.float32).pack(block).dtype == torch.float32
