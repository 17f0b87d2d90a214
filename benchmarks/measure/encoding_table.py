"""One task and model, several encodings against none at the same budget: a small table.

    python -m graphpe.benchmarks.measure.encoding_table --out benchmarks/results/encodings_on_python_source.md

Runs one training after the other, each in a run folder of its own; a finished run is not made again.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import torch

from graphpe.benchmarks.training.config import TrainConfig
from graphpe.benchmarks.training.experiment import check_resumable, resolve, run_experiment
from graphpe.benchmarks.training.run_folder import RunFolder
from graphpe.files.atomic import write_atomically

ROWS: dict[str, tuple[str, ...]] = {
    "none": (),
    "LaplacianPE": ("LaplacianPE(k=8)",),
    "MagneticLaplacianPE": ("MagneticLaplacianPE(k=8)",),
    "RandomWalkPE": ("RandomWalkPE(walk_length=16)",),
}


def run_rows(config: TrainConfig, folder: Path) -> dict[str, dict[str, Any]]:
    """Train once for each row of the table; the summaries."""
    summaries = {}
    for name, encodings in ROWS.items():
        path = folder / name
        wanted = resolve(replace(config, encodings=encodings))
        resume = None
        if (path / "config.yaml").exists():
            resume = RunFolder.open(path)
            check_resumable(resume, wanted.as_dict())
        print(f"--- {name}", flush=True)
        summaries[name] = run_experiment(wanted, run_path=path, resume=resume)
    return summaries


def table(summaries: dict[str, dict[str, Any]], command: str) -> str:
    """The summaries as Markdown, with the command and the machine."""
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
    about = (
        f"{first['task']}, {first['model']}, one seed; {date.today()}, Python {platform.python_version()}, "
        f"torch {torch.__version__}, {torch.get_num_threads()} CPU threads."
    )
    return "\n".join([*lines, "", about, "", f"    {command}", ""])


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the table's trainings and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("runs/encoding_table"), help="where the run folders go")
    parser.add_argument("--out", type=Path, default=None, help="Markdown file")
    options = parser.parse_args(arguments)
    summaries = run_rows(TrainConfig(epochs=options.epochs, seed=options.seed), options.folder)
    command = f"python -m graphpe.benchmarks.measure.encoding_table --epochs {options.epochs} --seed {options.seed}"
    text = table(summaries, command)
    print(text)
    if options.out is not None:
        write_atomically(options.out, text)


if __name__ == "__main__":
    main()
