"""What pretraining on encodings does: how well they are predicted, and what a task with few labels gains.

    python -m graphpe.benchmarks.measure.pretraining --out results/pretraining.md

Graphs of 10 to 30 nodes are drawn: a random tree in which no node has more than four neighbours, and up to four more
edges, as in molecules; each node has one of four kinds. Many have no labels, few have three: the diameter, the number
of nodes on cycles, and how many edges join a kind to itself, which has little to do with structure. A model is trained
on the few from random weights, from those of a pretrained run (`init`), and with the vectors of a run that reads random
features as its encoding (`PretrainedPE`); and with the exact encodings, which cost no training at all. The same splits
and seeds everywhere.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import networkx as nx
import numpy as np
import torch
from torch_geometric.data import Data
from torch_geometric.utils import from_networkx

from graphpe.benchmarks.measure.harness import Report, command, ending, parser
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.benchmarks.training.experiment import resolve, run_experiment

PREDICT = ("RandomWalkPE(walk_length=8)", "LaplacianPE(k=4)", "ShortestPathPE()", "ResistancePE()")
EXACT = ("RandomWalkPE(walk_length=8)", "LaplacianPE(k=4)")
MODEL = "GINE(width=64, layers=5)"
TARGETS = ("diameter", "cyclic", "alike")
SEEDS = 5

Runs = Mapping[str, Mapping[str, Any]]


def draw(generator: np.random.Generator) -> Data:
    """One graph with its labels."""
    n = int(generator.integers(10, 31))
    graph = nx.empty_graph(n)
    for node in range(1, n):
        free = [other for other in range(node) if graph.degree[other] < 4]
        graph.add_edge(node, int(generator.choice(free)))
    for _ in range(int(generator.integers(0, 5))):
        u, v = generator.choice(n, 2, replace=False).tolist()
        if max(graph.degree[u], graph.degree[v]) < 4:
            graph.add_edge(u, v)
    kind = generator.integers(0, 4, n)
    data = from_networkx(graph)
    data.x = torch.from_numpy(kind)[:, None]
    cyclic = {node for cycle in nx.cycle_basis(graph) for node in cycle}
    alike = sum(kind[u] == kind[v] for u, v in graph.edges)
    labels = (nx.diameter(graph), len(cyclic), alike)
    for name, value in zip(TARGETS, labels, strict=True):
        data[name] = torch.tensor([float(value)])
    return data


def measure(folder: Path, *, many: int, few: int, epochs: int) -> tuple[Runs, dict[tuple[str, str], list[float]]]:
    """The pretrained runs, and the test RMSE of every target and beginning, by seed.

    Args:
        folder: Where files and runs are.
        many: Graphs without labels.
        few: Graphs with labels.
        epochs: Of pretraining.
    """
    generator = np.random.default_rng(0)
    for name, count in (("many", many), ("few", few)):
        torch.save([draw(generator) for _ in range(count)], folder / f"{name}.pt")
    common: dict[str, Any] = {"model": MODEL, "encodings": (), "patience": 0, "accelerator": "cpu"}
    pretrained = {}
    for features in ("task", "random"):
        graphs = f"DataFile({str(folder / 'many.pt')!r}, target=())"
        task = f"Pretraining({graphs!r}, {PREDICT!r}, features={features!r})"
        config = resolve(TrainConfig(task=task, epochs=epochs, **common))
        pretrained[features] = run_experiment(config, run_path=folder / features, progress=False, workers=1)
    vectors = (f"PretrainedPE({str(folder / 'random')!r}, samples=4)",)
    beginnings: dict[str, dict[str, Any]] = {
        "random weights": {},
        "`--init`, all that fits": {"init": str(folder / "task")},
        "`PretrainedPE`, random features": {"encodings": vectors},
        "exact encodings": {"encodings": EXACT},
    }
    found: dict[tuple[str, str], list[float]] = {}
    for target in TARGETS:
        for name, options in beginnings.items():
            for seed in range(SEEDS):
                where = f"{str(folder / 'few.pt')!r}, target={target!r}, metric='RMSE'"
                task = f"DataFile({where}, seed={seed}, fractions=(0.4, 0.2, 0.4))"
                given = {**common, "task": task, "seed": seed, "epochs": 40, "learning_rate": 1e-3, **options}
                path = folder / f"{target} {len(found)} {seed}"
                summary = run_experiment(resolve(TrainConfig(**given)), run_path=path, progress=False, workers=1)
                found.setdefault((target, name), []).append(summary["test"])
                found.setdefault((target, "constant"), [])
                if name == "random weights":
                    found[target, "constant"].append(summary["constant_test"])
    return pretrained, found


def tables(pretrained: Runs, found: Mapping[tuple[str, str], list[float]]) -> list[str]:
    """Both results as Markdown."""
    names = [name for name in pretrained["task"]["test_by_target"] if not name.endswith(" loss")]
    lines = [
        "| the model reads | " + " | ".join(f"`{name}`" for name in names) + " | mean |",
        "|---" * (len(names) + 2) + "|",
    ]
    for features, what in (("task", "kinds of nodes"), ("random", "random features")):
        values = [pretrained[features]["test_by_target"][name] for name in names]
        lines.append(
            f"| {what} | {' | '.join(f'{value:.3f}' for value in values)} | {pretrained[features]['test']:.3f} |"
        )
    lines += ["", "| begins from | " + " | ".join(TARGETS) + " |", "|---" * (len(TARGETS) + 1) + "|"]
    for name in dict.fromkeys(beginning for _, beginning in found):
        cells = [found[target, name] for target in TARGETS]
        lines.append(
            f"| {name} | " + " | ".join(f"{statistics.mean(c):.3f} ± {statistics.stdev(c):.3f}" for c in cells) + " |"
        )
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the trainings and write the tables."""
    known = parser(__doc__, threads=None, seed=None, data=None)
    known.add_argument("--many", type=int, default=2000, help="graphs without labels")
    known.add_argument("--few", type=int, default=200, help="graphs with labels, of which two fifths train")
    known.add_argument("--epochs", type=int, default=20, help="of pretraining")
    options = known.parse_args(arguments)
    with TemporaryDirectory() as folder:
        found = measure(Path(folder), many=options.many, few=options.few, epochs=options.epochs)
    about = (
        f"Above: test R2 of each encoding, {options.epochs} epochs on {options.many:,} graphs without labels. Below: "
        f"test RMSE of `{MODEL}` on {options.few} graphs with labels, of which two fifths train; mean and standard "
        f"deviation of {SEEDS} seeds, each with a split of its own, 40 epochs."
    )
    Report(options.out).say(*tables(*found), *ending(about, command("pretraining", arguments)))


if __name__ == "__main__":
    main()
