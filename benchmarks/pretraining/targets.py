"""What a model is to predict of an encoding: real numbers that the graph decides.

A graph decides neither the signs and phases of eigenvectors nor, where an eigenvalue is repeated, their basis. It
decides the projector P of each eigenspace, P_uv = sum over its m vectors v_j of v_j(u) conj(v_j(v)). So the targets are

* of `LaplacianPE`, at nodes: sqrt(P_uu / m), which is |v(u)| where the eigenvalue is simple;
* of `MagneticLaplacianPE`, at pairs: the real and the imaginary part of P_uv. The imaginary part changes its sign when
  all edges are reversed; the real part at u = v is the squared modulus.

One column for each of the k vectors; those of one eigenspace are equal. What an eigenspace is that goes beyond the k-th
vector cannot be told from k vectors, so that k + 1 are computed; such a last eigenspace is not asked about, nor are
vectors that a graph does not have. `sign` and `scaling` have no say.

All other encodings are numbers as they are, those that are integers, too; distances of -1, where no path leads, are not
asked about.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Container, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from graphpe.errors import GraphPEValueError
from graphpe.limits import check_pairs
from graphpe.structure.plan import Need, Plan
from graphpe.transforms.base import Encoding, LinkEncoding, RandomSigns
from graphpe.transforms.commute_time_pe import CommuteTimePE
from graphpe.transforms.laplacian_pe import LaplacianPE
from graphpe.transforms.magnetic_laplacian_pe import MagneticLaplacianPE
from graphpe.transforms.resistance_pe import ResistancePE
from graphpe.transforms.shortest_path_pe import ShortestPathPE
from graphpe.transforms.tree_distance_pe import TreeDistancePE
from graphpe.transforms.values import Values
from graphpe.transforms.weisfeiler_lehman_pe import WeisfeilerLehmanPE

UNKNOWN = 3e38
"""Stands for what is not asked about: stores and batches take finite numbers only."""

_ASKED_BELOW = 1e38
_EQUAL = 1e-5  # eigenvalues, relative to the largest of the graph, or 1
_MANY_PAIRS = 2**22  # from here on chosen pairs are computed alone, where an encoding can do that
_DISTANCES = (ShortestPathPE, TreeDistancePE, ResistancePE, CommuteTimePE)

_TELLING: tuple[frozenset[str], ...] = (
    frozenset({"RandomWalkPE", "RelativeRandomWalkPE"}),
    frozenset({"ShortestPathPE", "EdgePathPE"}),
    frozenset({"ResistancePE", "CommuteTimePE", "SpectralCoordinates"}),
    frozenset({"LaplacianPE", "SpectralCoordinates", "DiffusionPE"}),
)
"""Encodings of which one can be read off another, by a product or a sum for each number."""


def is_asked(values: Tensor) -> Tensor:
    """Which targets are asked about: neither unknown nor NaN, as they are in other parts of a split of nodes."""
    return values < _ASKED_BELOW


class AskedPairs(NamedTuple):
    """Pairs of nodes of one graph.

    Attributes:
        source: First node, counted over all graphs, `[P]`.
        target: Second node, `[P]`.
        row: Their row among all pairs, `[P]`.
    """

    source: Tensor
    target: Tensor
    row: Tensor


class Target:
    """What is predicted of an encoding.

    Args:
        encoding: The encoding, as it is computed.
        columns: Numbers of each node, or pair.
    """

    def __init__(self, encoding: Encoding, columns: int) -> None:
        self.encoding, self.columns = encoding, columns

    @property
    def name(self) -> str:
        """The key of the encoding."""
        return self.encoding.value_key

    def _single(self, values: Tensor, rows: int) -> Tensor:
        if values.is_complex():
            raise GraphPEValueError(
                f"{type(self.encoding).__name__} is complex, and what of it does not depend on phases is not known: "
                "predict MagneticLaplacianPE, or an encoding that is real"
            )
        return values.reshape(rows, self.columns).float()


class NodeTarget(Target, ABC):
    """Numbers of nodes."""

    @abstractmethod
    def values(self, plan: Plan) -> Tensor:
        """`[N, columns]`.

        Args:
            plan: The graphs.
        """


class PairTarget(Target, ABC):
    """Numbers of pairs of nodes."""

    @abstractmethod
    def values(self, plan: Plan, pairs: AskedPairs) -> Tensor:
        """`[P, columns]`.

        Args:
            plan: The graphs.
            pairs: The pairs.
        """


class NodeNumbers(NodeTarget):
    """An encoding of nodes as it is."""

    def values(self, plan: Plan) -> Tensor:
        return self._single(self.encoding.encode(plan).node[self.encoding.attr_name], plan.graphs.num_nodes)


class PairNumbers(PairTarget):
    """An encoding of pairs as it is."""

    def values(self, plan: Plan, pairs: AskedPairs) -> Tensor:
        encoding, count = self.encoding, plan.graphs.num_pairs
        if count > _MANY_PAIRS and isinstance(encoding, LinkEncoding):
            found = encoding.encode_pairs(plan, torch.stack([pairs.source, pairs.target]))
        else:
            check_pairs(self.name, count, encoding.pair_bytes, encoding.pair_bytes + encoding.working_bytes)
            found = encoding.encode(plan).pair[self.name][pairs.row]
        numbers = self._single(found, len(pairs.row))
        return numbers.masked_fill(numbers < 0, UNKNOWN) if isinstance(encoding, _DISTANCES) else numbers


class Moduli(NodeTarget):
    """Of eigenvectors, the root of the mean square over their eigenspace, at each node."""

    def values(self, plan: Plan) -> Tensor:
        vectors, spaces = eigenspaces(self.encoding, plan)
        owner = plan.graphs.batch
        group = spaces.group[owner]
        squares = vectors.abs().square() * spaces.there[owner]
        sums = torch.zeros_like(squares).scatter_add_(2, group, squares).gather(2, group)
        found = (sums / spaces.multiplicity[owner]).sqrt().masked_fill(~spaces.known[owner], UNKNOWN)
        return found[..., :-1].flatten(1).float()


class Projectors(PairTarget):
    """Of complex eigenvectors, the real and the imaginary part of the projector on their eigenspace, at each pair."""

    def values(self, plan: Plan, pairs: AskedPairs) -> Tensor:
        vectors, spaces = eigenspaces(self.encoding, plan)
        owner = plan.graphs.batch[pairs.source]
        group = spaces.group[owner]
        products = torch.view_as_real(vectors[pairs.source] * vectors[pairs.target].conj())
        parts = []
        for part in products.unbind(-1):
            part = part * spaces.there[owner]
            sums = torch.zeros_like(part).scatter_add_(2, group, part).gather(2, group)
            parts.append(sums.masked_fill(~spaces.known[owner], UNKNOWN)[..., :-1].flatten(1))
        return torch.cat(parts, dim=1).float()


class Eigenspaces(NamedTuple):
    """Which of the k + 1 lowest eigenvectors of each graph, at Q potentials, belong together; all `[B, Q, k + 1]`.

    Attributes:
        group: Number of the eigenspace of each.
        there: Whether the graph has so many vectors.
        known: Whether all vectors of its eigenspace are among the first k.
        multiplicity: Of its eigenvalue, as far as vectors are there; at least 1.
    """

    group: Tensor
    there: Tensor
    known: Tensor
    multiplicity: Tensor


def eigenspaces(encoding: Encoding, plan: Plan) -> tuple[Tensor, Eigenspaces]:
    """Eigenvectors `[N, Q, k + 1]`, and which of them span the same eigenspace.

    Args:
        encoding: A spectral encoding of k + 1 vectors.
        plan: The graphs.
    """
    assert isinstance(encoding, LaplacianPE | MagneticLaplacianPE)
    found = encoding.encode(plan)
    vectors = found.node[encoding.attr_name]
    values, there = found.graph[encoding.eigenvalues_name], found.graph[encoding.mask_name]
    if values.dim() == 2:  # one potential
        vectors, values, there = vectors[:, None], values[:, None], there[:, None]
    largest = values.abs().amax(dim=(1, 2), keepdim=True).clamp(min=1) if len(values) else 1
    other = torch.nn.functional.pad(values.diff(dim=2).abs() > _EQUAL * largest, (1, 0))
    group = other.long().cumsum(2)
    counted = there.to(values.dtype)
    multiplicity = torch.zeros_like(values).scatter_add_(2, group, counted).gather(2, group).clamp(min=1)
    cut = (group == group[..., -1:]) & there[..., -1:]
    return vectors, Eigenspaces(group, counted, there & ~cut, multiplicity)


def target_of(encoding: Encoding) -> NodeTarget | PairTarget:
    """What is predicted of an encoding.

    Raises:
        GraphPEValueError: The graph does not decide its numbers, or they are no numbers.
    """
    name = type(encoding).__name__
    if encoding.pairs is not None:
        raise GraphPEValueError(
            f"{name} is to be predicted for pairs={encoding.pairs!r}: leave that out, pairs are chosen"
        )
    if encoding.attr_name is None or encoding.value_key == "x":
        raise GraphPEValueError(f"{name} is to be predicted, but writes into x: leave attr_name out")
    if isinstance(encoding, LaplacianPE | MagneticLaplacianPE):
        more = copy.copy(encoding)
        more.k, more.sign = encoding.k + 1, "none"
        if isinstance(more, LaplacianPE):
            more.scaling = "L2"
            return Moduli(more, encoding.columns)
        return Projectors(more, 2 * encoding.columns)
    if isinstance(encoding, RandomSigns) and not encoding.pair_keys:  # kernels of pairs have no signs
        raise GraphPEValueError(
            f"{name} is not decided by the graph (signs, bases or random features): predict LaplacianPE, whose "
            "eigenspaces are, or ResistancePE"
        )
    if isinstance(encoding, WeisfeilerLehmanPE):
        raise GraphPEValueError(
            f"{name} gives names of colours, and no numbers that could be nearly right: leave it out"
        )
    kind = PairNumbers if encoding.pair_keys else NodeNumbers
    return kind(encoding, encoding.columns)


def check_no_answer(
    inputs: Sequence[Encoding], predicted: Sequence[Encoding], *, hidden: Container[str] = (), why: str = ""
) -> None:
    """Refuse encodings as inputs of a model that is to predict them.

    Args:
        inputs: The inputs.
        predicted: What is to be predicted.
        hidden: Keys of inputs that may be predicted themselves: training hides them at some nodes.
        why: What else could be done, for the message.

    Raises:
        GraphPEValueError: One of the inputs is predicted, or says what is.
    """
    for asked in predicted:
        for given in inputs:
            one, other = type(asked).__name__, type(given).__name__
            if repr(given) == repr(asked) and given.value_key in hidden:
                continue
            if one == other or given.value_key == asked.value_key or any({one, other} <= each for each in _TELLING):
                raise GraphPEValueError(
                    f"{other} is an input of the model, and holds the answer where {one} is to be predicted: leave one "
                    f"of them out (--encodings none: no inputs){why}"
                )


class NodeTargets(Encoding):
    """The targets of nodes behind a first column of zeros: `[N, 1 + columns]`.

    The first column says which nodes are asked about: in a split of nodes it is NaN at all others.
    """

    def __init__(self, targets: Sequence[NodeTarget], attr_name: str = "y") -> None:
        self.targets, self.attr_name = tuple(targets), attr_name

    @property
    def columns(self) -> int:
        return 1 + sum(each.columns for each in self.targets)

    @property
    def needs(self) -> list[Need]:
        return [need for each in self.targets for need in each.encoding.needs]

    @property
    def node_keys(self) -> list[str]:
        return list(dict.fromkeys(key for each in self.targets for key in each.encoding.node_keys))

    @property
    def edge_keys(self) -> list[str]:
        return list(dict.fromkeys(key for each in self.targets for key in each.encoding.edge_keys))

    def encode(self, plan: Plan) -> Values:
        marks = torch.zeros(plan.graphs.num_nodes, 1, device=plan.graphs.device)
        return Values(node={self.attr_name: torch.cat([marks, *(each.values(plan) for each in self.targets)], dim=1)})

    def __repr__(self) -> str:
        return f"NodeTargets 1 of {[repr(each.encoding) for each in self.targets]}"
