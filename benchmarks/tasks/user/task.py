"""What the tasks on users' own data share: from graphs, features, targets and a split to a task's data."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from graphpe.arguments import check_choice, check_flags, check_seed
from graphpe.benchmarks.tasks.fingerprint import fingerprint
from graphpe.benchmarks.tasks.graph_level import GraphAdapter, GraphTargets, GraphTask
from graphpe.benchmarks.tasks.targets import is_known, standardisation
from graphpe.benchmarks.tasks.user.features import Features, constant_features
from graphpe.benchmarks.tasks.user.files.rows import SKIP_HINT, Rows
from graphpe.benchmarks.tasks.user.splits import check_fractions
from graphpe.benchmarks.tasks.user.targets import METRICS, OwnTargets, check_parts
from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs


@dataclass(frozen=True)
class OwnData(GraphTask):
    """A task on users' own graphs: its adapter and its common checks. Subclasses have `split`, `metric`, `seed`, ..."""

    default_encodings: ClassVar[tuple[str, ...]] = ("RandomWalkPE(walk_length=16)",)

    def __post_init__(self) -> None:
        values = vars(self)
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
    if not names or len(set(names)) < len(names) or not all(names):
        raise GraphPEValueError(f"{name} must name one column or more, each once, got {given!r}")
    return names[0] if name == "target" and len(names) == 1 else tuple(names)


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
) -> GraphTargets:
    """A task's data from its checked parts.

    Args:
        structure: The graphs' edges (and weights).
        nodes: Features of nodes.
        edges: Features of edges.
        targets: The targets.
        split: Graph ids by part.
        rows: Names the graphs in messages.
        what: Names the data in messages.
        notes: Lines worth telling.
        held: The same graphs with the values of encodings, and nothing else.
        encodings: These encodings, as calls.

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
    check_parts(targets, split, what)
    notes = [*notes, *rows.notes(), *_target_notes(targets, split)]
    for features in (nodes, edges):
        if features.commas:
            notes.append(f"decimal commas are read as points in {', '.join(features.commas)}")
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
    if held is not None:  # not in the digest: they follow from the graphs and their calls, which are options of a run
        graphs = graphs.with_values(node=held.node, edge=held.edge, graph=held.graph, pair=held.pair)
    return GraphTargets(
        graphs, split, adapter, digest, [*notes, targets.note], encodings=encodings, scored_by=targets.scored_by
    )


def _target_notes(targets: OwnTargets, split: dict[str, Tensor]) -> list[str]:
    """Lines about graphs that are in no part of the split, and targets that nothing is learned about."""
    notes = []
    count, without = len(targets.known), int((~targets.known).sum())
    if without:
        notes.append(
            f"{without:,} of {count:,} graphs have no known target: they are in no part of the split; after training, "
            "`graphpe predict` on the same data predicts them"
        )
    unused = count - without - sum(map(len, split.values()))
    if unused:
        notes.append(f"{unused} graphs are in no part of the split")
    learned = is_known(targets.values[split["train"]]).any(0).tolist()
    never = [name for name, once in zip(targets.names, learned, strict=True) if not once]
    if never:
        notes.append(f"no graph of the train part has a known {', '.join(never[:5])}: predictions of it mean nothing")
    return notes
