"""Several models on one task at the same budget: a table, and the curves of training as a picture.

    python -m graphpe.benchmarks.measure.model_curves --task zinc --root dataset/zinc --epochs 10 --out results/zinc

Runs one training after the other, each with the encodings that suit its model, in a run folder of its own; a finished
run is not made again, an interrupted one goes on. Writes `<out>.md` and `<out>.png`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from graphpe.benchmarks.measure.harness import Report, command, ending, parser
from graphpe.benchmarks.measure.train_once import train_once
from graphpe.benchmarks.training.config import TrainConfig

MODELS: dict[str, tuple[str, tuple[str, ...]]] = {
    "GraphTransformer": (
        "GraphTransformer(width=64, layers=4, update_edges=True)",
        ("LaplacianPE(k=8)", "RandomWalkPE(walk_length=20)"),
    ),
    "GPS": ("GPS(width=64, layers=4, heads=4)", ("RandomWalkPE(walk_length=20)",)),
    "GRIT": ("GRIT(width=64, layers=4, readout='sum')", ("RelativeRandomWalkPE(walk_length=21)",)),
    "RelationalTransformer": ("RelationalTransformer(width=64, layers=4)", ("RelativeRandomWalkPE(walk_length=21)",)),
}


def run_models(config: TrainConfig, folder: Path) -> dict[str, dict[str, Any]]:
    """Train every model once; the summaries, with the record of every epoch as `history`."""
    summaries = {}
    for name, (model, encodings) in MODELS.items():
        summary = train_once(replace(config, model=model, encodings=encodings), folder / name)
        lines = (folder / name / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        summaries[name] = summary | {"history": [json.loads(line) for line in lines]}
    return summaries


def table(summaries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The summaries as Markdown."""
    first = next(iter(summaries.values()))
    metric, constant = first["metric"], f"{first['constant_valid']:.4f} | {first['constant_test']:.4f}"
    lines = [
        f"| model | parameters | valid {metric} | test {metric} | best epoch | seconds an epoch |",
        "|---|---|---|---|---|---|",
        f"| (always {first['constant_prediction']}) | | {constant} | | |",
    ]
    for name, row in summaries.items():
        model, encodings = MODELS[name]
        lines.append(
            f"| `{model}` with {', '.join(f'`{text}`' for text in encodings)} | {row['parameters']:,} "
            f"| {row['valid']:.4f} | {row['test']:.4f} | {row['best_epoch']} of {row['epochs']} "
            f"| {row['seconds_per_epoch']['total']:.1f} |"
        )
    return lines


def plot(summaries: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """The validation metric and the training loss by epoch."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, row in summaries.items():
        epochs = [record["epoch"] for record in row["history"]]
        left.plot(epochs, [record[f"valid_{row['metric']}"] for record in row["history"]], label=name)
        right.plot(epochs, [record["train_loss"] for record in row["history"]], label=name)
    first = next(iter(summaries.values()))
    left.axhline(first["constant_valid"], color="grey", linestyle=":", label="best constant")
    left.set(xlabel="epoch", ylabel=f"valid {first['metric']}")
    right.set(xlabel="epoch", ylabel="training loss")
    left.legend(fontsize="small")
    figure.savefig(path, dpi=120)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the trainings, write the table and the picture."""
    known = parser(__doc__, data=None)
    known.add_argument("--task", default="zinc")
    known.add_argument("--root", default=None, help="folder of the task's data")
    known.add_argument("--epochs", type=int, default=10)
    known.add_argument("--batch-size", type=int, default=32)
    known.add_argument("--learning-rate", type=float, default=1e-3)
    known.add_argument("--weight-decay", type=float, default=1e-5)
    known.add_argument("--folder", type=Path, default=Path("runs/model_curves"), help="where the run folders go")
    options = known.parse_args(arguments)
    config = TrainConfig(
        task=options.task,
        root=options.root,
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        weight_decay=options.weight_decay,
        threads=options.threads,
        patience=0,
        seed=options.seed,
    )
    summaries = run_models(config, options.folder)
    after = ending(f"{options.task}, one seed.", command("model_curves", arguments), threads=options.threads)
    Report(options.out and options.out.with_suffix(".md")).say(*table(summaries), *after)
    if options.out is not None:
        plot(summaries, options.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
