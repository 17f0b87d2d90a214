"""Compiling ahead: every encoding and every model once, on small graphs.

Compiled code is kept on disk, so that this is done once on a machine. What depends on a width (the passes of GRIT and
of the relational transformer) is compiled for the widths that models have by default.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch
from torch import nn
from torch_geometric.data import Batch, Data
from tqdm import tqdm

from graphpe import models
from graphpe.benchmarks.calls.build import encoding_classes, model_classes
from graphpe.compiled.jit import everything_compiled
from graphpe.graphs.packed import PackedGraphs
from graphpe.sampling.neighbors import NeighborSampler
from graphpe.sampling.partitions import partition
from graphpe.transforms.compose import Compose
from graphpe.transforms.laplacian_pe import LaplacianPE
from graphpe.transforms.random_walk_pe import RandomWalkPE
from graphpe.transforms.relative_random_walk_pe import RelativeRandomWalkPE

_CHOSEN: list[dict[str, Any]] = [{"pairs": "edge_label_index"}, {"pairs": "edge_label_index", "estimate": 1}]
# What an encoding needs beside its defaults, and its other ways.
_CALLS: dict[str, list[dict[str, Any]]] = {
    "CyclePE": [{"max_length": 5}, {"max_length": 5, "kind": "walks"}],
    "DiffusionPE": [{"k": 4}, {"level": "pair"}],
    "DirectedRandomWalkPE": [{"walk_length": 4}, {"walk_length": 4, "level": "pair"}],
    "EdgePathPE": [{"max_distance": 3, "num_types": 4}],
    "HeatKernelPE": [{"times": [1.0, 2.0]}, {"times": [1.0, 2.0], "level": "pair"}],
    "HomomorphismPE": [
        {"patterns": ["Connected(5)", "Cycle(8)"], "weights": weights} for weights in ("none", "inverse_degree")
    ],
    "HopFeatures": [{"hops": 2}],
    "LaplacianPE": [{"k": 4}, {"k": 4, "sign": "map"}],
    "MagneticLaplacianPE": [{"k": 4}],
    "MotifPE": [{"motifs": "Connected(4)"}],
    "PersonalizedPageRankPE": [{}, *_CHOSEN],
    "RandomWalkPE": [{"walk_length": 4}],
    "RelativeRandomWalkPE": [{"walk_length": 4}, *({"walk_length": 4, **more} for more in _CHOSEN)],
    "ResistancePE": [{}, {"pairs": "edge_label_index"}],
    "SVDPE": [{"k": 4}],
    "ShortestPathPE": [
        {},
        {"max_distance": 4},
        {"weighted": True},
        {"weighted": True, "max_distance": 4},
        {"pairs": "edge_label_index"},
        {"weighted": True, "pairs": "edge_label_index"},
    ],
    "SpectralCoordinates": [{"k": 3}],
    "TreeDistancePE": [{}, {"weighted": True}],
    "TreeFieldPE": [
        *({"tree": tree} for tree in ("minimum", "random")),
        {"weighted": True, "functions": ["Polynomial([0.0, 1.0])", "Gaussian(1.0)"]},
    ],
    "WeisfeilerLehmanPE": [{"iterations": 2}],
}
_LARGER, _LARGE = 200, 2100  # nodes: from some sizes on, encodings of sparse graphs come from other solvers


def warmup(progress: bool = False) -> None:
    """Compile what encodings and models run on this machine, unless that was done before: about two minutes.

    Args:
        progress: Whether to show a bar.
    """
    small = [_graph(n, directed, weighted) for n in (9, 12) for directed in (False, True) for weighted in (False, True)]
    larger = [_graph(_LARGER, directed, False) for directed in (False, True)]
    large = _graph(_LARGE, False, False)
    batch = Compose([RandomWalkPE(4), LaplacianPE(4), RelativeRandomWalkPE(4)])(Batch.from_data_list(small[:1] * 4))
    calls = [
        (name, arguments)
        for name in encoding_classes()
        if name not in ("GPSEPE", "PretrainedPE")  # which need weights
        for arguments in _CALLS.get(name, [{}])
    ]
    architectures = model_classes()
    with (
        everything_compiled(),
        tqdm(total=len(calls) + len(architectures), desc="compile", leave=False, disable=not progress) as bar,
    ):
        for name, arguments in calls:
            encoding = encoding_classes()[name](**arguments)
            for graph in (*small, *(larger if name in ("LaplacianPE", "MagneticLaplacianPE", "SVDPE") else ())):
                encoding(graph)
            if name in ("ElectrostaticPE", "LaplacianPE"):
                encoding(large)
            bar.update()
        _cut(small[0])
        models.PersistenceEncoding("random_walk_pe", 4, 8)(batch)
        for architecture in architectures.values():
            _step(architecture, batch)
            bar.update()


def _graph(nodes: int, directed: bool, weighted: bool) -> Data:
    """A path with some chords."""
    tail = torch.arange(nodes - 1)
    edges = torch.cat([torch.stack([tail, tail + 1]), torch.stack([tail[:-2:3], tail[:-2:3] + 3])], dim=1)
    edges = edges if directed else torch.cat([edges, edges.flip(0)], dim=1)
    count = edges.shape[1]
    return Data(
        x=torch.zeros(nodes, 1, dtype=torch.long),
        edge_index=edges,
        edge_attr=torch.zeros(count, dtype=torch.long),
        edge_weight=torch.linspace(1.0, 2.0, count) if weighted else None,
        edge_label_index=torch.stack([tail, tail.flip(0)]),
        num_nodes=nodes,
    )


def _cut(graph: Data) -> None:
    """What samplers of one large graph run."""
    packed = PackedGraphs.from_data(graph, keys=())
    NeighborSampler(packed, (2, 2)).sample(np.arange(3), np.random.default_rng(0))
    partition(packed, 2)


def _step(architecture: Any, batch: Batch) -> None:
    """One step of a model of its default width, of pairs where it takes them."""
    width = inspect.signature(architecture).parameters["width"].default
    model: nn.Module = architecture(
        node_encoder=models.CategoricalNodes(width, 1), encodings=[models.LinearEncoding("random_walk_pe", 4, width)]
    )
    model(batch).sum().backward()
    model.eval()
    with torch.no_grad():
        model(batch)
