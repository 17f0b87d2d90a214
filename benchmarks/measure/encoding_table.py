"""One task and model, several encodings against none at the same budget: a small table.

    python -m graphpe.benchmarks.measure.encoding_table --out benchmarks/results/encodings_on_python_source.md

Runs one training after the other, each in a run folder of its own; a finished run is not made again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from graphpe.benchmarks.measure.harness import Report, command, ending, parser
from graphpe.benchmarks.measure.train_once import train_once
from graphpe.benchmarks.training.config import TrainConfig

ROWS: dict[str, tuple[str, ...]] = {
    "none": (),
    "LaplacianPE": ("LaplacianPE(k=8)",),
    "MagneticLaplacianPE": ("MagneticLaplacianPE(k=8)",),
    "RandomWalkPE": ("RandomWalkPE(walk_length=16)",),
}


def table(summaries: dict[str, dict[str, Any]]) -> list[str]:
    """The summaries as Markdown."""
    first = next(iter(summaries.values()))
    metric = first["metric"]
    constant = f"{first['constant_valid']:.4f} | {first['constant_test']:.4f}"
    lines = [
        f"| encoding | valid {metric} | test {metric} | parameters | encode (s) | epoch (s) | best epoch |",
        "|---|---|---|---|---|---|---|",
        f"| (always {first['constant_prediction']}) | {constant} | | | | |",
    ]
    for name, row in summaries.items():
        encode, epoch = row["seconds_before"]["encode"], row["seconds_per_epoch"]["total"]
        lines.append(
            f"| {name} | {row['valid']:.4f} | {row['test']:.4f} | {row['parameters']:,} | {encode:.1f} | {epoch:.1f} "
            f"| {row['best_epoch']} of {row['epochs']} |"
        )
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the table's trainings and write it."""
    known = parser(__doc__, threads=None, data=None)
    known.add_argument("--epochs", type=int, default=8)
    known.add_argument("--folder", type=Path, default=Path("runs/encoding_table"), help="where the run folders go")
    options = known.parse_args(arguments)
    config = TrainConfig(epochs=options.epochs, seed=options.seed)
    summaries = {
        name: train_once(replace(config, encodings=encodings), options.folder / name)
        for name, encodings in ROWS.items()
    }
    first = summaries["none"]
    about = f"{first['task']}, {first['model']}, one seed."
    Report(options.out).say(*table(summaries), *ending(about, command("encoding_table", arguments)))


if __name__ == "__main__":
    main()
