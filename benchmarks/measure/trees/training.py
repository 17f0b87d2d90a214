"""The transformer with a tree mask against the same one without: a task of graphs, several seeds, no encodings.

    python -m graphpe.benchmarks.measure.trees.training --root dataset --out benchmarks/results/tree_experiments.md

Linear attention without a mask sees a graph as a set of nodes; all else is the same, edge features included. Runs are
kept in a folder each: a finished one is not made again, an interrupted one goes on.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from graphpe.benchmarks.measure.harness import command, parser
from graphpe.benchmarks.measure.train_once import train_once
from graphpe.benchmarks.measure.trees.sections import write_section
from graphpe.benchmarks.training.config import TrainConfig

TITLE = "A transformer with and without a tree mask"
MASKS = {"none": "none (f = 1)", "synced": "one f a layer", "heads": "one f a head"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the trainings and write the section."""
    known = parser(__doc__, threads=None, seed=None, data="real datasets")
    known.add_argument("--task", default="molesol")
    known.add_argument("--root", default="dataset", help="folder of the task's data")
    known.add_argument("--epochs", type=int, default=20)
    known.add_argument("--seeds", type=int, default=3)
    known.add_argument("--width", type=int, default=32)
    known.add_argument("--layers", type=int, default=3)
    known.add_argument("--folder", type=Path, default=Path("runs/tree_training"), help="where the run folders go")
    options = known.parse_args(arguments)
    runs = {mask: [train(options, mask, seed) for seed in range(options.seeds)] for mask in MASKS}
    first = runs["none"][0]
    metric = first["metric"]
    lines = [
        f"{options.task}: no encodings, {options.epochs} epochs, the best epoch by validation, {options.seeds} seeds "
        "(mean and standard deviation).",
        "",
        f"| mask | parameters | valid {metric} | test {metric} |",
        "|---|---:|---:|---:|",
        f"| (always {first['constant_prediction']}) | | {first['constant_valid']:.3f} | {first['constant_test']:.3f} |",
    ]
    for mask, name in MASKS.items():
        cells = [_mean([run[split] for run in runs[mask]]) for split in ("valid", "test")]
        lines.append(f"| {name} | {runs[mask][0]['parameters']:,} | {cells[0]} | {cells[1]} |")
    write_section(options.out, TITLE, lines, command("trees.training", arguments))


def train(options: Any, mask: str, seed: int) -> dict[str, Any]:
    """The summary of a run."""
    model = f"TopologicalTransformer(width={options.width}, layers={options.layers}, heads=4, mask={mask!r})"
    config = TrainConfig(
        task=options.task, root=options.root, model=model, encodings=(), epochs=options.epochs, patience=0,
        learning_rate=1e-3, weight_decay=1e-5, seed=seed,
    )  # fmt: skip
    return train_once(config, options.folder / f"{options.task.partition('(')[0]}-{mask}-{seed}")


def _mean(values: Sequence[float]) -> str:
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.3f} ± {spread:.3f}"


if __name__ == "__main__":
    main()
