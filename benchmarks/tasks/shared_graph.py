"""Tasks whose parts share their graphs, mostly one large one, and divide its nodes: data.

All parts see all nodes, edges and encodings; what a part does not see are the targets of the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from graphpe.benchmarks.tasks.node_level import NodeTargets
from graphpe.errors import GraphPEValueError
from graphpe.graphs.levels import Level
from graphpe.graphs.packed import PackedGraphs

OF_ONE_GRAPH = ("LaplacianPE(k=16, sign='canonical', scaling='abs-max')",)
"""Encodings that suit one graph of any size: cheap, with signs that are fixed once and values of order 1."""


@dataclass
class NodeSplitTargets(NodeTargets):
    """Graphs with targets of nodes, `y [N, T]` in `graphs.node`, and a split of their nodes.

    Predictions are `[nodes asked for, targets]`, in the order of `indices`.

    Raises:
        GraphPEValueError: When built, if a part of the split is empty, names a node that is not there, one that is in
            another part, or none whose target is known.
    """

    unit: ClassVar[Level] = "node"

    def __post_init__(self) -> None:
        check_node_split(self.split, self.graphs.num_nodes)
        super().__post_init__()

    def targets_of(self, indices: Tensor) -> Tensor:
        return self.graphs.node["y"][indices]

    def decoded(self, predictions: Tensor, indices: Tensor) -> Tensor:
        """The predictions.

        Raises:
            GraphPEValueError: If there is not one row for each of the nodes.
        """
        expected = [len(indices), self.adapter.targets]
        if list(predictions.shape) != expected:
            raise GraphPEValueError(f"predictions must be {expected}, one row a node, got {list(predictions.shape)}")
        return predictions

    def table(self, predictions: Tensor, indices: Tensor) -> tuple[dict[str, Any], dict[str, Sequence[Any]]]:
        graph = self.graphs.batch[indices]
        places = {"graph": graph.numpy()} if len(self.graphs) > 1 else {}
        places["node"] = (indices - self.graphs.ptr[graph]).numpy()
        asked = nodes_alone(self.targets_of(indices))
        return places, self.adapter.target_columns(asked) | dict(self.adapter.columns(predictions, asked))


def nodes_alone(target: Tensor) -> PackedGraphs:
    """One graph of nodes that have targets and nothing else.

    Args:
        target: The targets, `[N, T]`.
    """
    return PackedGraphs(
        edge_index=torch.zeros(2, 0, dtype=torch.long),
        ptr=torch.tensor([0, len(target)]),
        edge_ptr=torch.zeros(2, dtype=torch.long),
        node={"y": target},
    )


def check_node_split(split: Mapping[str, Tensor], nodes: int) -> None:
    """Reject a split of nodes with an empty part, or that names a node twice or one that is not there.

    Args:
        split: Ids of nodes by part.
        nodes: How many there are.

    Raises:
        GraphPEValueError: It is such a split.
    """
    owner = torch.full((nodes,), -1)
    names = list(split)
    for number, (part, ids) in enumerate(split.items()):
        if not len(ids):
            raise GraphPEValueError(f"the {part} part of the split is empty: give it at least one node")
        wrong = ids[(ids < 0) | (ids >= nodes)]
        if len(wrong):
            raise GraphPEValueError(
                f"the {part} part of the split names node {int(wrong[0])}, but there are {nodes:,} nodes: ids run from "
                f"0 to {nodes - 1}"
            )
        twice = ids[owner[ids] >= 0]
        if len(twice):
            other = names[int(owner[twice[0]])]
            raise GraphPEValueError(
                f"node {int(twice[0])} is in the {other} part of the split and in the {part} part ({len(twice):,} such "
                "nodes): give each node to one part"
            )
        owner[ids] = number
        if len(ids.unique()) < len(ids):
            raise GraphPEValueError(f"the {part} part of the split names a node twice: name each once")


def training_of_nodes(sampler: str) -> dict[str, Any]:
    """Options of training that suit nodes of one graph: with the whole at every step, an epoch is one step.

    Args:
        sampler: What a step sees of the graph.
    """
    of_sampler: dict[str, dict[str, Any]] = {
        "whole": {"epochs": 300, "patience": 100, "warmup_steps": 10},
        "neighbors": {"epochs": 20, "batch_size": 1024},
        "partitions": {"epochs": 50, "batch_size": 10, "patience": 20},
    }
    return {"weight_decay": 5e-4, **of_sampler.get(sampler, {})}
