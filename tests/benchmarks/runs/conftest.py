from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from graphpe.benchmarks.training.config import TrainConfig
from graphpe.benchmarks.training.experiment import resolve, run_experiment

Train = Callable[..., Path]

DEFAULTS: dict[str, object] = {
    "model": "GraphTransformer(width=16, layers=1, heads=2)",
    "encodings": ("RandomWalkPE(walk_length=3)",),
    "epochs": 1,
}


@pytest.fixture(scope="session")
def train(tmp_path_factory: pytest.TempPathFactory) -> Train:
    """Train a tiny model for one epoch and return its run folder."""

    def call(task: str, **options: object) -> Path:
        path = tmp_path_factory.mktemp("runs") / "run"
        config = TrainConfig(
            task=task,
            **(DEFAULTS | options),  # type: ignore[arg-type]
        )
        run_experiment(resolve(config), run_path=path, workers=1, progress=False)
        return path

    return call


def random_data(rng: np.random.Generator, label: str) -> Data:
    n = int(rng.integers(2, 9))
    edge_index = torch.from_numpy(rng.integers(0, n, (2, 2 * n)))
    x, edge_attr = torch.from_numpy(rng.normal(size=(n, 3))).float(), torch.from_numpy(rng.integers(0, 4, (2 * n, 1)))
    return Data(x=x, edge_index=edge_index, edge_attr=edge_attr, y=label)


@pytest.fixture(scope="session")
def graph_list() -> list[Data]:
    """Graphs with numbers of nodes, categories of edges and a word each."""
    rng = np.random.default_rng(3)
    graphs = [random_data(rng, ["cat", "dog", "eel"][number % 3]) for number in range(30)]
    graphs[0].edge_attr[0] = 3
    return graphs


@pytest.fixture(scope="session")
def classes_run(train: Train, graph_list: list[Data], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run on words of classes, and the file it was trained on."""
    path = tmp_path_factory.mktemp("data") / "graphs.pt"
    torch.save(graph_list, path)
    return train(f"DataFile({str(path)!r})"), path


@pytest.fixture(scope="session")
def networkx_run(train: Train, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[nx.Graph]]:
    """A run on networkx graphs whose nodes carry a word and a number."""
    graphs = []
    rng = np.random.default_rng(5)
    for number in range(20):
        graph = nx.gnp_random_graph(5, 0.6, seed=number)
        for node in graph:
            graph.nodes[node].update(colour=str(rng.choice(["red", "blue"])), size=float(rng.normal()))
        graph.graph["y"] = float(rng.normal())
        graphs.append(graph)
    path = tmp_path_factory.mktemp("data") / "graphs.json"
    path.write_text(json.dumps([nx.node_link_data(graph) for graph in graphs]))
    return train(f"NetworkxList({str(path)!r})"), graphs
