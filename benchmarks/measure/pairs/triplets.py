"""Triplet attention without triplets in memory, and as published: time and memory of one attention with its maps.

    python -m graphpe.benchmarks.measure.pairs.triplets --out triplets.md

Width 64, 8 heads, float32, forward and backward. Graphs of 16, 32 and 64 nodes, all of one size, which is where the
published form, which pads, is at its best; and ragged batches.

* einsum: as released (Bergen et al. 2021).
* compiled: products of broadcast arrays under `torch.compile` (Müller et al. 2024).
* ours: `triplet_attention` between the same maps, over lists of pairs; with `dropout`: of a fifth of the weights.

Every side has a process of its own, in turns. Time is the processor's. Memory is the process at its largest within a
step, beyond what it had before that step: code that was loaded or compiled is there already.
"""

from __future__ import annotations

import ctypes
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from graphpe.benchmarks.measure.harness import Report, command, ending, parser
from graphpe.benchmarks.measure.limited import Stopped, call_limited
from graphpe.benchmarks.measure.peers.relational import pad_pairs
from graphpe.benchmarks.measure.peers.triplets import TriangularAttention
from graphpe.compiled.jit import everything_compiled
from graphpe.models.attention.pairs import all_pairs
from graphpe.models.attention.triplet.attention import triplet_attention
from graphpe.models.attention.triplet.triplets import Triplets
from graphpe.models.batches.nodes import NodeToGraph

WIDTH, HEADS = 64, 8
BATCHES = {
    "32 of 16": [16] * 32,
    "16 of 32": [32] * 16,
    "4 of 64": [64] * 4,
    "32 of 9 to 38 (molecules)": np.random.default_rng(0).integers(9, 39, 32).tolist(),
    "8 of 4 to 64": np.random.default_rng(0).integers(4, 65, 8).tolist(),
}
SIDES = ("einsum", "compiled", "ours", "ours, dropout")
_GIGABYTES = 14
_WAIT = 900


class Cost(NamedTuple):
    """Processor seconds of a step, and bytes of it beyond what was there before."""

    cpu: float
    memory: float


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write it where `--out` says."""
    options = parser(__doc__, repeats=3, data=None).parse_args(argv)
    report = Report(options.out)
    heads = [*(f"{side}: ms, MB" for side in SIDES), *(f"{side} / ours: time, memory" for side in SIDES[:2])]
    report.say(f"| graphs | pairs | triplets | {' | '.join(heads)} | difference |")
    report.say(f"|---|---|---|{'---|' * len(heads)}---|")
    for name, sizes in BATCHES.items():
        found: dict[str, list[Cost]] = {side: [] for side in SIDES}
        stopped: dict[str, str] = {}
        for _ in range(options.repeats):
            for side in SIDES:
                try:
                    found[side].append(
                        call_limited(
                            measure, side, sizes, options.threads, options.seed, seconds=_WAIT, gigabytes=_GIGABYTES
                        )
                    )
                except Stopped as error:
                    stopped[side] = str(error)
        report.say(_row(name, sizes, found, stopped, options.seed))
    about = f"Medians over {options.repeats} processes of the medians of five steps; milliseconds of processor time."
    report.say(*ending(about, command("pairs.triplets", argv), threads=options.threads))


def _row(name: str, sizes: list[int], found: dict[str, list[Cost]], stopped: dict[str, str], seed: int) -> str:
    squares, cubes = (f"{sum(n**power for n in sizes):,}" for power in (2, 3))
    cells, costs = [name, squares, cubes], {}
    for side in SIDES:
        if side in stopped:
            cells.append(stopped[side])
            continue
        costs[side] = Cost(*(statistics.median(part) for part in zip(*found[side], strict=True)))
        cells.append(f"{1e3 * costs[side].cpu:,.1f}, {costs[side].memory / 1e6:,.0f}")
    for side in SIDES[:2]:
        if side in costs and "ours" in costs:
            cpu, memory = (one / other for one, other in zip(costs[side], costs["ours"], strict=True))
            cells.append(f"{cpu:.1f}x, {memory:.1f}x")
        else:
            cells.append("")
    return f"| {' | '.join([*cells, f'{compare(sizes, seed):.0e}'])} |"


def measure(side: str, sizes: list[int], threads: int, seed: int) -> Cost:
    """Steps of one side."""
    torch.set_num_threads(threads)
    step, module = _built(side, sizes, seed)
    taken, most = [], []
    with everything_compiled():
        for number in range(6):
            module.zero_grad()
            before = _begin()
            start = time.process_time()
            step().square().sum().backward()
            if number:  # the first compiles, or takes what was compiled from the disk
                taken.append(time.process_time() - start)
                most.append(_bytes("VmHWM") - before)
    return Cost(statistics.median(taken), statistics.median(most))


def compare(sizes: list[int], seed: int) -> float:
    """Largest difference of results, and of gradients relative to their largest number, with those as published."""
    with everything_compiled():
        sides = [_built(side, sizes, seed) for side in ("einsum", "ours")]
        results = []
        for step, module in sides:
            out = step()
            out.square().sum().backward()
            results.append(
                [out.detach(), *(p.grad / p.grad.abs().max() for p in module.parameters() if p.grad is not None)]
            )
    ptr = torch.tensor([0, *sizes]).cumsum(0)
    mask = torch.arange(max(sizes)) < torch.tensor(sizes)[:, None]
    results[1][0] = pad_pairs(results[1][0], ptr)
    results[0][0] = results[0][0] * (mask[:, :, None] & mask[:, None])[..., None]
    return max(float((one - other).abs().max()) for one, other in zip(*results, strict=True))


def _built(side: str, sizes: list[int], seed: int) -> tuple[Callable[[], Tensor], nn.Module]:
    """A step of a side, and its weights, the same for each."""
    torch.manual_seed(seed)
    module = TriangularAttention(WIDTH, HEADS, products=side == "compiled")
    ptr = torch.tensor([0, *sizes]).cumsum(0)
    x = torch.randn(sum(n * n for n in sizes), WIDTH)
    if side in ("einsum", "compiled"):
        padded = pad_pairs(x, ptr).requires_grad_()
        mask = torch.arange(max(sizes)) < torch.tensor(sizes)[:, None]
        run = torch.compile(module) if side == "compiled" else module
        return lambda: _real(run(padded, mask), mask), module
    members = NodeToGraph(torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes)), ptr)
    triplets = Triplets(all_pairs(members, torch.zeros(2, 0, dtype=torch.long)), members)
    x.requires_grad_()
    maps = (module.query, module.key, module.left, module.right)
    dropout = 0.2 if side.endswith("dropout") else 0.0

    def step() -> Tensor:
        weight = torch.cat([linear.weight for linear in maps])
        q, k, u, v = torch.nn.functional.linear(x, weight).chunk(4, dim=1)
        return module.out(triplet_attention(q, k, u, v, triplets, heads=HEADS, dropout=dropout))

    return step, module


def _real(pairs: Tensor, mask: Tensor) -> Tensor:
    """Pairs of padding as zeros: they have no part in the gradient."""
    if bool(mask.all()):
        return pairs
    return pairs * (mask[:, :, None] & mask[:, None])[..., None]


def _begin() -> float:
    """The bytes that the process has now; the largest number from now on is `VmHWM`."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _bytes("VmRSS")


def _bytes(name: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024


if __name__ == "__main__":
    main()
