"""From a corpus to packed graphs in the form of ogbg-code2.

A function's graph is a `Module` root, the function's definition as node 1, and everything below it, in depth-first
order: a stretch of the corpus arrays with a root put in front. All functions are cut out at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from graphpe.benchmarks.tasks.code.source.corpus import Corpus
from graphpe.benchmarks.tasks.code.source.names import subtokens
from graphpe.benchmarks.tasks.code.source.parse import FIELD_NAMES, FUNCTION_TYPES
from graphpe.benchmarks.tasks.code.vocabulary import MASK, NONE, UNKNOWN, Vocabulary, count_words
from graphpe.graphs.packed import PackedGraphs

Mask = Literal["everywhere", "definition"]
MASKS: tuple[Mask, ...] = ("everywhere", "definition")

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class FunctionNodes:
    """Nodes of functions, N in all; functions follow one another, a function's nodes are in depth-first order.

    Attributes:
        type: Index into `type_names`, `[N]`.
        attribute: Index into `strings`, or -1, `[N]`.
        depth: 0 for the root, `[N]`.
        parent: Node number of the parent, or -1 for a root, `[N]`.
        field: Index into `FIELD_NAMES` of the parent's field that a node stands in, or -1, `[N]`.
        edge: Source and target of edges of data flow, in order of the functions, `[2, E]`; none unless they were found.
        edge_type: Index into `EDGE_TYPES`, `[E]`.
        ptr: Function b owns nodes `ptr[b]` to `ptr[b + 1]`, `[B + 1]`.
        strings: Attributes.
        type_names: Node types.
    """

    type: Ints
    attribute: Ints
    depth: Ints
    parent: Ints
    field: Ints
    edge: Ints
    edge_type: Ints
    ptr: Ints
    strings: list[str]
    type_names: list[str]

    @cached_property
    def is_own_name(self) -> NDArray[np.bool_]:
        """Whether a node's attribute is the name of the function, `[N]`."""
        name = self.attribute[self.ptr[:-1] + 1]
        return self.attribute == np.repeat(name, np.diff(self.ptr))

    @cached_property
    def is_definition(self) -> NDArray[np.bool_]:
        """Whether a node defines a function, `[N]`."""
        return np.isin(self.type, [index for index, name in enumerate(self.type_names) if name in FUNCTION_TYPES])

    def name_leaks(self) -> NDArray[np.bool_]:
        """Whether a function's name also stands elsewhere than in a definition of that name, `[B]`.

        These are the functions whose label the rule `mask="definition"` leaves in the input: a recursive call,
        `self.name`, `super().name`, a decorator `@name.setter`.
        """
        return np.add.reduceat(self.is_own_name & ~self.is_definition, self.ptr[:-1], dtype=np.int64) > 0

    def masked(self, mask: Mask) -> FunctionNodes:
        """With the functions' own names replaced.

        Args:
            mask: `"everywhere"` replaces the name in every node of the function's graph whose attribute is the name;
                `"definition"`, OGB's rule, only in nodes that define a function of that name.
        """
        hidden = self.is_own_name if mask == "everywhere" else self.is_own_name & self.is_definition
        strings = self.strings if MASK in self.strings else [*self.strings, MASK]
        return replace(self, attribute=np.where(hidden, strings.index(MASK), self.attribute), strings=strings)

    def vocabularies(self, graphs: Ints, size: int) -> tuple[Vocabulary, Vocabulary]:
        """Vocabularies of node types and of attributes.

        Args:
            graphs: The functions that count.
            size: How many attributes to keep at most; `__NONE__` and `__UNK__` come on top.
        """
        chosen = np.zeros(len(self.ptr) - 1, dtype=bool)
        chosen[graphs] = True
        chosen = np.repeat(chosen, np.diff(self.ptr))
        types = count_words(self.type[chosen], self.type_names, len(self.type_names), [UNKNOWN])
        attributes = self.attribute[chosen]
        return types, count_words(attributes[attributes >= 0], self.strings, size, [NONE, UNKNOWN])

    def pack(self, types: Vocabulary, attributes: Vocabulary) -> PackedGraphs:
        """The graphs, with the values and shapes of ogbg-code2.

        `x [N, 2]` holds indices of type and attribute; `node_depth`, `node_is_attributed` and `node_dfs_order` are
        `[N, 1]`; edges run from parent to child, in order of the parent, children of one parent in source order.
        """
        number = np.arange(len(self.type))
        first = np.repeat(self.ptr[:-1], np.diff(self.ptr))
        # The appended entry is what the index -1, "no attribute", finds.
        attribute_of = np.append(attributes.encode(self.strings), attributes.index_of[NONE])
        x = np.stack([types.encode(self.type_names)[self.type], attribute_of[self.attribute]], axis=1)
        child = np.flatnonzero(self.parent >= 0)
        child = child[np.argsort(self.parent[child], kind="stable")]
        columns = {
            "node_depth": self.depth,
            "node_is_attributed": self.attribute >= 0,
            "node_dfs_order": number - first,
        }
        ptr = torch.from_numpy(self.ptr)
        return PackedGraphs(
            edge_index=torch.from_numpy(np.stack([self.parent[child], child])),
            ptr=ptr,
            edge_ptr=ptr - torch.arange(len(ptr)),  # trees: one edge less than nodes
            node={"x": torch.from_numpy(x)}
            | {key: torch.from_numpy(value.astype(np.int64)[:, None]) for key, value in columns.items()},
        )


