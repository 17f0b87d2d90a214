"""The command line on the nodes of one graph: from a file to a table with a row for each node."""

from __future__ import annotations

import json
from pathlib import Path

import pandas
import pytest
import torch
import yaml
from torch_geometric.data import Data

from graphpe.benchmarks.cli.main import main
from graphpe.benchmarks.training import experiment

N = 60
MODEL = "GraphTransformer(width=16, layers=1, heads=2, attention='sparse', norm='layer')"


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Data:
    """One graph with masks, in `one.pt` in the working folder."""
    monkeypatch.chdir(tmp_path)
    part, y = torch.arange(N) % 5, torch.arange(N) % 3
    data = Data(x=torch.nn.functional.one_hot(y, 3).float(), edge_index=torch.randint(0, N, (2, 150)), y=y)
    data.train_mask, data.val_mask, data.test_mask = part < 3, part == 3, part == 4
    torch.save(data, "one.pt")
    return data


def options(run: str) -> dict[str, object]:
    return yaml.safe_load((Path(run) / "config.yaml").read_text())


def test_train_predict_and_runs(one: Data, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["--model", MODEL, "--learning-rate", "0.03", "--warmup-steps", "3"]
    assert main(["train", "one.pt", *common, "--epochs", "100", "--run", "runs/whole"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("task DataFile(path='one.pt', target='y', split='masks',")
    assert "level='node')\nas suits the task: " in printed
    assert "60 nodes, 150 edges; a split of nodes (train 36, valid 12, test 12)" in printed
    chosen = options("runs/whole")
    assert (chosen["epochs"], chosen["patience"], chosen["sampler"]) == (100, 100, "whole")
    assert json.loads(Path("runs/whole/summary.json").read_text())["test"] > 0.5  # a third at random
    assert main(["predict", "one.pt", "--run", "runs/whole", "--out", "nodes.csv"]) == 0
    frame = pandas.read_csv("nodes.csv")
    assert frame["node"].tolist() == list(range(N))
    assert (frame["predicted_y"] == one.y.numpy()).mean() > 0.6
    more = ["--sampler", "neighbors", "--fanout", "4", "2", "--batch-size", "9", "--epochs", "1"]
    assert main(["train", "one.pt", *common, *more, "--quiet", "--run", "runs/sampled"]) == 0
    assert (options("runs/sampled")["fanout"], options("runs/sampled")["batch_size"]) == ([4, 2], 9)
    assert main(["train", "--resume", "runs/sampled", "--fanout", "4", "2", "--quiet"]) == 0
    assert main(["train", "--resume", "runs/sampled", "--fanout", "3", "--quiet"]) == 1
    assert "made with fanout=[4, 2], but fanout=[3] is asked for" in capsys.readouterr().err
    assert main(["runs"]) == 0
    printed = capsys.readouterr().out
    assert "whole" in printed
    assert "sampled" in printed
    assert main(["runs", "--compare", "runs/whole", "runs/sampled"]) == 0
    assert "neighbors" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--sampler", "parts"], "sampler"),
        (["--sampler", "partitions", "--parts", "8"], "batch_size=10 of parts=8 parts in a batch is the whole graph"),
        (["--sampler", "partitions", "--parts", "5000"], "parts is 5000, but the graph has 60 nodes: give fewer parts"),
        (["--sampler", "neighbors", "--fanout", "0"], "fanout must be positive, or -1 for all neighbours, got [0]"),
        (["--sampler", "neighbors", "--fanout"], "fanout"),
        (["--devices", "0"], "devices"),
    ],
)
def test_what_does_not_fit_is_one_line_and_leaves_nothing(
    one: Data, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, more: list[str], message: str
) -> None:
    monkeypatch.setattr(experiment, "encode_graphs", None)  # nothing is encoded before
    assert main(["train", "one.pt", "--model", MODEL, "--quiet", "--run", "runs/bad", *more]) != 0
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line
    assert not Path("runs/bad").exists()


@pytest.mark.slow  # 20 s: a process for each cell
def test_a_grid_of_node_tasks(one: Data, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = ["data-file('one.pt')", "data-file('one.pt', level='node', split='random')"]
    columns = ["--encodings", "none", "LaplacianPE(k=3)", "--models", MODEL, "--seeds", "2", "--epochs", "3"]
    assert main(["grid", "--tasks", *tasks, *columns, "--out", "grid"]) == 0
    cells = [yaml.safe_load(path.read_text()) for path in sorted(Path("grid/cells").glob("*/run/config.yaml"))]
    assert len(cells) == 8
    assert {(cell["epochs"], cell["patience"], cell["warmup_steps"]) for cell in cells} == {(3, 100, 10)}
    assert {("split='masks'" in cell["task"]) for cell in cells} == {True, False}
    assert main(["report", "grid"]) == 0
