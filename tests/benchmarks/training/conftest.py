from __future__ import annotations

from typing import Any

import pytest
import torch
from torch_geometric.data import Data


@pytest.fixture(scope="session")
def options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A run on 100 graphs: 80 to train on, 10 to validate, 10 to test; the target is the mean of a feature."""
    path = tmp_path_factory.mktemp("data") / "graphs.pt"
    generator = torch.Generator().manual_seed(0)
    graphs = []
    for _ in range(100):
        n = int(torch.randint(3, 9, (1,), generator=generator))
        x = torch.randn(n, 3, generator=generator)
        edges = torch.stack([torch.arange(n), torch.arange(n).roll(1)])
        graphs.append(Data(x=x, edge_index=edges, y=x[:, 0].mean().view(1, 1)))
    torch.save(graphs, path)
    return {
        "task": f"data-file(path={str(path)!r})",
        "model": "GraphTransformer(width=8, layers=1, heads=2, dropout=0.0, norm='layer')",
        "encodings": (),
        "accelerator": "cpu",
        "warmup_steps": 2,
        "patience": 0,
    }
