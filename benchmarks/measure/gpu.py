"""Eigensolvers on one GPU: right, how fast against CuPy and SciPy, and 41 thousand molecules encoded.

    python -m graphpe.benchmarks.measure.gpu --out gpu

writes gpu.json and gpu.md within 8 minutes: what the budget has no time for is left out and named. Without a GPU it
ends with exit code 1; `--device cpu --small` runs the same code on the CPU in seconds.
"""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import torch
from torch import Tensor

from graphpe import transforms as T
from graphpe.benchmarks.measure.inputs.graphs import molecules
from graphpe.benchmarks.measure.inputs.large_graphs import Graph, families
from graphpe.benchmarks.measure.limited import Stopped, call_limited
from graphpe.benchmarks.measure.peers.eigensolvers import NORM, load, save, scipy_smallest, to_scipy
from graphpe.eigen.eigsh import eigsh
from graphpe.eigen.operators.problem import Solver
from graphpe.eigen.solvers.chebyshev import ChebyshevFilter
from graphpe.eigen.solvers.dense import Dense
from graphpe.eigen.solvers.lanczos import Lanczos
from graphpe.eigen.solvers.lobpcg import LOBPCG
from graphpe.eigen.solvers.preconditioners import ChebyshevPolynomial

Record = dict[str, Any]

K = 16
TOL = 1e-6
_MOLECULES = 41_127
_ITERATIVE: dict[str, Solver] = {
    "ChebyshevFilter": ChebyshevFilter(),
    "Lanczos": Lanczos(),
    "LOBPCG": LOBPCG(),
    "LOBPCG, Chebyshev": LOBPCG(ChebyshevPolynomial(20)),
}
# Long graphs are hopeless without a preconditioner, and only cost time.
_TIMED = ["ChebyshevFilter", "Lanczos", "LOBPCG, Chebyshev"]


class Run:
    """One run: its device, its clock, and what it has found.

    Attributes:
        device: Where solvers work.
        small: Sizes for a test.
        records: What was measured, one dictionary each.
    """

    def __init__(self, device: torch.device, small: bool, budget: float, limit: float, folder: Path) -> None:
        self.device, self.small, self.limit, self.folder = device, small, limit, folder
        self.records: list[Record] = []
        self._end = time.perf_counter() + budget

    @property
    def left(self) -> float:
        """Seconds of the budget that are left."""
        return self._end - time.perf_counter()

    def add(self, section: str, what: str, measured: Callable[[], Record], needs: float = 5) -> None:
        """Measure and keep, or say why not."""
        record: Record = {"section": section, "what": what}
        if self.left < needs:
            record["left_out"] = "no time left"
        else:
            try:
                record |= measured()
            except Stopped as stopped:
                record["left_out"] = str(stopped)
            except Exception as error:  # one failure must not cost the others their run
                record["left_out"] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        self.records.append(record)
        print(_say(record), flush=True)


def timed(function: Callable[[], Any], device: torch.device) -> tuple[float, Any]:
    """Seconds of a second call, or of the first if that is long; the device has finished at both ends."""
    for _ in range(2):
        _wait(device)
        begin = time.perf_counter()
        result = function()
        _wait(device)
        seconds = time.perf_counter() - begin
        if seconds > 3:
            break
    return seconds, result


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main(argv: Sequence[str] | None = None) -> int:
    """Run all sections, and write the JSON and the table; 0, or 1 without a device or where a check failed."""
    options = _parser().parse_args(argv)
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print("no CUDA device here: run this on a machine with a GPU, or with --device cpu --small", file=sys.stderr)
        return 1
    warnings.simplefilter("ignore")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    run = Run(device, options.small, options.budget, options.limit, options.out.parent)
    begin = time.perf_counter()
    for section in (check_solvers, time_molecules, time_dense, time_iterative):
        section(run)
    machine = describe(device)
    machine["seconds"] = round(time.perf_counter() - begin, 1)
    options.out.with_suffix(".json").write_text(
        json.dumps({"machine": machine, "records": run.records}, indent=1) + "\n", encoding="utf-8"
    )
    options.out.with_suffix(".md").write_text(table(machine, run.records), encoding="utf-8")
    wrong = [record["what"] for record in run.records if not record.get("right", True)]
    for what in wrong:
        print(f"wrong: {what}", file=sys.stderr)
    return 1 if wrong else 0


