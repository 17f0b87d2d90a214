"""Extreme eigenpairs of one Hermitian operator: arguments are checked, a solver runs, and what it found is measured."""

from __future__ import annotations

import time
import warnings
from typing import Any, get_args

import torch
from torch import Tensor

from graphpe.arguments import check_choice, check_counts, check_number, check_seed
from graphpe.eigen.choose import choose
from graphpe.eigen.operators.base import MatrixOperator, Operator, as_operator
from graphpe.eigen.operators.bounds import spectral_bounds
from graphpe.eigen.operators.problem import Found, Problem, Solver, Which
from graphpe.eigen.result import EigenResult
from graphpe.eigen.solvers import LOBPCG, ChebyshevFilter, Dense, Lanczos, PartialLanczos, ShiftInvert
from graphpe.eigen.verify import with_missed
from graphpe.errors import EigenError, EigenWarning, GraphPETypeError, GraphPEValueError

# Units of rounding: a residual can hardly be smaller.
_LEAST_TOL = 100
_DOUBLE = {torch.float32: torch.float64, torch.complex64: torch.complex128}
_NAMED: dict[str, type[Solver]] = {
    "dense": Dense,
    "shift_invert": ShiftInvert,
    "chebyshev_filter": ChebyshevFilter,
    "partial_lanczos": PartialLanczos,
    "lanczos": Lanczos,
    "lobpcg": LOBPCG,
}


def eigsh(
    operator: Any,
    k: int,
    which: Which = "smallest",
    solver: Solver | str = "auto",
    tol: float = 1e-6,
    max_iterations: int = 1000,
    seed: int = 0,
    X0: Tensor | None = None,
    deflate: Tensor | None = None,
    throw: bool = True,
) -> EigenResult:
    """The k smallest or largest eigenpairs of a large Hermitian operator, real or complex.

    An eigenpair is converged when |A v - lambda v| <= tol |A|, with |A| estimated from above by some Lanczos steps (and
    by Gershgorin's circles where the entries are known). What a solver returns is measured here, with one product of
    the operator with the vectors, in double precision where the entries are known. Repeated eigenvalues come as often
    as they are repeated. The same arguments give the same result, bit by bit, on one machine; within the eigenspace of
    a repeated eigenvalue the vectors are as the solver leaves them.

    Args:
        operator: A torch tensor of any layout, a SciPy sparse matrix or array of any format, a NumPy array, SciPy's
            `LinearOperator`, or an object with `shape` and a product: `matmul(block)` or `@` of tensors (on its
            `device`, the CPU if it names none), or `matvec` or `matmat` of NumPy arrays. float32, float64, complex64 or
            complex128; the work is done in its dtype, on its device.
        k: Number of eigenpairs; at most n, less the columns of `deflate`.
        which: `"smallest"` (values ascend) or `"largest"` (values descend).
        solver: How: `"auto"` (by size, entries, device and how much a factorisation would fill up; without factors
            where these fail for want of memory), one of `graphpe.eigen.solvers`, or its name for one with its defaults:
            `"dense"`, `"shift_invert"`, `"chebyshev_filter"`, `"partial_lanczos"`, `"lanczos"` or `"lobpcg"` (a class's
            name does, too).
        tol: Relative residual. Below 100 units of rounding of the dtype (1.2e-5 for float32) counts as that.
        max_iterations: Outer iterations at most.
        seed: Of start vectors and checks.
        X0: `[n, m]`: vectors to start from; direct solvers do without.
        deflate: `[n, c]`: orthonormal eigenvectors (or a basis of an invariant subspace) that are known and left out:
            the result is that of the operator on their complement. Dense, or sparse CSR.
        throw: Raise if an eigenpair did not converge; otherwise warn and return what there is.

    Returns:
        Eigenpairs, their residuals, and which solver found them.

    Raises:
        GraphPETypeError: An argument is of a type or dtype that is not accepted.
        GraphPEValueError: The operator is not square, not finite or not Hermitian; k < 1 or more than there are; `X0`
            or `deflate` is of another shape, dtype or device, or `deflate` is not orthonormal or not invariant.
        EigenError: An eigenpair did not converge, with what there is as `result`; not if `throw` is False.
    """
    begin = time.perf_counter()
    operator = as_operator(operator)
    problem = _problem(operator, k, which, tol, max_iterations, seed, X0, deflate)
    if solver == "auto":
        found, solver, reason = _by_choice(problem)
    else:
        solver, reason = _named(solver), ""
        found = solver.solve(problem)
    if not found.is_complete:
        found = with_missed(problem, solver, found)
    result = _measure(problem, found, _describe(solver, reason, found.note), begin)
    if not bool(result.converged.all()):
        _complain(result, problem, throw)
    return result


def _by_choice(problem: Problem) -> tuple[Found, Solver, str]:
    """By the solver of least estimated time; where its factors fail, for want of memory, say, by the next one."""
    solver, reason = choose(problem)
    try:
        return solver.solve(problem), solver, reason
    except (EigenError, MemoryError, torch.OutOfMemoryError) as error:
        if not isinstance(solver, ShiftInvert):
            raise
        failed = str(error).partition("; choose")[0].partition("\n")[0] or "memory is exhausted"
    # Outside of the handler, which holds on to the memory of what failed.
    solver, reason = choose(problem, factors=False)
    return solver.solve(problem), solver, f"{reason}, as factors failed ({failed})"


def _named(solver: Any) -> Solver:
    """A solver, or that of a name with its defaults."""
    known = f"'auto' or a solver of graphpe.eigen.solvers, by itself or by name ({', '.join(_NAMED)})"
    if isinstance(solver, str):
        plain = solver.lower().replace("_", "").replace("-", "")
        for name, made in _NAMED.items():
            if plain == name.replace("_", ""):
                return made()
        raise GraphPEValueError(f"solver must be {known}, got {solver!r}")
    if isinstance(solver, type) or not callable(getattr(solver, "solve", None)):
        raise GraphPETypeError(f"solver must be {known}, got {solver!r}")
    return solver


