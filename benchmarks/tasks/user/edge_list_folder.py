"""Users' own graphs: a folder of edge lists and a table of labels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from graphpe.arguments import check_flags, shown
from graphpe.benchmarks.tasks.graph_level import GraphTargets
from graphpe.benchmarks.tasks.user.files.rows import Rows
from graphpe.benchmarks.tasks.user.graphs import WrittenGraph, pack_rows, read_written
from graphpe.benchmarks.tasks.user.nodes.targets import TargetLevel
from graphpe.benchmarks.tasks.user.splits import SPLIT, check_several, choose_split, names_parts
from graphpe.benchmarks.tasks.user.tables import check_columns, column_of, read_frame, separator_note, table_rows
from graphpe.benchmarks.tasks.user.targets import Metric, read_targets
from graphpe.benchmarks.tasks.user.task import OwnData, assemble
from graphpe.errors import GraphPERuntimeError
from graphpe.files.once import kept
from graphpe.files.reading import read_text

LABELS = "labels.csv"
ENDINGS = ("", ".csv", ".tsv", ".txt", ".edges", ".edgelist")
_HEADERS = {"source", "src", "from", "tail", "u", "node", "id", "name"}
_AROUND = re.compile(r"\s*([,;\t])\s*")
_SEPARATORS = re.compile(r"[,;\t]|\s+")
_NO_COMMAS = re.compile(r"[;\t]")
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')
_DECIMAL = re.compile(r"[^,]*|[+-]?\d*,\d*([eE][+-]?\d+)?")


@dataclass(frozen=True)
class EdgeListFolder(OwnData):
    """A folder with a file of edges for each graph and `labels.csv`.

    `labels.csv` has a column `graph`, the name of the graph's file with or without its ending, and columns of targets;
    an empty cell is not known (see `SmilesTable`, also for separators and decimal commas). A file of edges has a line
    for each edge: source, target and, if you like, features, separated by commas, semicolons, tabs or spaces (which
    separate nothing between double quotes); nodes are any words. It stands in the folder or in `edges/` below it.
    `nodes/` may hold a file for each graph with a line for each node, its name and features; it is needed for features
    and for nodes without an edge, and predictions number the nodes in its order (without it: by number, then words). A
    first line that begins with `source` or `node` (`src`, `from`, `u`, `id`, ...) names the columns; lines that begin
    with `#` or `%` are comments. Targets of nodes are columns of the files in `nodes/`, and no `labels.csv` is needed
    then: an empty cell, or -1 among classes, is not known, and the split of one graph is of its nodes. A feature named
    `weight` is the weight of an edge to the encodings.

    Attributes:
        path: The folder.
        targets: The columns of targets, of `labels.csv` or of the files in `nodes/`; one whose cells are lists, as
            [1, 2.5], is several. () for none, as `graphpe pretrain` reads graphs.
        directed: Whether edges go one way; otherwise each gets its reverse, unless that is in the file.
        split: `random`, a column of `labels.csv` (of the file in `nodes/`, where one graph's nodes are split) with the
            words train, valid and test, or a JSON file of row numbers under these words.
        metric: `auto`, `accuracy` (one column of classes), `ROC-AUC` or `AP` (labels 0, 1), `RMSE` or `MAE` (numbers).
        fractions: Shares of train, valid and test where the split is not given.
        seed: Of a random split.
        valid: The folder of the validation part, if that is one of its own; it is cut from `path` otherwise.
        test: The folder of the test part, likewise.
        skip_bad: Whether graphs that cannot be read are left out, counted and named; they are an error otherwise.
        level: What targets are of: `graph`, `node`, or `auto`: of nodes where there is no `labels.csv`, or it has no
            such column and the files in `nodes/` have.
    """

    name: ClassVar[str] = "edge-list-folder"
    summary: ClassVar[str] = "your own graphs: a folder of edge lists and labels.csv; random or given split"

    path: str
    targets: tuple[str, ...] = ("y",)
    directed: bool = False
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
        check_flags(directed=self.directed)

    def understood(self) -> EdgeListFolder:
        """With the level of its targets and, of one graph's nodes, the split that a column `split` says."""
        if self.level != "auto":
            return self
        if not self.targets:
            return replace(self, level="node")
        folder = next(iter(self.paths.values()))
        if not folder.is_dir():
            return replace(self, level="graph")
        labels = folder / LABELS
        wanted = set(self.targets)
        of_nodes = wanted <= set(node_column_names(folder))
        of_graphs = labels.is_file() and bool(wanted & set(map(str, read_frame(labels, text=True))))
        if not of_nodes or of_graphs:
            return replace(self, level="graph")
        several = len(self.paths) > 1 or len(graph_names(folder)) > 1
        given = self.split == "random" and not several and names_parts(_column(folder, SPLIT))
        return replace(self, level="node", split=SPLIT if given else self.split)

    def splits_nodes(self) -> bool:
        paths = list(self.paths.values())
        return self.level == "node" and len(paths) == 1 and len(graph_names(paths[0])) == 1

    def _load_nodes(self) -> GraphTargets:
        """The graphs with targets of nodes."""
        names = {part: graph_names(folder) for part, folder in self.paths.items()}
        rows = Rows(
            {part: len(each) for part, each in names.items()},
            lambda part, row: f"{self.paths[part]}, graph {names[part][row]}",
        )
        places = [(self.paths[part], name) for part, each in names.items() for name in each]
        taken: dict[int, dict[str, list[Any]]] = {}

        def read(row: int) -> WrittenGraph:
            folder, name = places[row]
            graph = self.graph(folder, name, rows.where(row))
            cells = graph.node_cells
            absent = next((target for target in self.targets if target not in cells), None)
            if absent is not None:
                there = ", ".join(cells) or "none"
                raise GraphPERuntimeError(
                    f"{rows.where(row)}: its file in nodes/ has no column {absent!r} to predict; there are {there}"
                )
            taken[row] = {key: cells.pop(key) for key in (*self.targets, self.split) if key in cells}
            return graph

        rows, written = read_written(rows, read, skip_bad=self.skip_bad)
        structure, nodes, features = pack_rows(written, rows, skip_bad=self.skip_bad)

        def cells(name: str) -> list[Any] | None:
            several = [taken[row].get(name) for row in rows.kept]
            return None if None in several else [cell for each in several for cell in each or ()]

        def word(name: str) -> Sequence[Any] | None:
            frames = {part: folder / LABELS for part, folder in self.paths.items()}
            if not all(path.is_file() for path in frames.values()):
                return None
            tables = {part: read_frame(path, text=True) for part, path in frames.items()}
            return column_of(tables, name) if all(name in each for each in tables.values()) else None

        notes = [f"{self.shown}: {len(written):,} graphs, {'directed' if self.directed else 'undirected'}"]
        return self.assemble_nodes(structure, nodes, features, rows, cells, word, notes=notes)

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> GraphTargets:
        """Read and check the folder.

        Args:
            workers: Not used.
            cache: Not used.
            progress: Not used.

        Raises:
            GraphPERuntimeError: If a file or a column is missing, or a line is wrong; the message names it.
        """
        if self.level == "auto":
            return self.understood().load()
        if self.level == "node":
            return self._load_nodes()
        frames, labels = {}, {part: folder / LABELS for part, folder in self.paths.items()}
        for part, folder in self.paths.items():
            if not folder.is_dir():
                raise GraphPERuntimeError(f"{folder} is no folder: give one with edge lists and {LABELS}")
            if not labels[part].is_file():
                raise GraphPERuntimeError(f"{LABELS} is not in {folder}: it names the graphs and their targets")
            frames[part] = read_frame(labels[part], text=True)
            check_columns(frames[part], ("graph", *self.targets), labels[part])
        rows = table_rows(frames, labels)
        names = [str(name).strip() for name in column_of(frames, "graph")]
        folders = [folder for part, folder in self.paths.items() for _ in range(len(frames[part]))]
        known: dict[tuple[Path, str], int] = {}
        for row, place in enumerate(zip(folders, names, strict=True)):
            if known.setdefault(place, row) != row:
                raise GraphPERuntimeError(
                    f"{rows.where(row)}: graph {shown(names[row])} is there twice, first in line "
                    f"{rows.where(known[place]).split()[-1]}"
                )
        rows, written = read_written(
            rows, lambda row: self.graph(folders[row], names[row], rows.where(row)), skip_bad=self.skip_bad
        )
        columns = {name: rows.of_graphs(column_of(frames, name)) for name in self.targets}
        targets = read_targets(columns, self.metric, rows.graph)
        split = choose_split(
            self.split,
            rows,
            targets.known,
            fractions=self.fractions,
            seed=self.seed,
            column=lambda name: column_of(frames, name) if all(name in each for each in frames.values()) else None,
        )
        structure, nodes, features = pack_rows(written, rows, skip_bad=self.skip_bad)
        notes = [
            f"{self.shown}: {len(written):,} graphs, {'directed' if self.directed else 'undirected'}",
            *(note for part, path in labels.items() for note in separator_note(frames[part], path)),
        ]
        check_several(rows.count, self.shown)
        return assemble(structure, nodes, features, targets, split, rows, what=self.shown, notes=notes)

    def graph(self, folder: Path, name: str, where: str) -> WrittenGraph:
        """The graph of a name.

        Args:
            folder: The folder.
            name: The graph's name, which its files have.
            where: What messages call it.

        Raises:
            GraphPERuntimeError: There is no such file, or a line of it is wrong.
        """
        edges = _find(folder, "edges", name)
        if edges is None:
            raise GraphPERuntimeError(f"{where}: there is no edge list {shown(name)} in {folder}")
        graph = read_graph(edges, _find(folder, "nodes", name, inside=True))
        return graph if self.directed else graph.both_ways()


def graph_names(folder: Path) -> list[str]:
    """The names of a folder's graphs: those of `labels.csv`, or of all files of edges where there is none.

    Args:
        folder: The folder.
    """
    labels = folder / LABELS
    if labels.is_file():
        frame = read_frame(labels, text=True)
        check_columns(frame, ("graph",), labels)
        return [str(name).strip() for name in frame["graph"]]
    place = folder / "edges" if (folder / "edges").is_dir() else folder
    return sorted(path.stem for path in place.iterdir() if path.suffix in ENDINGS and path.is_file())


def node_column_names(folder: Path) -> list[str]:
    """The columns of the first file in a folder's `nodes/`; none without such a file.

    Args:
        folder: The folder.
    """
    place = folder / "nodes"
    files = sorted(path for path in place.iterdir() if path.suffix in ENDINGS) if place.is_dir() else []
    return kept("nodes", files[0], _node_rows)[0] if files else []


def _column(folder: Path, name: str) -> list[str]:
    """The cells of a column of the first file in `nodes/`."""
    place = next(path for path in sorted((folder / "nodes").iterdir()) if path.suffix in ENDINGS)
    names, rows = kept("nodes", place, _node_rows)
    return [row[1 + names.index(name)] for row in rows] if name in names else []


def read_graph(edges: Path, nodes: Path | None) -> WrittenGraph:
    """One graph from its file of edges and, if there is one, its file of nodes.

    Raises:
        GraphPERuntimeError: If a line is wrong.
    """
    edge_names, rows = _rows(edges, 2)
    if nodes is None:
        words = {word for row in rows for word in row[:2]}
        order = sorted(words, key=lambda word: (0, int(word), "") if word.isdecimal() else (1, 0, word))
        number = {word: place for place, word in enumerate(order)}
        node_cells: dict[str, list[Any]] = {}
    else:
        node_names, node_rows = kept("nodes", nodes, _node_rows, last=True)
        number = {row[0]: place for place, row in enumerate(node_rows)}
        if len(number) < len(node_rows):
            raise GraphPERuntimeError(f"{nodes} names a node twice")
        node_cells = {name: [row[1 + column] for row in node_rows] for column, name in enumerate(node_names)}
        stranger = next((word for row in rows for word in row[:2] if word not in number), None)
        if stranger is not None:
            raise GraphPERuntimeError(f"{edges} has an edge of {shown(stranger)}, which is not in {nodes}")
    pairs = [(number[row[0]], number[row[1]]) for row in rows]
    edge_cells = {name: [row[2 + column] for row in rows] for column, name in enumerate(edge_names)}
    return WrittenGraph(len(number), pairs, node_cells, edge_cells)


def _node_rows(path: Path) -> tuple[list[str], list[list[str]]]:
    return _rows(path, 1)


def _rows(path: Path, leading: int) -> tuple[list[str], list[list[str]]]:
    """Names of the columns after the first `leading`, and the rows."""
    lines = read_text(path).splitlines()
    names: list[str] | None = None
    rows: list[list[str]] = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text[0] in "#%":
            continue
        cells = _cells(text)
        if cells is None:
            raise GraphPERuntimeError(
                f"{path}, line {number}: {text[:60]!r} mixes commas with other separators: separate cells by one of "
                "commas, semicolons, tabs and spaces, and write numbers as 1.5"
            )
        if names is None:
            header = cells[0].strip("\"'").lower() in _HEADERS
            names = cells[leading:] if header else [f"column {column}" for column in range(leading, len(cells))]
            if header:
                continue
        if len(cells) != leading + len(names) or "" in cells[:leading]:
            expected = "a source and a target" if leading == 2 else "a node"
            more = f" and {len(names)} features" if names else ""
            raise GraphPERuntimeError(f"{path}, line {number}: {text[:60]!r} is not {expected}{more}")
        rows.append(cells)
    return names or [], rows


def _cells(line: str) -> list[str] | None:
    """The cells of a line; None where it cannot be told what a comma in it is."""
    quoted = _QUOTED.findall(line)
    if quoted:  # separators in them separate nothing
        cells = _cells(_QUOTED.sub("\0", line))
        texts = (text.replace('""', '"') for text in quoted)
        return cells and [re.sub("\0", lambda _: next(texts), cell) for cell in cells]
    line = _AROUND.sub(r"\1", line)
    if "," in line and _NO_COMMAS.search(line):
        cells = _NO_COMMAS.split(line)  # commas are decimal ones
        return cells if " " not in line and all(map(_DECIMAL.fullmatch, cells)) else None
    return None if "," in line and " " in line else _SEPARATORS.split(line)


def _find(folder: Path, level: str, name: str, *, inside: bool = False) -> Path | None:
    """The file of a graph in the folder's subfolder `level`, or (unless it has to be inside) in the folder itself."""
    places: Sequence[Path] = [folder / level] if inside else [folder / level, folder]
    candidates = [place / f"{name}{ending}" for place in places for ending in ENDINGS]
    return next((path for path in candidates if path.is_file() and path.parent in places), None)
