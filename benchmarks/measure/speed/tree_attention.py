"""From how many nodes on linear attention with a tree mask is faster than attention over all pairs.

    python -m graphpe.benchmarks.measure.speed.tree_attention --out tree_attention.md

One layer on one graph, float32, with random trees as graphs; time of a forward pass, and of one with its backward pass.

* tree: `TreeAttention(mask="heads")` by sums over the tree, which is made once.
* dense: the same weights as a matrix a head, of distances that are held in memory: f(D) * phi(Q) phi(K)^T, normalised.
* softmax: `MultiHeadAttention`, without a mask.
* linear: `TreeAttention(mask="none")`: what the mask costs.

All sides run on the same threads, and take turns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data

from graphpe.benchmarks.measure.harness import Report, command, ending, parser, take_turns
from graphpe.benchmarks.measure.speed.trees import make_tree
from graphpe.graphs.packed import PackedGraphs
from graphpe.models.attention.softmax.tree_mask import TreeAttention, TreeNodes, tree_nodes
from graphpe.models.batches.nodes import node_to_graph
from graphpe.models.layers.multi_head import AllPairs, MultiHeadAttention
from graphpe.trees.fields import tree_distances

SIDES = ("tree", "dense", "softmax", "linear")


class Case(NamedTuple):
    """A graph, its layers and what they take.

    Attributes:
        where: The nodes and the tree.
        distance: `[n, n]` float32.
        masked: The layer with a mask.
        plain: The same one without.
        softmax: Softmax attention.
    """

    where: TreeNodes
    distance: Tensor
    masked: TreeAttention
    plain: TreeAttention
    softmax: MultiHeadAttention


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write it where `--out` says."""
    arguments = parser(__doc__ or "", graphs=1, repeats=3)
    arguments.add_argument("--sizes", type=int, nargs="+", default=[128, 256, 512, 1024, 2048, 4096])
    arguments.add_argument("--channels", type=int, nargs="+", default=[8, 16], help="of a head")
    arguments.add_argument("--heads", type=int, default=4)
    options = arguments.parse_args(argv)
    torch.set_num_threads(options.threads)
    report = Report(options.out)
    report.say(
        f"| pass | channels a head | nodes | {', ms | '.join(SIDES)}, ms | dense / tree | softmax / tree |",
        f"|---|---|---|{'---|' * len(SIDES)}---|---|",
    )
    met = ["| pass | channels a head | faster than dense from | than softmax from |", "|---|---|---|---|"]
    for name, backward in (("forward", False), ("forward and backward", True)):
        for channels in options.channels:
            times = []
            for size in options.sizes:
                times.append(measure(size, channels, options.heads, backward, options.repeats, options.seed))
                cells = [name, str(channels), f"{size:,}", *(f"{1e3 * t:,.1f}" for t in times[-1])]
                cells += [f"{times[-1][side] / times[-1][0]:.2f} x" for side in (1, 2)]
                report.say(f"| {' | '.join(cells)} |")
            crossings = [crossing(options.sizes, [row[side] / row[0] for row in times]) for side in (1, 2)]
            met.append(f"| {name} | {channels} | {' | '.join(crossings)} |")
    about = (
        f"Random trees, {options.heads} heads; {options.repeats} turns, medians; break-even by interpolation of the "
        "logarithms."
    )
    report.say("", *met, *ending(about, command("speed.tree_attention", argv)))


def make_case(size: int, channels: int, heads: int, seed: int) -> Case:
    """A random tree of some size, and layers with the same parameters where they have them."""
    tree = make_tree("random", size, seed)
    data = Data(edge_index=tree.edges, num_nodes=size)
    where = replace(tree_nodes(data, node_to_graph(data), "shortest"), hops=None)
    distance = tree_distances(PackedGraphs.from_data(data)).float().view(size, size)
    width = channels * heads
    masked, plain = TreeAttention(width, heads), TreeAttention(width, heads, mask="none")
    plain.load_state_dict(masked.state_dict(), strict=False)
    return Case(where, distance, masked, plain, MultiHeadAttention(width, heads))


def dense_attention(layer: TreeAttention, x: Tensor, distance: Tensor) -> Tensor:
    """What a layer computes, by matrices of all pairs."""
    decay = layer.decay
    assert decay is not None
    query, key, value = (
        part.unflatten(1, (layer.heads, -1)).transpose(0, 1) for part in layer.query_key_value(x).chunk(3, dim=1)
    )
    near, far = functional.softplus(decay.rate)[:, :, None, None]
    mask = torch.exp(-near * distance) + decay.log_weight.exp()[:, None, None] * torch.exp(-far * distance)
    weight = mask * ((functional.elu(query) + 1) @ (functional.elu(key) + 1).transpose(1, 2))
    out = (weight @ value) / weight.sum(2, keepdim=True)
    return layer.out(out.transpose(0, 1).flatten(1))


def measure(size: int, channels: int, heads: int, backward: bool, repeats: int, seed: int) -> list[float]:
    """Seconds of each side."""
    case = make_case(size, channels, heads, seed)
    x = torch.randn(size, channels * heads, generator=torch.Generator().manual_seed(seed))
    pairs = AllPairs(case.where.nodes, None)
    torch.testing.assert_close(
        case.masked(x, case.where), dense_attention(case.masked, x, case.distance), rtol=1e-4, atol=1e-5
    )
    passes: list[tuple[nn.Module, Callable[[Tensor], Tensor]]] = [
        (case.masked, lambda x: case.masked(x, case.where)),
        (case.masked, lambda x: dense_attention(case.masked, x, case.distance)),
        (case.softmax, lambda x: case.softmax(x, pairs)),
        (case.plain, lambda x: case.plain(x, case.where)),
    ]
    return take_turns([lambda m=m, f=f: _run(m, f, x, backward) for m, f in passes], repeats)  # type: ignore[misc]


def _run(module: nn.Module, function: Callable[[Tensor], Tensor], x: Tensor, backward: bool) -> None:
    if not backward:
        with torch.no_grad():
            function(x)
        return
    module.zero_grad()
    function(x.clone().requires_grad_()).square().sum().backward()


def crossing(sizes: Sequence[int], ratios: Sequence[float]) -> str:
    """Where ratios pass 1 for the last time: between the sizes, on a log scale."""
    for at in range(len(sizes) - 1, 0, -1):
        low, high = math.log(ratios[at - 1]), math.log(ratios[at])
        if low < 0 <= high:
            part = -low / (high - low)
            return f"{round(sizes[at - 1] * (sizes[at] / sizes[at - 1]) ** part):,} nodes"
    return f"{sizes[0]:,} nodes or fewer" if ratios[-1] >= 1 else f"not up to {sizes[-1]:,} nodes"


if __name__ == "__main__":
    main()
