"""Graphs that speed is measured on: real molecules, real Python functions, and random ones of their sizes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch

from graphpe.benchmarks.tasks import PythonSource
from graphpe.graphs.packed import PackedGraphs


def data_folder(named: Path | None) -> Path:
    """The folder of real datasets: the one that is named, or `$GRAPHPE_DATA`, or `../shared/data`."""
    variable = os.environ.get("GRAPHPE_DATA")
    return named or (Path(variable) if variable else Path("..") / "shared" / "data")


def molecules(count: int, folder: Path | None, generator: np.random.Generator) -> tuple[str, PackedGraphs]:
    """Random molecules of ogbg-molhiv as OGB makes graphs of them, or random graphs of that size."""
    folder = data_folder(folder)
    raw = folder / "ogbg_molhiv" / "raw"
    if raw.is_dir():
        graphs = read_molecules(raw)
        return "ogbg-molhiv", graphs.select(np.sort(generator.permutation(len(graphs))[:count]))
    print(f"no ogbg_molhiv in {folder}: random graphs of the same size instead")
    return "random", random_molecules(count, generator)


def random_molecules(count: int, generator: np.random.Generator) -> PackedGraphs:
    """Random graphs of the size of molecules, with the features of ogbg-molhiv."""
    sizes = np.maximum(generator.poisson(25.5, count), 2)
    bonds = (sizes * 1.077).astype(np.int64)
    owner = np.repeat(np.arange(count), bonds)
    edges = (generator.random((bonds.sum(), 2)) * sizes[owner, None]).astype(np.int64)
    return pack(
        sizes,
        bonds,
        edges,
        node=generator.integers(0, 9, (sizes.sum(), 9)),
        edge=generator.integers(0, 4, (bonds.sum(), 3)),
        label=generator.integers(0, 2, (count, 1)),
    )


def read_molecules(raw: Path) -> PackedGraphs:
    """Graphs from OGB's raw CSV files."""
    import pandas as pd

    def table(name: str) -> np.ndarray:
        return pd.read_csv(raw / f"{name}.csv.gz", header=None).to_numpy(copy=True)

    return pack(
        table("num-node-list")[:, 0],
        table("num-edge-list")[:, 0],
        table("edge"),
        node=table("node-feat"),
        edge=table("edge-feat"),
        label=table("graph-label"),
    )


def pack(
    sizes: np.ndarray, bonds: np.ndarray, edges: np.ndarray, *, node: np.ndarray, edge: np.ndarray, label: np.ndarray
) -> PackedGraphs:
    """Undirected graphs from edges `[E, 2]` numbered within each graph: each edge, then its inverse, as OGB does."""
    ptr, edge_ptr = np.concatenate([[0], np.cumsum(sizes)]), np.concatenate([[0], np.cumsum(2 * bonds)])
    edges = edges + np.repeat(ptr[:-1], bonds)[:, None]
    both = np.stack([edges, edges[:, ::-1]], axis=1).reshape(-1, 2)
    return PackedGraphs(
        edge_index=torch.from_numpy(np.ascontiguousarray(both.T)),
        ptr=torch.from_numpy(ptr),
        edge_ptr=torch.from_numpy(edge_ptr),
        node={"x": torch.from_numpy(node)},
        edge={"edge_attr": torch.from_numpy(edge.repeat(2, axis=0))},
        graph={"y": torch.from_numpy(label)},
    )


def code_like(count: int, generator: np.random.Generator) -> PackedGraphs:
    """Random trees as large as functions are (60 nodes in the mean, long-tailed), with the features of ogbg-code2."""
    sizes = np.clip(generator.lognormal(3.775, 0.8, count).astype(np.int64), 5, 1000)
    ptr = np.concatenate([[0], np.cumsum(sizes)])
    within = np.arange(ptr[-1]) - np.repeat(ptr[:-1], sizes)
    child = within > 0
    parent = np.floor(within * generator.beta(4, 1, len(within))).astype(np.int64)
    edges = np.stack([parent, within], axis=1)[child]
    return pack(
        sizes,
        sizes - 1,
        edges,
        node=generator.integers(0, 98, (ptr[-1], 2)),
        edge=generator.integers(0, 2, (len(edges), 2)).astype(np.float32),
        label=generator.integers(0, 5000, (count, 5)),
    )


def python_functions(count: int, generator: np.random.Generator) -> PackedGraphs:
    """Random functions of the running Python's library as directed graphs: syntax tree and token order."""
    graphs = PythonSource(graph="ast+tokens").load(progress=False).graphs
    return graphs.select(np.sort(generator.permutation(len(graphs))[:count]))
