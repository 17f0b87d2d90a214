"""The transformer with a tree mask against the same one without: which atoms of molecules are hidden?

    python -m graphpe.benchmarks.measure.trees.hidden_atoms --out benchmarks/results/tree_experiments.md

Molecules of ogbg-molhiv, of which the model gets the elements of atoms and the tree mask alone: no bonds, no encodings.
The elements of some atoms are hidden, others in every batch, and have to be named (masked attributes, Hu et al. 2020).
Linear attention without a mask knows the elements of the molecule's other atoms, with one also where they are.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Batch

from graphpe.benchmarks.measure.harness import command, parser
from graphpe.benchmarks.measure.inputs.graphs import molecules
from graphpe.benchmarks.measure.trees.sections import write_section
from graphpe.benchmarks.measure.trees.training import MASKS
from graphpe.graphs.packed import PackedGraphs
from graphpe.models.layers.inputs import CategoricalNodes
from graphpe.models.topological_transformer import TopologicalTransformer

TITLE = "Hidden atoms with and without a tree mask"
ELEMENTS = 119
HIDDEN = ELEMENTS


class Score(NamedTuple):
    """Of the hidden atoms of the test molecules.

    Attributes:
        loss: Cross-entropy, in nats.
        accuracy: Per cent.
    """

    loss: float
    accuracy: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Train all masks and seeds, and write the section."""
    known = parser(__doc__, threads=None, seed=None, data="real datasets")
    known.add_argument("--molecules", type=int, default=8000, help="of them 1000, or an eighth, for the test")
    known.add_argument("--hidden", type=float, default=0.15, help="part of the atoms")
    for name, default in (("steps", 400), ("batch-size", 32), ("seeds", 3), ("width", 32), ("layers", 2)):
        known.add_argument(f"--{name}", type=int, default=default)
    options = known.parse_args(arguments)
    name, graphs = molecules(options.molecules, options.data, np.random.default_rng(0))
    graphs = graphs.structure().with_values(node={"x": graphs.node["x"][:, 0].clamp(max=ELEMENTS - 1)})
    tests = min(1000, len(graphs) // 8)
    parts = graphs.select(slice(tests, None)), graphs.select(slice(tests))
    base = evaluate(frequencies(parts[0]), parts[1], options.hidden)
    lines = [
        f"{name}: the elements of {options.hidden:.0%} of the atoms, from those of the others; {len(parts[0]):,} "
        f"molecules, {options.steps} steps of {options.batch_size}; {tests:,} others, {options.seeds} seeds (mean and "
        "standard deviation).",
        "",
        "| mask | parameters | test cross-entropy | test accuracy |",
        "|---|---:|---:|---:|",
        f"| (frequencies of elements) | | {base.loss:.3f} | {base.accuracy:.1f} |",
    ]
    for mask, title in MASKS.items():
        models = [train(parts[0], mask, seed, options) for seed in range(options.seeds)]
        scores = [evaluate(model, parts[1], options.hidden) for model in models]
        parameters = sum(p.numel() for p in models[0].parameters())
        cells = [_mean([s.loss for s in scores], 3), _mean([s.accuracy for s in scores], 1)]
        lines.append(f"| {title} | {parameters:,} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    write_section(options.out, TITLE, lines, command("trees.hidden_atoms", arguments))


def train(graphs: PackedGraphs, mask: Any, seed: int, options: Any) -> TopologicalTransformer:
    """A model, trained; batches and hidden atoms depend on the seed, not on the mask."""
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    model = TopologicalTransformer(
        width=options.width, layers=options.layers, heads=4, mask=mask, readout="none",
        node_encoder=CategoricalNodes(options.width, ELEMENTS + 1), head=nn.Linear(options.width, ELEMENTS),
    )  # fmt: skip
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=options.steps)
    for _ in range(options.steps):
        chosen = torch.randint(len(graphs), (options.batch_size,), generator=draw)
        batch, hidden, element = hide(graphs.select(chosen), options.hidden, draw)
        loss = functional.cross_entropy(model(batch)[hidden], element)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return model.eval()


def hide(graphs: PackedGraphs, part: float, draw: torch.Generator) -> tuple[Batch, Tensor, Tensor]:
    """A batch some of whose atoms are hidden (at least one), which they are, and their elements."""
    hidden = torch.rand(graphs.num_nodes, generator=draw) < part
    hidden[torch.randint(graphs.num_nodes, (1,), generator=draw)] = True
    element = graphs.node["x"]
    shown = torch.where(hidden, HIDDEN, element)
    return graphs.with_values(node={"x": shown}).to_batch(), hidden, element[hidden]


@torch.no_grad()
def evaluate(model: Callable[[Batch], Tensor], graphs: PackedGraphs, part: float) -> Score:
    """On all graphs, the same atoms hidden for every model."""
    draw = torch.Generator().manual_seed(0)
    loss, right, count = 0.0, 0, 0
    for chosen in torch.arange(len(graphs)).split(128):
        batch, hidden, element = hide(graphs.select(chosen), part, draw)
        score = model(batch)[hidden]
        loss += float(functional.cross_entropy(score, element, reduction="sum"))
        right += int((score.argmax(1) == element).sum())
        count += len(element)
    return Score(loss / count, 100 * right / count)


def frequencies(graphs: PackedGraphs) -> Callable[[Batch], Tensor]:
    """A guess by how frequent elements are, the same for every atom."""
    count = torch.bincount(graphs.node["x"], minlength=ELEMENTS) + 1.0
    score = (count / count.sum()).log()
    return lambda batch: score.expand(batch.num_nodes, -1)


def _mean(values: Sequence[float], digits: int) -> str:
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.{digits}f} ± {spread:.{digits}f}"


if __name__ == "__main__":
    main()
