"""Users' own graphs: networkx graphs, saved as a JSON list of node-link data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from graphpe.arguments import shown
from graphpe.benchmarks.tasks.graph_level import GraphTargets
from graphpe.benchmarks.tasks.user.files.lists import expand
from graphpe.benchmarks.tasks.user.files.rows import Rows
from graphpe.benchmarks.tasks.user.graphs import WrittenGraph, pack_rows, read_written
from graphpe.benchmarks.tasks.user.nodes.targets import TargetLevel
from graphpe.benchmarks.tasks.user.splits import SPLIT, check_several, choose_split, names_parts
from graphpe.benchmarks.tasks.user.targets import Metric, read_targets
from graphpe.benchmarks.tasks.user.task import OwnData, assemble
from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.files.once import kept
from graphpe.files.reading import read_json


@dataclass(frozen=True)
class NetworkxList(OwnData):
    """A JSON list of networkx graphs: `json.dump([networkx.node_link_data(graph) for graph in graphs], file)`.

    The target is an attribute of the graph (`graph.graph["y"] = 1.5`), a number, a word or a list of numbers; null, or
    no such attribute, is not known (see `SmilesTable`). Or it is one of nodes, where no graph has it: then -1 among
    classes is not known, too, and the split of one graph is of its nodes.
    Attributes of nodes and edges are features: numbers, words or lists of numbers, the same in every graph. The edge
    attribute `weight` is the weight of an edge to the encodings as well. An undirected edge goes both ways.

    Attributes:
        path: The file.
        target: The attribute of the graph, or of nodes, that is to be predicted, or several. () for none, as `graphpe
            pretrain` reads graphs.
        node_features: Attributes of nodes to read; None for all.
        edge_features: Attributes of edges to read; None for all.
        split: `random`, an attribute of graphs (of nodes, where one graph's are split) with the words train, valid and
            test, or a JSON file of positions under these words.
        metric: `auto`, `accuracy` (a class), `ROC-AUC` or `AP` (labels 0 and 1, null where not known), `RMSE` or `MAE`
            (numbers).
        fractions: Shares of train, valid and test where the split is not given.
        seed: Of a random split.
        valid: The file of the validation part, if that is one of its own; it is cut from `path` otherwise.
        test: The file of the test part, likewise.
        skip_bad: Whether graphs that cannot be read are left out, counted and named; they are an error otherwise.
        level: What targets are of: `graph`, `node`, or `auto`: of nodes where nodes have such an attribute, and no
            graph.
    """

    name: ClassVar[str] = "networkx-list"
    summary: ClassVar[str] = "your own networkx graphs: a JSON list of node-link data; random or given split"

    path: str
    target: str | tuple[str, ...] = "y"
    node_features: tuple[str, ...] | None = None
    edge_features: tuple[str, ...] | None = None
    split: str = "random"
    metric: Metric = "auto"
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
    seed: int = 0
    valid: str | None = None
    test: str | None = None
    skip_bad: bool = False
    level: TargetLevel = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("node_features", "edge_features"):
            value = getattr(self, name)
            if value is not None:
                if not isinstance(value, tuple | list) or not all(isinstance(each, str) for each in value):
                    raise GraphPEValueError(f"{name} must be names of attributes or None, got {value!r}")
                object.__setattr__(self, name, tuple(value))

    def understood(self) -> NetworkxList:
        """With the level of its targets and, of one graph's nodes, the split that an attribute `split` says."""
        if self.level != "auto":
            return self
        if not self.target_names:
            return replace(self, level="node")
        content = [graph for path in self.paths.values() for graph in self.contents(path) if isinstance(graph, dict)]
        of_graphs, of_nodes = (
            {name for each in rows if isinstance(each, dict) for name in each}
            for rows in (
                [graph.get("graph") for graph in content],
                [node for graph in content if isinstance(graph.get("nodes"), list) for node in graph["nodes"]],
            )
        )
        wanted = set(self.target_names)
        if not wanted <= of_nodes or wanted & of_graphs:
            return replace(self, level="graph")
        nodes = [node for graph in content for node in graph["nodes"]]
        given = self.split == "random" and len(content) == 1 and names_parts([node.get(SPLIT) for node in nodes])
        return replace(self, level="node", split=SPLIT if given else self.split)

    def splits_nodes(self) -> bool:
        paths = list(self.paths.values())
        return self.level == "node" and len(paths) == 1 and len(self.contents(paths[0])) == 1

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> GraphTargets:
        """Read and check the graphs.

        Args:
            workers: Not used.
            cache: Not used.
            progress: Not used.

        Raises:
            GraphPERuntimeError: If the file is missing or is no such list, or a graph is wrong; it is named.
        """
        if self.level == "auto":
            return self.understood().load()
        files = {part: self.contents(path) for part, path in self.paths.items()}
        rows = Rows(
            {part: len(graphs) for part, graphs in files.items()},
            lambda part, row: f"{self.paths[part]}, graph {row}",
        )
        content = [graph for graphs in files.values() for graph in graphs]

        def read(row: int) -> WrittenGraph:
            graph = self.graph(content[row], rows.where(row))
            attributes = content[row].get("graph") or {}
            if not isinstance(attributes, dict):
                raise GraphPERuntimeError(
                    f"{rows.where(row)}: its attributes ('graph') are {shown(attributes)}, not names and values"
                )
            return graph

        rows, written = read_written(rows, read, skip_bad=self.skip_bad)
        if self.level == "node":
            structure, nodes, edges = pack_rows(written, rows, skip_bad=self.skip_bad)
            listed = [node for each in rows.of_graphs(content) for node in each["nodes"]]

            def cells(name: str) -> list[Any] | None:
                return [node.get(name) for node in listed] if any(name in node for node in listed) else None

            def word(name: str) -> list[Any] | None:
                words = [(each.get("graph") or {}).get(name) for each in content]
                return None if set(words) <= {None} else words

            return self.assemble_nodes(
                structure, nodes, edges, rows, cells, word, notes=[f"{self.shown}: {len(written):,} graphs"]
            )
        attributes = [each.get("graph") or {} for each in rows.of_graphs(content)]
        for name in self.target_names:
            if not any(name in each for each in attributes):
                known = ", ".join(sorted({str(name) for each in attributes for name in each})) or "none"
                raise GraphPERuntimeError(f"{self.shown}: no graph has the attribute {name!r}; there are {known}")
        columns = {name: [each.get(name) for each in attributes] for name in self.target_names}
        targets = read_targets(columns, self.metric, rows.graph)
        words = [each.get("graph") or {} if isinstance(each, dict) else {} for each in content]
        split = choose_split(
            self.split,
            rows,
            targets.known,
            fractions=self.fractions,
            seed=self.seed,
            column=lambda name: (
                [each.get(name) if isinstance(each, dict) else None for each in words]
                if any(name in each for each in attributes)
                else None
            ),
        )
        structure, nodes, edges = pack_rows(written, rows, skip_bad=self.skip_bad)
        notes = [f"{self.shown}: {len(written):,} graphs"]
        check_several(rows.count, self.shown)
        return assemble(structure, nodes, edges, targets, split, rows, what=self.shown, notes=notes)

    def contents(self, path: Path) -> list[Any]:
        """The graphs of a file as they stand there.

        Args:
            path: The file.

        Raises:
            GraphPERuntimeError: It cannot be read, or holds no list.
        """
        content = kept("json", path, read_json)
        if isinstance(content, dict) and "nodes" in content:
            content = [content]
        if not isinstance(content, list) or not content:
            raise GraphPERuntimeError(f"{path} must hold a list of graphs, as networkx.node_link_data writes them")
        return content

    def graph(self, content: Any, where: str) -> WrittenGraph:
        """One of them, without its attributes.

        Args:
            content: A graph as `contents` gives it.
            where: What messages call it.

        Raises:
            GraphPERuntimeError: It is no node-link data, or a feature is missing somewhere.
        """
        links = content.get("edges", content.get("links")) if isinstance(content, dict) else None
        nodes = content.get("nodes") if isinstance(content, dict) else None
        if not isinstance(nodes, list) or not isinstance(links, list):
            raise GraphPERuntimeError(f"{where} has no list of nodes and of edges (or links): is it node-link data?")
        try:
            number = {_key(node["id"]): place for place, node in enumerate(nodes)}
            pairs = [(number[_key(link["source"])], number[_key(link["target"])]) for link in links]
        except (KeyError, TypeError) as error:
            raise GraphPERuntimeError(f"{where}: a node has no id, or an edge ends in no node ({error})") from None
        if len(number) < len(nodes):
            raise GraphPERuntimeError(f"{where} has two nodes of one id")
        of_nodes = {*self.target_names, self.split} if self.level == "node" else set()
        node_cells = _cells(nodes, {"id", *of_nodes}, self.node_features, f"{where}, nodes")
        edge_cells = _cells(links, {"source", "target", "key"}, self.edge_features, f"{where}, edges")
        graph = WrittenGraph(len(nodes), pairs, node_cells, edge_cells)
        if content.get("directed"):
            return graph
        loops = {place for place, (u, v) in enumerate(pairs) if u == v}
        back = [place for place in range(len(pairs)) if place not in loops]
        return WrittenGraph(
            len(nodes),
            pairs + [(pairs[place][1], pairs[place][0]) for place in back],
            node_cells,
            {name: cells + [cells[place] for place in back] for name, cells in edge_cells.items()},
        )


def _cells(rows: Sequence[Any], own: set[str], chosen: Sequence[str] | None, where: str) -> dict[str, list[Any]]:
    """Features of nodes or edges, by attribute."""
    names = sorted({name for row in rows for name in row} - own) if chosen is None else chosen
    out: dict[str, list[Any]] = {}
    for name in names:
        missing = next((place for place, row in enumerate(rows) if row.get(name) is None), None)
        if missing is not None:
            raise GraphPERuntimeError(
                f"{where}: number {missing} has no {name!r}; give it to all, or name the features to read"
            )
        out |= expand(name, [row[name] for row in rows], lambda place: f"{where}, number {place}")
    return out


def _key(word: Any) -> Any:
    """A node's id; JSON turns tuples into lists."""
    return tuple(_key(each) for each in word) if isinstance(word, list) else word
