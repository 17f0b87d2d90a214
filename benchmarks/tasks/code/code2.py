"""ogbg-code2 itself: OGB's data, split and evaluator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from graphpe.arguments import check_choice, check_integer
from graphpe.benchmarks.tasks.code.adapter import CodeAdapter
from graphpe.benchmarks.tasks.code.archive.flow_store import TREE_TABLES, flow_store
from graphpe.benchmarks.tasks.code.data import CodeData, code_fingerprint, label_graphs
from graphpe.benchmarks.tasks.code.decoding import DECODINGS, Decoding
from graphpe.benchmarks.tasks.code.labels import token_vocabulary
from graphpe.benchmarks.tasks.code.source.edges import GRAPHS, Graph, syntax_edges
from graphpe.benchmarks.tasks.code.source.graphs import Ints
from graphpe.benchmarks.tasks.code.vocabulary import NONE, UNKNOWN, Vocabulary
from graphpe.benchmarks.tasks.stored import Arrays, RawLayout, fits_in_memory, raw_graphs, stored_raw
from graphpe.benchmarks.tasks.task import Task
from graphpe.errors import GraphPERuntimeError
from graphpe.files.ogb import OGBDataset, load_graph_dataset, read_rows
from graphpe.files.ogb_raw import RawGraphs
from graphpe.graphs.packed import PackedGraphs
from graphpe.storage.store import Store

NODE_KEYS = ("x", "node_depth", "node_is_attributed", "node_dfs_order")

ARCHIVE = "graphidx2code.json.gz"
"""In OGB's folder `mapping`: the source of every function."""


@dataclass(frozen=True)
class Code2(Task):
    """ogbg-code2: 452,741 functions of GitHub projects, split by project.

    Data-flow graphs (Geisler et al. 2023; the best published result) are built from the source in OGB's download, with
    the parser of `python-source(graph='dataflow')`, once, in parallel, into a store in the cache folder (about 6 GB;
    at most about 2.1 GB of memory): read in a stream, never as a whole. The function's name is hidden by OGB's rule.
    What this Python cannot parse (source of Python 2) has OGB's own syntax tree, with edges of type FIELD of which the
    field is not known; a note says how many they are.

    Syntax trees are read by OGB's loader, or, where that would take more than half of the memory, from OGB's raw files
    into a store.

    Attributes:
        root: The folder that holds OGB's folder `ogbg_code2`, or will.
        graph: `"dataflow"`, as in `python-source`; `"ast"`, OGB's syntax trees; or `"ast+tokens"` with edges between
            consecutive attributed nodes. Inverse edges are added for the model.
        attributes: Size of the vocabulary of attributes of data-flow graphs, `__NONE__` and `__UNK__` not counted,
            chosen on the training part; OGB's syntax trees have theirs, 10,030.
        tokens: Size of the vocabulary of sub-tokens, `__UNK__` and `__EOS__` not counted.
        decoding: How class scores become a name: `"expected-f1"`, the words with the largest expected F1, or
            `"argmax"`, the most probable class at each position, which is the rule of OGB's example: `__UNK__` is kept
            and counts as a wrong word. A run reports the other one beside it.
        download: Whether OGB downloads the data (about 1 GB) if it is not there.

    Raises:
        GraphPEValueError: For a value that is not one of these.
    """

    name: ClassVar[str] = "code2"
    summary: ClassVar[str] = "ogbg-code2: name the functions of GitHub projects; OGB's data, split and F1"
    default_recipe: ClassVar[str | None] = "sat-code2"

    root: str = "dataset"
    graph: Graph = "dataflow"
    attributes: int = 11_972
    tokens: int = 5_000
    decoding: Decoding = "expected-f1"
    download: bool = True

    def __post_init__(self) -> None:
        check_choice("graph", self.graph, GRAPHS)
        check_integer("attributes", self.attributes, least=1)
        check_integer("tokens", self.tokens, least=1)
        check_choice("decoding", self.decoding, DECODINGS)

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> CodeData:
        """Read the dataset; OGB keeps its own processed copy beside the raw files, stores are in the cache folder.

        Args:
            workers: Processes that parse source; 0 means as many as there are cores.
            cache: Folder for stores; None means the user's cache folder.
            progress: Whether bars are shown, and before data-flow graphs are made what they will take.

        Raises:
            GraphPERuntimeError: If the data is not there and cannot be downloaded, is incomplete, or cannot be read.
        """
        root = Path(self.root).expanduser()
        ogb = load_graph_dataset("ogbg-code2", root, download=self.download, progress=progress, files_only=True)
        notes = list(ogb.notes)
        store: Store | None = None
        raw = raw_graphs(ogb.folder, both_directions=False)
        if self.graph == "dataflow":
            if raw is None:
                raise GraphPERuntimeError(f"{ogb.folder / 'raw'} lacks num-node-list.csv.gz: get it again")
            graphs, types, attributes, store, more = self._flow(ogb, raw, workers, cache, progress)
            notes += more
        else:
            if raw is None or fits_in_memory(raw, node_bytes=40, edge_bytes=8):
                ogb = load_graph_dataset("ogbg-code2", root, download=False, progress=progress)
                trees = PackedGraphs.from_dataset(ogb.dataset, keys=NODE_KEYS)
                _check_order(trees, ogb.folder)
                graphs = syntax_edges(trees, self.graph)
            else:
                store = stored_raw(raw, _layout(self.graph, ogb.folder), cache=cache, progress=progress)
                graphs = store.packed
                notes.append(f"graphs are read from {store.root}")
            used = graphs.node["x"]
            types = _mapping(ogb.folder, "typeidx2type", int(used[:, 0].max()) + 1, [UNKNOWN], notes)
            attributes = _mapping(ogb.folder, "attridx2attr", int(used[:, 1].max()) + 1, [NONE, UNKNOWN], notes)
        name_tokens = _labels(ogb, notes)
        if len(name_tokens) != len(graphs):
            raise GraphPERuntimeError(
                f"{ogb.folder} holds {len(name_tokens)} labels for {len(graphs)} graphs: download it again"
            )
        tokens = token_vocabulary([name_tokens[index] for index in ogb.split["train"].tolist()], self.tokens)
        graphs = label_graphs(
            graphs,
            tokens,
            name_tokens=name_tokens,
            names=["_".join(name) for name in name_tokens],
            where=[f"ogbg-code2:{index}" for index in range(len(graphs))],
        )
        notes.insert(0, f"ogbg-code2 from {ogb.folder}: {len(graphs):,} functions")
        adapter = CodeAdapter(types, attributes, tokens, self.decoding, self.graph == "dataflow")
        digest = code_fingerprint(graphs, ogb.split, store)
        return CodeData(graphs, ogb.split, adapter, digest, notes, store=store)

    def adapter(self, state: Mapping[str, Any]) -> CodeAdapter:
        """The adapter with a run's vocabularies.

        Raises:
            GraphPEValueError: If `state` is not that of such an adapter.
        """
        return CodeAdapter.from_state(state, self.decoding, dataflow=self.graph == "dataflow")

    def _flow(
        self, ogb: OGBDataset, raw: RawGraphs, workers: int, cache: Path | None, progress: bool
    ) -> tuple[PackedGraphs, Vocabulary, Vocabulary, Store, list[str]]:
        """Data-flow graphs, their vocabularies, their store and lines about them."""
        archive = ogb.folder / "mapping" / ARCHIVE
        if not archive.exists():
            raise GraphPERuntimeError(
                f"{archive} is not there, of which data-flow graphs are made: OGB's download holds it; or ask for "
                "code2(graph='ast+tokens')"
            )
        train = ogb.split["train"]
        if train.numel() and not 0 <= int(train.min()) <= int(train.max()) < len(raw.nodes):
            raise GraphPERuntimeError(
                f"the training part of {ogb.folder} has graph {int(train.max())} of {len(raw.nodes)}: get it again"
            )
        notes: list[str] = []
        words = (
            _mapping(ogb.folder, "typeidx2type", 0, [UNKNOWN], notes).words,
            _mapping(ogb.folder, "attridx2attr", 0, [NONE, UNKNOWN], notes).words,
        )
        found = flow_store(raw, archive, train, words, self.attributes, workers=workers, cache=cache, progress=progress)
        return found.store.packed, found.types, found.attributes, found.store, [*notes, *found.notes()]


