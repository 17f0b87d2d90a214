"""Speed and memory of the layers over pairs of nodes against their published forms: forward and backward, side by side.

    python -m graphpe.benchmarks.measure.speed.layers --out layers.md

The published forms are written from the formulas (`graphpe.benchmarks.measure.peers`): GRIT over an edge list
of all pairs with a scattered softmax; relational attention with queries, keys and values of every pair, over graphs
padded to the largest of the batch. Both sides get the same batches, what depends on the batch alone is made beforehand,
and both run stacks of layers, of which the table gives one layer's part. Kept is what autograd saves for the backward
pass in one layer more, parameters left out, in numbers a pair divided by the width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from graphpe.benchmarks.measure.harness import Report, command, ending, parser, take_turns
from graphpe.benchmarks.measure.inputs.graphs import molecules, python_functions
from graphpe.benchmarks.measure.peers.grit import GritLayer
from graphpe.benchmarks.measure.peers.relational import RelationalLayer as PublishedRelationalLayer
from graphpe.benchmarks.measure.peers.relational import pad_nodes, pad_pairs
from graphpe.graphs.loader import PackedLoader
from graphpe.graphs.packed import PackedGraphs
from graphpe.models.attention.pairs import PairSet, all_pairs
from graphpe.models.batches.nodes import node_to_graph
from graphpe.models.grit import GRITLayer, PairRows
from graphpe.models.relational_transformer import RelationalLayer

LAYERS = 3
RELATIONAL: dict[str, Any] = {"node_hidden": 32, "edge_hidden_1": 16, "edge_hidden_2": 8}

Stack = Callable[[], list[Tensor]]


@dataclass(frozen=True)
class Inputs:
    """Random vectors of the nodes and pairs of a batch.

    Attributes:
        x: `[N, D]`.
        pair: `[P, D]`.
        pairs: All pairs of each graph.
        ptr: First node of each graph, `[B + 1]`.
        degree: Edges that leave each node, `[N]`.
    """

    x: Tensor
    pair: Tensor
    pairs: PairSet
    ptr: Tensor
    degree: Tensor


def inputs_of(graphs: PackedGraphs, width: int) -> Inputs:
    """Inputs of layers on these graphs."""
    batch = graphs.to_batch()
    pairs = all_pairs(node_to_graph(batch), batch.edge_index)
    degree = torch.bincount(batch.edge_index[0], minlength=batch.num_nodes).float()
    x, pair = (torch.randn(count, width, requires_grad=True) for count in (graphs.num_nodes, graphs.num_pairs))
    return Inputs(x, pair, pairs, batch.ptr, degree)


def grit_ours(inputs: Inputs, width: int, heads: int, layers: int) -> Stack:
    """A stack of graphpe's GRIT layers."""
    stack = nn.ModuleList(GRITLayer(width, heads) for _ in range(layers))
    log_degree = torch.log1p(inputs.degree)[:, None]

    def forward() -> list[Tensor]:
        x, rows = inputs.x, PairRows(inputs.pair)
        for layer in stack:
            x, rows = layer(x, rows, inputs.pairs, log_degree)
        return [x, rows.written_out()]

    return forward


def grit_published(inputs: Inputs, width: int, heads: int, layers: int) -> Stack:
    """A stack of GRIT layers as released."""
    stack = nn.ModuleList(GritLayer(width, heads) for _ in range(layers))

    def forward() -> list[Tensor]:
        x, pair = inputs.x, inputs.pair
        for layer in stack:
            x, pair = layer(x, pair, inputs.pairs.source, inputs.pairs.target, inputs.degree)
        return [x, pair]

    return forward


def relational_ours(inputs: Inputs, width: int, heads: int, layers: int) -> Stack:
    """A stack of graphpe's relational layers."""
    stack = nn.ModuleList(RelationalLayer(width, heads, dropout=0.0, **RELATIONAL) for _ in range(layers))

    def forward() -> list[Tensor]:
        x, pair = inputs.x, inputs.pair
        for layer in stack:
            x, pair = layer(x, pair, inputs.pairs)
        return [x, pair]

    return forward


