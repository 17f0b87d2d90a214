"""Maximal axis projection (MAP): directions of eigenvectors and bases of eigenspaces that the graph decides.

Let P be the projector of an eigenspace of dimension d, and |P e_1|, ..., |P e_n| the lengths of the projected axes of
the nodes. Nodes of equal length form groups B_1, B_2, ..., longest first, and each group has one axis x_h, the sum of
its nodes' axes. The basis is

    u_i = the part of P x_h that is orthogonal to u_1, ..., u_(i-1), of unit norm,    h the next for which it is not 0

which is what maximises <u, x_h> there. Groups do not depend on the order of the nodes, and P not on the basis: neither
does the result. For d = 1 it is a sign (a phase of a complex vector): the first group whose sum is not zero becomes
positive. Where the groups give fewer than d directions nothing is decided, and the vectors stay as they are. For d = 1
that is exactly where each length has as many entries of one sign as of the other: v and -v are then the same up to the
order of the nodes, so that no rule that sees v alone decides. An automorphism that moves the eigenspace and no group
has that effect. Ma et al. assume that it does not occur (for d = 1), that there are d groups, and that the first d give
d directions.

Differs from the paper's released code (PKU-ML/LaplacianCanonization): groups are formed with a tolerance (released:
lengths rounded to 14 digits); a group that gives no direction is passed over (released: the eigenspace is), so that
more eigenspaces are decided; there is no constant vector beside the axes (released: ten times it), which changes none
of the spans of all groups; signs begin with the longest group, too (released: with the shortest); eigenspaces that k
cuts count as undecided, unless they end among the next `BEYOND` eigenpairs (released: the part inside is turned, which
depends on the solver).

References:
    Ma, Wang, Wang: Laplacian Canonization: A Minimalist Approach to Sign and Basis Invariant Spectral Embedding.
    NeurIPS 2023 (algorithms MAP-sign and MAP-basis).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphpe.compiled.jit import compiled
from graphpe.eigen.result import Eigenpairs
from graphpe.structure.adjacency import Floats, Ints

BEYOND = 4
"""Eigenpairs after the k-th that are looked at for the end of its eigenspace."""

# Eigenvalues within it, relative to max(1, lambda), are one; lengths, and directions against their axis, as well. Far
# above the rounding of vectors whose eigenvalues are apart by the first, far below what graphs without symmetry have.
_ONE_VALUE, _SAME_LENGTH, _NO_DIRECTION = 1e-8, 1e-6, 1e-6


class Canonical(NamedTuple):
    """Eigenvectors in canonical directions and bases.

    Attributes:
        vectors: `[N, k]`.
        decided: `[B, k]` bool: False where the graph decides nothing, or there is no eigenpair.
    """

    vectors: Tensor
    decided: Tensor


def maximal_axis_projection(pairs: Eigenpairs, ptr: Ints, k: int) -> Canonical:
    """Eigenvectors in the directions and bases of this module's text; O(n d^2 + n log n) time for an eigenspace.

    Args:
        pairs: The lowest eigenpairs of each graph, real or complex, at least k of each; what is behind the k-th tells
            whether its eigenspace is whole. The vectors of an eigenspace are made orthonormal first.
        ptr: First node of each graph and, last, N: `[B + 1]`.
        k: Number of eigenvectors of each graph.
    """
    vectors = pairs.vectors.numpy(force=True)
    values, mask = pairs.values.numpy(force=True), pairs.mask.numpy(force=True)
    out, decided = _map(np.ascontiguousarray(vectors), values, mask, np.asarray(ptr), k)
    return Canonical(*(torch.from_numpy(part).to(pairs.vectors.device) for part in (out, decided)))


@compiled
def _map(
    vectors: NDArray[Any], values: Floats, mask: NDArray[np.bool_], ptr: Ints, k: int
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    out, decided = vectors[:, :k].copy(), np.zeros((len(values), k), np.bool_)
    most = values.shape[1]
    for b in range(len(values)):
        first, count = 0, 0
        while count < most and mask[b, count]:
            count += 1
        while first < min(count, k):
            last = first + 1
            while last < count and values[b, last] - values[b, last - 1] <= _ONE_VALUE * max(1.0, values[b, last]):
                last += 1
            # A graph that has fewer pairs than were computed has no others.
            if last < count or count < most or count == ptr[b + 1] - ptr[b]:
                basis = _orthonormal(vectors[ptr[b] : ptr[b + 1], first:last])
                turned, found = _directions(basis)
                if found:
                    here = min(last, k) - first
                    for u in range(len(basis)):
                        for i in range(here):
                            value = turned[i, 0] * basis[u, 0]
                            for j in range(1, last - first):
                                value += turned[i, j] * basis[u, j]
                            out[ptr[b] + u, first + i] = value
                    decided[b, first : first + here] = True
            first = last
    return out, decided


@compiled
def _orthonormal(block: NDArray[Any]) -> NDArray[Any]:
    """The columns, orthonormal by two passes of Gram and Schmidt: as they are but for rounding, unless of "rw"."""
    basis = block.copy()
    for _ in range(2):
        for j in range(basis.shape[1]):
            for i in range(j):
                inner = np.sum(np.conj(basis[:, i]) * basis[:, j])
                basis[:, j] -= inner * basis[:, i]
            norm = np.sqrt(np.sum(np.abs(basis[:, j]) ** 2))
            if norm > 0:
                basis[:, j] /= norm
    return basis


@compiled
def _directions(basis: NDArray[Any]) -> tuple[NDArray[Any], bool]:
    """Coefficients `[d, d]` of the canonical basis, a row each, and whether all were found."""
    size, d = basis.shape
    length = np.zeros(size)
    for u in range(size):
        for j in range(d):
            length[u] += abs(basis[u, j]) ** 2
    length = np.sqrt(length)
    order = np.argsort(-length)
    found = np.zeros((d, d), basis.dtype)
    count, begin = 0, 0
    while count < d and begin < size:
        end = begin + 1
        while end < size and length[order[end - 1]] - length[order[end]] <= _SAME_LENGTH * length[order[0]]:
            end += 1
        axis = np.zeros(d, basis.dtype)  # of the group, in the basis
        for at in range(begin, end):
            for j in range(d):
                axis[j] += np.conj(basis[order[at], j])
        for _ in range(2):
            for i in range(count):
                axis -= np.sum(np.conj(found[i]) * axis) * found[i]
        norm = np.sqrt(np.sum(np.abs(axis) ** 2))
        if norm > _NO_DIRECTION * np.sqrt(end - begin):
            found[count] = axis / norm
            count += 1
        begin = end
    return found, count == d
