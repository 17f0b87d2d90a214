"""ogbg-code2 itself, through OGB's own loader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

from graphpe.arguments import check_choice, check_integer
from graphpe.benchmarks.tasks.code.adapter import CodeAdapter
from graphpe.benchmarks.tasks.code.data import CodeData, code_fingerprint, label_graphs
from graphpe.benchmarks.tasks.code.decoding import DECODINGS, Decoding
from graphpe.benchmarks.tasks.code.labels import token_vocabulary
from graphpe.benchmarks.tasks.code.source.edges import SYNTAX_GRAPHS, SyntaxGraph, syntax_edges
from graphpe.benchmarks.tasks.code.vocabulary import NONE, UNKNOWN, Vocabulary
from graphpe.benchmarks.tasks.task import Task
from graphpe.errors import GraphPERuntimeError
from graphpe.files.ogb import OGBDataset, load_graph_dataset, read_rows
from graphpe.graphs.packed import PackedGraphs

NODE_KEYS = ("x", "node_depth", "node_is_attributed", "node_dfs_order")


@dataclass(frozen=True)
class Code2(Task):
    """ogbg-code2: 452,741 functions of GitHub projects, split by project.

    Attributes:
        root: The folder that holds OGB's folder `ogbg_code2`, or will.
        graph: `"ast"`, or `"ast+tokens"` with edges between consecutive attributed nodes. Inverse edges are added for
            the model. (Data-flow graphs need the source, which the dataset leaves out: see `python-source`.)
        tokens: Size of the vocabulary of sub-tokens, `__UNK__` and `__EOS__` not counted.
        decoding: How class scores become a name: `"expected-f1"`, the words with the largest expected F1, or
            `"argmax"`, the most probable class at each position, which is the rule of OGB's example: `__UNK__` is kept
            and counts as a wrong word.
        download: Whether OGB downloads the data (about 1 GB) if it is not there.

    Raises:
        GraphPEValueError: For a value that is not one of these.
    """

    name: ClassVar[str] = "code2"
    summary: ClassVar[str] = "ogbg-code2: name the functions of GitHub projects; OGB's data, split and F1"

    root: str = "dataset"
    graph: SyntaxGraph = "ast+tokens"
    tokens: int = 5_000
    decoding: Decoding = "expected-f1"
    download: bool = True

    def __post_init__(self) -> None:
        check_choice("graph", self.graph, SYNTAX_GRAPHS)
        check_integer("tokens", self.tokens, least=1)
        check_choice("decoding", self.decoding, DECODINGS)

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> CodeData:
        """Read the dataset; OGB keeps its own processed copy beside the raw files.

        Args:
            workers: Not used: OGB reads in one process.
            cache: Not used: OGB keeps what it processed.
            progress: Whether OGB's bars are shown.

        Raises:
            GraphPERuntimeError: If the data is not there and cannot be downloaded, is incomplete, or cannot be read.
        """
        ogb = load_graph_dataset("ogbg-code2", Path(self.root).expanduser(), download=self.download, progress=progress)
        graphs = PackedGraphs.from_dataset(ogb.dataset, keys=NODE_KEYS)
        _check_order(graphs, ogb.folder)
        notes = list(ogb.notes)
        name_tokens = _labels(ogb, notes)
        if len(name_tokens) != len(graphs):
            raise GraphPERuntimeError(
                f"{ogb.folder} holds {len(name_tokens)} labels for {len(graphs)} graphs: download it again"
            )
        types = _mapping(ogb.folder, "typeidx2type", graphs.node["x"][:, 0], [UNKNOWN], notes)
        attributes = _mapping(ogb.folder, "attridx2attr", graphs.node["x"][:, 1], [NONE, UNKNOWN], notes)
        tokens = token_vocabulary([name_tokens[index] for index in ogb.split["train"].tolist()], self.tokens)
        graphs = label_graphs(
            syntax_edges(graphs, self.graph),
            tokens,
            name_tokens=name_tokens,
            names=["_".join(name) for name in name_tokens],
            where=[f"ogbg-code2:{index}" for index in range(len(graphs))],
        )
        notes.insert(0, f"ogbg-code2 from {ogb.folder}: {len(graphs):,} functions")
        adapter = CodeAdapter(types, attributes, tokens, self.decoding)
        return CodeData(graphs, ogb.split, adapter, code_fingerprint(graphs, ogb.split), notes)

    def adapter(self, state: Mapping[str, Any]) -> CodeAdapter:
        """The adapter with a run's vocabularies.

        Raises:
            GraphPEValueError: If `state` is not that of such an adapter.
        """
        return CodeAdapter.from_state(state, self.decoding)


def _check_order(graphs: PackedGraphs, folder: Path) -> None:
    """Next-token edges rely on nodes that are stored in depth-first order."""
    order = graphs.node["node_dfs_order"].flatten()
    falls = (order[1:] <= order[:-1]) & (graphs.batch[1:] == graphs.batch[:-1])
    if bool(falls.any()):
        raise GraphPERuntimeError(f"{folder} does not hold nodes in depth-first order: download it again")


def _labels(ogb: OGBDataset, notes: list[str]) -> list[list[str]]:
    """Sub-tokens of every name, from the raw file: OGB's reader takes the names `nan` and `null` for numbers."""
    path = ogb.folder / "raw" / "graph-label.csv.gz"
    if path.exists():
        return [row[0].split(" ") for row in read_rows(path)]
    notes.append(f"{path} is not there: labels as OGB read them")
    return [list(name) for name in ogb.dataset._data.y]


def _mapping(folder: Path, name: str, used: torch.Tensor, special: list[str], notes: list[str]) -> Vocabulary:
    """The words behind indices, from OGB's mapping; numbers stand in for them where there is none."""
    path = folder / "mapping" / f"{name}.csv.gz"
    size = int(used.max()) + 1
    if not path.exists():
        notes.append(f"{path} is not there: {name} goes by numbers")
        return Vocabulary([*(f"#{index}" for index in range(size)), *special])
    words = [row[1] for row in read_rows(path)[1:]]
    if len(words) < size:
        raise GraphPERuntimeError(f"{path} has {len(words)} entries, but the data uses {size}: download it again")
    return Vocabulary([*words, *(word for word in special if word not in words)])