def relational_published(inputs: Inputs, width: int, heads: int, layers: int) -> Stack:
    """A stack of relational layers as released."""
    stack = nn.ModuleList(PublishedRelationalLayer(width, heads, **RELATIONAL) for _ in range(layers))
    nodes, mask = pad_nodes(inputs.x.detach(), inputs.ptr)
    pairs = pad_pairs(inputs.pair.detach(), inputs.ptr)
    nodes.requires_grad_()
    pairs.requires_grad_()

    def forward() -> list[Tensor]:
        x, pair = nodes, pairs
        for layer in stack:
            x, pair = layer(x, pair, mask)
        return [x, pair]

    return forward


SIDES = {"GRIT": (grit_published, grit_ours), "relational": (relational_published, relational_ours)}


def kept_bytes(forward: Stack) -> int:
    """Bytes of the tensors that a forward pass keeps for the backward pass, parameters left out."""
    storages: dict[int, int] = {}
    tensors = []  # kept alive, so that no two have the same address

    def pack(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter):
            storage = tensor.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
            tensors.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        tensors += forward()
    return sum(storages.values())


def batches(count: int, folder: Path | None, generator: np.random.Generator) -> list[tuple[str, PackedGraphs]]:
    """Batches of real molecules, drawn at random and of similar size, and of Python functions."""
    source, pool = molecules(40 * count, folder, generator)
    similar = PackedLoader(pool, count, shuffle=True, bucket_by_size=True).batch_indices(0)[0]
    functions = python_functions(400, generator)
    functions = functions.select((functions.sizes <= 120).nonzero().flatten())[:8]  # padded, they must fit in memory
    return [
        (f"{source}, {count}", pool[:count]),
        (f"{source}, {4 * count}", pool[: 4 * count]),
        (f"{source}, {count} of similar size", pool.select(similar)),
        ("functions of at most 120 nodes, 8", functions),
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write it where `--out` says."""
    arguments = parser(__doc__ or "", graphs=32, repeats=7)
    arguments.add_argument("--width", type=int, default=64)
    arguments.add_argument("--heads", type=int, default=8)
    options = arguments.parse_args(argv)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    generator = np.random.default_rng(options.seed)
    report = Report(options.out)
    report.say(
        "| layer | graphs | pairs | padded | published, ms | ours, ms | ratio | kept, published | kept, ours |",
        "|---|---|---|---|---|---|---|---|---|",
    )
    for name, graphs in batches(options.graphs, options.data, generator):
        inputs = inputs_of(graphs, options.width)
        for layer, builders in SIDES.items():
            row = _row(graphs, inputs, builders, options.width, options.heads, options.repeats)
            report.say(f"| {layer} | {name} | {row} |")
    about = (
        f"Forward and backward of one layer, width {options.width}, {options.heads} heads, float32, in a stack of "
        f"{LAYERS}; medians of {options.repeats} turns. padded: pairs after padding to the largest graph, on which the "
        f"published relational layer works. kept: numbers a pair (not padded), divided by the width."
    )
    report.say(*ending(about, command("speed.layers", argv)))


def _row(
    graphs: PackedGraphs,
    inputs: Inputs,
    builders: Sequence[Callable[..., Stack]],
    width: int,
    heads: int,
    repeats: int,
) -> str:
    sides = [_turn(build(inputs, width, heads, LAYERS)) for build in builders]
    published, ours = (1e3 * seconds / LAYERS for seconds in take_turns(sides, repeats))
    kept = []
    for build in builders:
        more, fewer = (kept_bytes(build(inputs, width, heads, layers)) for layers in (LAYERS, LAYERS - 1))
        kept.append((more - fewer) / 4 / inputs.pairs.num_pairs / width)
    padded = len(graphs) * graphs.max_size**2
    return (
        f"{inputs.pairs.num_pairs:,} | {padded:,} | {published:.1f} | {ours:.1f} | {published / ours:.1f}x | "
        f"{kept[0]:.1f} d | {kept[1]:.1f} d"
    )


def _turn(forward: Stack) -> Callable[[], None]:
    cotangents = [torch.randn_like(out) for out in forward()]

    def turn() -> None:
        torch.autograd.backward(forward(), cotangents)

    return turn


if __name__ == "__main__":
    main()
