"""Eigenvector encodings of single large graphs: `LaplacianPE(8)`, `MagneticLaplacianPE(8)`, and PyG's transform.

    python -m graphpe.benchmarks.measure.speed.large_encodings --size 100000 --time-limit 120 --out large_encodings.md
    python -m graphpe.benchmarks.measure.speed.large_encodings --size 1000000 --sides LaplacianPE MagneticLaplacianPE

PyG's is `AddLaplacianEigenvectorPE(8, is_undirected=True)`, on the graph with both directions of each edge; the
magnetic encoding gets each edge once, directed. Every call, from a `Data` to a `Data`, has a process of its own that
ends at the time limit. Residuals are of what was written, in float32: |L v - (v^T L v) v|, of the normalised Laplacian.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch_geometric.data import Data
from torch_geometric.transforms import AddLaplacianEigenvectorPE

from graphpe import transforms as T
from graphpe.benchmarks.measure.harness import Report, command, ending, parser
from graphpe.benchmarks.measure.inputs.large_graphs import Graph, barabasi_albert, families
from graphpe.benchmarks.measure.limited import Stopped, call_limited
from graphpe.structure.laplacian import laplacian, magnetic_laplacian

K = 8
Q = 0.1
_WARM_UP = 6000  # nodes: solved as large graphs are

SIDES: dict[str, tuple[Callable[[], Any], str, bool]] = {
    "LaplacianPE": (lambda: T.LaplacianPE(K, sign="none"), "laplacian_eigenvector_pe", False),
    "MagneticLaplacianPE": (
        lambda: T.MagneticLaplacianPE(K, q=Q, relative_q=False, sign="none"),
        "magnetic_eigenvector_pe",
        True,
    ),
    "PyG": (
        lambda: AddLaplacianEigenvectorPE(K, attr_name="laplacian_eigenvector_pe", is_undirected=True),
        "laplacian_eigenvector_pe",
        False,
    ),
}


class Outcome(NamedTuple):
    """One measured call.

    Attributes:
        seconds: Wall time of the transform.
        residual: The largest of the eigenvectors that were written.
        gigabytes: The process at its largest, with everything it imported.
        vectors: What was written.
    """

    seconds: float
    residual: float
    gigabytes: float
    vectors: np.ndarray


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write it where `--out` says."""
    options = _parser().parse_args(argv)
    report = Report(options.out)
    report.say(
        f"| graph | n | edges | {' | '.join(options.sides)} | PyG / LaplacianPE | residuals | same twice | GB |",
        "|" + "---|" * (len(options.sides) + 7),
    )
    for name, make in families().items():
        if options.graphs is None or any(part in name for part in options.graphs):
            report.say(_line(make(options.size, np.random.default_rng(options.seed)), options))
    about = f"Seconds of one call, k = {K}, q = {Q}; limit {options.time_limit:g} s."
    report.say(*ending(about, command("speed.large_encodings", argv), threads=options.threads))


def _parser() -> argparse.ArgumentParser:
    out = parser(__doc__, data=None)
    out.add_argument("--size", type=int, default=100_000, help="nodes of each graph")
    out.add_argument("--graphs", nargs="*", help="only families whose name holds one of these")
    out.add_argument("--sides", nargs="*", choices=SIDES, default=list(SIDES))
    out.add_argument("--once", action="store_true", help="do not run ours a second time, to see the same bits")
    out.add_argument("--time-limit", type=float, default=120, help="seconds for one call")
    return out


def _line(graph: Graph, options: argparse.Namespace) -> str:
    cells, found = [], {}
    same: list[bool] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "edges.npy"
        np.save(path, graph.edges)
        for side in options.sides:

            def call(side: str = side) -> Outcome:
                arguments = (side, path, graph.num_nodes, options.threads)
                return call_limited(measure, *arguments, seconds=options.time_limit)

            try:
                found[side] = call()
            except Stopped as reason:
                cells.append(str(reason))
                continue
            cells.append(f"{found[side].seconds:.2f}")
            if side != "PyG" and not options.once:
                same.append(np.array_equal(found[side].vectors, call().vectors))
    ratio = ""
    if "LaplacianPE" in found and "PyG" in options.sides:
        least = found["PyG"].seconds if "PyG" in found else options.time_limit
        ratio = f"{'' if 'PyG' in found else '> '}{least / found['LaplacianPE'].seconds:.1f}"
    residuals = ", ".join(f"{one.residual:.0e}" for one in found.values())
    gigabytes = ", ".join(f"{one.gigabytes:.1f}" for one in found.values())
    size = [graph.name, f"{graph.num_nodes:,}", f"{graph.edges.shape[1]:,}"]
    return "| " + " | ".join([*size, *cells, ratio, residuals, str(all(same)) if same else "", gigabytes]) + " |"


def measure(side: str, path: Path, num_nodes: int, threads: int) -> Outcome:
    """One call of a side on the edges in a file; a small graph before it warms up."""
    torch.set_num_threads(threads)
    make, key, directed = SIDES[side]
    transform = make()
    edges = torch.from_numpy(np.load(path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        small = barabasi_albert(_WARM_UP, np.random.default_rng(0))
        transform(_data(torch.from_numpy(small.edges), _WARM_UP, directed))
        data = _data(edges, num_nodes, directed)
        begin = time.perf_counter()
        vectors = transform(data)[key]
        seconds = time.perf_counter() - begin
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    matrix = magnetic_laplacian(edges, num_nodes, Q) if directed else laplacian(edges, num_nodes)
    x = vectors.to(matrix.dtype)
    image = matrix @ x
    rest = image - x * (x.conj() * image).sum(0)
    return Outcome(seconds, float(torch.linalg.vector_norm(rest, dim=0).max()), gigabytes, vectors.numpy())


def _data(edges: torch.Tensor, num_nodes: int, directed: bool) -> Data:
    both = edges if directed else torch.cat([edges, edges.flip(0)], 1).unique(dim=1)
    return Data(edge_index=both, num_nodes=num_nodes)


if __name__ == "__main__":
    main()
