from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from graphpe.benchmarks.tasks.molecules.aqsol import AQSOL
from graphpe.errors import GraphPERuntimeError


def write(root: Path, atoms: int = 65) -> list[tuple[np.ndarray, ...]]:
    rng = np.random.default_rng()
    (root / "raw").mkdir(parents=True)
    graphs = []
    for part, count in (("train", 5), ("val", 3), ("test", 4)):
        made = []
        for _ in range(count):
            n = int(rng.integers(2, 8))
            edges = np.stack([np.arange(n - 1), np.arange(1, n)])
            edges = np.concatenate([edges, edges[::-1]], axis=1)
            bonds = rng.integers(0, 5, edges.shape[1])
            made.append((rng.integers(0, atoms, n), bonds, edges, float(rng.normal())))
        graphs += made
        made.append((np.zeros(1, int), np.zeros(0, int), np.zeros((2, 0), int), 0.0))  # no bond: PyG leaves it out
        (root / "raw" / f"{part}.pickle").write_bytes(pickle.dumps(made))
    for name in ("atom_dict", "bond_dict"):
        (root / "raw" / f"{name}.pickle").write_bytes(pickle.dumps({}))
    return graphs


def test_files_in_the_layout_of_pyg(tmp_path: Path) -> None:
    graphs = write(tmp_path)
    data = AQSOL(root=str(tmp_path), download=False).load(progress=False)
    assert {part: len(ids) for part, ids in data.split.items()} == {"train": 5, "valid": 3, "test": 4}
    for index, (x, bonds, edges, y) in enumerate(graphs):
        found = data.graphs[index]
        assert found.x.flatten().tolist() == x.tolist()
        assert found.edge_attr.flatten().tolist() == bonds.tolist()
        assert torch.equal(found.edge_index, torch.from_numpy(edges))
        assert found.y.item() == pytest.approx(y)


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(GraphPERuntimeError, match="AQSOL is not in"):
        AQSOL(root=str(tmp_path), download=False).load(progress=False)
    write(tmp_path, atoms=400)
    with pytest.raises(GraphPERuntimeError, match="column 0 has 65 categories"):
        AQSOL(root=str(tmp_path), download=False).load(progress=False)
