from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch_geometric.data import Data


@pytest.fixture(scope="session")
def node_options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A run on 60 nodes of one graph with masks; the target is a class that its features tell."""
    path: Path = tmp_path_factory.mktemp("data") / "one.pt"
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(60) % 3
    x = torch.nn.functional.one_hot(y, 3) + 0.5 * torch.randn(60, 3, generator=generator)
    part = torch.randint(0, 3, (60,), generator=generator)
    masks = {f"{name}_mask": part == number for number, name in enumerate(("train", "val", "test"))}
    edges = torch.randint(0, 60, (2, 240), generator=generator)
    torch.save(Data(x=x, edge_index=edges, y=y, **masks), path)
    return {
        "task": f"data-file(path={str(path)!r})",
        "model": "GraphTransformer(width=8, layers=2, heads=2, attention='sparse', dropout=0.1, norm='layer')",
        "encodings": ("LaplacianPE(k=3)",),
        "accelerator": "cpu",
        "epochs": 4,
        "batch_size": 6,
        "warmup_steps": 2,
        "patience": 0,
        "fanout": (3, 3),
        "parts": 12,
    }
