"""The share of a GRIT training step that computing RRWP for its batch takes.

    python -m graphpe.benchmarks.speed.on_the_fly --out on_the_fly.md

Nothing is stored: `RelativeRandomWalkPE` is applied to a PyG `Batch` of molecules, and the step (forward, backward,
optimiser) of a published GRIT of 10 layers follows. The table gives medians; both use the same threads.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch_geometric.utils import degree

from graphpe.benchmarks.speed.graphs import molecules
from graphpe.benchmarks.speed.harness import machine
from graphpe.benchmarks.speed.published.grit import Grit
from graphpe.packed import PackedGraphs
from graphpe.pairs import diagonal_rows
from graphpe.transforms.relative_random_walk_pe import RelativeRandomWalkPE

Result = TypeVar("Result")


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write it where `--out` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=128, help="graphs in a batch")
    parser.add_argument("--walk-length", type=int, default=21, help="channels of RRWP")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--layers", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3, help="training steps")
    parser.add_argument("--threads", type=int, default=1, help="torch threads")
    parser.add_argument("--device", default="cpu", help="where the batch and the model are")
    parser.add_argument("--data", type=Path, help="folder with ogbg_molhiv (default: $GRAPHPE_DATA or ../shared/data)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the table there, as Markdown")
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)

    source, graphs = molecules(options.batch_size, options.data, np.random.default_rng(options.seed))
    model = Grit(options.walk_length, width=options.width, heads=options.heads, layers=options.layers)
    rrwp, step = measure(graphs.to(options.device), options.walk_length, model.to(options.device), options.repeats)
    lines = [
        "| graphs | from | pairs | RRWP, ms | GRIT step, ms | share |",
        "|---|---|---|---|---|---|",
        f"| {len(graphs)} molecules | {source} | {graphs.num_pairs:,} | {rrwp:.2f} | {step:,.0f} | {rrwp / step:.2%} |",
        "",
        f"{options.walk_length} channels; {options.layers} layers, width {options.width}, {options.heads} heads; "
        f"{options.repeats} steps, medians; {machine()}.",
    ]
    print("\n".join(lines))
    if options.out is not None:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def measure(graphs: PackedGraphs, walk_length: int, model: Grit, repeats: int) -> tuple[float, float]:
    """Median milliseconds of encoding the batch, and of the training step on it."""
    transform = RelativeRandomWalkPE(walk_length)
    batch = graphs.to_batch()
    node_type, target = batch.x[:, 0], torch.randn(len(graphs), device=graphs.device)
    degrees = degree(batch.edge_index[1], batch.num_nodes)
    diagonal = diagonal_rows(graphs)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def train(rrwp: torch.Tensor) -> None:
        optimizer.zero_grad()
        out = model(node_type, rrwp, diagonal, graphs.ptr, degrees)
        torch.nn.functional.l1_loss(out, target).backward()
        optimizer.step()

    encode: list[float] = []
    step: list[float] = []
    for _ in range(repeats + 1):
        encoded, seconds = timed(lambda: transform(batch), graphs.device)
        encode.append(seconds)
        step.append(timed(partial(train, encoded.rrwp), graphs.device)[1])
    return 1e3 * statistics.median(encode[1:]), 1e3 * statistics.median(step[1:])  # the first turn warms up


def timed(work: Callable[[], Result], device: torch.device) -> tuple[Result, float]:
    """What `work` returns, and its seconds."""
    start = time.perf_counter()
    result = work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return result, time.perf_counter() - start


if __name__ == "__main__":
    main()
