"""How many non-isomorphic pairs of graphs an encoding tells apart, before any training.

Two graphs are compared through numbers that a renumbering of nodes cannot change. The values x_i of nodes give

    g = sum_i cos(W x_i + b)

with random W and b: as many such numbers as needed tell any two multisets of rows apart, and they change smoothly, so
that rounding in x moves them as little. Pairs of nodes give a row of each node first, h_i = (sum_j cos(W p_ij + b),
cos(W' p_ii + b')), and those the numbers of the graph. Eigenvectors, whose signs and bases mean nothing, come in as
pairs, sum_k phi(lambda_k) v_ik conj(v_jk) with random smooth phi: what a model can see that respects signs and bases.

What a random renumbering of the nodes changes nevertheless is rounding; encodings are compared as they are computed, in
double precision, before they are written in single. Two graphs are told apart if they differ by more than ten times the
largest change in a sample of renumbered graphs; an encoding that a renumbering changes a lot (signs, random numbers) is
no function of the graph, and left out. Each pair has controls of its own: other renumberings of its two graphs. Where
one of them is told apart from its graph, the pair does not count, and is a false alarm.

Some values are computed in single precision: powers of all pairs are summed in double and kept in single. Where a sum
lies half way between two single numbers, another order of the nodes rounds it to the other one; that is rare, and a
sample may not show it. There, graphs have to differ, in addition, by the most that their numbers can change if every
value moves by a unit in its last place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree
from torch import Tensor

from graphpe.benchmarks.expressivity.graph_sets import GraphSet, renumbered
from graphpe.calls import parameters_of
from graphpe.graphs.packed import PackedGraphs
from graphpe.transforms.base import Encoding, SpectralEncoding, encode_all
from graphpe.transforms.values import Values

Floats = NDArray[np.float64]
Pairs = NDArray[np.int64]
Waves = Callable[[Floats, int, int], Floats]
"""From rows, a seed and a width to numbers of each row."""

FEATURES, PAIR_FEATURES = 24, 12
MARGIN = 10.0
NOT_INVARIANT = 1e-2
"""A change under renumbering that is no rounding any more."""

CONTROLS = 1
"""Renumberings of each graph that must not be told apart from it."""

_LEAST_CHANGE = 1e-11
_SINGLE_UNIT = 2.0**-23
"""The unit in the last place of a single-precision number, relative to it, at most."""

_CHUNK_PAIRS = 1 << 18
_COPIES = 300
_SAME_EIGENVALUE = 1e-4


@dataclass(frozen=True)
class Verdict:
    """What an encoding tells apart in a set.

    Attributes:
        encoding: The encoding's text; `(none)` for the types of nodes alone.
        dataset: The set.
        pairs: Pairs that were compared.
        apart: Pairs that are told apart; None where the encoding is no function of the graph.
        alarms: Pairs that do not count because one of their graphs is told apart from itself.
        change: Largest change under a renumbering of the nodes.
        nearest: How much two graphs that are told apart differ at least.
        beyond: Of those that are told apart, pairs that should be alike.
    """

    encoding: str
    dataset: str
    pairs: int
    apart: int | None
    alarms: int
    change: float
    nearest: float
    beyond: int = 0


def compare(
    encoding: Encoding | None, data: GraphSet, *, rounds: int = 0, seed: int = 0, alike: Pairs | None = None
) -> Verdict:
    """How many pairs of a set an encoding tells apart, beside the types of nodes.

    Args:
        encoding: The encoding; None for the types alone.
        data: The set.
        rounds: Rounds of message passing over the edges after the encoding, h_i <- (h_i, sum_j cos(W h_j + b)): what
            a network of so many layers can see.
        seed: Of the random numbers.
        alike: Pairs that should not be told apart, `[pairs, 2]`, by what is known of the encoding.
    """
    measure = _Measure(encoding, data.graphs, rounds, seed)
    found = measure(data.graphs)
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(data.graphs))[:_COPIES])
    change = float(np.abs(measure(renumbered(data.graphs.select(chosen), rng)) - found[chosen]).max(initial=0.0))
    text = "(none)" if encoding is None else brief(encoding)
    if change > NOT_INVARIANT:
        return Verdict(text, data.name, data.pairs, None, 0, change, np.nan)
    radius = MARGIN * max(change, _LEAST_CHANGE) + measure.rounding(data.graphs)
    wrong = np.zeros(len(found), dtype=bool)
    for _ in range(CONTROLS):
        wrong |= np.abs(measure(renumbered(data.graphs, rng)) - found).max(1, initial=0.0) > radius
    apart, alarms = counted(found, wrong, radius, data)
    over = 0 if alike is None else int(differing(found, wrong, radius, alike).sum())
    return Verdict(text, data.name, data.pairs, apart, alarms, change, nearest(found, radius, data), over)


def counted(found: Floats, wrong: NDArray[np.bool_], radius: float, data: GraphSet) -> tuple[int, int]:
    """Pairs that are told apart, and false alarms.

    Args:
        found: Numbers of each graph, `[B, C]`.
        wrong: Which graphs are told apart from themselves.
        radius: By how much graphs that are told apart differ in some number.
        data: The set.
    """
    if data.consecutive:
        alarms = wrong[0::2] | wrong[1::2]
        return int((_steps(found) > radius)[~alarms].sum()), int(alarms.sum())
    right = found[~wrong]
    tree = cKDTree(right)
    alike = (int(tree.count_neighbors(tree, radius, p=np.inf)) - len(right)) // 2
    pairs = len(right) * (len(right) - 1) // 2
    return pairs - alike, data.pairs - pairs


def differing(found: Floats, wrong: NDArray[np.bool_], radius: float, pairs: Pairs) -> NDArray[np.bool_]:
    """Which of some pairs are told apart.

    Args:
        found: As for `counted`, and so the next two.
        wrong: Likewise.
        radius: Likewise.
        pairs: Numbers of two graphs each, `[pairs, 2]`.
    """
    first, second = pairs.T
    return (np.abs(found[first] - found[second]).max(1, initial=0.0) > radius) & ~wrong[first] & ~wrong[second]


def nearest(found: Floats, radius: float, data: GraphSet) -> float:
    """The least difference above the radius: of pairs, or looked for among neighbours in one of the numbers."""
    steps = _steps(found) if data.consecutive else np.abs(np.diff(found[np.argsort(found[:, 0])], axis=0)).max(1)
    return float(steps[steps > radius].min(initial=np.inf))


def brief(encoding: Encoding) -> str:
    """An encoding's call without the arguments that are as they are by default."""
    known = parameters_of(type(encoding))
    if not all(hasattr(encoding, name) for name in known):  # one that a model makes
        return repr(encoding)
    given = {name: getattr(encoding, name) for name, each in known.items() if getattr(encoding, name) != each.default}
    return f"{type(encoding).__name__}({', '.join(f'{name}={value!r}' for name, value in given.items())})"