def _problem(
    operator: Operator,
    k: int,
    which: Which,
    tol: float,
    max_iterations: int,
    seed: int,
    start: Tensor | None,
    known: Tensor | None,
) -> Problem:
    """The problem, its arguments checked."""
    size = operator.shape[0]
    k, max_iterations = check_counts(k=k, max_iterations=max_iterations)
    seed, tol = check_seed(seed), check_number("tol", tol)
    check_choice("which", which, get_args(Which))
    if not 0 < tol < 1:
        raise GraphPEValueError(f"tol must be between 0 and 1, got {tol}")
    if start is not None:
        _check_block("X0", start, operator)
    if known is not None:
        _check_block("deflate", known, operator)
    num_known = 0 if known is None else known.shape[1]
    if k > size - num_known:
        rest = f", less {num_known} of deflate" if num_known else ""
        raise GraphPEValueError(f"k must be at most the size of the operator, {size}{rest}, got {k}")
    known = None if num_known == 0 else known
    eps = torch.finfo(operator.dtype).eps
    bounds = spectral_bounds(operator, seed)
    if known is not None:
        _check_known(known, operator, bounds.norm, eps)
    tol = max(tol, _LEAST_TOL * eps)
    return Problem(operator, k, which, tol, bounds.norm, max_iterations, seed, start, known, bounds)


def _check_block(name: str, block: Any, operator: Operator) -> None:
    """Raise unless the block is `[n, m]`, finite, and of the operator's dtype and device."""
    if not isinstance(block, Tensor):
        raise GraphPETypeError(f"{name} must be a tensor, got {type(block).__name__}")
    if block.dim() != 2 or block.shape[0] != operator.shape[0]:
        raise GraphPEValueError(f"{name} must be [{operator.shape[0]}, columns], got {list(block.shape)}")
    if block.dtype != operator.dtype:
        raise GraphPEValueError(f"{name} must be of the operator's dtype {operator.dtype}, got {block.dtype}")
    if block.device != operator.device:
        raise GraphPEValueError(f"{name} must be on the operator's device {operator.device}, got {block.device}")
    if name == "X0" and block.layout != torch.strided:
        raise GraphPEValueError(f"X0 must be dense, got {block.layout}")
    if block.layout not in (torch.strided, torch.sparse_csr):
        raise GraphPEValueError(f"{name} must be dense or sparse CSR, got {block.layout}")
    values = block.values() if block.layout == torch.sparse_csr else block
    if not bool(values.abs().isfinite().all()):
        raise GraphPEValueError(f"{name} holds nan or inf: its entries must be finite")


def _check_known(known: Tensor, operator: Operator, norm: float, eps: float) -> None:
    """Raise unless the columns are orthonormal and span an invariant subspace, as seen on a random combination."""
    generator = torch.Generator().manual_seed(0)
    mix = torch.randn(known.shape[1], 1, generator=generator, dtype=torch.float64).to(operator.device, operator.dtype)
    x = known @ mix
    # For orthonormal columns |V^H V c - c| is rounding.
    tolerance = eps**0.5 * float(mix.norm())
    if not float((known.mH @ x - mix).norm()) <= tolerance:
        raise GraphPEValueError("deflate must have orthonormal columns: its Gram matrix is not the identity")
    y = operator.matmul(x)
    if not float((y - known @ (known.mH @ y)).norm()) <= tolerance * norm:
        raise GraphPEValueError("deflate must hold eigenvectors of the operator: its span is not invariant")


def _measure(problem: Problem, found: Found, solver: str, begin: float) -> EigenResult:
    """Residuals of what was found; values that are as good as the vectors allow."""
    values, vectors, operator = found.values, found.vectors, problem.operator
    if isinstance(operator, MatrixOperator) and operator.dtype in _DOUBLE:  # entries are known: no rounding in the sums
        operator = MatrixOperator(operator.matrix.to(_DOUBLE[operator.dtype]))
    exact = vectors.to(operator.dtype)
    residuals = torch.linalg.vector_norm(operator.matmul(exact) - exact * values, dim=0).to(values.dtype)
    converged = residuals <= problem.tol * problem.norm  # nan compares false
    matvecs = found.matvecs + problem.k
    seconds = time.perf_counter() - begin
    if (unit := _unit(problem)) != 1.0:
        values, residuals = values * unit, residuals * unit
    return EigenResult(values, vectors, residuals, converged, solver, found.iterations, matvecs, seconds)


def _unit(problem: Problem) -> float:
    """What the operator that was given is of the one that was solved."""
    return problem.operator.unit if isinstance(problem.operator, MatrixOperator) else 1.0


def _describe(solver: Solver, reason: str, note: str) -> str:
    """The solver as the call that builds it, with what there is to say."""
    return "; ".join(filter(None, (f"{solver!r}: {reason}" if reason else repr(solver), note)))


def _complain(result: EigenResult, problem: Problem, throw: bool) -> None:
    bad = int((~result.converged).sum())
    tolerance = problem.tol * problem.norm * _unit(problem)
    message = (
        f"{bad} of {problem.k} eigenpairs did not converge in {result.iterations} iterations of {result.solver}: "
        f"residuals up to {float(result.residuals.max()):.1e}, tolerance {tolerance:.1e}; "
        "raise max_iterations or tol, or choose another solver"
    )
    if throw:
        raise EigenError(message, result)
    warnings.warn(message, EigenWarning, stacklevel=3)
