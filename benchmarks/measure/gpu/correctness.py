"""Whether models, encodings and solvers are on a device what they are on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphpe.benchmarks.calls.build import build_encodings
from graphpe.benchmarks.measure.gpu.cases import ENCODINGS, FIRST, REST, Case, random_graphs
from graphpe.benchmarks.measure.gpu.eigensolvers import TOL, K, solvers_on
from graphpe.benchmarks.measure.gpu.run import Record, Run
from graphpe.benchmarks.measure.gpu.step import step
from graphpe.benchmarks.measure.inputs.large_graphs import families
from graphpe.benchmarks.measure.peers.eigensolvers import NORM
from graphpe.benchmarks.measure.pretend.accelerator import to_host
from graphpe.benchmarks.measure.pretend.tensors import NAME
from graphpe.eigen.eigsh import eigsh
from graphpe.eigen.operators.problem import Solver
from graphpe.graphs.packed import PackedGraphs
from graphpe.transforms.laplacian_pe import LaplacianPE


def check_models(run: Run) -> None:
    """A training step of every architecture, encoder, bias and loss: output and gradients."""
    for case in FIRST if run.small else [*FIRST, *REST]:
        if "dropout=0.1" in case.model and run.device.type != NAME:
            continue  # a device draws other numbers
        run.add(case.name, partial(_check_model, case, run.device))


def _check_model(case: Case, device: torch.device) -> Record:
    once = step(case, device)
    if once.gradient[0] > 1e-3:  # roots near zero amplify rounding
        once = step(case, device, double=True)
    right = once.output < 1e-4 and once.gradient[0] < 1e-3
    return {"output": once.output, "gradient": once.gradient[0], "right": right}


def check_encodings(run: Run) -> None:
    """Every encoding of graphs on the device."""
    packed = random_graphs(20)
    for text in ENCODINGS[:12] if run.small else ENCODINGS:
        run.add(text, partial(_check_encoding, text, packed, run.device))


def _check_encoding(text: str, packed: PackedGraphs, device: torch.device) -> Record:
    (here,), (there,) = (build_encodings([text]) for _ in range(2))
    expected, value = here(packed), there(packed.to(device))
    difference = encodings_differ(packed, here, partial(value_of, expected), lambda key: _on_host(value_of(value, key)))
    there_too = all(value_of(value, key).device == device for key in keys_of(here))
    return {"difference": difference, "right": there_too and difference < 1e-5}


def keys_of(encoding: Any) -> list[str]:
    """All keys that an encoding writes."""
    return [*encoding.keys, *encoding.graph_keys, *encoding.pair_keys]


def value_of(graphs: Any, key: str) -> Tensor:
    """A value of graphs, or of a batch."""
    return {**graphs.node, **graphs.graph, **graphs.pair}[key] if isinstance(graphs, PackedGraphs) else graphs[key]


def _on_host(value: Tensor) -> Tensor:
    return to_host(value).cpu()


def encodings_differ(
    packed: PackedGraphs, encoding: Any, a: Callable[[str], Tensor], b: Callable[[str], Tensor]
) -> float:
    """The largest difference of two results of an encoding, as far as it is defined.

    Args:
        packed: The graphs.
        encoding: The encoding.
        a: One result, by key.
        b: The other.
    """
    differs = max(_difference(a(key), b(key)) for key in keys_of(encoding))
    # Eigenvectors of repeated eigenvalues are compared by what they span.
    return differs if differs <= 1e-5 else _spectral_difference(packed, encoding, a, b)


def _difference(a: Tensor, b: Tensor) -> float:
    """The largest; of eigenvectors with random signs up to signs."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return float("inf")
    if a.is_floating_point() or a.is_complex():
        return float((a.abs() - b.abs()).abs().max()) if a.numel() else 0.0
    return float((a != b).sum())


def _spectral_difference(
    packed: PackedGraphs, encoding: Any, a: Callable[[str], Tensor], b: Callable[[str], Tensor]
) -> float:
    """Of eigenvalues, and of kernels sum_j w_j v_j v_j^T with weights that fall to 0 where k cuts an eigenspace."""
    if encoding.graph_keys:
        eigenvalues = a(encoding.graph_keys[0])
        worst = float((eigenvalues - b(encoding.graph_keys[0])).abs().max())
    else:  # coordinates are scaled eigenvectors of the combinatorial Laplacian
        plain = LaplacianPE(k=encoding.columns, normalization="comb", sign="none")(packed)
        eigenvalues, worst = plain.graph["laplacian_eigenvalues"], 0.0
    if "diffusion" in encoding.attr_name:
        eigenvalues = 1 - eigenvalues
    there_are = eigenvalues.abs() > 0
    last = torch.where(there_are, eigenvalues, -1.0).max(1, keepdim=True).values
    weight = torch.where(there_are.all(1, keepdim=True), ((last - eigenvalues) / 0.05).clamp(0, 1), 1.0)
    for graph in range(packed.num_graphs):
        rows = slice(int(packed.ptr[graph]), int(packed.ptr[graph + 1]))
        vectors = [x(encoding.attr_name)[rows] for x in (a, b)]
        kernels = [(v * weight[graph]) @ v.mH for v in vectors]
        worst = max(worst, float((kernels[0] - kernels[1]).abs().max()))
    return worst


def check_solvers(run: Run) -> None:
    """Every solver in every precision against dense float64 on the CPU."""
    size = 150 if run.small else 600
    for name, make in families().items():
        graph = make(size, np.random.default_rng(1))
        exact = graph.operator()
        expected = torch.linalg.eigvalsh(exact.to_dense())[:K]
        for dtype in (exact.dtype, torch.complex64 if graph.directed else torch.float32):
            for label, solver in solvers_on(run.device).items():
                what = f"{label}, {name}, {str(dtype).removeprefix('torch.')}"
                matrix = exact.to(dtype).to(run.device)
                run.add(what, partial(_check_solver, matrix, solver, expected))


def _check_solver(matrix: Tensor, solver: Solver, expected: Tensor) -> Record:
    tol = TOL if matrix.dtype in (torch.float64, torch.complex128) else 2e-5
    result = eigsh(matrix, K, solver=solver, tol=tol, max_iterations=3000, throw=False)
    vectors = _on_host(result.vectors).to(torch.complex128)
    error = float((_on_host(result.values).double() - expected).abs().max())
    skew = float((vectors.mH @ vectors - torch.eye(K)).abs().max())
    eps = torch.finfo(matrix.dtype).eps
    converged = bool(_on_host(result.converged).all())
    return {
        "error": error,
        "residual": float(_on_host(result.residuals).max()),
        "not_orthonormal": skew,
        "right": converged and error <= NORM * tol and skew <= 500 * eps,
    }
