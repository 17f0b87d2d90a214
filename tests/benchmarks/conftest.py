from __future__ import annotations

import gzip
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from graphpe.files.ogb import molecule_categories

MODULES = [
    "json",
    "textwrap.py",
    "string.py",
    "shlex.py",
    "calendar.py",
    "heapq.py",
    "fractions.py",
    "queue.py",
    "sched.py",
]


@pytest.fixture(scope="session")
def source_tree(copy_modules: Callable[[list[str]], Path]) -> Path:
    """A small tree of real Python source: some modules of the standard library."""
    return copy_modules(MODULES)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder that the tests of one session share, and nobody else."""
    return tmp_path_factory.mktemp("cache")


Molecule = tuple[np.ndarray, np.ndarray, np.ndarray]


def write_rows(path: Path, rows: list[list[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt") as file:
        file.writelines(",".join(map(str, row)) + "\n" for row in rows)


def make_molecules(
    folder: Path, count: int, targets: list[list[float]]
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Random graphs in OGB's raw layout; each edge stands there once."""
    rng = np.random.default_rng()
    atoms, bonds = molecule_categories()
    graphs = []
    for _ in range(count):
        n = int(rng.integers(1, 9))
        tail, head = np.triu_indices(n, 1)
        kept = rng.random(len(tail)) < 0.5
        edges = np.stack([tail[kept], head[kept]])
        graphs.append((edges, rng.integers(0, atoms, (n, 9)), rng.integers(0, bonds, (edges.shape[1], 3))))
    raw = folder / "raw"
    write_rows(raw / "edge.csv.gz", [list(pair) for edges, _, _ in graphs for pair in edges.T.tolist()])
    write_rows(raw / "node-feat.csv.gz", [row for _, x, _ in graphs for row in x.tolist()])
    write_rows(raw / "edge-feat.csv.gz", [row for _, _, e in graphs for row in e.tolist()])
    write_rows(raw / "num-node-list.csv.gz", [[len(x)] for _, x, _ in graphs])
    write_rows(raw / "num-edge-list.csv.gz", [[len(e)] for _, _, e in graphs])
    write_rows(raw / "graph-label.csv.gz", targets)  # type: ignore[arg-type]
    order = rng.permutation(count)
    for part, ids in zip(("train", "valid", "test"), np.split(order, [count // 2, 3 * count // 4]), strict=True):
        write_rows(folder / "split" / "scaffold" / f"{part}.csv.gz", [[i] for i in ids.tolist()])
    (folder / "RELEASE_v1.txt").write_text("")
    return graphs


def make_zinc(folder: Path) -> dict[str, list[dict[str, torch.Tensor]]]:
    """Random molecules in the layout of PyG's download."""
    raw = folder / "raw"
    raw.mkdir(parents=True)
    parts = {}
    for name, count in (("train", 6), ("val", 3), ("test", 4)):
        molecules = []
        for _ in range(count):
            n = int(torch.randint(2, 9, ()))
            bonds = torch.randint(0, 4, (n, n)).triu(1)
            molecules.append(
                {
                    "num_atom": n,
                    "atom_type": torch.randint(0, 21, (n,), dtype=torch.uint8),
                    "bond_type": (bonds + bonds.t()).to(torch.uint8),
                    "logP_SA_cycle_normalized": torch.randn(1),
                }
            )
        (raw / f"{name}.pickle").write_bytes(pickle.dumps(molecules))
        (raw / f"{name}.index").write_text(",".join(map(str, range(count))) + "\n")
        parts[name] = molecules
    return parts


@pytest.fixture(scope="session")
def write_zinc() -> Callable[[Path], dict[str, list[dict[str, torch.Tensor]]]]:
    """`write_zinc(folder)`: random molecules in the layout of PyG's download, which it returns by part."""
    return make_zinc


@pytest.fixture(scope="session")
def write_molecules() -> Callable[..., list[Molecule]]:
    """`write_molecules(folder, count, targets)`: edges, atoms and bonds of random molecules that it wrote."""
    return make_molecules