def _parser() -> argparse.ArgumentParser:
    out = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    out.add_argument("--device", default="cuda", help="where solvers work")
    out.add_argument("--small", action="store_true", help="small sizes, for a trial of the script")
    out.add_argument("--budget", type=float, default=440, help="seconds for everything")
    out.add_argument("--limit", type=float, default=40, help="seconds for one call of CuPy or SciPy")
    out.add_argument("--out", type=Path, default=Path("gpu"), help="write OUT.json and OUT.md")
    return out


def check_solvers(run: Run) -> None:
    """Every solver in every precision against dense float64 on the CPU."""
    size = 150 if run.small else 600
    for name, make in families().items():
        graph = make(size, np.random.default_rng(1))
        exact = graph.operator()
        expected = torch.linalg.eigvalsh(exact.to_dense())[:K]
        for dtype in (exact.dtype, torch.complex64 if graph.directed else torch.float32):
            for label, solver in {"Dense": Dense(), **_ITERATIVE}.items():
                what = f"{label}, {name}, {str(dtype).removeprefix('torch.')}"
                matrix = exact.to(dtype).to(run.device)
                run.add("check", what, partial(_check, matrix, solver, expected))


def _check(matrix: Tensor, solver: Solver, expected: Tensor) -> Record:
    tol = TOL if matrix.dtype in (torch.float64, torch.complex128) else 2e-5
    result = eigsh(matrix, K, solver=solver, tol=tol, max_iterations=3000, throw=False)
    vectors = result.vectors.cpu().to(torch.complex128)
    error = float((result.values.cpu().double() - expected).abs().max())
    skew = float((vectors.mH @ vectors - torch.eye(K)).abs().max())
    eps = torch.finfo(matrix.dtype).eps
    converged = bool(result.converged.all())
    return {
        "error": error,
        "residual": float(result.residuals.max()),
        "not_orthonormal": skew,
        "right": converged and error <= NORM * tol and skew <= 500 * eps,
    }


def time_molecules(run: Run) -> None:
    """`LaplacianPE(8)` of the molecules of ogbg-molhiv, or of random ones: there, and from host to host."""
    source, graphs = molecules(100 if run.small else _MOLECULES, None, np.random.default_rng(0))
    encode = T.LaplacianPE(8)
    what = f"LaplacianPE(8), {len(graphs):,} molecules ({source})"
    there = graphs.to(run.device)
    run.add("molecules", f"{what}, on the device", lambda: {"seconds": timed(lambda: encode(there), run.device)[0]})
    run.add(
        "molecules",
        f"{what}, with transfer both ways",
        lambda: {"seconds": timed(lambda: encode(graphs.to(run.device)).to("cpu"), run.device)[0]},
    )
    run.add("molecules", f"{what}, on the host", lambda: {"seconds": timed(lambda: encode(graphs), run.device)[0]})


def time_dense(run: Run) -> None:
    """Batched eigh of torch and of CuPy, and whether the vectors are orthonormal."""
    shapes = [(20, 8)] if run.small else [(8192, 16), (8192, 32), (4096, 40), (1024, 64), (256, 128), (16, 512)]
    levels = {"torch": torch.linalg.eigh}
    cupy = _cupy(run)
    if cupy is not None:

        def by_cupy(batch: Tensor) -> Any:
            values, vectors = cupy.linalg.eigh(cupy.from_dlpack(batch))
            return torch.from_dlpack(values), torch.from_dlpack(vectors)

        levels["CuPy"] = by_cupy
    for count, size in shapes:
        for dtype in (torch.float32, torch.float64, torch.complex64, torch.complex128):
            generator = torch.Generator().manual_seed(0)
            batch = torch.randn(count, size, size, dtype=dtype, generator=generator).to(run.device)
            batch = batch + batch.mH
            for name, eigh in levels.items():
                what = f"{name} eigh, {count} x {size}, {str(dtype).removeprefix('torch.')}"
                run.add("dense", what, partial(_time_dense, run.device, batch, eigh))