def _steps(found: Floats) -> Floats:
    return np.abs(found[0::2] - found[1::2]).max(1, initial=0.0)


class _Measure:
    """Numbers of graphs that no renumbering of nodes changes, `[B, FEATURES]`, from an encoding and types of nodes."""

    def __init__(self, encoding: Encoding | None, graphs: PackedGraphs, rounds: int, seed: int) -> None:
        self.encoding = encoding
        self.rounds = rounds
        self.seed = seed
        self.scale: Floats = np.ones(1)
        if encoding is not None:  # columns of all graphs on one scale
            sample = np.sort(np.random.default_rng(seed).permutation(len(graphs))[:_COPIES])
            rows = np.concatenate([rows_of(encoding, chunk, seed)[0] for chunk in _chunks(graphs.select(sample))])
            deviation = rows.astype(np.float64).std(0)
            self.scale = np.where(deviation > 1e-6, deviation, 1.0)

    def __call__(self, graphs: PackedGraphs) -> Floats:
        return np.concatenate([self._chunk(chunk) for chunk in _chunks(graphs)])

    def _chunk(self, graphs: PackedGraphs) -> Floats:
        types = _codes(graphs.node["x"].numpy(), self.seed + 1)
        if self.encoding is None:
            return self._of_rows(types, None, False, graphs, _waves)
        table, pairs = rows_of(self.encoding, graphs, self.seed)
        return self._of_rows(types, table / self.scale, pairs, graphs, _waves)

    def rounding(self, graphs: PackedGraphs) -> float:
        """How much the numbers of a graph change at most if each value moves by a unit of single precision.

        That is 0 where values are not in single precision. |cos(W x + b) - cos(W y + b)| <= |W| |x - y|, of which what
        follows takes sums.

        Args:
            graphs: The graphs.
        """
        most = 0.0
        for chunk in _chunks(graphs):
            if self.encoding is None:
                return 0.0
            table, pairs = rows_of(self.encoding, chunk, self.seed)
            if table.dtype != np.float32:
                return 0.0
            fixed = np.zeros((chunk.num_nodes, chunk.node["x"].shape[1]))
            moved = _SINGLE_UNIT * np.abs(table) / self.scale
            most = max(most, float(self._of_rows(fixed, moved, pairs, chunk, _most_moved).max(initial=0.0)))
        return most

    def _of_rows(self, types: Floats, table: Floats | None, pairs: bool, graphs: PackedGraphs, waves: Waves) -> Floats:
        """Numbers of graphs from those of node types and the values of an encoding."""
        rows = types
        if table is not None:
            of_nodes = self._of_pairs(table, graphs, waves) if pairs else table
            rows = np.concatenate([types, of_nodes], axis=1)
        source, target = graphs.edge_index.numpy()
        for number in range(self.rounds):
            messages = waves(rows, self.seed + 10 + number, FEATURES)
            rows = np.concatenate([messages, _sum_by(messages[source], target, len(rows))], axis=1)
        return _sum_by(waves(rows, self.seed + 2, FEATURES), graphs.batch.numpy(), len(graphs))

    def _of_pairs(self, table: Floats, graphs: PackedGraphs, waves: Waves) -> Floats:
        """h_i from the rows of the pairs (i, j), as they are and the other way round."""
        sizes, pair_ptr = graphs.sizes.numpy(), graphs.pair_ptr.numpy()
        length = np.repeat(sizes, sizes)  # pairs that begin with each node
        query = np.repeat(np.arange(graphs.num_nodes), length)
        graph = np.repeat(np.arange(len(graphs)), sizes**2)
        i, j = np.divmod(np.arange(len(table)) - pair_ptr[graph], sizes[graph])
        mirrored = table[pair_ptr[graph] + j * sizes[graph] + i]
        both = waves(np.concatenate([table, mirrored], axis=1), self.seed + 3, PAIR_FEATURES)
        around = _sum_by(both, query, graphs.num_nodes)
        own = waves(table[i == j], self.seed + 4, FEATURES)
        return np.concatenate([around / np.sqrt(length)[:, None], own], axis=1)