def _layout(graph: Graph, folder: Path) -> RawLayout:
    """Syntax trees from OGB's raw files."""
    assert graph in ("ast", "ast+tokens")
    names = {"node-feat": "x"}

    def build(structure: PackedGraphs, arrays: Arrays) -> PackedGraphs:
        node = {names.get(each.name, each.name): torch.from_numpy(arrays[each.name]) for each in TREE_TABLES}
        trees = structure.with_values(node={key: node[key] for key in NODE_KEYS})
        _check_order(trees, folder)
        return syntax_edges(trees, graph)

    return RawLayout(
        f"ogbg-code2-{graph.replace('+', '-')}", TREE_TABLES, build, _token_edges if "+" in graph else None
    )


def _token_edges(raw: RawGraphs, bounds: list[int]) -> Iterator[Ints]:
    """How many edges there are between consecutive attributed nodes of each graph."""
    (table,) = [each for each in TREE_TABLES if each.name == "node_is_attributed"]
    for start, stop, arrays in zip(bounds[:-1], bounds[1:], raw.read(bounds, [table]), strict=True):
        graph = np.repeat(np.arange(stop - start), raw.nodes[start:stop])
        attributed = np.bincount(graph[arrays[table.name].flatten() != 0], minlength=stop - start)
        yield np.maximum(attributed - 1, 0)


def _check_order(graphs: PackedGraphs, folder: Path) -> None:
    """Next-token edges rely on nodes that are stored in depth-first order."""
    order = graphs.node["node_dfs_order"].flatten()
    falls = (order[1:] <= order[:-1]) & (graphs.batch[1:] == graphs.batch[:-1])
    if bool(falls.any()):
        raise GraphPERuntimeError(f"{folder} does not hold nodes in depth-first order: download it again")


def _labels(ogb: OGBDataset, notes: list[str]) -> list[list[str]]:
    """Sub-tokens of every name, from the raw file: OGB's reader takes the names `nan` and `null` for numbers."""
    path = ogb.folder / "raw" / "graph-label.csv.gz"
    if path.exists() or ogb.dataset is None:
        return [row[0].split(" ") for row in read_rows(path)]
    notes.append(f"{path} is not there: labels as OGB read them")
    return [list(name) for name in ogb.dataset._data.y]


def _mapping(folder: Path, name: str, size: int, special: Sequence[str], notes: list[str]) -> Vocabulary:
    """The words behind indices, from OGB's mapping; numbers stand in for them where there is none."""
    path = folder / "mapping" / f"{name}.csv.gz"
    if not path.exists():
        notes.append(f"{path} is not there: {name} goes by numbers")
        return Vocabulary([*(f"#{index}" for index in range(size)), *special])
    words = [row[1] for row in read_rows(path)[1:]]
    if len(words) < size:
        raise GraphPERuntimeError(f"{path} has {len(words)} entries, but the data uses {size}: download it again")
    return Vocabulary([*words, *(word for word in special if word not in words)])
