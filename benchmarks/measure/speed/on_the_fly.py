"""The share of a GRIT training step that computing RRWP for its batch takes.

    python -m graphpe.benchmarks.measure.speed.on_the_fly --out on_the_fly.md

Nothing is stored: `RelativeRandomWalkPE` is applied to a PyG `Batch` of molecules, and the step (forward, backward,
optimiser) of a published GRIT of 10 layers follows. The table gives medians; both use the same threads and device.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch_geometric.utils import degree

from graphpe.benchmarks.measure.harness import Report, command, ending, parser, take_turns
from graphpe.benchmarks.measure.inputs.graphs import molecules
from graphpe.benchmarks.measure.peers.grit import Grit
from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.pair_blocks import diagonal_rows
from graphpe.transforms.relative_random_walk_pe import RelativeRandomWalkPE


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write it where `--out` says."""
    arguments = parser(__doc__ or "", graphs=128, repeats=3)
    arguments.add_argument("--walk-length", type=int, default=21, help="channels of RRWP")
    arguments.add_argument("--width", type=int, default=64, help="of GRIT")
    arguments.add_argument("--heads", type=int, default=8, help="of GRIT")
    arguments.add_argument("--layers", type=int, default=10, help="of GRIT")
    arguments.add_argument("--device", default="cpu", help="where batch and model are")
    options = arguments.parse_args(argv)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)

    source, graphs = molecules(options.graphs, options.data, np.random.default_rng(options.seed))
    model = Grit(options.walk_length, width=options.width, heads=options.heads, layers=options.layers)
    rrwp, step = measure(graphs.to(options.device), options.walk_length, model.to(options.device), options.repeats)
    about = (
        f"{options.walk_length} channels; {options.layers} layers, width {options.width}, {options.heads} heads; "
        f"{options.repeats} turns, medians."
    )
    Report(options.out).say(
        "| batch | from | pairs | RRWP, ms | GRIT step, ms | share |",
        "|---|---|---|---|---|---|",
        f"| {len(graphs)} molecules | {source} | {graphs.num_pairs:,} | {rrwp:.2f} | {step:,.1f} | {rrwp / step:.2%} |",
        *ending(about, command("speed.on_the_fly", argv)),
    )


def measure(graphs: PackedGraphs, walk_length: int, model: Grit, repeats: int) -> tuple[float, float]:
    """Median milliseconds of encoding the batch, and of the training step on it."""
    transform = RelativeRandomWalkPE(walk_length)
    batch = graphs.to_batch()
    node_type, target = batch.x[:, 0], torch.randn(len(graphs), device=graphs.device)
    degrees = degree(batch.edge_index[1], batch.num_nodes)
    diagonal = diagonal_rows(graphs)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    rrwp: Tensor = transform(batch).rrwp

    def encode() -> None:
        nonlocal rrwp
        rrwp = transform(batch).rrwp
        wait()

    def train() -> None:
        optimizer.zero_grad()
        out = model(node_type, rrwp, diagonal, graphs.ptr, degrees)
        torch.nn.functional.l1_loss(out, target).backward()
        optimizer.step()
        wait()

    def wait() -> None:
        if graphs.device.type == "cuda":
            torch.cuda.synchronize(graphs.device)

    encoding, training = take_turns([encode, train], repeats)
    return 1e3 * encoding, 1e3 * training


if __name__ == "__main__":
    main()
