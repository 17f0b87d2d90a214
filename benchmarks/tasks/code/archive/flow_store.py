"""Data-flow graphs of ogbg-code2 in a store: from the parsed source and, where it is not Python, OGB's syntax trees."""

from __future__ import annotations

import json
import platform
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch

from graphpe.benchmarks.tasks.code.archive.codes import keep_codes
from graphpe.benchmarks.tasks.code.archive.parts import Part, parse_parts, parsed_nodes, parser_name
from graphpe.benchmarks.tasks.code.dataflow.edge_types import FIELD
from graphpe.benchmarks.tasks.code.source.edges import EDGE_ATTR, flow_edges
from graphpe.benchmarks.tasks.code.source.graphs import Ints
from graphpe.benchmarks.tasks.code.vocabulary import NONE, UNKNOWN, Vocabulary
from graphpe.benchmarks.tasks.processes import cores
from graphpe.benchmarks.tasks.stored import EDGE, Arrays, store_folder, structure
from graphpe.errors import GraphPERuntimeError
from graphpe.files.ogb_raw import RawGraphs, RawTable, digest_of_files
from graphpe.graphs.concatenate import concatenate
from graphpe.graphs.packed import PackedGraphs
from graphpe.limits import format_bytes
from graphpe.progress import progress_bar
from graphpe.storage.shards import KEPT_GRAPHS, Sizes, keep_graphs
from graphpe.storage.store import Store

TREE_TABLES = (
    RawTable("node-feat", "node", 2),
    RawTable("node_depth", "node", 1),
    RawTable("node_is_attributed", "node", 1),
    RawTable("node_dfs_order", "node", 1),
)
"""OGB's raw files of syntax trees, beside edges."""

BASE_BYTES, FUNCTION_BYTES = 700_000_000, 3_000
"""Memory of loading: of what is imported and a shard, and for each function (names, words of the vocabulary)."""

NODE_BYTES, EDGE_BYTES, EDGES_A_NODE = 40, 40, 1.5
"""On disk: of a node, of an edge, and how many edges a node has in the mean."""

_SINCE = {"Num": "Constant", "Str": "Constant", "Bytes": "Constant", "NameConstant": "Constant", "Ellipsis": "Constant"}
"""Node types of older Pythons, as they are called since."""


@dataclass(frozen=True)
class FlowStore:
    """The graphs and what is known of them.

    Attributes:
        store: The graphs: `x`, `node_depth`, `node_is_attributed`, `node_dfs_order` and `edge_attr`.
        types: Node types; column 0 of `x`.
        attributes: Attributes; column 1 of `x`.
        trees: How many functions are no Python of this interpreter.
        reasons: The most frequent reasons, and an example of each.
    """

    store: Store
    types: Vocabulary
    attributes: Vocabulary
    trees: int
    reasons: list[str]

    def notes(self) -> list[str]:
        """Lines worth telling the user."""
        if not self.trees:
            return [f"all functions were parsed, and are read from {self.store.root}"]
        count, all_graphs = self.trees, len(self.store.packed)
        return [
            f"graphs are read from {self.store.root}",
            f"{count:,} of {all_graphs:,} functions ({count / all_graphs:.1%}) are not Python "
            f"{platform.python_version()} and have OGB's own syntax tree, without data flow: {'; '.join(self.reasons)}",
        ]


def flow_store(
    raw: RawGraphs,
    archive: Path,
    train: torch.Tensor,
    words: tuple[Sequence[str], Sequence[str]],
    size: int,
    *,
    workers: int,
    cache: Path | None,
    progress: bool,
) -> FlowStore:
    """The data-flow graphs, made once; killed, the next call goes on.

    Args:
        raw: OGB's raw files.
        archive: OGB's `graphidx2code.json.gz`.
        train: Numbers of the functions that vocabularies are chosen on.
        words: OGB's node types and attributes, by index.
        size: How many attributes to keep at most.
        workers: Processes that parse; 0 means as many as there are cores.
        cache: Folder for what is worth keeping; None for the user's cache folder.
        progress: Whether to show bars and what it will take.

    Raises:
        GraphPERuntimeError: A file is damaged, lacks a function, or nothing can be written.
    """
    tables = [EDGE, *TREE_TABLES]
    files = [archive, *(raw.folder / f"{name}.csv.gz" for name in ("num-node-list", "num-edge-list"))]
    files += [raw.folder / f"{table.name}.csv.gz" for table in tables]
    chosen = blake2b(train.numpy().tobytes() + json.dumps(words).encode(), digest_size=16).hexdigest()
    source = f"ogbg-code2 dataflow 1: {digest_of_files(files)} {chosen} attributes={size} {parser_name()}"
    folder = store_folder(cache, "ogbg-code2-dataflow", source)
    parts = folder.with_name(f"{folder.name}-parts")
    making = _Making(raw, archive, train.numpy(), words, size, parts, source, workers or cores(), progress)
    if progress:
        print(making.estimate(folder), flush=True)
    store = keep_graphs(folder, source, making.sizes, making.shards, progress=progress)
    shutil.rmtree(parts, ignore_errors=True)  # hundreds of thousands of texts that are graphs now
    store.verify()
    about = json.loads(store.manifest.transform)
    vocabularies = Vocabulary(about["types"]), Vocabulary(about["attributes"])
    return FlowStore(store, *vocabularies, about["trees"], about["reasons"])


