"""What the tasks on users' own data share: from graphs, features, targets and a split to a task's data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from graphpe.arguments import check_choice, check_seed
from graphpe.benchmarks.tasks.fingerprint import fingerprint
from graphpe.benchmarks.tasks.graph_level import GraphAdapter, GraphTargets, GraphTask
from graphpe.benchmarks.tasks.targets import standardisation
from graphpe.benchmarks.tasks.user.features import Features, constant_features
from graphpe.benchmarks.tasks.user.splits import check_fractions
from graphpe.benchmarks.tasks.user.targets import METRICS, OwnTargets, Where, check_parts
from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs


@dataclass(frozen=True)
class OwnData(GraphTask):
    """A task on users' own graphs: its adapter and its common checks. Subclasses have `split`, `metric`, `seed`, ..."""

    default_encodings: ClassVar[tuple[str, ...]] = ("RandomWalkPE(walk_length=16)",)

    def __post_init__(self) -> None:
        values = vars(self)
        for name in ("path", "split", "smiles", "target"):
            if name in values and (not isinstance(values[name], str) or not values[name]):
                raise GraphPEValueError(f"{name} must be a text, got {values[name]!r}")
        if "targets" in values:
            targets = (values["targets"],) if isinstance(values["targets"], str) else values["targets"]
            if not isinstance(targets, tuple | list) or not all(isinstance(name, str) for name in targets):
                raise GraphPEValueError(f"targets must be names, such as ('y',), got {values['targets']!r}")
            if not targets or len(set(targets)) < len(targets):
                raise GraphPEValueError(f"targets must name one column or more, each once, got {values['targets']!r}")
            object.__setattr__(self, "targets", tuple(targets))
        check_choice("metric", values["metric"], METRICS)
        check_fractions(values["fractions"])
        object.__setattr__(self, "fractions", tuple(values["fractions"]))
        check_seed(values["seed"])


def assemble(
    structure: PackedGraphs,
    nodes: Features,
    edges: Features,
    targets: OwnTargets,
    split: dict[str, Tensor],
    *,
    what: str,
    where: Where,
    notes: list[str],
) -> GraphTargets:
    """A task's data from its checked parts.

    Args:
        structure: The graphs' edges (and weights).
        nodes: Features of nodes.
        edges: Features of edges.
        targets: The targets.
        split: Graph ids by part.
        what: Names the data in messages.
        where: Names a graph in messages.
        notes: Lines worth telling.

    Raises:
        GraphPERuntimeError: If a graph has no nodes, or a part of the split is empty or cannot be scored.
    """
    if not len(structure):
        raise GraphPERuntimeError(f"{what} holds no graph")
    empty = (structure.sizes == 0).nonzero()
    if len(empty):
        raise GraphPERuntimeError(f"{where(int(empty[0, 0]))}: the graph has no nodes; leave it out, or give it one")
    check_parts(targets, split, what)
    if nodes.values is None:
        nodes = constant_features(structure.num_nodes)
    assert nodes.values is not None
    graphs = PackedGraphs(
        edge_index=structure.edge_index,
        ptr=structure.ptr,
        edge_ptr=structure.edge_ptr,
        edge_weight=structure.edge_weight,
        node={"x": nodes.values},
        edge={} if edges.values is None else {"edge_attr": edges.values},
        graph={"y": targets.values},
    )
    scaled = targets.metric in ("RMSE", "MAE")
    shift, scale = standardisation(targets.values[split["train"]]) if scaled else ((), ())
    adapter = GraphAdapter(
        nodes.categories,
        edges.categories,
        targets.outputs,
        targets.loss,
        node_channels=nodes.channels,
        edge_channels=edges.channels,
        shift=shift,
        scale=scale,
        target_names=targets.names,
        class_names=targets.classes,
        node_columns=nodes.columns,
        edge_columns=edges.columns,
    )
    digest = fingerprint(graphs, split, [targets.metric, *targets.classes])
    unused = len(graphs) - sum(map(len, split.values()))
    if unused:
        notes = [*notes, f"{unused} graphs are in no part of the split"]
    return GraphTargets(graphs, split, adapter, digest, [*notes, targets.note], scored_by=targets.scored_by)
