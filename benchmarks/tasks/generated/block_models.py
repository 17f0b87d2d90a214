"""PATTERN and CLUSTER from the stochastic block models that they were drawn from (Dwivedi et al. 2020).

CLUSTER: six communities of 5 to 34 nodes; two nodes of one are joined with probability 0.55, of two with 0.25; one node
of each community carries its number.

PATTERN: five communities of 5 to 34 nodes, joined with probability 0.5 inside and 0.35 across, and a pattern: one of
100, each of 5 to 34 nodes that are joined with probability 0.5, with each other the same way in all of its graphs, and
with those of the communities anew. Every node carries one of three words, those of a pattern always the same. Each
pattern is in 100 graphs for training, 20 for validation and 20 for the test.

The numbers are those of the authors' notebooks; their random numbers are not, so that the graphs are others.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from graphpe.benchmarks.tasks.generated.cache import Arrays, generated_once
from graphpe.benchmarks.tasks.generated.splitmix import random_below, random_uniform, start_stream
from graphpe.compiled.jit import machine_code
from graphpe.graphs.packed import PackedGraphs

_VERSION = 1
_LEAST, _MOST = 5, 35
"""Nodes of a community or a pattern: from the first, below the second."""

_OTHERS = 1_000_000
"""Number of the stream of random numbers of the first pattern: graphs have those before."""


@dataclass(frozen=True)
class BlockModel:
    """What is drawn.

    Attributes:
        name: Of the set.
        communities: Of a graph.
        inside: Probability of an edge between two nodes of one community.
        across: Probability of an edge between two nodes of different ones.
        words: Values that nodes carry.
        patterns: How many patterns there are; 0 for graphs without any.
        graphs: Graphs for training, for validation and for the test, of each pattern.
    """

    name: str
    communities: int
    inside: float
    across: float
    words: int
    patterns: int
    graphs: tuple[int, int, int]


PATTERN = BlockModel("pattern", 5, 0.5, 0.35, 3, 100, (100, 20, 20))
CLUSTER = BlockModel("cluster", 6, 0.55, 0.25, 7, 0, (10_000, 1_000, 1_000))

_PATTERN_EDGE = 0.5
"""Probability of an edge inside a pattern, and between a pattern and the communities."""


def block_model_graphs(
    model: BlockModel, seed: int, *, cache: Path | None
) -> tuple[PackedGraphs, dict[str, torch.Tensor], list[str]]:
    """The graphs of a set: `x` one-hot `[N, words]`, `y` `[N]`; the split; and lines about the cache.

    Args:
        model: What is drawn.
        seed: Of everything random.
        cache: Folder in which they are kept; None means the user's cache folder.
    """
    recipe = f"block model {_VERSION}: {model} seed {seed}"
    arrays, notes = generated_once(model.name, recipe, cache, lambda: _generate(model, seed))
    nodes, pairs = arrays["nodes"].astype(np.int64), arrays["edges"].astype(np.int64)
    ptr, edge_ptr = (np.concatenate([np.zeros(1, np.int64), np.cumsum(each)]) for each in (nodes, 2 * pairs))
    edge = np.repeat(arrays["edge"].astype(np.int64) + np.repeat(ptr[:-1], pairs), 2, axis=1)  # an edge, its inverse
    edge[:, 1::2] = edge[::-1, ::2]
    words = torch.from_numpy(arrays["word"].astype(np.int64))
    graphs = PackedGraphs(
        edge_index=torch.from_numpy(edge),
        ptr=torch.from_numpy(ptr),
        edge_ptr=torch.from_numpy(edge_ptr),
        node={
            "x": torch.nn.functional.one_hot(words, model.words).float(),
            "y": torch.from_numpy(arrays["target"].astype(np.int64)),
        },
    )
    counts = [count * max(model.patterns, 1) for count in model.graphs]
    split = dict(zip(("train", "valid", "test"), torch.arange(len(nodes)).split(counts), strict=True))
    return graphs, split, notes


def _generate(model: BlockModel, seed: int) -> Arrays:
    found: list[Any] = []
    number = 0
    for count in model.graphs:
        for pattern in range(max(model.patterns, 1)):
            drawn = _pattern(np.uint64(seed), _OTHERS + pattern, bool(model.patterns), model.words)
            for _ in range(count):
                found.append(
                    _graph(np.uint64(seed), number, model.communities, model.inside, model.across, model.words, *drawn)
                )
                number += 1
    return {
        "nodes": np.array([len(word) for _, word, _ in found], dtype=np.int32),
        "edges": np.array([edge.shape[1] for edge, _, _ in found], dtype=np.int32),
        "edge": np.concatenate([edge for edge, _, _ in found], axis=1),
        "word": np.concatenate([word for _, word, _ in found]),
        "target": np.concatenate([target for _, _, target in found]),
    }


@machine_code
def _pattern(seed: Any, number: int, there: bool, words: int) -> Any:
    """Which nodes of a pattern are joined, and their words; a pattern without nodes where there is none."""
    state = np.zeros(1, np.uint64)
    start_stream(state, seed, number)
    n = _LEAST + random_below(state, _MOST - _LEAST) if there else 0
    joined = np.zeros((n, n), np.bool_)
    for i in range(n):
        for j in range(i + 1, n):
            joined[i, j] = joined[j, i] = random_uniform(state) < _PATTERN_EDGE
    word = np.zeros(n, np.uint8)
    for i in range(n):
        word[i] = random_below(state, words)
    return joined, word


@machine_code
def _graph(
    seed: Any,
    number: int,
    communities: int,
    inside: float,
    across: float,
    words: int,
    joined: Any,
    pattern_words: Any,
) -> Any:
    """Edges `[2, E]`, each once, words and targets of a graph, its nodes in random order."""
    state = np.zeros(1, np.uint64)
    start_stream(state, seed, number)
    sizes = np.zeros(communities, np.int64)
    for c in range(communities):
        sizes[c] = _LEAST + random_below(state, _MOST - _LEAST)
    m, k = sizes.sum(), len(pattern_words)
    n = m + k
    group, word, place = np.zeros(n, np.int64), np.zeros(n, np.uint8), np.zeros(n, np.int64)
    at = 0
    for c in range(communities):
        for i in range(at, at + sizes[c]):
            group[i] = c
        at += sizes[c]
    if k:
        for i in range(m):
            word[i] = random_below(state, words)
        for i in range(k):
            group[m + i], word[m + i] = communities, pattern_words[i]
    else:
        at = 0
        for c in range(communities):
            word[at + random_below(state, sizes[c])] = c + 1
            at += sizes[c]
    for i in range(n):  # a random order, by Fisher and Yates
        j = random_below(state, i + 1)
        place[i] = place[j]
        place[j] = i
    edge = np.empty((2, n * (n - 1) // 2), np.uint8)
    count = 0
    for i in range(n):
        for j in range(i + 1, n):
            if i >= m:
                there = joined[i - m, j - m]
            elif j >= m:
                there = random_uniform(state) < _PATTERN_EDGE
            else:
                there = random_uniform(state) < (inside if group[i] == group[j] else across)
            if there:
                edge[0, count], edge[1, count] = place[i], place[j]
                count += 1
    shown, target = np.zeros(n, np.uint8), np.zeros(n, np.uint8)
    for i in range(n):
        shown[place[i]] = word[i]
        target[place[i]] = (1 if i >= m else 0) if k else group[i]
    return edge[:, :count].copy(), shown, target
