from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch_geometric.data import Data


def random_graphs(count: int, seed: int, largest: int = 9) -> list[Data]:
    """Directed graphs, some of them of one node, without edges or in several components, with features and labels."""
    generator = torch.Generator().manual_seed(seed)
    graphs = []
    for number in range(count):
        n = 1 if number % 10 == 0 else int(torch.randint(2, largest, (), generator=generator))
        there = (torch.rand(n, n, generator=generator) < 0.3) & ~torch.eye(n, dtype=torch.bool)
        if number % 10 == 1:
            there[:] = False
        x = torch.randint(0, 4, (n, 2), generator=generator)
        graphs.append(Data(x=x, edge_index=there.nonzero().t(), num_nodes=n, y=torch.tensor([float(there.sum())])))
    return graphs


@pytest.fixture(scope="session")
def graphs_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty such graphs, saved by torch."""
    path = tmp_path_factory.mktemp("pretraining") / "graphs.pt"
    torch.save(random_graphs(60, 0), path)
    return path