def _time_dense(device: torch.device, batch: Tensor, eigh: Callable[[Tensor], Any]) -> Record:
    seconds, (_, vectors) = timed(lambda: eigh(batch), device)
    skew = vectors.mH @ vectors - torch.eye(batch.shape[-1], dtype=batch.dtype, device=batch.device)
    return {"seconds": seconds, "not_orthonormal": float(skew.abs().max())}


def time_iterative(run: Run) -> None:
    """Solvers up to ten million nodes, against CuPy and against SciPy on the host."""
    # Graphs of ten million nodes take their minute to make.
    for size, needs in [(900, 0)] if run.small else [(100_000, 20), (1_000_000, 60), (10_000_000, 120)]:
        for name in ("grid", "random digraph", "Barabasi-Albert"):
            if run.left < needs:
                run.records.append({"section": "iterative", "what": f"{name}, {size:,}", "left_out": "no time left"})
                continue
            graph = families()[name](size, np.random.default_rng(0))
            _time_graph(run, graph)


def _time_graph(run: Run, graph: Graph) -> None:
    """Every call in a process of its own, that it ends in time."""
    path = run.folder / "gpu_operator.npz"
    save(graph.operator(), path)
    sides: dict[str, Callable[..., Record]] = {name: _by_ours for name in _TIMED}
    if graph.num_nodes < 2_000_000:  # more would be hopeless
        sides["SciPy eigsh SA"] = _by_scipy
        if _cupy(run) is not None:
            sides |= {"CuPy eigsh SA": _by_cupy_eigsh, "CuPy lobpcg": _by_cupy_lobpcg}
    for name, function in sides.items():
        arguments = (path, name, run.device) if name in _TIMED else (path,)
        run.add(
            "iterative",
            f"{name}, {graph.name}, {graph.num_nodes:,} nodes",
            partial(call_limited, function, *arguments, seconds=min(run.limit, run.left)),
            needs=10,
        )
    path.unlink()


def _by_ours(path: Path, name: str, device: torch.device) -> Record:
    matrix = load(path).to(device)
    seconds, result = timed(
        lambda: eigsh(matrix, K, solver=_ITERATIVE[name], tol=0.8 * TOL, max_iterations=3000, throw=False), device
    )
    return {
        "seconds": seconds,
        "residual": float(result.residuals.max()),
        "iterations": result.iterations,
        "matvecs": result.matvecs,
    }


def _by_scipy(path: Path) -> Record:
    matrix = load(path)
    begin = time.perf_counter()
    values, vectors, _ = scipy_smallest(matrix, K, TOL)
    seconds = time.perf_counter() - begin
    return {"seconds": seconds, "residual": _residual(to_scipy(matrix), values, vectors, np)}


def _by_cupy_eigsh(path: Path) -> Record:
    cupy, linalg, matrix = _cupy_matrix(path)
    return _time_cupy(cupy, matrix, lambda: linalg.eigsh(matrix, K, which="SA", tol=TOL))


def _by_cupy_lobpcg(path: Path) -> Record:
    cupy, linalg, matrix = _cupy_matrix(path)
    start = cupy.random.default_rng(0).standard_normal((matrix.shape[0], K)).astype(matrix.dtype)
    return _time_cupy(cupy, matrix, lambda: linalg.lobpcg(matrix, start, largest=False, tol=NORM * TOL, maxiter=3000))


