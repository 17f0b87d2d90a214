"""All eigenpairs by LAPACK or cuSOLVER, of which the extreme ones are kept."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from graphpe.eigen.operators.base import MatrixOperator
from graphpe.eigen.operators.problem import Found, Problem

_SKEW = 1e3  # in units of rounding


@dataclass(frozen=True)
class Dense:
    """Direct solver for small operators, O(n^3) time and O(n^2) memory.

    Known eigenvectors are shifted beyond the other end of the spectrum. complex64 goes through complex128 off the CPU:
    cuSOLVER's batched solver has returned vectors there that are not orthogonal.

    Example:
        >>> from graphpe.eigen.solvers import Dense
        >>> import graphpe, torch
        >>> ring = torch.stack([torch.arange(40), (torch.arange(40) + 1) % 40])
        >>> operator = graphpe.laplacian(ring, 40)
        >>> result = graphpe.eigsh(operator, k=3, solver=Dense())
        >>> result.values.abs().round(decimals=4).tolist()
        [0.0, 0.0123, 0.0123]
    """

    def solve(self, problem: Problem) -> Found:
        """Find the eigenpairs; where vectors are not orthonormal, again by LAPACK in double precision.

        Args:
            problem: The operator and the eigenpairs that are wanted of it.
        """
        matrix, matvecs = _dense(problem)
        dtype = matrix.dtype
        if dtype == torch.complex64 and matrix.device.type != "cpu":
            matrix = matrix.to(torch.complex128)
        sign = 1 if problem.which == "smallest" else -1
        if problem.known is not None:
            known = problem.known.to_dense() if problem.known.layout != torch.strided else problem.known
            known = known.to(matrix.dtype)
            # Exactly invariant first: rounding must not mix the known ones with the others.
            matrix = _without(matrix, known) + sign * 3 * problem.norm * (known @ known.mH)
        values, vectors = torch.linalg.eigh(matrix)
        if not _orthonormal(vectors):
            exact = matrix.cpu().to(torch.complex128 if dtype.is_complex else torch.float64)
            values, vectors = (x.to(matrix.device) for x in torch.linalg.eigh(exact))
        if sign < 0:
            values, vectors = values.flip(0), vectors.flip(1)
        k = problem.k
        return Found(
            values[:k].to(dtype.to_real()), vectors[:, :k].to(dtype).contiguous(), 0, matvecs, is_complete=True
        )


def _dense(problem: Problem) -> tuple[Tensor, int]:
    """The matrix, and how many products it took."""
    operator = problem.operator
    if isinstance(operator, MatrixOperator):
        matrix = operator.matrix.to_dense() if operator.is_sparse else operator.matrix
        return matrix, 0
    identity = torch.eye(problem.size, dtype=operator.dtype, device=operator.device)
    matrix = operator.matmul(identity)
    return (matrix + matrix.mH) / 2, problem.size


def _without(matrix: Tensor, known: Tensor) -> Tensor:
    """P A P with P the projector onto the complement of the known eigenvectors."""
    matrix = matrix - known @ (known.mH @ matrix)
    return matrix - (matrix @ known) @ known.mH


def _orthonormal(vectors: Tensor) -> bool:
    gram = vectors.mH @ vectors
    gram.diagonal().sub_(1)
    return bool(gram.abs().max() <= _SKEW * torch.finfo(vectors.dtype).eps)
