from __future__ import annotations

import json
from pathlib import Path

import networkx as nx
import pytest
import torch

from graphpe.benchmarks.cli.main import main
from graphpe.benchmarks.console.machine import machine
from graphpe.benchmarks.tasks.graph_level import GraphAdapter
from graphpe.benchmarks.training.summary import answers_alike, summary_lines


def write_graphs(path: Path, target: str, value: object) -> str:
    graphs = []
    for index in range(24):
        graph = nx.cycle_graph(3 + index % 4)
        graph.graph[target] = value(index)  # type: ignore[operator]
        graphs.append(nx.node_link_data(graph, edges="edges"))
    path.write_text(json.dumps(graphs))
    return f"NetworkxList({str(path)!r}, target={target!r})"


def train(task: str, run: Path, model: str = "GINE(width=8, layers=1)") -> tuple[dict, dict, list[dict]]:
    options = ["--model", model, "--encodings", "none", "--epochs", "2", "--batch-size", "8"]
    assert main(["train", "--task", task, *options, "--warmup-steps", "1", "--run", str(run)]) == 0
    summary, saved = (json.loads((run / f"{name}.json").read_text()) for name in ("summary", "task"))
    return summary, saved["state"], [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_each_target_and_its_name_stay_with_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = write_graphs(tmp_path / "g.json", "shape", lambda i: [i % 4 + 0.5, 1000.0 * (i % 3)])
    summary, state, history = train(task, tmp_path / "run")
    assert summary["targets"] == state["target_names"] == ["shape[0]", "shape[1]"]
    assert GraphAdapter.from_state(state).target_names == ("shape[0]", "shape[1]")
    best = history[summary["best_epoch"] - 1]
    assert best["valid_by_target"] == summary["valid_by_target"]
    for part in ("valid", "test"):
        each = summary[f"{part}_by_target"]
        assert list(each) == summary["targets"]
        assert summary[part] == pytest.approx(sum(each.values()) / 2)
    printed = capsys.readouterr().out
    for name in summary["targets"]:
        line = f"{name:<22} {summary['valid_by_target'][name]:.4f}      {summary['test_by_target'][name]:.4f}"
        assert line in printed


def test_words_of_classes_stay_with_the_run(tmp_path: Path) -> None:
    task = write_graphs(tmp_path / "g.json", "kind", lambda i: "odd" if i % 2 else "even")
    summary, state, history = train(task, tmp_path / "run")
    assert summary["classes"] == state["class_names"] == ["even", "odd"]
    assert summary["targets"] == ["kind"]
    assert summary["machine"] == machine()
    assert summary["valid_by_target"] == {}
    assert "valid_by_target" not in history[0]
    assert summary["constant_prediction"] in ("class even", "class odd")


def test_many_targets_and_summaries_of_earlier_versions() -> None:
    each = {f"a target with a long name {i}": 0.5 for i in range(20)} | {"last": None}
    summary = {
        "metric": "AP",
        "best_epoch": 1,
        "valid": 0.5,
        "test": 0.5,
        "constant_valid": 0.1,
        "constant_test": 0.1,
        "constant_prediction": "0",
        "parameters": 10,
        "seconds_per_epoch": {"total": 1.0, "load": 0.1, "step": 0.8, "evaluate": 0.1},
        "seconds_before": {"read": 1.0, "encode": 1.0},
        "run": "runs/x",
    }
    before = summary_lines(summary)
    lines = summary_lines(summary | {"valid_by_target": each, "test_by_target": each})
    assert len(lines) == len(before) + 13
    assert lines[3] == "a target with a lon... 0.5000      0.5000"
    assert lines[15] == "(9 more targets are in summary.json)"
    short = summary_lines(summary | {"valid_by_target": {}, "test_by_target": {"last": None}})
    assert short[3].rstrip() == "last"


@pytest.mark.parametrize(("readout", "alike"), [("mean", True), ("sum", False)])
def test_it_is_said_where_nothing_tells_graphs_apart(
    readout: str, alike: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Means over cycles without features are the same for all of them; their sums are not."""
    task = write_graphs(tmp_path / "g.json", "size", lambda i: 3.0 + i % 4)
    summary, _, _ = train(task, tmp_path / "run", f"GatedGCN(width=8, layers=3, readout={readout!r})")
    assert summary["answers_alike"] is alike
    assert ("all test answers are alike" in capsys.readouterr().out) is alike


def test_answers_that_are_alike() -> None:
    row = torch.randn(1, 3)
    assert answers_alike(row + 1e-7 * torch.rand(5, 3) * row.abs())
    assert answers_alike(torch.zeros(2, 1, dtype=torch.long))
    assert not answers_alike(torch.tensor([[1.0, 2.0], [1.0, 2.1]]))
    assert not answers_alike(row)
    assert not answers_alike(torch.full((3, 2), torch.nan))
    assert not answers_alike(torch.zeros(0))
