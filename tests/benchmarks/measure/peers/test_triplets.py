from __future__ import annotations

import pytest
import torch

from graphpe.benchmarks.measure.peers.triplets import TriangularAttention


@pytest.mark.parametrize("products", [True, False])
def test_equals_its_formula(products: bool) -> None:
    torch.manual_seed(0)
    module, n, channels = TriangularAttention(6, 2, products=products).double(), 3, 3
    x, mask = torch.randn(2, 4, 4, 6, dtype=torch.double), torch.tensor([[True, True, True, False], [True] * 4])
    out = module(x, mask)
    q, k, u, v = (linear(x[0, :n, :n]) for linear in (module.query, module.key, module.left, module.right))
    for i in range(n):
        for j in range(n):
            expected = torch.zeros(6, dtype=torch.double)
            for part in (slice(0, 3), slice(3, 6)):
                logits = torch.stack([q[i, m, part] @ k[m, j, part] for m in range(n)]) / channels**0.5
                for m, weight in enumerate(logits.softmax(0)):
                    expected[part] += weight * u[i, m, part] * v[m, j, part]
            torch.testing.assert_close(out[0, i, j], module.out(expected))
