"""Kernels that are functions of a graph's Laplacian: K = f(L) = sum_m f(lambda_m) v_m v_m^T."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np
import torch
from scipy.sparse import csr_array, diags_array
from scipy.special import gammaln, pdtr, pdtrik, xlogy  # not scipy.stats: a second to import
from torch import Tensor

from graphpe.arguments import check_choice, check_integer
from graphpe.compiled.jit import compiled
from graphpe.compiled.threads import one_blas_thread
from graphpe.eigen.result import Eigenpairs
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.limits import check_seconds
from graphpe.spectra.laplacian_eigenpairs import (
    FullSpectrum,
    full_spectrum,
    laplacian_eigenpairs,
    spectrum_serves,
    symmetrised,
    zero_modes,
)
from graphpe.structure.adjacency import Adjacency, Floats, Ints
from graphpe.structure.laplacian import (
    Normalization,
    check_normalization,
    check_weights,
    inverse_sqrt_degrees,
    laplacian_entries,
)
from graphpe.structure.plan import Plan
from graphpe.walks.diagonal_powers import Estimate, Powers, diagonal_powers, exact_seconds
from graphpe.walks.return_probabilities import return_probabilities

# Beyond, more than about 80 steps would be needed.
_LONGEST_TIME = 30.0
_LEFT_OUT = 1e-15
# From this size on, the way to the diagonal is chosen by what it takes; the spectrum, for each n^3.
_LARGE = 256
_SPECTRUM_SECONDS = 1e-9
_INSTEAD = "take shorter times, or estimate it (HeatKernelPE(..., estimate=64))"

Response = Callable[[Floats], Floats]
Diffusion = Literal["heat", "p-step", "ppr"]


def heat_kernel(
    graphs: PackedGraphs | Plan,
    times: Sequence[float],
    normalization: Normalization = "sym",
    drop_zero_modes: bool = False,
) -> Tensor:
    """exp(-t L) of each graph at each time t, exactly 0 between connected components.

    From the spectrum in float64: where degrees differ by many orders of magnitude, "comb" has errors of about 1e-16 t
    times the largest degree, and (i, j) of "rw" about 1e-16 sqrt(d_j / d_i); "sym" has no such limit.

    Args:
        graphs: The graphs, or a plan that shares their work.
        times: T times, positive.
        normalization: L is the Laplacian of the symmetrised graph, `"comb"`, `"sym"` or `"rw"` (see
            `graphpe.laplacian`). For "rw", row i is where a walk that starts at i and steps at rate 1 is at time t.
        drop_zero_modes: Leave out the stationary part, the projector on the zero modes.

    Returns:
        `[sum n_b^2, T]` float64, row-major in each graph, on the device of the graphs.

    Raises:
        GraphPEValueError: A time is not positive and finite, an unknown normalization, or weights that are negative or
            not finite.
    """
    plan = Plan.of(graphs)
    spectrum, factors = _heat(plan, times, normalization, drop_zero_modes)
    kernel = _kernel(plan, spectrum, factors)
    if normalization == "rw":
        scale = inverse_sqrt_degrees(plan.once(symmetrised).degree)
        kernel *= _ratio(scale, *_pointers(plan))[:, None]
    # The exact values lie between these; rounding may leave others.
    np.clip(kernel, -1.0 if drop_zero_modes else 0.0, 1.0, out=kernel)
    return torch.from_numpy(kernel).to(plan.graphs.device)


def heat_kernel_diagonal(
    graphs: PackedGraphs | Plan,
    times: Sequence[float],
    normalization: Normalization = "sym",
    drop_zero_modes: bool = False,
    estimate: Estimate | None = None,
) -> Tensor:
    """The diagonal of `heat_kernel`, `[N, T]`: how much of the heat of a node is still (or again) there at time t.

    That of "rw" is that of "sym". Arguments and errors as in `heat_kernel`.

    exp(-t L) = e^-ct sum_k (c t)^k / k! M^k with M = I - L / c, whose powers are those of a random walk (c = 1), or of
    one that stays where degrees are below c, the largest ("comb"). For "sym" and short times (up to about 30), and on
    large graphs where that is quicker than the spectrum, their diagonals are summed until 1e-15 is left, in sparse
    arithmetic and shared with return probabilities; else, or where the spectrum is there anyway, it serves.

    Args:
        graphs: The graphs, or a plan that shares their work.
        times: T times, positive.
        normalization: As in `heat_kernel`.
        drop_zero_modes: As in `heat_kernel`.
        estimate: How to estimate the diagonals of powers on graphs where that is cheaper; None: exactly.
    """
    plan = Plan.of(graphs)
    check_normalization(normalization)
    check_times(times)
    if heat_steps(times, normalization) is not None and not spectrum_serves(plan, "sym"):
        return _heat_from_walks(plan, times, 1.0, drop_zero_modes, estimate)
    largest = int(np.argmax(plan.graphs.sizes.numpy(force=True))) if plan.graphs.num_graphs else 0
    hermitian: Literal["comb", "sym"] = "comb" if normalization == "comb" else "sym"
    if plan.graphs.max_size >= _LARGE and not plan.has(full_spectrum, hermitian):
        check_weights(plan.graphs)
        rate = 1.0 if hermitian == "sym" else float(plan.once(symmetrised).degree.max())
        length = _steps_until(times, rate)
        by_walks = exact_seconds(_lazy_steps(plan, rate, hermitian), _pointers(plan)[0], length, largest)
        by_spectrum = _SPECTRUM_SECONDS * plan.graphs.max_size**3
        if estimate is not None or by_walks < by_spectrum:
            return _heat_from_walks(plan, times, rate, drop_zero_modes, estimate, hermitian)
        memory = 3 * 8.0 * plan.graphs.max_size**2
        check_seconds("the heat kernel's diagonal", plan.graphs.max_size, by_spectrum, memory, _INSTEAD)
    spectrum, factors = _heat(plan, times, normalization, drop_zero_modes)
    diagonal = _diagonal(spectrum.vectors, factors, *_pointers(plan))
    return torch.from_numpy(np.clip(diagonal, 0.0, 1.0)).to(plan.graphs.device)


def heat_steps(times: Sequence[float], normalization: Normalization) -> int | None:
    """The steps of walks from which the diagonal of heat kernels is summed, if it is so for graphs of any size.

    Args:
        times: Times of diffusion, positive.
        normalization: `sym`, `rw` or `comb`.
    """
    if normalization == "comb" or max(times, default=0) > _LONGEST_TIME:
        return None
    return _steps_until(times, 1.0)


def _steps_until(times: Sequence[float], rate: float) -> int:
    """The steps that a walk makes at most, but for `_LEFT_OUT`."""
    mean = rate * max(times, default=0)
    if not mean:
        return 1
    steps = math.ceil(pdtrik(1 - _LEFT_OUT, mean))  # of Poisson's distribution, which real arguments interpolate
    return steps + int(pdtr(steps - 1, mean) < 1 - _LEFT_OUT)


def _heat_from_walks(
    plan: Plan,
    times: Sequence[float],
    rate: float,
    drop_zero_modes: bool,
    estimate: Estimate | None,
    hermitian: Literal["comb", "sym"] = "sym",
) -> Tensor:
    """The diagonals from those of the powers of M = I - L / rate; rate 1 stands for "sym" alone."""
    length = _steps_until(times, rate)
    if hermitian == "sym":
        walks = return_probabilities(plan, length, undirected=True, estimate=estimate).numpy(force=True)
    else:
        powers, ptr = _lazy_steps(plan, rate, hermitian), _pointers(plan)[0]
        walks = diagonal_powers(powers, ptr, length, f"{length} steps of heat", estimate, _INSTEAD)
    made, mean = np.arange(length + 1)[:, None], rate * np.asarray(times, dtype=np.float64)
    shares = np.exp(xlogy(made, mean) - gammaln(made + 1) - mean)  # Poisson's, [K + 1, T]
    heat = shares[0] + walks @ shares[1:]
    if hermitian == "sym":  # an isolated node has no walk, but keeps its heat
        heat[plan.once(symmetrised).degree == 0] = 1.0
    if drop_zero_modes:
        heat -= plan.once(zero_modes, hermitian).vector[:, None] ** 2
    return torch.from_numpy(np.clip(heat, 0.0, 1.0)).to(plan.graphs.device)


def _lazy_steps(plan: Plan, rate: float, hermitian: Literal["comb", "sym"]) -> Powers:
    """M = I - L / rate of each graph, which is symmetric, with its stationary vector."""
    pairs, degree, *_ = plan.once(symmetrised)
    entries = laplacian_entries(pairs, degree, hermitian)
    size = len(degree)
    laplacian = csr_array((entries.value, (entries.row, entries.col)), shape=(size, size)) + diags_array(
        entries.diagonal
    )
    step = (diags_array(np.ones(size)) - laplacian / (rate or 1.0)).tocsr()
    step.sum_duplicates()
    matrix = Adjacency(step.indptr.astype(np.int64), step.indices.astype(np.int64), step.data)
    known = np.sqrt(degree) if hermitian == "sym" else np.ones(size)
    return Powers(matrix, matrix, np.ones(plan.graphs.num_graphs, dtype=bool), known)


def diffusion_kernel(graphs: PackedGraphs | Plan, response: Response) -> Tensor:
    """f(L) of each graph, L = I - D^-1/2 S D^-1/2.

    Args:
        graphs: The graphs, or a plan that shares their work.
        response: f, on arrays of eigenvalues in [0, 2]; see `diffusion_response`.

    Returns:
        `[sum n_b^2]` float64, row-major in each graph, on the device of the graphs.

    Raises:
        GraphPEValueError: Weights are negative or not finite.
    """
    plan = Plan.of(graphs)
    check_weights(plan.graphs)
    spectrum: FullSpectrum = plan.once(full_spectrum, "sym")
    kernel = _kernel(plan, spectrum, response(spectrum.values)[:, None])
    return torch.from_numpy(kernel[:, 0]).to(plan.graphs.device)


def diffusion_coordinates(
    graphs: PackedGraphs | Plan, k: int, response: Response, drop_zero_modes: bool = True
) -> Eigenpairs:
    """The k leading eigenvectors of f(L), each times the root of its eigenvalue f(lambda).

    With f decreasing these are the lowest frequencies. Their inner products are the best approximation of rank k of the
    kernel, without its stationary part where the zero modes are left out.

    Args:
        graphs: The graphs, or a plan that shares their work.
        k: Number k of coordinates.
        response: f, of eigenvalues in [0, 2].
        drop_zero_modes: Leave out the zero modes of L, one for each connected component.

    Returns:
        Scaled vectors, eigenvalues of the kernel (largest first) and mask, as `laplacian_eigenpairs` returns them; that
        is also where arguments and errors are.
    """
    plan = Plan.of(graphs)
    vectors, values, mask = laplacian_eigenpairs(plan, k, "sym", drop_zero_modes)
    kernel_values = torch.from_numpy(response(values.numpy(force=True))).to(mask.device) * mask
    return Eigenpairs(vectors * kernel_values.sqrt()[plan.graphs.batch], kernel_values, mask)


def diffusion_response(kernel: Diffusion, beta: float, steps: int, gamma: float, alpha: float) -> Response:
    """The response f of a diffusion kernel; each is positive, decreasing on [0, 2], and 1 at 0.

        "heat": exp(-beta lambda)
        "p-step": (1 - gamma lambda)^steps
        "ppr": alpha / (alpha + (1 - alpha) lambda), that is alpha (I - (1 - alpha) T)^-1 with T = D^-1/2 S D^-1/2

    Args:
        kernel: `heat`, `p-step` or `ppr`.
        beta: Time of `heat`.
        steps: Exponent of `p-step`, at least 1.
        gamma: Step of `p-step`, above 0 and at most 0.5.
        alpha: Restart probability of `ppr`, above 0 and at most 1.

    Raises:
        GraphPEValueError: The kernel is unknown, `beta` is not positive and finite, `steps` < 1, `gamma` is not above 0
            and at most 0.5 (beyond, the kernel has negative eigenvalues, or large ones at high frequencies), or `alpha`
            is not above 0 and at most 1.
    """
    check_choice("kernel", kernel, get_args(Diffusion))
    if not 0 < beta < np.inf:
        raise GraphPEValueError(f"beta must be positive and finite, got {beta}")
    check_integer("steps", steps, least=1)
    if not 0 < gamma <= 0.5:
        raise GraphPEValueError(f"gamma must be above 0 and at most 0.5, got {gamma}")
    if not 0 < alpha <= 1:
        raise GraphPEValueError(f"alpha must be above 0 and at most 1, got {alpha}")
    if kernel == "heat":
        return lambda values: np.exp(-beta * values)
    if kernel == "p-step":
        return lambda values: np.maximum(1.0 - gamma * values, 0.0) ** steps
    return lambda values: alpha / (alpha + (1.0 - alpha) * values)


def check_times(times: Sequence[float]) -> None:
    """Raise unless there are times, all positive and finite.

    Args:
        times: The argument.
    """
    if not len(times):
        raise GraphPEValueError("times is empty: give at least one")
    for time in times:
        if not 0 < time < np.inf:
            raise GraphPEValueError(f"times must be positive and finite, got {time}")


def _heat(
    plan: Plan, times: Sequence[float], normalization: Normalization, drop_zero_modes: bool
) -> tuple[FullSpectrum, Floats]:
    """The spectrum, and exp(-t lambda) `[N, T]`."""
    check_normalization(normalization)
    check_times(times)
    check_weights(plan.graphs)
    spectrum: FullSpectrum = plan.once(full_spectrum, "sym" if normalization == "rw" else normalization)
    factors = np.exp(-spectrum.values[:, None] * np.asarray(times, dtype=np.float64))
    if drop_zero_modes:
        _, _, components, ptr, batch = plan.once(symmetrised)
        count = np.bincount(batch[components.first], minlength=len(ptr) - 1)
        factors[np.arange(len(batch)) - ptr[batch] < count[batch]] = 0.0
    return spectrum, factors


def _pointers(plan: Plan) -> tuple[Ints, Ints]:
    """First node and first pair of each graph."""
    return plan.graphs.ptr.numpy(force=True), plan.graphs.pair_ptr.numpy(force=True)


def _kernel(plan: Plan, spectrum: FullSpectrum, factors: Floats) -> Floats:
    """V diag(factors) V^T of each graph, one for each column of `factors` `[N, T]`: `[sum n_b^2, T]`."""
    label = plan.once(symmetrised).components.label
    with one_blas_thread():
        return _products(spectrum.vectors, np.ascontiguousarray(factors.T), label, *_pointers(plan))


@compiled
def _products(vectors: Floats, factors: Floats, label: Ints, ptr: Ints, pair_ptr: Ints) -> Floats:
    out = np.zeros((pair_ptr[-1], len(factors)))
    for b in range(len(ptr) - 1):
        first, n = ptr[b], ptr[b + 1] - ptr[b]
        basis = vectors[pair_ptr[b] : pair_ptr[b + 1]].reshape(n, n)
        for t in range(len(factors)):
            product = np.dot(basis * factors[t, first : first + n], basis.T)
            for u in range(n):
                row = pair_ptr[b] + u * n
                for v in range(n):
                    if label[first + u] == label[first + v]:  # else it is 0, and only rounding would be left
                        out[row + v, t] = product[u, v]
    return out


@compiled
def _diagonal(vectors: Floats, factors: Floats, ptr: Ints, pair_ptr: Ints) -> Floats:
    out = np.zeros((len(factors), factors.shape[1]))
    for b in range(len(ptr) - 1):
        first, n = ptr[b], ptr[b + 1] - ptr[b]
        for u in range(n):
            for m in range(n):
                share = vectors[pair_ptr[b] + u * n + m] ** 2
                for t in range(factors.shape[1]):
                    out[first + u, t] += share * factors[first + m, t]
    return out


@compiled
def _ratio(scale: Floats, ptr: Ints, pair_ptr: Ints) -> Floats:
    """scale_i / scale_j of all pairs."""
    out = np.empty(pair_ptr[-1])
    for b in range(len(ptr) - 1):
        first, n = ptr[b], ptr[b + 1] - ptr[b]
        for u in range(n):
            for v in range(n):
                out[pair_ptr[b] + u * n + v] = scale[first + u] / scale[first + v]
    return out
