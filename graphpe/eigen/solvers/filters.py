"""Chebyshev polynomials of an operator, as filters for the low end of its spectrum."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from graphpe.eigen.operators.problem import Problem
from graphpe.eigen.operators.products import Products

_STEPS = 12
_MANY = 64  # known vectors whose eigenvalues are not looked at one by one


@dataclass(frozen=True)
class Filter:
    """The Chebyshev polynomial T_degree of [cut, high], divided by its value at low: small there, monotone below.

    Attributes:
        degree: At least 1.
        low: The eigenvalue, below cut, that is mapped to 1.
        cut: Where damping begins.
        high: At least the largest eigenvalue; above it, the polynomial grows.
    """

    degree: int
    low: float
    cut: float
    high: float

    def angle(self, x: float) -> float:
        """The growth per degree, as an exponent, of what has eigenvalue x.

        Args:
            x: The eigenvalue.
        """
        return math.acosh(max(1 + 2 * (self.cut - x) / (self.high - self.cut), 1.0))

    def span(self, outlier: float, growth: float) -> int:
        """How many products may pass until rounding errors along an eigenvector at `outlier` have grown by `growth`.

        Eigenvectors below the block's own, known or set aside, must be taken off the block before that.

        Args:
            outlier: An eigenvalue below the block's own; inf for none.
            growth: The growth that is allowed, above 1.
        """
        angle = self.angle(outlier) if outlier < math.inf else 0.0
        return max(1, int(math.log(growth) / angle)) if angle > 0 else self.degree

    def apply(
        self,
        products: Products,
        block: Tensor,
        sign: float,
        every: int,
        purge: Callable[[Tensor], Tensor],
    ) -> Tensor:
        """The polynomial of sign A times a block `[n, m]`, with the recurrence's two blocks purged at times.

        Args:
            products: Those of A.
            block: The block.
            sign: 1 or -1.
            every: Products between two purges; see `span`.
            purge: Takes off the block what must not grow.
        """
        center, half = (self.high + self.cut) / 2, (self.high - self.cut) / 2
        scale = first = half / (self.low - center)
        x = products.pack(block)
        z = products.step(sign * first / half, x, -center * first / half, 0.0, torch.zeros_like(x))
        for t in range(1, self.degree):
            if t % every == 0:
                x, z = (products.pack(purge(products.unpack(y, block))) for y in (x, z))
            then = 1 / (2 / first - scale)
            factor = 2 * then / half
            x, z = z, products.step(sign * factor, z, -center * factor, -scale * then, x)
            scale = then
        return products.unpack(z, block)


def spectrum_bounds(problem: Problem, sign: float) -> tuple[float, float, int]:
    """About the lowest eigenvalue, a bound of the highest, and the products that took.

    Those of the problem; where some eigenvectors are known, of the complement, by Lanczos from one random vector.

    Args:
        problem: The operator and the eigenpairs that are wanted of it.
        sign: 1, or -1 for the negative operator, whose lowest are the largest.
    """
    if problem.known is None and (bounds := problem.bounds) is not None:
        return (bounds.least, bounds.high, 0) if sign > 0 else (-bounds.greatest, -bounds.low, 0)
    steps = min(_STEPS, problem.size - problem.num_known)
    vector = problem.without_known(problem.random(1, 0))
    basis = vector / torch.linalg.vector_norm(vector)
    columns = []
    for j in range(steps):
        image = sign * problem.without_known(problem.operator.matmul(basis[:, j:].contiguous()))
        product = basis.mH @ image
        rest = image - basis @ product
        rest = rest - basis @ (basis.mH @ rest)
        length = torch.linalg.vector_norm(rest)
        columns.append(torch.nn.functional.pad(product[:, 0].real, (0, steps - j - 1)))
        basis = torch.cat([basis, rest / length.clamp(min=torch.finfo(length.dtype).tiny)], 1)
    projected = torch.stack(columns, 1)
    ritz = torch.linalg.eigvalsh((projected + projected.mT) / 2 if steps == 1 else projected, UPLO="U").tolist()
    bound = ritz[-1] + float(length)  # Zhou, Li: Bounding the spectrum of large Hermitian matrices. LAA 435, 2011
    return ritz[0], bound if ritz[-1] > problem.norm else min(bound, problem.norm), steps


def lowest_known(problem: Problem, sign: float) -> float:
    """The lowest eigenvalue of the known vectors; of very many, about.

    Args:
        problem: The operator and the eigenpairs that are wanted of it.
        sign: 1, or -1 for the negative operator, whose lowest are the largest.
    """
    known = problem.known
    if known is None or problem.num_known == 0:
        return math.inf
    if known.layout != torch.strided or known.shape[1] > _MANY:
        generator = torch.Generator().manual_seed(problem.seed)
        known = known @ torch.randn(known.shape[1], 8, generator=generator, dtype=torch.float64).to(known)
    known = known / torch.linalg.vector_norm(known, dim=0)
    quotients = (known.conj() * problem.operator.matmul(known)).sum(0).real
    return float((sign * quotients).min())