def rows_of(encoding: Encoding, graphs: PackedGraphs, seed: int) -> tuple[Floats, bool]:
    """An encoding's values as rows of numbers, in single precision where it computes them so; whether of pairs."""
    graphs = graphs.structure()
    encoded = encode_all(graphs, [encoding], graphs.objects)[0]
    if isinstance(encoding, SpectralEncoding) and not encoding.pair_keys:
        return _projections(encoding, encoded, graphs, seed), True
    written = encoded.pair if encoding.pair_keys else encoded.node
    values = torch.cat([_flat(value) for value in written.values()], dim=1)
    rows = values.numpy()
    return rows if values.is_floating_point() else _codes(rows, seed), bool(encoding.pair_keys)


def _flat(values: Tensor) -> Tensor:
    values = values.reshape(len(values), -1)
    return torch.view_as_real(values).flatten(1) if values.is_complex() else values


def _projections(encoding: SpectralEncoding, encoded: Values, graphs: PackedGraphs, seed: int) -> Floats:
    """sum_k phi(lambda_k) v_ik conj(v_jk) for each pair, real and imaginary parts, for several phi.

    Eigenvectors that belong to the last eigenvalue are left out where there may be more of them: of a basis that was
    cut nothing is defined.
    """
    n = len(graphs)
    vectors = encoded.node[encoding.value_key].numpy()
    potentials = vectors.shape[1] if vectors.ndim == 3 else 1
    vectors = vectors.reshape(len(vectors), potentials, -1).astype(np.complex128)
    values = encoded.graph[encoding.eigenvalues_name].numpy().reshape(n, potentials, -1).astype(np.float64)
    mask = encoded.graph[encoding.mask_name].numpy().reshape(n, potentials, -1)
    whole = ~mask.all(2, keepdims=True)
    used = mask & (whole | (values < values[:, :, -1:] - _SAME_EIGENVALUE))
    phi = _waves(values.reshape(-1, 1), seed + 5, 4).reshape(*values.shape, -1) * used[..., None]
    out = []
    ptr = graphs.ptr.numpy()
    for b in range(n):
        v, f = vectors[ptr[b] : ptr[b + 1]], phi[b]
        scaled = (v[..., None] * f).transpose(1, 3, 0, 2)  # [q, c, i, k]
        pairs = (scaled @ v.conj().transpose(1, 2, 0)[:, None]).transpose(2, 3, 0, 1).reshape(v.shape[0] ** 2, -1)
        out.append(np.concatenate([pairs.real, pairs.imag], axis=1))
    return np.concatenate(out)


