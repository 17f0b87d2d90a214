"""Signs of real eigenvectors and phases of complex ones: what an eigensolver leaves open, decided by a rule.

* `"random"`: a fresh sign (phase) for each graph and eigenvector at each call, from a given generator.
* `"canonical"`: the first of the moments m_p = sum_u v_u |v_u|^(p - 1), p = 2, 1, 3, 4, that exceeds `MOMENT_TOLERANCE`
  times its largest possible modulus becomes positive (real positive). Moments do not depend on the order of the nodes,
  hence neither does the result. Where all four vanish the vector stays as it is: so do the vectors that an automorphism
  of the graph maps to their negative, for which no equivariant choice exists.
* `"none"`: as the solver leaves them.

None of these decides anything within the eigenspace of a repeated eigenvalue. A fourth, `"map"`, does, where
eigenvalues are known: see `graphpe.eigen.canonical`.
"""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphpe.arguments import check_choice
from graphpe.compiled.jit import compiled
from graphpe.errors import GraphPEValueError
from graphpe.structure.adjacency import Ints

Convention = Literal["random", "canonical", "none"]
Basis = Literal["random", "canonical", "none", "map"]
_KNOWN = get_args(Convention)

# Far above the rounding of well-separated eigenvectors, far below the moments of vectors without symmetry.
MOMENT_TOLERANCE = 1e-6


def orient(
    vectors: Tensor,
    batch: Tensor,
    num_graphs: int,
    convention: Convention,
    generator: np.random.Generator | None = None,
) -> Tensor:
    """The eigenvectors with signs (phases, if complex) by a convention.

    Args:
        vectors: `[N, k]` float or complex; columns of unit norm, or zero, in each graph.
        batch: Graph of each node `[N]`.
        num_graphs: B.
        convention: `"random"`, `"canonical"` or `"none"`.
        generator: Needed for `"random"`; advanced by B k draws, graph after graph, so that graphs drawn for one by one
            or all at once get the same.

    Returns:
        `[N, k]`, a new tensor unless the convention is `"none"`.

    Raises:
        GraphPEValueError: The convention is unknown, or random without a generator.
    """
    check_convention(convention)
    if convention == "none":
        return vectors
    if convention == "canonical":
        factors = canonical_factors(vectors, batch, num_graphs).numpy(force=True)
    elif generator is None:
        raise GraphPEValueError("sign 'random' needs a generator: pass numpy.random.default_rng(seed)")
    else:
        draw = generator.random((num_graphs, vectors.size(1)))
        factors = np.exp(2j * math.pi * draw) if vectors.is_complex() else np.where(draw < 0.5, 1.0, -1.0)
    host = vectors.numpy(force=True)
    factors = factors.astype(host.dtype, copy=False)
    if num_graphs == 1 and not vectors.is_complex():  # whose products NumPy rounds otherwise
        out = host * factors
    else:
        out = _multiply(host, factors, batch.numpy(force=True))
    return torch.from_numpy(out).to(vectors.device)


def canonical_factors(vectors: Tensor, batch: Tensor, num_graphs: int) -> Tensor:
    """The sign (unit complex number) by which each eigenvector becomes canonical, `[B, k]`; see the module's text.

    Args:
        vectors: Eigenvectors, `[N, k]`, real or complex.
        batch: Graph of each node, `[N]`.
        num_graphs: Number B of graphs.
    """
    host, owner = vectors.numpy(force=True), batch.numpy(force=True)
    factors = np.ones((num_graphs, host.shape[1]), dtype=host.dtype)
    undecided = np.ones(factors.shape, dtype=bool)
    for power in (2, 1, 3, 4):
        moment, bound = _moments(host, owner, num_graphs, power)
        decides = undecided & (np.abs(moment) > MOMENT_TOLERANCE * bound)
        factors[decides] = np.conj(moment[decides]) / np.abs(moment[decides])
        undecided &= ~decides
        if not (undecided & (bound > 0)).any():
            break
    return torch.from_numpy(factors).to(vectors.device)


@compiled
def _moments(vectors: NDArray[Any], batch: Ints, num_graphs: int, power: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """sum_u v_u |v_u|^(power - 1) of each graph and column, and its largest possible modulus."""
    count = vectors.shape[1]
    moment = np.zeros((num_graphs, count), vectors.dtype)
    bound = np.zeros((num_graphs, count))
    for u in range(len(batch)):
        for c in range(count):
            modulus = abs(vectors[u, c])
            size = 1.0
            for _ in range(power - 1):
                size *= modulus
            moment[batch[u], c] += vectors[u, c] * size
            bound[batch[u], c] += modulus * size
    return moment, bound


@compiled
def _multiply(vectors: NDArray[Any], factors: NDArray[Any], batch: Ints) -> NDArray[Any]:
    """The columns of each graph times their factors."""
    out = np.empty_like(vectors)
    for u in range(len(batch)):
        for c in range(vectors.shape[1]):
            out[u, c] = vectors[u, c] * factors[batch[u], c]
    return out


def check_convention(convention: str) -> None:
    """Raise unless `convention` is one of the three names.

    Args:
        convention: The argument.
    """
    check_choice("sign", convention, _KNOWN)


def check_basis(sign: str) -> None:
    """Raise unless `sign` is one of the three names, or `"map"`.

    Args:
        sign: The argument.
    """
    check_choice("sign", sign, get_args(Basis))
