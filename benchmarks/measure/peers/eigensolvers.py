"""Who computes the lowest eigenpairs of a Laplacian: our solvers, and those that people call today."""

from __future__ import annotations

import importlib
import resource
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import Tensor

from graphpe.eigen.eigsh import eigsh
from graphpe.eigen.solvers.chebyshev import ChebyshevFilter
from graphpe.eigen.solvers.dense import Dense
from graphpe.eigen.solvers.lanczos import Lanczos
from graphpe.eigen.solvers.lobpcg import LOBPCG
from graphpe.eigen.solvers.partial_lanczos import PartialLanczos
from graphpe.eigen.solvers.preconditioners import AMG, ChebyshevPolynomial
from graphpe.eigen.solvers.shift_invert import ShiftInvert

# Normalised Laplacians, magnetic or not, have their spectrum in [0, 2].
NORM = 2.0
_SHIFT = 1e-3  # of singular Laplacians, for factorisations; for multigrid as scikit-learn has it:
_AMG_SHIFT = 1e-5
_MANY = 5000  # iterations: LOBPCG's defaults end long before it converges
_SHORT = 6.0  # seconds
_ENOUGH, _MOST_CALLS = 1.0, 9  # seconds and calls that a median is of

Pairs = tuple[NDArray[np.float64], NDArray[Any], str]


class Outcome(NamedTuple):
    """One measured call.

    Attributes:
        seconds: Wall time.
        values: The k values, ascending.
        residual: The largest |A v - lambda v| / |v|.
        how: What the side says of how it got there.
        gigabytes: The process at its largest, with everything it imported.
    """

    seconds: float
    values: NDArray[np.float64]
    residual: float
    how: str
    gigabytes: float = float("nan")


def ours(solver: Any) -> Callable[[Tensor, int, float], Pairs]:
    """`eigsh` with a solver."""

    def solve(matrix: Tensor, k: int, tol: float) -> Pairs:
        # Relative to a bound of the norm that may be above 2.
        result = eigsh(matrix, k, solver=solver, tol=0.8 * tol, max_iterations=_MANY, throw=False)
        return result.values.numpy(), result.vectors.numpy(), result.solver

    return solve


def scipy_smallest(matrix: Tensor, k: int, tol: float) -> Pairs:
    """ARPACK without inversion: what PyG's transform calls."""
    csr = to_scipy(matrix)
    return *scipy.sparse.linalg.eigsh(csr, k, which="SA", tol=tol, v0=_start(csr, 1)[:, 0]), ""


def scipy_shift_invert(matrix: Tensor, k: int, tol: float) -> Pairs:
    """ARPACK on the factorised, slightly shifted matrix."""
    csr = to_scipy(matrix)
    return *scipy.sparse.linalg.eigsh(csr.tocsc(), k, sigma=-_SHIFT, tol=tol, v0=_start(csr, 1)[:, 0]), ""


def scipy_lobpcg(matrix: Tensor, k: int, tol: float) -> Pairs:
    """SciPy's LOBPCG as it is."""
    csr = to_scipy(matrix)
    found = scipy.sparse.linalg.lobpcg(csr, _start(csr, k), tol=NORM * tol, maxiter=_MANY, largest=False)
    return found[0], found[1], ""


def scipy_lobpcg_amg(matrix: Tensor, k: int, tol: float) -> Pairs:
    """SciPy's LOBPCG with PyAMG's smoothed aggregation."""
    pyamg = importlib.import_module("pyamg")
    csr = to_scipy(matrix)
    shifted = (csr + _AMG_SHIFT * scipy.sparse.eye_array(csr.shape[0], dtype=csr.dtype)).tocsr()
    kind = "hermitian" if np.iscomplexobj(csr) else "symmetric"
    inverse = pyamg.smoothed_aggregation_solver(shifted, symmetry=kind).aspreconditioner()
    found = scipy.sparse.linalg.lobpcg(csr, _start(csr, k), M=inverse, tol=NORM * tol, maxiter=_MANY, largest=False)
    return found[0], found[1], ""


