"""What the first call costs where nothing is compiled yet: CPU seconds beyond imports, on one small graph.

    python -m graphpe.benchmarks.measure.speed.first_call --out benchmarks/results/first_call.md

Every encoding and every model is called in a process of its own, forked from one that has imported everything and
called nothing; numba's cache is a new folder that is emptied before each. `all` is every encoding in one process.
Commands are timed from start to end, less what `python -c pass` takes.
"""

from __future__ import annotations

import argparse
import inspect
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ARGUMENTS = {
    "CyclePE": "max_length=6",
    "DiffusionPE": "k=4",
    "DirectedRandomWalkPE": "walk_length=8",
    "EdgePathPE": "max_distance=5, num_types=4",
    "HeatKernelPE": "times=[1.0, 2.0]",
    "HomomorphismPE": "patterns='Connected(4)'",
    "HopFeatures": "hops=2",
    "LaplacianPE": "k=8",
    "MagneticLaplacianPE": "k=8",
    "MotifPE": "motifs='Connected(4)'",
    "RandomWalkPE": "walk_length=16",
    "RelativeRandomWalkPE": "walk_length=8",
    "SVDPE": "k=8",
    "SpectralCoordinates": "k=4",
    "WeisfeilerLehmanPE": "iterations=4",
}
"""What an encoding needs beside its defaults."""

NODES, DEGREE, GRAPHS = 25, 4, 4
COMMANDS = ("--help", "--version", "list", "train --help", "grid --help", "encode --help")


def main() -> None:
    """Measure, and write the table."""
    known = argparse.ArgumentParser(description="CPU seconds of first calls where nothing is compiled")
    known.add_argument("--out", type=Path, help="write the table there, as Markdown")
    options = known.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        os.environ["NUMBA_CACHE_DIR"] = cache  # numba reads it when it is imported
        lines = [*_commands(), *_encodings(Path(cache)), *_models(Path(cache))]
    from graphpe.benchmarks.measure.harness import Report, command, ending  # it imports torch, and numba

    after = ending("", command("speed.first_call", None))
    Report(options.out).say("# First calls", "", (__doc__ or "").strip(), "", *lines, *after)


def _commands() -> list[str]:
    lines = ["| command | CPU-s beyond Python |", "|---|---|"]
    python = _cpu_of([sys.executable, "-c", "pass"])
    for text, code in (
        ("import graphpe", ["-c", "import graphpe"]),
        *((f"graphpe {text}", ["-m", "graphpe.benchmarks.cli.main", *text.split()]) for text in COMMANDS),
    ):
        lines.append(f"| `{text}` | {max(0.0, _cpu_of([sys.executable, *code]) - python):.2f} |")
    return [*lines, ""]


def _cpu_of(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _encodings(cache: Path) -> list[str]:
    import torch
    from torch_geometric.data import Data

    from graphpe.benchmarks.calls.build import build_encodings, encoding_classes

    torch.set_num_threads(1)
    names = [name for name in encoding_classes() if name not in ("GPSEPE", "PretrainedPE")]
    encodings = build_encodings([f"{name}({ARGUMENTS.get(name, '')})" for name in names])
    edges = _edges(0)
    graph = Data(edge_index=edges, edge_attr=torch.arange(edges.shape[1]) % 4, num_nodes=NODES)
    lines = [f"| encoding of a graph of {NODES} nodes | first call, CPU-s | later calls, ms |", "|---|---|---|"]
    for encoding in encodings:
        first, later = _measured(cache, lambda encoding=encoding: encoding(graph))  # type: ignore[misc]
        lines.append(f"| `{encoding!r}` | {first:.2f} | {1e3 * later:.1f} |")
    first, later = _measured(cache, lambda: [encoding(graph) for encoding in encodings])
    return [*lines, f"| all | {first:.2f} | {1e3 * later:.1f} |", ""]


def _models(cache: Path) -> list[str]:
    import torch
    from torch_geometric.data import Batch, Data

    from graphpe import models
    from graphpe import transforms as T
    from graphpe.benchmarks.calls.build import model_classes

    graphs = []
    for seed in range(GRAPHS):
        edges = _edges(seed)
        graphs.append(Data(x=torch.zeros(NODES, 1, dtype=torch.long), edge_index=edges, num_nodes=NODES))
    encode = T.Compose([T.RandomWalkPE(8), T.LaplacianPE(4), T.RelativeRandomWalkPE(8), T.SpectralCoordinates(4)])
    batch = encode(Batch.from_data_list(graphs))
    lines = [f"| model, on a batch of {GRAPHS} graphs | first forward, CPU-s | and backward |", "|---|---|---|"]
    for name, model_class in model_classes().items():
        known = inspect.signature(model_class).parameters
        arguments = {key: value for key, value in {"width": 64, "layers": 2}.items() if key in known}
        model = model_class(
            **arguments,
            node_encoder=models.CategoricalNodes(64, (1,)),
            encodings=[models.LinearEncoding("random_walk_pe", 8, 64)],
        )

        def step(model: torch.nn.Module = model) -> None:
            model(batch).sum().backward()

        def forward(model: torch.nn.Module = model) -> None:
            with torch.no_grad():
                model(batch)

        lines.append(f"| `{name}` | {_measured(cache, forward)[0]:.2f} | {_measured(cache, step)[0]:.2f} |")
    return lines


def _edges(seed: int):  # type: ignore[no-untyped-def]
    import networkx as nx
    import torch

    ends = torch.tensor(list(nx.connected_watts_strogatz_graph(NODES, DEGREE, 0.3, seed=seed).edges)).T
    return torch.cat([ends, ends.flip(0)], dim=1)


def _measured(cache: Path, call: Callable[[], object]) -> tuple[float, float]:
    """CPU seconds of the first call and of a later one, in a process where nothing has been called."""
    shutil.rmtree(cache)
    cache.mkdir()
    reading, writing = os.pipe()
    if not (child := os.fork()):
        times = []
        for _ in range(4):
            start = time.process_time()
            call()
            times.append(time.process_time() - start)
        os.write(writing, f"{times[0]} {min(times[1:])}".encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as times_of_child:
        first, later = times_of_child.read().split()
    os.waitpid(child, 0)
    return float(first), float(later)


if __name__ == "__main__":
    main()
