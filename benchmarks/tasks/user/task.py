"""What the tasks on users' own data share: from graphs, features, targets and a split to a task's data."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from graphpe.arguments import check_choice, check_flags, check_seed
from graphpe.benchmarks.tasks.fingerprint import fingerprint
from graphpe.benchmarks.tasks.graph_level import GraphAdapter, GraphTargets, GraphTask
from graphpe.benchmarks.tasks.node_level import NodeAdapter, NodeTargets
from graphpe.benchmarks.tasks.shared_graph import OF_ONE_GRAPH, NodeSplitTargets, training_of_nodes
from graphpe.benchmarks.tasks.targets import is_known, standardisation
from graphpe.benchmarks.tasks.user.features import Features, constant_features
from graphpe.benchmarks.tasks.user.files.rows import SKIP_HINT, Rows
from graphpe.benchmarks.tasks.user.nodes.splits import Cells, choose_node_split
from graphpe.benchmarks.tasks.user.nodes.targets import node_place, without_minus_one
from graphpe.benchmarks.tasks.user.splits import check_fractions, choose_split
from graphpe.benchmarks.tasks.user.targets import METRICS, OwnTargets, check_parts, no_targets, read_targets
from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.graphs.levels import Level
from graphpe.graphs.packed import PackedGraphs

LEVELS = ("auto", "graph", "node")
"""What targets may be of: `auto` for what the data says."""


@dataclass(frozen=True)
class OwnData(GraphTask):
    """A task on users' own graphs: its adapter and its common checks. Subclasses have `split`, `metric`, `seed`, ...

    With an empty tuple for targets the graphs alone are read, for `Pretraining`.
    """

    default_encodings: ClassVar[tuple[str, ...]] = ("RandomWalkPE(walk_length=16)",)

    def __post_init__(self) -> None:
        values = vars(self)
        if "level" in values:
            check_choice("level", values["level"], LEVELS)
            if values["level"] == "node":
                object.__setattr__(self, "readout", "none")
                object.__setattr__(self, "default_encodings", OF_ONE_GRAPH)
        for name in ("path", "split", "smiles", "valid", "test"):
            optional = name in ("valid", "test") and values[name] is None
            if name in values and not optional and (not isinstance(values[name], str) or not values[name]):
                raise GraphPEValueError(f"{name} must be a text, got {values[name]!r}")
        self._check_files()
        for name in ("target", "targets"):
            if name in values:
                object.__setattr__(self, name, _names(name, values[name]))
        check_flags(skip_bad=values["skip_bad"])
        check_choice("metric", values["metric"], METRICS)
        check_fractions(values["fractions"])
        object.__setattr__(self, "fractions", tuple(values["fractions"]))
        check_seed(values["seed"])

    def _check_files(self) -> None:
        values = vars(self)
        given = [values[name] for name in ("path", "valid", "test") if values[name] is not None]
        if len(given) == 1:
            return
        places = [os.path.abspath(os.path.expanduser(each)) for each in given]
        twice = next((text for text, place in zip(given, places, strict=True) if places.count(place) > 1), None)
        if twice is not None:
            raise GraphPEValueError(f"path, valid and test must be different, got {twice!r} twice")
        split = values["split"]
        if split not in ("random", "scaffold") or (split == "scaffold" and len(given) == 3):
            raise GraphPEValueError(f"the files {', '.join(given)} are a split: leave split={split!r} out")

    def adapter(self, state: Mapping[str, Any]) -> GraphAdapter:
        """The adapter of a run.

        Raises:
            GraphPEValueError: If `state` is not that of such an adapter.
        """
        kind = NodeAdapter if vars(self).get("level") == "node" else GraphAdapter
        return kind.from_state(state)

    def training_defaults(self, sampler: str) -> dict[str, Any]:
        return training_of_nodes(sampler) if self.splits_nodes() else {}

    def splits_nodes(self) -> bool:
        """Whether its split divides nodes. May read its files."""
        return False

    def assemble_nodes(
        self,
        structure: PackedGraphs,
        nodes: Features,
        edges: Features,
        rows: Rows,
        cells: Cells,
        words: Cells,
        *,
        notes: list[str],
    ) -> GraphTargets:
        """Data with targets of nodes that stand in cells.

        Args:
            structure: The graphs' edges (and weights).
            nodes: Features of nodes.
            edges: Features of edges.
            rows: Names the graphs in messages.
            cells: From a name to the cells of all nodes.
            words: From a name to the cells of all rows.
            notes: Lines worth telling.

        Raises:
            GraphPERuntimeError: There is no such target, or no such split, or a part cannot be scored.
        """
        values = vars(self)
        columns: dict[str, Sequence[Any]] = {}
        for name in self.target_names:
            found = cells(name)
            if found is None:
                raise GraphPERuntimeError(f"{self.shown}: nodes have no {name!r} to predict; name what they have")
            columns[name] = without_minus_one(found, values["metric"])
        place = node_place(structure.sizes, rows.graph)
        targets = (
            read_targets(columns, values["metric"], place, of="node")
            if columns
            else no_targets(structure.num_nodes)  # for `graphpe pretrain`
        )
        split, fractions, seed = values["split"], values["fractions"], values["seed"]
        unit: Level = "node" if len(structure) == 1 and len(rows.counts) == 1 else "graph"
        if unit == "node":
            parts = choose_node_split(
                split, targets, saved=lambda _: None, cells=cells, fractions=fractions, seed=seed, what=self.shown,
                where=place,
            )  # fmt: skip
        else:
            known = graphs_with_known(structure, targets)
            parts = choose_split(split, rows, known, fractions=fractions, seed=seed, column=words)
        return assemble(
            structure, nodes, edges, targets, parts, rows, what=self.shown, notes=notes, level="node", unit=unit
        )

    @property
    def target_names(self) -> tuple[str, ...]:
        """The names of the targets."""
        values = vars(self)
        given = values["targets"] if "targets" in values else values["target"]
        return (given,) if isinstance(given, str) else tuple(given)

    @property
    def paths(self) -> dict[str, Path]:
        """Its files by part of the split; the only one is under `""`."""
        values = vars(self)
        named = {"train": values["path"], "valid": values["valid"], "test": values["test"]}
        found = {part: Path(text).expanduser() for part, text in named.items() if text is not None}
        return found if len(found) > 1 else {"": found["train"]}

    @property
    def shown(self) -> str:
        """What the data is called in messages."""
        return ", ".join(map(str, self.paths.values()))


def _names(name: str, given: Any) -> str | tuple[str, ...]:
    """Names of targets: a text or several for `target`, always several for `targets`."""
    names = (given,) if isinstance(given, str) else given
    if not isinstance(names, tuple | list) or not all(isinstance(each, str) for each in names):
        raise GraphPEValueError(f"{name} must be names, such as ('y',), got {given!r}")
    if len(set(names)) < len(names) or not all(names):
        raise GraphPEValueError(f"{name} must name columns, each once, got {given!r}")
    return names[0] if name == "target" and len(names) == 1 else tuple(names)


def graphs_with_known(structure: PackedGraphs, targets: OwnTargets) -> Tensor:
    """Which graphs have a node with a known target, `[B]`.

    Args:
        structure: The graphs.
        targets: Targets of their nodes.
    """
    return torch.zeros(len(structure)).index_add(0, structure.batch, targets.known.float()) > 0


def assemble(
    structure: PackedGraphs,
    nodes: Features,
    edges: Features,
    targets: OwnTargets,
    split: dict[str, Tensor],
    rows: Rows,
    *,
    what: str,
    notes: list[str],
    held: PackedGraphs | None = None,
    encodings: tuple[str, ...] = (),
    level: Level = "graph",
    unit: Level = "graph",
) -> GraphTargets:
    """A task's data from its checked parts.

    Args:
        structure: The graphs' edges (and weights).
        nodes: Features of nodes.
        edges: Features of edges.
        targets: The targets.
        split: Graph ids by part, or node ids.
        rows: Names the graphs in messages.
        what: Names the data in messages.
        notes: Lines worth telling.
        held: The same graphs with the values of encodings, and nothing else.
        encodings: These encodings, as calls.
        level: What the targets are of: graphs or nodes.
        unit: What the split divides: graphs or nodes.

    Raises:
        GraphPERuntimeError: If a graph has no nodes, or a part of the split is empty or cannot be scored.
    """
    if not len(structure):
        raise GraphPERuntimeError(f"{what} holds no graph")
    empty = (structure.sizes == 0).nonzero()
    if len(empty):
        raise GraphPERuntimeError(
            f"{rows.graph(int(empty[0, 0]))}: the graph has no nodes; give it one, or give {SKIP_HINT}"
        )
    in_parts = split
    if level != unit:
        in_parts = {part: torch.isin(structure.batch, ids).nonzero().flatten() for part, ids in split.items()}
    check_parts(targets, in_parts, what, of=level)
    notes = [*notes, *rows.notes(), *_target_notes(targets, in_parts, level)]
    for features in (nodes, edges):
        if features.commas:
            notes.append(f"decimal commas are read as points in {', '.join(features.commas)}")
    if nodes.values is None:
        nodes = constant_features(structure.num_nodes)
    assert nodes.values is not None
    y = {"y": targets.values}
    graphs = PackedGraphs(
        edge_index=structure.edge_index,
        ptr=structure.ptr,
        edge_ptr=structure.edge_ptr,
        edge_weight=structure.edge_weight,
        node={"x": nodes.values} | (y if level == "node" else {}),
        edge={} if edges.values is None else {"edge_attr": edges.values},
        graph=y if level == "graph" else {},
    )
    scaled = targets.metric in ("RMSE", "MAE")
    shift, scale = standardisation(targets.values[in_parts["train"]]) if scaled else ((), ())
    adapter = (NodeAdapter if level == "node" else GraphAdapter)(
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
    if held is not None:  # not in the digest: they follow from the graphs and their calls, which are options of a run
        graphs = graphs.with_values(node=held.node, edge=held.edge, graph=held.graph, pair=held.pair)
    kind = {"graph": GraphTargets, "node": NodeTargets}[level] if unit == "graph" else NodeSplitTargets
    return kind(
        graphs, split, adapter, digest, [*notes, targets.note], encodings=encodings, scored_by=targets.scored_by
    )


def _target_notes(targets: OwnTargets, split: dict[str, Tensor], of: str) -> list[str]:
    """Lines about graphs or nodes that are in no part of the split, and targets that nothing is learned about."""
    notes = []
    count, without = len(targets.known), int((~targets.known).sum())
    if without and of == "graph":
        notes.append(
            f"{without:,} of {count:,} graphs have no known target: they are in no part of the split; after training, "
            "`graphpe predict` on the same data predicts them"
        )
    unused = count - without - sum(int(targets.known[ids].sum()) for ids in split.values())
    if unused:
        notes.append(f"{unused:,} {of}s are in no part of the split")
    learned = is_known(targets.values[split["train"]]).any(0).tolist()
    never = [name for name, once in zip(targets.names, learned, strict=True) if not once]
    if never:
        notes.append(f"no {of} of the train part has a known {', '.join(never[:5])}: predictions of it mean nothing")
    return notes