@dataclass
class _Making:
    """The graphs in the making; vocabularies and `trees` are there once their sizes are known."""

    raw: RawGraphs
    archive: Path
    train: Ints
    words: tuple[Sequence[str], Sequence[str]]
    size: int
    folder: Path
    source: str
    workers: int
    progress: bool
    types: Vocabulary | None = None
    attributes: Vocabulary | None = None
    trees: int = 0

    def estimate(self, folder: Path) -> str:
        """What it will take, in words."""
        graphs, nodes = len(self.raw.nodes), int(self.raw.nodes.sum())
        disk = nodes * (NODE_BYTES + EDGE_BYTES * EDGES_A_NODE)
        memory = BASE_BYTES + FUNCTION_BYTES * graphs
        return (
            f"ogbg-code2 with data flow, {graphs:,} functions: at most about {format_bytes(memory)} of memory, and "
            f"about {format_bytes(disk)} on disk in {folder}"
        )

    @cached_property
    def parts(self) -> list[Part]:
        codes = keep_codes(self.archive, self.folder, len(self.raw.nodes), progress=self.progress)
        starts = range(0, len(codes), KEPT_GRAPHS)
        return [Part(codes.part(start, start + KEPT_GRAPHS), start, self.folder, self.source) for start in starts]

    def sizes(self) -> Sizes:
        """Parse everything, choose the vocabularies, and count."""
        parse_parts(self.parts, workers=self.workers, progress=self.progress)
        nodes, edges = self.raw.nodes.copy(), self.raw.edges.copy()
        in_training = np.zeros(len(nodes), dtype=bool)
        in_training[self.train] = True
        types: Counter[str] = Counter()
        attributes: Counter[str] = Counter()
        reasons: Counter[str] = Counter()
        examples: dict[str, str] = {}
        bar = progress_bar(self.parts, desc="count words", unit="part", leave=False, disable=not self.progress)
        for part in bar:
            corpus = part.corpus()
            found, numbers = parsed_nodes(corpus)
            sizes = np.diff(found.ptr)
            nodes[numbers] = sizes
            flow = np.searchsorted(found.edge[0], found.ptr)  # edges are in order of their functions
            edges[numbers] = sizes - 1 + np.diff(flow)
            counted = np.repeat(in_training[numbers], sizes)
            _count(types, found.type[counted], found.type_names)
            of_nodes = found.attribute[counted]
            _count(attributes, of_nodes[of_nodes >= 0], found.strings)
            for number, reason in corpus.skipped:
                kind = reason.split(" (line")[0]
                reasons[kind] += 1
                examples.setdefault(kind, number)
        self.types = _vocabulary(types, len(types), [UNKNOWN])
        self.attributes = _vocabulary(attributes, self.size, [NONE, UNKNOWN])
        self.trees = reasons.total()
        about = {
            "types": self.types.words,
            "attributes": self.attributes.words,
            "trees": self.trees,
            "reasons": [f"{kind}: {n:,}, as graph {examples[kind]}" for kind, n in reasons.most_common(3)],
        }
        return Sizes(nodes, edges, json.dumps(about))

    def shards(self, bounds: list[int]) -> Iterator[PackedGraphs]:
        """The graphs, a shard at a time."""
        assert self.types is not None, "sizes come first"
        assert self.attributes is not None
        trees: Iterator[Any] = iter(()) if not self.trees else self.raw.read(bounds, [EDGE, *TREE_TABLES])
        for start, stop, part in zip(bounds[:-1], bounds[1:], self.parts, strict=True):
            nodes, numbers = parsed_nodes(part.corpus())
            arrays = next(trees, None)
            graphs = [flow_edges(nodes.pack(self.types, self.attributes), nodes)] if len(numbers) else []
            missing = np.setdiff1d(np.arange(start, stop), numbers)
            if len(missing):
                assert arrays is not None, "some function is not Python"
                graphs.append(self._trees(start, stop, arrays).select(missing - start))
            order = np.argsort(np.concatenate([numbers, missing]))
            yield graphs[0] if len(graphs) == 1 else concatenate(graphs).select(order)

    def _trees(self, start: int, stop: int, arrays: Arrays) -> PackedGraphs:
        """OGB's syntax trees of some functions, in our vocabularies; of their edges the field is not known."""
        assert self.types is not None
        assert self.attributes is not None
        old_types, old_attributes = self.words
        type_of = self.types.encode(_SINCE.get(word, word) for word in old_types)
        attribute_of = self.attributes.encode(old_attributes)
        kind, attribute = arrays["node-feat"].T
        for column, known, name in ((kind, old_types, "type"), (attribute, old_attributes, "attr")):
            if column.size and not 0 <= column.min() <= column.max() < len(known):
                raise GraphPERuntimeError(
                    f"{self.raw.folder.parent} has the {name} {column.max()}, but names {len(known)}: get it again"
                )
        x = np.stack([type_of[kind], attribute_of[attribute]], axis=1)
        graphs = structure(self.raw, start, stop, arrays["edge"], "ogbg-code2")
        attr = torch.zeros(graphs.num_edges, 3, dtype=torch.long)
        attr[:, 0] = FIELD
        columns = {table.name: torch.from_numpy(arrays[table.name]) for table in TREE_TABLES[1:]}
        return graphs.with_values(node={"x": torch.from_numpy(x), **columns}, edge={EDGE_ATTR: attr})


def _count(counter: Counter[str], ids: Ints, words: Sequence[str]) -> None:
    """Add the words that occur, new ones in order of their first occurrence."""
    values, first, counts = np.unique(ids, return_index=True, return_counts=True)
    for place in np.argsort(first).tolist():
        counter[words[values[place]]] += int(counts[place])


def _vocabulary(counter: Counter[str], size: int, special: list[str]) -> Vocabulary:
    """The most frequent words, ties in order of first occurrence, then special ones."""
    words = sorted((word for word in counter if word not in special), key=lambda word: -counter[word])
    return Vocabulary([*words[:size], *special])
