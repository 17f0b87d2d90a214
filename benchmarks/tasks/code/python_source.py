"""The task that needs no download: naming the functions of a Python source tree."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from graphpe.arguments import check_choice, check_integer
from graphpe.benchmarks.tasks.code.adapter import CodeAdapter
from graphpe.benchmarks.tasks.code.data import CodeData, code_fingerprint, label_graphs
from graphpe.benchmarks.tasks.code.decoding import DECODINGS, Decoding
from graphpe.benchmarks.tasks.code.labels import token_vocabulary
from graphpe.benchmarks.tasks.code.source.corpus import Corpus
from graphpe.benchmarks.tasks.code.source.edges import GRAPHS, Graph, flow_edges, syntax_edges
from graphpe.benchmarks.tasks.code.source.files import SourceTree, find_sources, shown_path, standard_library
from graphpe.benchmarks.tasks.code.source.graphs import MASKS, FunctionNodes, Mask, attribute_words, function_nodes
from graphpe.benchmarks.tasks.code.source.names import subtokens
from graphpe.benchmarks.tasks.code.source.read import read_corpus
from graphpe.benchmarks.tasks.code.source.split import split_by_module
from graphpe.benchmarks.tasks.task import Task
from graphpe.errors import GraphPEValueError
from graphpe.files.atomic import user_cache
from graphpe.graphs.packed import PackedGraphs

MOST_WORDS = 64
"""Sub-tokens of an attribute at the very most; names of more are rare."""


@dataclass(frozen=True)
class PythonSource(Task):
    """Every function of a source tree, in the format of ogbg-code2; the label is the function's name.

    Attributes:
        root: Folder of the source; None means the standard library of the running Python.
        graph: `"ast"`; `"ast+tokens"` with edges between consecutive attributed nodes; or `"dataflow"` with edges from
            writes of variables to reads, from calls to definitions, between values and what is computed from them, and
            between statements as far as their order matters, each type embedded on its own: see
            `graphpe.benchmarks.tasks.code.dataflow`. Inverse edges are added for the model.
        mask: Where the function's own name is hidden: `"everywhere"` in its graph, or `"definition"`, OGB's rule,
            which leaves the label in recursive calls, `self.name` and `super().name`.
        tests: Whether folders of tests are read too.
        attributes: Size of the vocabulary of attributes, `__NONE__` and `__UNK__` not counted.
        tokens: Size of the vocabulary of sub-tokens, `__UNK__` and `__EOS__` not counted.
        words: How many sub-tokens of a node's attribute the model reads besides the attribute as a whole, of which most
            are rare; 0 for none, as ogbg-code2 has it. Their vectors are those of the classifier, too. An attribute
            with spaces counts as one word, so that documentation strings are hardly read.
        decoding: How class scores become a name: `"expected-f1"`, the words with the largest expected F1, or
            `"argmax"`, the most probable class at each position, which is the rule of OGB's example: `__UNK__` is kept
            and counts as a wrong word.

    Raises:
        GraphPEValueError: For a value that is not one of these.
    """

    name: ClassVar[str] = "python-source"
    summary: ClassVar[str] = "name the functions of a Python source tree (default: standard library); F1 of sub-tokens"

    root: str | None = None
    graph: Graph = "ast+tokens"
    mask: Mask = "everywhere"
    tests: bool = False
    attributes: int = 10_000
    tokens: int = 5_000
    words: int = 4
    decoding: Decoding = "expected-f1"

    def __post_init__(self) -> None:
        check_choice("graph", self.graph, GRAPHS)
        check_choice("mask", self.mask, MASKS)
        check_integer("attributes", self.attributes, least=1)
        check_integer("tokens", self.tokens, least=1)
        check_integer("words", self.words, least=0, most=MOST_WORDS)
        check_choice("decoding", self.decoding, DECODINGS)
        if self.root is not None and not isinstance(self.root, str):
            raise GraphPEValueError(f"root must be a path, got {self.root!r}")

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> CodeData:
        """Parse the tree (or take what was parsed before), split it, choose vocabularies on the training part.

        Functions whose name has no sub-token (`_`) are left out and counted.

        Args:
            workers: Processes that parse; 0 means as many as there are cores.
            cache: Folder in which parsed source is kept; None means the user's cache folder.
            progress: Whether to show a bar.

        Raises:
            GraphPEValueError: If the root is missing or holds no function, or too few modules to split.
        """
        root = str(standard_library()) if self.root is None else self.root
        tree = find_sources(root, tests=self.tests)
        corpus, notes = read_corpus(
            tree, dataflow=self._dataflow, workers=workers, cache=cache or user_cache(), progress=progress
        )
        _require_functions(corpus, root)
        tokens_of = _tokens(corpus)
        chosen = np.flatnonzero([bool(tokens) for tokens in tokens_of])
        if not len(chosen):
            raise GraphPEValueError(f"no function in {root} has a word in its name: give other source")
        name_tokens = [tokens_of[index] for index in chosen]
        split = split_by_module(corpus.files, corpus.file[chosen])
        train = split.functions["train"].numpy()

        nodes = function_nodes(corpus, chosen)
        leaks = float(nodes.name_leaks().mean())
        nodes = nodes.masked(self.mask)
        types, attributes = nodes.vocabularies(train, self.attributes)
        tokens = token_vocabulary([name_tokens[index] for index in train], self.tokens)
        adapter = CodeAdapter(
            types, attributes, tokens, self.decoding, self._dataflow, words=self.words, one_classifier=True
        )
        graphs = self._graphs(corpus, chosen, nodes, name_tokens, adapter)

        what = f"standard library of Python {platform.python_version()}" if self.root is None else root
        notes = [f"{what}: {len(corpus.files):,} files, {corpus.num_functions:,} functions", *notes]
        notes += _left_out(tree, corpus.num_functions - len(chosen))
        if self.mask == "definition":
            notes.append(f"{leaks:.1%} of the functions keep their name in their graph (mask='definition')")
        notes += [
            f"{part}: {len(functions):,} functions of {len(split.units[part])} packages and modules"
            for part, functions in split.functions.items()
        ]
        return CodeData(graphs, split.functions, adapter, code_fingerprint(graphs, split.functions), notes)

    def adapter(self, state: Mapping[str, Any]) -> CodeAdapter:
        """The adapter with a run's vocabularies.

        Raises:
            GraphPEValueError: If `state` is not that of such an adapter.
        """
        return self._own(CodeAdapter.from_state(state, self.decoding, dataflow=self._dataflow))

    def functions(
        self, paths: Iterable[str | os.PathLike[str]], adapter: CodeAdapter, *, workers: int = 0
    ) -> tuple[PackedGraphs, list[str]]:
        """Graphs of the functions below some paths, with a run's vocabularies. Folders of tests are read too.

        Args:
            paths: Files and folders.
            adapter: The run's.
            workers: Processes that parse; 0 means as many as there are cores.

        Returns:
            The graphs, and lines about what could not be read.

        Raises:
            GraphPEValueError: If a path is missing or nothing below the paths can be read, or holds no function.
        """
        roots = [Path(path) for path in paths]
        tree = SourceTree([], [])
        for path in roots:
            below = find_sources(path, tests=True)
            top = shown_path(path)
            for file in below.files:
                tree.files.append(replace(file, shown=f"{top}/{file.shown}" if path.is_dir() else top))
            tree.unreadable += [(f"{top}/{shown}", reason) for shown, reason in below.unreadable]
        corpus, notes = read_corpus(tree, dataflow=self._dataflow, workers=workers, progress=False)
        _require_functions(corpus, ", ".join(map(str, roots)))
        chosen = np.arange(corpus.num_functions)
        nodes = function_nodes(corpus, chosen).masked(self.mask)
        return self._graphs(corpus, chosen, nodes, _tokens(corpus), adapter), notes

    def _own(self, adapter: CodeAdapter) -> CodeAdapter:
        """With what ogbg-code2 has not: there are few functions to learn each word from."""
        return replace(adapter, words=self.words, one_classifier=True)

    @property
    def _dataflow(self) -> bool:
        return self.graph == "dataflow"

    def _graphs(
        self,
        corpus: Corpus,
        chosen: np.ndarray,
        nodes: FunctionNodes,
        name_tokens: list[list[str]],
        adapter: CodeAdapter,
    ) -> PackedGraphs:
        trees = nodes.pack(adapter.types, adapter.attributes)
        if self.words:
            words = torch.from_numpy(attribute_words(nodes, adapter.tokens, self.words))
            trees = trees.with_values(node={"node_words": words})
        names, lines, files = corpus.names, corpus.line.tolist(), corpus.file.tolist()
        return label_graphs(
            flow_edges(trees, nodes) if self._dataflow else syntax_edges(trees, self.graph),
            adapter.tokens,
            name_tokens=name_tokens,
            names=[names[index] for index in chosen],
            where=[f"{corpus.files[files[index]]}:{lines[index]}" for index in chosen],
        )


def _tokens(corpus: Corpus) -> list[list[str]]:
    """Sub-tokens of every function's name; many functions share one."""
    by_name = {name: subtokens(name) for name in set(corpus.names)}
    return [by_name[name] for name in corpus.names]


def _require_functions(corpus: Corpus, where: str) -> None:
    if not corpus.files:
        path, reason = corpus.skipped[0]
        more = f" (and {len(corpus.skipped) - 1} more)" if len(corpus.skipped) > 1 else ""
        raise GraphPEValueError(f"{path} is not Python source that can be read: {reason}{more}")
    if not corpus.num_functions:
        raise GraphPEValueError(f"there is no function in {where} ({len(corpus.files)} files read): give other source")


def _left_out(tree: SourceTree, nameless: int) -> list[str]:
    notes = []
    if tree.test_folders:
        notes.append(f"left out {tree.test_folders} folders of tests (tests=True reads them)")
    if nameless:
        notes.append(f"left out {nameless} functions whose name has no word in it")
    return notes
