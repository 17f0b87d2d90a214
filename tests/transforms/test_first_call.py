"""What runs until compiled code is there gives the same values as compiled code.

The first way is taken in a process whose cache of compiled code is an empty folder: this file, run as a script.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

import graphpe
from graphpe import transforms as T
from graphpe.compiled import jit as compiled

ENCODINGS = [
    "CommuteTimePE()",
    "CyclePE(max_length=6)",
    "CyclePE(max_length=6, kind='walks')",
    "DegreePE()",
    "DepthPE()",
    "DiffusionPE(k=4)",
    "DiffusionPE(level='pair')",
    "DirectedRandomWalkPE(walk_length=6)",
    "DirectedRandomWalkPE(walk_length=4, level='pair')",
    "EdgePathPE(max_distance=4, num_types=3)",
    "ElectrostaticPE()",
    "HeatKernelPE(times=[0.5, 2.0])",
    "HeatKernelPE(times=[0.5, 2.0], level='pair')",
    "HomomorphismPE(patterns=['Connected(5)', 'Cycle(8)'])",
    "HomomorphismPE(patterns=['Connected(4)', 'Cycle(8)'], weights='inverse_degree')",
    "LaplacianPE(k=12)",
    "LaplacianPE(k=12, normalization='comb', drop_zero_modes=False)",
    "MagneticLaplacianPE(k=12)",
    "MotifPE(motifs='Connected(5)', induced=True)",
    "PersonalizedPageRankPE()",
    "RandomWalkPE(walk_length=8)",
    "RandomWalkPE(walk_length=8, undirected=True)",
    "ReachabilityPE()",
    "RelativeRandomWalkPE(walk_length=6)",
    "ResistancePE()",
    "SVDPE(k=4)",
    "ShortestPathPE()",
    "ShortestPathPE(weighted=True)",
    "SpectralCoordinates(k=3)",
    "TreeDistancePE()",
    "TreeFieldPE(tree='random')",
    "TreeFieldPE(weighted=True)",
    "WeisfeilerLehmanPE(iterations=3)",
]
UP_TO_SIGNS = ("diffusion_pe", "svd_pe", "spectral_coordinates")
EIGENVECTORS = ("laplacian_eigenvector_pe", "magnetic_eigenvector_pe")


def graphs() -> dict[str, Data]:
    """Weighted with all eigenvalues simple; directed and weighted; and a forest with equal eigenvalues."""
    rng = np.random.default_rng(5)
    tail, head = np.triu_indices(12, 1)
    kept = (rng.random(len(tail)) < 0.2) | (head == tail + 1)
    both = np.concatenate([np.stack([tail, head])[:, kept], np.stack([head, tail])[:, kept]], 1)
    weight = np.tile(rng.uniform(0.5, 2.0, kept.sum()), 2)
    forward = both[:, : kept.sum()]
    star = np.array([[0, 0, 0, 1, 2, 3, 5, 6], [1, 2, 3, 0, 0, 0, 6, 5]])
    return {
        "weighted": _graph(both, weight),
        "directed": _graph(forward, rng.uniform(0.5, 2.0, forward.shape[1])),
        "forest": _graph(star, np.ones(star.shape[1])),
    }


def _graph(edges: np.ndarray, weight: np.ndarray) -> Data:
    return Data(
        edge_index=torch.from_numpy(edges),
        edge_weight=torch.from_numpy(weight),
        edge_attr=torch.arange(edges.shape[1]) % 3,
        num_nodes=12,
    )


def values() -> dict[str, np.ndarray]:
    """What every encoding writes, in float64 where it has that: rounding to float32 would hide differences."""
    to_float32 = torch.Tensor.float
    torch.Tensor.float = lambda self: self  # type: ignore[method-assign, assignment]
    try:
        out = {}
        for name, graph in graphs().items():
            given = set(graph.keys())
            for text in ENCODINGS:
                encoded = _call(text)(graph)
                for key in sorted(set(encoded.keys()) - given):
                    out[f"{name} {text} {key}"] = encoded[key].numpy()
        path = torch.stack([torch.arange(119), torch.arange(1, 120)])
        for solver in ("auto", "shift_invert"):
            found = graphpe.eigsh(graphpe.laplacian(path, 120), k=3, tol=1e-12, solver=solver)
            out[f"path eigsh({solver})"] = found.values.numpy()
        return out
    finally:
        torch.Tensor.float = to_float32  # type: ignore[method-assign]


def _call(text: str) -> Any:
    name, _, arguments = text.partition("(")
    return eval(f"T.{name}({arguments}", {"T": T})


def canonical(key: str, every: dict[str, np.ndarray]) -> np.ndarray:
    """Values without what is free in them: signs, phases, and the basis of an eigenspace."""
    value, attribute = every[key], key.split()[-1]
    if attribute in UP_TO_SIGNS:
        return np.zeros(0) if key.startswith("forest") else abs(value)  # their bases of an eigenspace may be cut off
    if attribute not in EIGENVECTORS:
        return value
    level = every[key.replace("eigenvector_pe", "eigenvalues")][0]
    mask = every[key.replace("eigenvector_pe", "mask")][0]
    first = [j for j in np.flatnonzero(mask) if j == 0 or level[j] > level[j - 1] + 1e-6]
    groups = np.split(value[:, mask], first[1:], axis=1)
    return np.stack([group @ group.conj().T for group in groups])


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    folder = tmp_path_factory.mktemp("first_call")
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "cache"), "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, __file__, str(folder / "values.npz")], check=True, env=environment)
    assert not list((folder / "cache").rglob("*.nbc")), "something was compiled for a small graph"
    return dict(np.load(folder / "values.npz"))


@pytest.mark.slow
def test_the_same_values(interpreted: dict[str, np.ndarray]) -> None:
    expected = values()
    assert interpreted.keys() == expected.keys()
    for key in expected:
        got, wanted = canonical(key, interpreted), canonical(key, expected)
        assert got.dtype == wanted.dtype, key
        rounding = 2e-7 if wanted.dtype in (np.float32, np.complex64) else 1e-12
        np.testing.assert_allclose(got, wanted, rtol=rounding, atol=rounding, err_msg=key)


if __name__ == "__main__":
    torch.set_num_threads(1)
    with open(sys.argv[1], "wb") as file:
        np.savez(file, **values())
    assert not compiled._told
