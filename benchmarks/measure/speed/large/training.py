"""Training steps on one large graph: ours and PyG's on a graph of ogbn-arxiv's size, and every model for large graphs.

    python -m graphpe.benchmarks.measure.speed.large.training --out large_training.md
    python -m graphpe.benchmarks.measure.speed.large.training --only models --nodes 100000

A step is forward, loss over all nodes, backward and Adam's update, of the whole graph: an epoch. Features are random
numbers, 128 a node, in 40 classes. PyG's side is the same network, layer by layer, with `TransformerConv` in the place
of the attention: its softmax is not clamped, nothing else differs (with one set of weights both give the same
values, which is looked at first). `TransformerConv alone` is a stack of PyG's layers
with batch norm and ReLU, without our feed-forward networks. Every side has a process of its own, one after the other in
turns; its first step is not counted. Memory is the process at its largest, with and without what it had before the
first step.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data
from torch_geometric.nn import TransformerConv
from torch_geometric.typing import WITH_PYG_LIB, WITH_TORCH_SPARSE

from graphpe import models as M
from graphpe import transforms as T
from graphpe.benchmarks.measure.harness import Report, command, ending, parser
from graphpe.benchmarks.measure.inputs.large_graphs import ARXIV, citations
from graphpe.benchmarks.measure.limited import Stopped, call_limited
from graphpe.compiled.jit import everything_compiled
from graphpe.models.graph_transformer import ResidualBlock

FEATURES, CLASSES, WIDTH, HEADS, LAYERS, HOPS = 128, 40, 64, 8, 3, 3
_WAIT = 1200  # seconds of a side at the very most: others may be at work on the machine


class Cost(NamedTuple):
    """What steps took: wall and processor seconds, bytes of the process at its largest, and before the first step."""

    seconds: float
    cpu: float
    peak: float
    before: float


class SameLayers(nn.Module):
    """Our GraphTransformer with PyG's `TransformerConv` for attention."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(FEATURES, WIDTH), nn.Linear(WIDTH, CLASSES)
        self.convs = nn.ModuleList(
            TransformerConv(WIDTH, WIDTH // HEADS, HEADS, root_weight=False, bias=False) for _ in range(LAYERS)
        )
        self.blocks = nn.ModuleList(ResidualBlock(WIDTH, "batch", 0.0) for _ in range(LAYERS))

    def forward(self, data: Data) -> Tensor:
        """Logits, `[N, CLASSES]`."""
        x = self.first(data.x)
        for conv, block in zip(self.convs, self.blocks, strict=True):
            x = block(x, conv(x, data.edge_index))
        return self.head(x)


class ConvsAlone(nn.Module):
    """What a user of PyG writes first: layers, batch norm and ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(FEATURES, WIDTH), nn.Linear(WIDTH, CLASSES)
        self.convs = nn.ModuleList(TransformerConv(WIDTH, WIDTH // HEADS, HEADS) for _ in range(LAYERS))
        self.norms = nn.ModuleList(nn.BatchNorm1d(WIDTH) for _ in range(LAYERS))

    def forward(self, data: Data) -> Tensor:
        """Logits, `[N, CLASSES]`."""
        x = self.first(data.x)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = torch.relu(norm(conv(x, data.edge_index)))
        return self.head(x)


def _ours(architecture: Callable[..., nn.Module], **options: object) -> nn.Module:
    nodes, head = M.LinearNodes(FEATURES, WIDTH), nn.Linear(WIDTH, CLASSES)
    return architecture(width=WIDTH, readout="none", node_encoder=nodes, head=head, **options)


def _nagphormer() -> nn.Module:
    tokens = M.HopTokens("hop_features", hops=HOPS, channels=FEATURES, width=WIDTH)
    return _ours(M.NAGphormer, hops=HOPS, heads=HEADS, encodings=[tokens])


OURS = "GraphTransformer(width=64, layers=3, heads=8)"
SAME, ALONE = "PyG, the same network", "PyG, TransformerConv alone"
SIDES: dict[str, Callable[[], nn.Module]] = {
    OURS: lambda: _ours(M.GraphTransformer, layers=LAYERS, heads=HEADS),
    SAME: SameLayers,
    ALONE: ConvsAlone,
}
MODELS: dict[str, Callable[[], nn.Module]] = {
    OURS: SIDES[OURS],
    "GPS(layers=3, local='GCN', attention='linear')": lambda: _ours(M.GPS, layers=3, local="GCN", attention="linear"),
    "GPS(layers=3, local='GatedGCN', attention='linear')": lambda: _ours(M.GPS, layers=3, attention="linear"),
    "GPS(layers=3, local='GCN', attention='tree')": lambda: _ours(M.GPS, layers=3, local="GCN", attention="tree"),
    "Exphormer(layers=3, local='GCN')": lambda: _ours(M.Exphormer, layers=3, local="GCN"),
    "Exphormer(layers=3, local='GatedGCN')": lambda: _ours(M.Exphormer, layers=3),
    "TopologicalTransformer(layers=3)": lambda: _ours(M.TopologicalTransformer, layers=3),
    "ClassicGNN(conv='GCN', layers=4)": lambda: _ours(M.ClassicGNN, conv="GCN", layers=4),
    "ClassicGNN(conv='SAGE', layers=4)": lambda: _ours(M.ClassicGNN, conv="SAGE", layers=4),
    "ClassicGNN(conv='GAT', layers=4, heads=8)": lambda: _ours(M.ClassicGNN, conv="GAT", layers=4, heads=HEADS),
    "SGFormer(layers=1, local_layers=2)": lambda: _ours(M.SGFormer),
    "Polynormer(layers=7, global_layers=2, heads=8)": lambda: _ours(M.Polynormer),
    "NAGphormer(hops=3, layers=1, heads=8)": _nagphormer,
}


def check_sides() -> None:
    """Raise unless ours and PyG's same network give the same values with the same weights, on a small graph."""
    ours: Any = SIDES[OURS]()
    theirs: Any = SameLayers()
    theirs.first.load_state_dict(ours.node_encoder.linear.state_dict())
    theirs.head.load_state_dict(ours.head.state_dict())
    for layer, conv, block in zip(ours.layers, theirs.convs, theirs.blocks, strict=True):
        block.load_state_dict(layer.node_block.state_dict())
        for linear, weight in zip(
            (conv.lin_query, conv.lin_key, conv.lin_value), layer.query_key_value.weight.chunk(3), strict=True
        ):
            linear.load_state_dict({"weight": weight})
    data = Data(x=torch.randn(30, FEATURES), edge_index=torch.randint(30, (2, 200)))
    torch.testing.assert_close(ours(data), theirs(data), rtol=1e-4, atol=1e-4)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the tables, and write them where `--out` says."""
    options = _parser().parse_args(argv)
    report = Report(options.out)
    with tempfile.TemporaryDirectory() as folder:
        if options.only in (None, "pyg"):
            check_sides()
            graph = citations(ARXIV[0], np.random.default_rng(options.seed), ARXIV[1])
            _table(report, f"An epoch of {ARXIV[0]:,} nodes, {ARXIV[1]:,} edges", SIDES, graph.edges, graph.num_nodes,
                   Path(folder), options)  # fmt: skip
            if not (WITH_PYG_LIB or WITH_TORCH_SPARSE):
                report.say("- PyG's `NeighborLoader` is not here: it needs `pyg-lib` or `torch-sparse`.", "")
        if options.only in (None, "models"):
            graph = citations(options.nodes, np.random.default_rng(options.seed))
            _table(report, f"A step on {options.nodes:,} nodes, {graph.edges.shape[1]:,} edges", MODELS, graph.edges,
                   graph.num_nodes, Path(folder), options)  # fmt: skip
    about = (
        f"Medians over {options.repeats} processes of a side, of {options.steps} steps each; seconds are wall time, "
        "and processor time of all threads."
    )
    report.say(*ending(about, command("speed.large.training", argv), threads=options.threads)[1:])


def _parser() -> argparse.ArgumentParser:
    out = parser(__doc__, repeats=3, threads=2, data=None)
    out.add_argument("--only", choices=("pyg", "models"), help="one of the two tables")
    out.add_argument("--nodes", type=int, default=100_000, help="of the graph of the second table")
    out.add_argument("--steps", type=int, default=3, help="that are counted in a process")
    out.add_argument("--match", nargs="*", help="only sides whose text holds one of these")
    return out


def _table(
    report: Report,
    title: str,
    sides: dict[str, Callable[[], nn.Module]],
    edges: np.ndarray,
    nodes: int,
    folder: Path,
    options: argparse.Namespace,
) -> None:
    path = folder / "edges.npy"
    np.save(path, edges)
    names = [name for name in sides if options.match is None or any(part in name for part in options.match)]
    costs: dict[str, list[Cost]] = {name: [] for name in names}
    failed: dict[str, str] = {}
    for _ in range(options.repeats):
        for name in names:
            if name not in failed:
                try:
                    arguments = (name, path, nodes, options.threads, options.steps)
                    costs[name].append(call_limited(measure, *arguments, seconds=_WAIT))
                except Stopped as reason:
                    failed[name] = str(reason)
    report.say(f"## {title}", "", "| | wall s | processor s | peak GB | beside what was there before, GB |")
    report.say("|---|---|---|---|---|")
    middle = {}
    for name in names:
        if name in failed:
            report.say(f"| {name} | {failed[name]} | | | |")
            continue
        cost = middle[name] = Cost(*(statistics.median(values) for values in zip(*costs[name], strict=True)))
        report.say(
            f"| {name} | {cost.seconds:.2f} | {cost.cpu:.2f} | {cost.peak / 1e9:.2f} | "
            f"{(cost.peak - cost.before) / 1e9:.2f} |"
        )
    for peer in (SAME, ALONE):
        if OURS in middle and peer in middle:
            ours, theirs = middle[OURS], middle[peer]
            ratios = [theirs.seconds / ours.seconds, theirs.cpu / ours.cpu, theirs.peak / ours.peak]
            ratios.append((theirs.peak - theirs.before) / (ours.peak - ours.before))
            report.say(f"| {peer}, as a multiple of ours | {' | '.join(f'{ratio:.2f}' for ratio in ratios)} |")
    report.say("")


def measure(name: str, path: Path, nodes: int, threads: int, steps: int) -> Cost:
    """Steps of a side on the edges in a file."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    data = Data(
        x=torch.randn(nodes, FEATURES), edge_index=torch.from_numpy(np.load(path)), y=torch.randint(CLASSES, (nodes,))
    )
    if "NAGphormer" in name:
        data = T.HopFeatures(HOPS, features={"x": FEATURES})(data)
    model = {**MODELS, **SIDES}[name]()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    before, taken = _bytes(), []
    with everything_compiled():
        for step in range(steps + 1):
            start, cpu = time.perf_counter(), time.process_time()
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(data), data.y)
            loss.backward()
            optimizer.step()
            if step:
                taken.append((time.perf_counter() - start, time.process_time() - cpu))
    wall, processor = (statistics.median(values) for values in zip(*taken, strict=True))
    return Cost(wall, processor, _bytes(), before)


def _bytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


if __name__ == "__main__":
    main()