def _waves(rows: Floats, seed: int, width: int) -> Floats:
    """cos(W x + b) of each row, `[rows, width]`, with W and b that depend on the seed and the columns alone."""
    rng, weight = _drawn(rows.shape[1], seed, width)
    return np.cos(rows @ weight + rng.uniform(0, 2 * np.pi, width))


def _most_moved(moved: Floats, seed: int, width: int) -> Floats:
    """How much `_waves` of each row change at most if its columns move by so much."""
    return moved @ np.abs(_drawn(moved.shape[1], seed, width)[1])


def _drawn(columns: int, seed: int, width: int) -> tuple[np.random.Generator, Floats]:
    """W, and the generator that then gives b."""
    rng = np.random.default_rng([seed, columns])
    return rng, rng.normal(size=(columns, width)) / np.sqrt(max(columns, 1))


def _codes(values: NDArray[np.integer], seed: int) -> Floats:
    """A random number of variance 1 for each integer of each column (splitmix64 of it)."""
    with np.errstate(over="ignore"):
        columns = np.arange(values.shape[1], dtype=np.uint64) * np.uint64(0xD1342543DE82EF95)
        z = values.astype(np.int64).view(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + columns + np.uint64(seed + 1)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) * 2.0**-64 - 0.5) * np.sqrt(12)


def _sum_by(rows: Floats, group: NDArray[np.int64], count: int) -> Floats:
    return csr_matrix((np.ones(len(rows)), (group, np.arange(len(rows)))), shape=(count, len(rows))) @ rows


def _chunks(graphs: PackedGraphs) -> list[PackedGraphs]:
    """Consecutive graphs with a limited number of pairs."""
    cuts = np.searchsorted(graphs.pair_ptr.numpy(), np.arange(_CHUNK_PAIRS, graphs.num_pairs, _CHUNK_PAIRS))
    bounds = np.unique([0, *cuts.tolist(), len(graphs)])
    return [graphs.select(slice(a, b)) for a, b in pairwise(bounds.tolist())]
