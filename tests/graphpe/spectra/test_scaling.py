from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from scipy.special import softmax

from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.spectra.laplacian_eigenpairs import laplacian_eigenpairs
from graphpe.spectra.scaling import scale_eigenvectors

# GraphGPS's definitions, in NumPy, for one vector.
DIVISORS = {
    "L2": lambda v, _: v / np.linalg.norm(v),
    "L1": lambda v, _: v / np.abs(v).sum(),
    "abs-max": lambda v, _: v / np.abs(v).max(),
    "wavelength": lambda v, lam: np.pi * v / (2 * np.abs(v).max() * np.sqrt(lam)),
    "wavelength-asin": lambda v, lam: np.arcsin(v / np.abs(v).max()) / np.sqrt(lam),
    "wavelength-soft": lambda v, lam: v / ((softmax(np.abs(v)) * np.abs(v)).sum() * np.sqrt(lam)),
}


@pytest.mark.parametrize("scaling", DIVISORS)
@pytest.mark.parametrize("drop", [True, False])
def test_each_vector(scaling, drop):
    graphs = [nx.gnp_random_graph(n, 0.4, seed=n) for n in (3, 9, 14)] + [nx.empty_graph(2)]
    packed = PackedGraphs.from_networkx(graphs)
    vectors, values, mask = laplacian_eigenpairs(packed, 5, drop_zero_modes=drop)
    got = scale_eigenvectors(vectors, values, packed.batch, scaling)
    for i in range(4):
        rows = slice(int(packed.ptr[i]), int(packed.ptr[i + 1]))
        for j in range(5):
            if not mask[i, j]:
                assert not got[rows, j].any()
                continue
            lam = float(values[i, j]) if values[i, j] > 1e-12 else 1.0
            expected = DIVISORS[scaling](vectors[rows, j].numpy(), lam)
            np.testing.assert_allclose(got[rows, j].numpy(), expected, rtol=1e-9, atol=1e-12)


def test_unknown_name():
    empty = torch.zeros(0, 1)
    with pytest.raises(GraphPEValueError, match="scaling must be one of 'L2', 'L1', 'abs-max'"):
        scale_eigenvectors(empty, empty, torch.zeros(0, dtype=torch.long), "l2")
