"""Powers of step matrices through the kernel: on the device where there is one, else in Triton's interpreter."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data

from graphpe import transforms as T
from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.plan import Plan
from graphpe.walks import steps as walks
from graphpe.walks.steps import compiled_powers, steps

pytest.importorskip("triton", reason="needs Triton: pip install triton")

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def graph(n: int, rng: np.random.Generator) -> Data:
    """Some nodes have no edge, some only enter."""
    edges = rng.integers(0, max(n - n // 3, 1), (2, 2 * n))
    edges[1] = rng.integers(0, max(n - 1, 1), 2 * n)
    weight = torch.from_numpy(rng.uniform(0.1, 2.0, 2 * n))
    return Data(edge_index=torch.from_numpy(edges), edge_weight=weight, num_nodes=n)


@pytest.mark.parametrize("sizes", [[1], [0, 3, 0, 17], [5, 70], [200]])
@pytest.mark.parametrize("direction", ["forward", "both"])
def test_powers_are_those_of_compiled_loops(sizes: list[int], direction: walks.Direction) -> None:
    rng = np.random.default_rng(0)
    whole = PackedGraphs.from_data_list([graph(n, rng) for n in sizes])
    expected = compiled_powers(Plan(whole), 4, direction)
    plan = Plan(whole.to(DEVICE))
    found = walks.ragged_powers(plan.graphs, plan.once(steps, direction), 4)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=1e-7)


def test_the_transform_takes_the_kernel_where_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    batch = Batch.from_data_list([graph(n, rng) for n in (4, 9)])
    expected = T.RelativeRandomWalkPE(3)(batch.clone()).rrwp
    monkeypatch.setattr(walks, "has_kernels", lambda device: True)
    monkeypatch.setattr(walks, "compiled_powers", lambda *given: pytest.fail("the loops ran"))
    torch.testing.assert_close(T.RelativeRandomWalkPE(3)(batch.clone().to(DEVICE)).rrwp.cpu(), expected)
