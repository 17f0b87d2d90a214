"""A run as an encoding of nodes: what its model reads of graphs, and its vectors of nodes before any pooling."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from graphpe.benchmarks.pretraining.adapter import EncodingAdapter
from graphpe.benchmarks.pretraining.auxiliary import AuxiliaryAdapter
from graphpe.benchmarks.pretraining.ends import RandomNodes
from graphpe.benchmarks.tasks.graph_level import GraphAdapter
from graphpe.benchmarks.tasks.task import TaskAdapter
from graphpe.errors import GraphPEValueError

_POOLS = ("mean", "sum", "max", "none")


def read_keys(adapter: TaskAdapter) -> tuple[list[str], list[str]]:
    """Keys of the features of nodes, and of those of edges, that a model with these ends cannot do without.

    Args:
        adapter: The ends.
    """
    if isinstance(adapter, AuxiliaryAdapter):
        return read_keys(adapter.base)
    if isinstance(adapter, EncodingAdapter):
        return read_keys(adapter.base) if adapter.features == "task" else ([], [])
    keys = list(adapter.keys)
    if isinstance(adapter, GraphAdapter):
        constant = not adapter.node_channels and adapter.node_categories == (1,)  # what stands for no features
        keys = [] if constant else ["x"]
        keys += ["edge_attr"] if adapter.edge_channels or adapter.edge_categories else []
    edges = [key for key in keys if key.startswith("edge")]
    return [key for key in keys if key not in edges], edges


def random_nodes(model: nn.Module) -> list[RandomNodes]:
    """The parts of a model that draw random features."""
    return [part for part in model.modules() if isinstance(part, RandomNodes)]


@contextmanager
def before_pooling(model: nn.Module, seed: int) -> Iterator[None]:
    """Within it, the model's head reads vectors of nodes, of random features of a seed.

    Args:
        model: The model.
        seed: Of its random features.

    Raises:
        GraphPEValueError: It pools in a way of its own.
    """
    readout: Any = getattr(model, "readout", "none")
    if readout not in _POOLS:
        raise GraphPEValueError(
            f"{model!r} reads graphs from a node of their own (readout={readout!r}): take a run with vectors of nodes, "
            "as `graphpe pretrain` makes one"
        )
    drawn = random_nodes(model)
    before = [part.seed for part in drawn]
    try:
        vars(model)["readout"] = "none"
        for part in drawn:
            part.seed = seed
        yield
    finally:
        vars(model)["readout"] = readout
        for part, old in zip(drawn, before, strict=True):
            part.seed = old
