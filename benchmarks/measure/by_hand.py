"""Cells of a grid against the same models written by hand with PyG: do both give the same result, and how fast?

    python -m graphpe.benchmarks.measure.by_hand --root dataset --out benchmarks/results/by_hand.md

The script is what a user of PyG writes: OGB's dataset, encoders of atoms and bonds and evaluator, PyG's loader, layers
and pooling, and a training loop. Width, depth, optimizer, schedule, batch size and epochs are those of the cell, and
each side takes its own random numbers from the seed. Both run by turns, seed by seed.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

import torch
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Batch
from torch_geometric.loader import DataLoader
from torch_geometric.nn import GINEConv, GPSConv, global_mean_pool

from graphpe.benchmarks.grid.cells import Skipped, grid_cells
from graphpe.benchmarks.grid.config import GridConfig
from graphpe.benchmarks.measure.harness import Report, command, ending, parser
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.benchmarks.training.experiment import run_experiment
from graphpe.files.ogb import load_graph_dataset

MODELS = ("GINE(width=64, layers=3)", "GPS(width=64, layers=3, heads=4, local='GINE')")
TRAINING: dict[str, Any] = {
    "batch_size": 32,
    "learning_rate": 1e-3,
    "weight_decay": 0.01,
    "warmup_steps": 28,
    "clip": 1.0,
    "patience": 0,
}


class HandWritten(nn.Module):
    """The models of `MODELS` out of OGB's encoders and PyG's layers."""

    def __init__(self, name: str, width: int = 64, layers: int = 3) -> None:
        super().__init__()
        from ogb.graphproppred.mol_encoder import AtomEncoder, BondEncoder

        self.atoms, self.bonds = AtomEncoder(width), BondEncoder(width)
        convs = [
            GINEConv(nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))) for _ in range(layers)
        ]
        self.norms = nn.ModuleList()
        if name == "GPS":
            convs = [GPSConv(width, conv, heads=4, act="relu", norm="batch_norm") for conv in convs]
        else:
            self.norms.extend(nn.BatchNorm1d(width) for _ in convs)
        self.convs = nn.ModuleList(convs)
        self.out = nn.Sequential(
            nn.Linear(width, width // 2),
            nn.ReLU(),
            nn.Linear(width // 2, width // 4),
            nn.ReLU(),
            nn.Linear(width // 4, 1),
        )

    def forward(self, batch: Batch) -> Tensor:
        """One number for each molecule."""
        x, edge = self.atoms(batch.x), self.bonds(batch.edge_attr)
        for number, conv in enumerate(self.convs):
            if len(self.norms):
                x = x + torch.relu(self.norms[number](conv(x, batch.edge_index, edge)))
            else:
                x = conv(x, batch.edge_index, batch.batch, edge_attr=edge)
        return self.out(global_mean_pool(x, batch.batch))


@dataclass(frozen=True)
class Outcome:
    """What one run gave: the test metric at the best validation epoch, and CPU seconds with reading the data."""

    test: float
    seconds: float


def train_by_hand(name: str, root: str, seed: int, epochs: int) -> Outcome:
    """Train a model of `HandWritten`, with a loop as users write it."""
    from ogb.graphproppred import Evaluator

    started = time.process_time()
    dataset = load_graph_dataset("ogbg-molesol", Path(root), progress=False)
    parts, evaluator = dataset.split, Evaluator("ogbg-molesol")
    torch.manual_seed(seed)
    train = DataLoader(dataset.dataset[parts["train"]], TRAINING["batch_size"], shuffle=True, drop_last=True)
    valid, test = (DataLoader(dataset.dataset[parts[part]], 64) for part in ("valid", "test"))
    model = HandWritten(name)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=TRAINING["learning_rate"], weight_decay=TRAINING["weight_decay"]
    )
    warmup = torch.optim.lr_scheduler.LinearLR(optimizer, 1 / TRAINING["warmup_steps"], 1, TRAINING["warmup_steps"] - 1)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimizer, max(1, epochs * len(train) - TRAINING["warmup_steps"])
    )
    schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, [warmup, decay], [TRAINING["warmup_steps"]])

    @torch.no_grad()
    def rmse(loader: DataLoader) -> float:
        model.eval()
        rows = [(batch.y, model(batch)) for batch in loader]
        true, predicted = (torch.cat(each).numpy() for each in zip(*rows, strict=True))
        return float(evaluator.eval({"y_true": true, "y_pred": predicted})["rmse"])

    best, result = float("inf"), float("nan")
    for _ in range(epochs):
        model.train()
        for batch in train:
            optimizer.zero_grad()
            functional.mse_loss(model(batch), batch.y).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), TRAINING["clip"])
            optimizer.step()
            schedule.step()
        score = rmse(valid)
        if score < best:
            best, result = score, rmse(test)
    return Outcome(result, time.process_time() - started)


def train_cell(model: str, root: str, seed: int, epochs: int) -> Outcome:
    """Train the cell of a grid, as `graphpe grid` does."""
    grid = GridConfig(tasks=(f"molesol(root={root!r})",), encodings=("none",), models=(model,), seeds=seed + 1)
    common = TrainConfig(epochs=epochs, accelerator="cpu", **TRAINING)
    with tempfile.TemporaryDirectory() as folder:
        cells = list(grid_cells(grid, common, Path(folder), workers=1, cache=None, progress=False))
        cell = cells[seed]
        assert not isinstance(cell, Skipped)
        started = time.process_time()
        summary = run_experiment(cell.config, run_path=Path(folder) / "run", progress=False, workers=1)
        return Outcome(summary["test"], time.process_time() - started)


def table(outcomes: dict[str, tuple[list[Outcome], list[Outcome]]]) -> list[str]:
    """By model: the test metric of both sides, Welch's test that they differ, and CPU seconds of a run."""
    lines = [
        "| model | by hand, test RMSE | cell, test RMSE | cell - by hand, 95 % | p (Welch) | by hand, CPU s a run "
        "| cell, CPU s a run | ratio |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for model, sides in outcomes.items():
        hand, cell = ([outcome.test for outcome in side] for side in sides)
        result = stats.ttest_ind(cell, hand, equal_var=False)
        half = (result.confidence_interval(0.95).high - result.confidence_interval(0.95).low) / 2
        seconds = [median(outcome.seconds for outcome in side) for side in sides]
        lines.append(
            f"| `{model}` | {mean(hand):.4f} ± {stdev(hand):.4f} | {mean(cell):.4f} ± {stdev(cell):.4f} "
            f"| {mean(cell) - mean(hand):+.4f} ± {half:.4f} | {result.pvalue:.2f} "
            f"| {seconds[0]:.1f} | {seconds[1]:.1f} | {seconds[0] / seconds[1]:.2f}x |"
        )
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Train both sides for every model and seed, and write the table."""
    known = parser(__doc__, threads=None, seed=None, data=None)
    known.add_argument("--root", default="dataset", help="folder that holds ogbg_molesol")
    known.add_argument("--seeds", type=int, default=5, help="runs of each side")
    known.add_argument("--epochs", type=int, default=30, help="epochs of each run")
    options = known.parse_args(arguments)
    torch.set_num_threads(1)
    outcomes: dict[str, tuple[list[Outcome], list[Outcome]]] = {}
    for model in MODELS:
        sides: tuple[list[Outcome], list[Outcome]] = ([], [])
        for seed in range(options.seeds):
            sides[0].append(train_by_hand(model.split("(")[0], options.root, seed, options.epochs))
            sides[1].append(train_cell(model, options.root, seed, options.epochs))
            print(model, seed, *(side[-1] for side in sides), flush=True)
        outcomes[model] = sides
    about = (
        f"ogbg-molesol, no encoding, {options.seeds} seeds of each side, {options.epochs} epochs, "
        + ", ".join(f"{name} {value}" for name, value in TRAINING.items())
        + ". Mean and sample standard deviation of the test metric at the best validation epoch, in both sides by "
        "OGB's evaluator; CPU seconds from reading the data to the test, median over seeds. With equal weights both "
        "sides give equal outputs (tests/benchmarks/measure/test_by_hand.py)."
    )
    after = ending(about, command("by_hand", arguments))
    Report(options.out).say("# Cells of a grid and scripts written by hand", "", *table(outcomes), *after)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
