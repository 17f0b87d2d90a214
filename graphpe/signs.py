"""Signs of real eigenvectors and phases of complex ones: what an eigensolver leaves open, decided by a rule.

* `"random"`: a fresh sign (phase) for each graph and eigenvector at each call, from a given generator.
* `"canonical"`: the first of the moments m_p = sum_u v_u |v_u|^(p - 1), p = 2, 1, 3, 4, that exceeds `MOMENT_TOLERANCE`
  times its largest possible modulus becomes positive (real positive). Moments do not depend on the order of the nodes,
  hence neither does the result. Where all four vanish the vector stays as it is: so do the vectors that an automorphism
  of the graph maps to their negative, for which no equivariant choice exists.
* `"none"`: as the solver leaves them.

None of these decides anything within the eigenspace of a repeated eigenvalue.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from graphpe.errors import GraphPEValueError

Convention = Literal["random", "canonical", "none"]

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
        return vectors * canonical_factors(vectors, batch, num_graphs)[batch]
    if generator is None:
        raise GraphPEValueError("sign 'random' needs a generator: pass numpy.random.default_rng(seed)")
    draw = generator.random((num_graphs, vectors.size(1)))
    factors = np.exp(2j * math.pi * draw) if vectors.is_complex() else np.where(draw < 0.5, 1.0, -1.0)
    return vectors * torch.from_numpy(factors).to(vectors)[batch]


def canonical_factors(vectors: Tensor, batch: Tensor, num_graphs: int) -> Tensor:
    """The sign (unit complex number) by which each eigenvector becomes canonical, `[B, k]`; see the module's text."""
    modulus = vectors.abs()
    unit = torch.sgn(vectors)
    factors = vectors.new_ones(num_graphs, vectors.size(1))
    undecided = torch.ones_like(factors, dtype=torch.bool)
    for power in (2, 1, 3, 4):
        size = modulus**power
        moment = vectors.new_zeros(factors.shape).index_add_(0, batch, unit * size)
        bound = size.new_zeros(factors.shape).index_add_(0, batch, size)
        decides = undecided & (moment.abs() > MOMENT_TOLERANCE * bound)
        factors = torch.where(decides, torch.sgn(moment).conj(), factors)
        undecided &= ~decides
        if not bool((undecided & (bound > 0)).any()):
            break
    return factors.resolve_conj()


def check_convention(convention: str) -> None:
    """Raise unless `convention` is one of the three names."""
    known = get_args(Convention)
    if convention not in known:
        raise GraphPEValueError(f"sign must be one of {', '.join(map(repr, known))}, got {convention!r}")