def _cupy_matrix(path: Path) -> tuple[Any, Any, Any]:
    cupy = importlib.import_module("cupy")
    sparse = importlib.import_module("cupyx.scipy.sparse")
    linalg = importlib.import_module("cupyx.scipy.sparse.linalg")
    return cupy, linalg, sparse.csr_matrix(scipy.sparse.csr_matrix(to_scipy(load(path))))


def _time_cupy(cupy: Any, matrix: Any, solve: Callable[[], Any]) -> Record:
    matrix @ cupy.ones((matrix.shape[0], K), matrix.dtype)  # loads cuSPARSE
    cupy.cuda.Device().synchronize()
    begin = time.perf_counter()
    values, vectors = solve()
    cupy.cuda.Device().synchronize()
    return {"seconds": time.perf_counter() - begin, "residual": _residual(matrix, values, vectors, cupy)}


def _residual(matrix: Any, values: Any, vectors: Any, library: Any) -> float:
    rest = library.linalg.norm(matrix @ vectors - vectors * values, axis=0) / library.linalg.norm(vectors, axis=0)
    return float(rest.max())


def _cupy(run: Run) -> Any:
    """CuPy, or None where it is not installed or the device is none of its own."""
    if run.device.type != "cuda":
        return None
    try:
        return importlib.import_module("cupy")
    except ImportError:
        return None


def describe(device: torch.device) -> dict[str, Any]:
    """What it runs on."""
    out = {"python": platform.python_version(), "torch": torch.__version__, "scipy": scipy.__version__}
    if device.type == "cuda":
        out |= {"device": torch.cuda.get_device_name(device), "cuda": torch.version.cuda}
    else:
        out["device"] = platform.machine()
    try:
        out["cupy"] = importlib.import_module("cupy").__version__
    except ImportError:
        out["cupy"] = "not installed"
    return out


def table(machine: dict[str, Any], records: Sequence[Record]) -> str:
    """Everything as Markdown."""
    columns = ["section", "what", "seconds", "residual", "error", "not_orthonormal", "iterations", "matvecs", "right"]
    lines = ["| " + " | ".join([*columns, "left out"]).replace("_", " ") + " |", "|" + "---|" * (len(columns) + 1)]
    for record in records:
        cells = [_cell(record.get(name)) for name in [*columns, "left_out"]]
        lines.append("| " + " | ".join(cells) + " |")
    ratios = list(_ratios(records))
    if ratios:
        lines += ["", "| graph | best of ours | against | ratio |", "|---|---|---|---|", *ratios]
    about = ", ".join(f"{name} {value}" for name, value in machine.items())
    wrong = sum(not record.get("right", True) for record in records)
    lines += ["", f"{wrong} checks failed. k = {K}, tolerance {TOL:g}; seconds after a warm-up. {about}."]
    return "\n".join(lines) + "\n"


def _ratios(records: Sequence[Record]) -> Iterator[str]:
    """Each peer's time through the best of ours on the same graph, both with residuals that are small enough."""
    times: dict[str, dict[str, float]] = {}
    for record in records:
        if record["section"] == "iterative" and "seconds" in record and record["residual"] <= NORM * TOL:
            side = next(name for name in sorted(_SIDES, key=len, reverse=True) if record["what"].startswith(name))
            times.setdefault(record["what"].removeprefix(f"{side}, "), {})[side] = record["seconds"]
    for graph, sides in times.items():
        best = min((seconds, name) for name, seconds in [*sides.items(), ("", np.inf)] if name in _TIMED or not name)
        for name, seconds in sides.items():
            if name not in _TIMED and best[1]:
                yield f"| {graph} | {best[1]}, {best[0]:.3g} s | {name}, {seconds:.3g} s | {seconds / best[0]:.1f}x |"


_SIDES = [*_TIMED, "SciPy eigsh SA", "CuPy eigsh SA", "CuPy lobpcg"]


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def _say(record: Record) -> str:
    return ", ".join(
        _cell(value) if name in ("section", "what") else f"{name} {_cell(value)}" for name, value in record.items()
    )


if __name__ == "__main__":
    sys.exit(main())
