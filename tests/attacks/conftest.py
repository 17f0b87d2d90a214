"""What all attacks share: processes, small data, how many, and the figures of what was tried."""

from __future__ import annotations

import hashlib
import json
import platform
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch_geometric.data import Data as Graph

from ..benchmarks.conftest import make_zinc
from ..conftest import SEED
from .commands import Forks

Count = Callable[[int], int]

_FIGURES: pytest.StashKey[Counter[str]] = pytest.StashKey()
_BEGIN, _END = "<!-- figures -->\n", "<!-- end of figures -->\n"


def pytest_terminal_summary(terminalreporter: Any, exitstatus: int, config: pytest.Config) -> None:
    """Print what was tried, and write it into a page where `--figures` names one and all of it survived."""
    counts = config.stash.get(_FIGURES, Counter())
    if not counts:
        return
    rows = [f"| {what} | {tried:,} | {tried:,} |" for what, tried in sorted(counts.items())]
    table = "\n".join(["| tried | times | survived |", "|---|---:|---:|", *rows]) + "\n"
    terminalreporter.write_line(table)
    page: Path | None = config.getoption("--figures")
    if page is not None and exitstatus == 0:
        before, _, rest = (page.read_text() if page.exists() else "").partition(_BEGIN)
        after = rest.partition(_END)[2]
        command = f"pytest -m attack --seed {config.stash[SEED]} --attacks {config.getoption('--attacks'):g}"
        said = (
            f"`{command}`, {sum(counts.values()):,} attacks on {platform.system()}, Python {platform.python_version()}"
        )
        page.write_text(f"{before}{_BEGIN}\n{said}:\n\n{table}\n{_END}{after}")


class Figures:
    """Counts what was tried; an attack that succeeds fails its test, so that what is counted survived.

    Args:
        counts: By what was tried.
    """

    def __init__(self, counts: Counter[str]) -> None:
        self.counts = counts

    def add(self, what: str, tried: int = 1) -> None:
        self.counts[what] += tried


@pytest.fixture(scope="session")
def figures(request: pytest.FixtureRequest) -> Figures:
    return Figures(request.config.stash.setdefault(_FIGURES, Counter()))


@pytest.fixture(scope="session")
def count(request: pytest.FixtureRequest) -> Count:
    """`count(n)`: how many attacks, n unless `--attacks` asks for more or fewer."""
    factor = request.config.getoption("--attacks")
    return lambda number: max(1, round(number * factor))


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    forks = Forks(tmp_path_factory.mktemp("forks"))
    yield forks
    forks.close()


@dataclass(frozen=True)
class Data:
    """A hundred small graphs, and the commands on them."""

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "graphs.pt"

    @property
    def task(self) -> str:
        return f"data-file(path={str(self.file)!r})"

    def encode(self, *encodings: str) -> list[Any]:
        chosen = encodings or ("LaplacianPE(k=3)", "RandomWalkPE(walk_length=4)")
        return ["encode", "--data", self.file, "--encodings", *chosen, "--shard-graphs", 4, "--quiet"]

    def train(self, *, epochs: int = 3, model: str = "GraphTransformer(width=8, layers=1, heads=2)") -> list[Any]:
        options = ["--epochs", epochs, "--batch-size", 16, "--patience", 0, "--warmup-steps", 2, "--accelerator", "cpu"]
        encodings = ["--encodings", "LaplacianPE(k=3)"]
        return ["train", "--task", self.task, "--model", model, *encodings, *options, "--workers", 1, "--quiet"]

    def grid(self) -> list[Any]:
        columns = ["--encodings", "none", "RandomWalkPE(walk_length=4)"]
        options = ["--seeds", 1, "--epochs", 2, "--batch-size", 16, "--warmup-steps", 2, "--accelerator", "cpu"]
        return ["grid", "--tasks", self.task, "--models", "GINE(width=8, layers=1)", *columns, *options, "--quiet"]

    def zinc(self, root: Path) -> None:
        make_zinc(root)


def small_graphs(count: int = 100, seed: int = 0) -> list[Graph]:
    """Graphs whose target is the mean of a feature."""
    generator = torch.Generator().manual_seed(seed)
    graphs = []
    for _ in range(count):
        n = int(torch.randint(3, 9, (1,), generator=generator))
        x = torch.randn(n, 3, generator=generator)
        edges = torch.stack([torch.arange(n), torch.arange(n).roll(1)])
        graphs.append(Graph(x=x, edge_index=edges, y=x[:, 0].mean().view(1, 1)))
    return graphs


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    data = Data(tmp_path_factory.mktemp("data"))
    torch.save(small_graphs(), data.file)
    return data


def outcome(run: Path) -> dict[str, Any]:
    """What a run came to: its result, and a digest of its last and best weights."""
    summary = json.loads((run / "summary.json").read_text())
    found = {key: summary[key] for key in ("valid", "test", "best_epoch", "epochs", "parameters", "model")}
    for name in ("last.pt", "best.pt"):
        digest = hashlib.blake2b()
        for key, value in torch.load(run / name, weights_only=True)["model"].items():
            digest.update(key.encode() + value.numpy().tobytes())
        found[name] = digest.hexdigest()
    return found


def same_files(folder: Path, other: Path) -> bool:
    """Whether two folders hold the same files with the same bytes."""
    first, second = ({path.name: path.read_bytes() for path in each.iterdir()} for each in (folder, other))
    return first == second
