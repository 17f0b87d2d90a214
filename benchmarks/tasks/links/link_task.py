"""What tasks about links share: arguments, training edges that only supervise, and defaults of training."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, get_args

import torch
from torch import Tensor

from graphpe.arguments import check_choice, check_number, check_seed
from graphpe.benchmarks.tasks.graph_level import GraphTask
from graphpe.benchmarks.tasks.links.link_data import LinkAdapter
from graphpe.benchmarks.tasks.links.model import Score
from graphpe.errors import GraphPEValueError


class LinkTask(GraphTask):
    """A task about links of one graph; the model has `readout='none'`.

    Subclasses have `score`, `disjoint` and `seed`.
    """

    default_encodings: ClassVar[tuple[str, ...]] = ("LaplacianPE(k=16)",)
    readout: ClassVar[str | None] = "none"
    adapter_class: ClassVar[type[LinkAdapter]] = LinkAdapter

    def adapter(self, state: Mapping[str, Any]) -> LinkAdapter:
        return LinkAdapter.from_state(state)

    def training_defaults(self, sampler: str) -> dict[str, Any]:
        """Options of training that suit links of one graph: few steps, each of many pairs."""
        return {"epochs": 50, "batch_size": 1 << 14, "patience": 20, "weight_decay": 0.0, "warmup_steps": 10}


def check_link_options(score: Any, disjoint: Any, seed: Any) -> None:
    """Check what tasks about links have in common.

    Args:
        score: How a pair is scored.
        disjoint: Share of the training links that only supervise.
        seed: Of what is drawn.

    Raises:
        GraphPEError: One is not accepted.
    """
    check_choice("score", score, get_args(Score))
    if not 0 <= check_number("disjoint", disjoint) < 1:
        raise GraphPEValueError(f"disjoint must be a share from 0 to below 1, got {disjoint!r}")
    check_seed(seed)


def divided(links: Tensor, disjoint: float, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Training links that supervise, those that the model sees, and which of all it sees, drawn from a seed.

    Args:
        links: All training links, `[2, n]`, each once.
        disjoint: Share of them that the model does not see; 0: it sees all, and all supervise.
        seed: The seed.
    """
    count = links.shape[1]
    if not disjoint:
        return links, links, torch.arange(count)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed % 2**63))
    hidden, seen = order[: round(disjoint * count)].sort().values, order[round(disjoint * count) :].sort().values
    return links[:, hidden], links[:, seen], seen


def both_ways(links: Tensor) -> Tensor:
    """Links and their reverse.

    Args:
        links: `[2, n]`.
    """
    return torch.cat([links, links.flip(0)], dim=1)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """All generators that PyG draws from, seeded inside the block and as they were after it.

    Args:
        seed: The seed.
    """
    python = random.getstate()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed % 2**63)
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
