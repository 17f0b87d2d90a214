from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from graphpe.benchmarks.tasks.links.link_data import LinkData, Links
from graphpe.benchmarks.tasks.links.link_task import both_ways
from graphpe.benchmarks.tasks.links.metrics import ROC_AUC_OF_LINKS

NODES = 40


@pytest.fixture
def link_data() -> Callable[..., LinkData]:
    """A ring with chords, held-out chords and pairs that are none; `hidden` links supervise and are no edges."""

    def build(
        *, hidden: int = 0, held_out: int = 0, x: torch.Tensor | None = None, **changed: torch.Tensor
    ) -> LinkData:
        rng = np.random.default_rng(3)
        ring = np.stack([np.arange(NODES), (np.arange(NODES) + 1) % NODES])
        chords = np.stack([np.arange(NODES), (np.arange(NODES) + 3) % NODES])
        far = torch.from_numpy(np.stack([np.arange(NODES), (np.arange(NODES) + rng.integers(9, 20, NODES)) % NODES]))
        train = torch.from_numpy(np.concatenate([ring, chords[:, 20:]], axis=1))
        seen = train[:, hidden:]
        links = torch.from_numpy(np.roll(chords[:, :20], held_out, axis=0))
        parts = {"valid": (links[:, :8], far[:, :8]), "test": (links[:, 8:], far[:, 8:20])}
        content = {"train": train[:, :hidden] if hidden else train, **parts} | changed
        x = torch.from_numpy(rng.standard_normal((NODES, 3))).float() if x is None else x
        return Links(x, NODES, both_ways(seen), content["train"], content["valid"], content["test"]).data(
            "a ring", score="hadamard", metric=ROC_AUC_OF_LINKS, notes=[]
        )

    return build