def attribute_words(nodes: FunctionNodes, tokens: Vocabulary, count: int) -> Ints:
    """Sub-tokens of the attribute of each node, `[N, count]`: indices into `tokens`, filled up with `len(tokens)`.

    Args:
        nodes: The nodes, with their own names masked: a masked name has no sub-tokens.
        tokens: The vocabulary; sub-tokens that it lacks are left out.
        count: How many of each attribute there are at most, the first ones.
    """
    # The last row is what the index -1, "no attribute", finds.
    table = np.full((len(nodes.strings) + 1, count), len(tokens), dtype=np.int64)
    for row, string in enumerate(nodes.strings):
        if string != MASK:
            known = [tokens.index_of[word] for word in subtokens(string) if word in tokens.index_of][:count]
            table[row, : len(known)] = known
    return table[nodes.attribute]


def function_nodes(corpus: Corpus, functions: Ints) -> FunctionNodes:
    """Cut functions out of a corpus.

    Args:
        corpus: The corpus.
        functions: Function ids, in the order wanted.
    """
    start, sizes = corpus.start[functions], (corpus.stop - corpus.start)[functions] + 1
    ptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    first = np.repeat(ptr[:-1], sizes)
    position = np.arange(ptr[-1]) - first
    is_root = position == 0
    # Node k of a function is node `start + k - 1` of the corpus; a root reads the definition and is overwritten.
    shift = np.repeat(start - 1, sizes)
    source = shift + np.maximum(position, 1)
    depth = corpus.depth[source] - np.repeat(corpus.depth[start], sizes) + 1
    parent = corpus.parent[source] - shift + first
    parent[position == 1] = ptr[:-1]
    field = np.where(is_root, -1, corpus.field[source]).astype(np.int64)
    field[position == 1] = FIELD_NAMES.index("body")
    edge, edge_type = _flow_edges(corpus, functions, ptr)
    return FunctionNodes(
        type=np.where(is_root, corpus.type_names.index("Module"), corpus.type[source]),
        attribute=np.where(is_root, -1, corpus.attribute[source]).astype(np.int64),
        depth=np.where(is_root, 0, depth).astype(np.int64),
        parent=np.where(is_root, -1, parent),
        field=field,
        edge=edge,
        edge_type=edge_type,
        ptr=ptr,
        strings=corpus.strings,
        type_names=corpus.type_names,
    )


def _flow_edges(corpus: Corpus, functions: Ints, ptr: Ints) -> tuple[Ints, Ints]:
    """Edges with both ends in a function, for each function, as node numbers of `FunctionNodes`, and their types."""
    start, stop = corpus.start[functions], corpus.stop[functions]
    # Edges are in order of the source: those that start in a function are a stretch.
    low, high = np.searchsorted(corpus.edge[0], [start, stop])
    counts = high - low
    of = np.repeat(np.arange(len(functions)), counts)
    chosen = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(low, counts)
    target = corpus.edge[1, chosen]
    inside = (target >= start[of]) & (target < stop[of])
    chosen, of = chosen[inside], of[inside]
    return corpus.edge[:, chosen] + (ptr[:-1] + 1 - start)[of], corpus.edge_type[chosen].astype(np.int64)