def torch_lobpcg(matrix: Tensor, k: int, tol: float) -> Pairs:
    """The LOBPCG of torch."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(matrix.shape[0], k, dtype=matrix.dtype, generator=generator)
    values, vectors = torch.lobpcg(matrix, k, X=start, largest=False, niter=_MANY, tol=tol)
    return values.numpy(), vectors.numpy(), ""


OURS: dict[str, Callable[[Tensor, int, float], Pairs]] = {
    "auto": ours("auto"),
    "Dense": ours(Dense()),
    "ChebyshevFilter": ours(ChebyshevFilter()),
    "Lanczos": ours(Lanczos()),
    "PartialLanczos": ours(PartialLanczos()),
    "LOBPCG, Chebyshev": ours(LOBPCG(ChebyshevPolynomial(20))),
    "LOBPCG, AMG": ours(LOBPCG(AMG())),
    "ShiftInvert": ours(ShiftInvert()),
}

PEERS: dict[str, Callable[[Tensor, int, float], Pairs]] = {
    "SciPy SA": scipy_smallest,
    "SciPy sigma": scipy_shift_invert,
    "SciPy LOBPCG": scipy_lobpcg,
    "SciPy LOBPCG, AMG": scipy_lobpcg_amg,
    "torch LOBPCG": torch_lobpcg,
}


def sides(size: int, directed: bool) -> list[str]:
    """Those that make sense: dense solvers for small graphs, torch's LOBPCG for real operators."""
    names = [*OURS, *PEERS]
    if size > 3000:
        names.remove("Dense")
    if directed:
        names.remove("torch LOBPCG")
    return names


def measure(side: str, path: Path, k: int, tol: float, threads: int) -> Outcome:
    """The median call of a side on the operator in a file: a long one alone, others after one to warm up."""
    torch.set_num_threads(threads)
    solve = (OURS | PEERS)[side]
    matrix = load(path)
    with threadpool_limits(threads), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        taken: list[float] = []
        while len(taken) < 2 or (taken[0] < _SHORT and sum(taken[1:]) < _ENOUGH and len(taken) <= _MOST_CALLS):
            begin = time.perf_counter()
            values, vectors, how = solve(matrix, k, tol)
            taken.append(time.perf_counter() - begin)
            if taken[0] >= _SHORT:
                break
        seconds = median(taken[1:] or taken)
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    order = np.argsort(values)
    values, vectors = np.asarray(values)[order].astype(np.float64), np.asarray(vectors)[:, order]
    residual = np.linalg.norm(to_scipy(matrix) @ vectors - vectors * values, axis=0) / np.linalg.norm(vectors, axis=0)
    return Outcome(seconds, values, float(np.nan_to_num(residual, nan=np.inf).max()), how, gigabytes)


def save(matrix: Tensor, path: Path) -> None:
    """Write an operator for `measure`."""
    arrays: dict[str, Any] = {name: part.numpy() for name, part in zip(_PARTS, _parts(matrix), strict=True)}
    np.savez(path, **arrays)


def load(path: Path) -> Tensor:
    """Read an operator."""
    with np.load(path) as arrays:
        indptr, indices, data = (torch.from_numpy(arrays[name]) for name in _PARTS)
    size = len(indptr) - 1
    with warnings.catch_warnings():  # torch says once per process that its CSR layout is young
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(indptr, indices, data, (size, size), check_invariants=False)


def to_scipy(matrix: Tensor) -> Any:
    """The same memory as a SciPy matrix."""
    indptr, indices, data = (part.numpy() for part in _parts(matrix))
    return scipy.sparse.csr_array((data, indices, indptr), shape=tuple(matrix.shape))


_PARTS = ("indptr", "indices", "data")


def _parts(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return matrix.crow_indices(), matrix.col_indices(), matrix.values()


def _start(matrix: Any, columns: int) -> NDArray[Any]:
    generator = np.random.default_rng(0)
    return generator.standard_normal((matrix.shape[0], columns)).astype(matrix.dtype)
