"""A run whose split is one by size, from its options to its summary."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from graphpe.benchmarks.calls.build import build_task
from graphpe.benchmarks.runs.run import load_run
from graphpe.benchmarks.tasks.by_size import load_task
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.benchmarks.training.experiment import check_resumable, resolve, run_experiment
from graphpe.benchmarks.training.run_folder import RunFolder
from graphpe.benchmarks.training.summary import summary_lines
from graphpe.errors import GraphPEValueError


def test_a_run_says_what_became_of_larger_graphs(options: dict[str, Any], tmp_path: Path) -> None:
    config = resolve(TrainConfig(**options, sizes="5 | 5-6 7-8", epochs=2))
    run_experiment(config, run_path=tmp_path / "run", progress=False)
    run = load_run(tmp_path / "run")
    summary = run.summary
    assert run.config.sizes == "5 | 6 7-8"
    sizes = summary["sizes"]
    assert sizes["unit"] == "nodes"
    assert summary["metric"] == "RMSE"
    assert [part["sizes"] for part in sizes["parts"]] == ["up to 5", "6", "7-8"]
    data = load_task(build_task(config.task), config.sizes, progress=False)
    graphs = data.graphs
    constant = float(graphs.graph["y"][data.split["train"]].mean())
    for part, found in zip(("test", "6", "7-8"), sizes["parts"], strict=True):
        ids = data.split[part]
        predicted = torch.tensor(run.predict(graphs.select(ids))["predicted_y"].to_numpy()).double()
        target = graphs.graph["y"][ids].flatten().double()
        assert found["test"] == pytest.approx(float((predicted - target).square().mean().sqrt()), abs=1e-6)
        assert found["constant"] == pytest.approx(float((constant - target).square().mean().sqrt()), abs=1e-6)
        assert found["graphs"] == len(ids)
        assert found["mean"] == pytest.approx(float(graphs.sizes[ids].double().mean()))
    assert sizes["parts"][0]["test"] == summary["test"]
    lines = "\n".join(summary_lines(summary))
    assert f"7-8 nodes{sizes['parts'][2]['test']:>32.4f}" in lines
    assert "constant" in lines

    folder = RunFolder.open(tmp_path / "run")
    assert check_resumable(folder, {"sizes": "5|6 7-8"}).sizes == config.sizes
    refused = re.escape("was made with sizes='5 | 6 7-8', but sizes='5 | 6-8' is asked for")
    with pytest.raises(GraphPEValueError, match=refused):
        check_resumable(folder, {"sizes": "5 | 6-8"})


def test_a_metric_that_a_bin_does_not_have_is_null(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from graphpe.benchmarks.tasks.graph_level import GraphTargets

    defined = GraphTargets.evaluate

    def only_of_small_ones(self: GraphTargets, predictions: torch.Tensor, indices: torch.Tensor) -> float:
        if int(self.graphs.sizes[indices].max()) > 6:
            raise GraphPEValueError("of one class alone")
        return defined(self, predictions, indices)

    monkeypatch.setattr(GraphTargets, "evaluate", only_of_small_ones)
    config = resolve(TrainConfig(**options, sizes="5 | 6 7-8", epochs=1))
    run_experiment(config, run_path=tmp_path / "run", progress=False)
    summary = RunFolder.open(tmp_path / "run").read_summary()
    assert summary is not None
    tests = [part["test"] for part in summary["sizes"]["parts"]]
    assert all(math.isfinite(value) for value in tests[:2])
    assert tests[2] is None
    assert "7-8 nodes" in "\n".join(summary_lines(summary))


def test_without_sizes_there_are_none(options: dict[str, Any], tmp_path: Path) -> None:
    summary = run_experiment(resolve(TrainConfig(**options, epochs=1)), run_path=tmp_path / "run", progress=False)
    assert summary["sizes"] == {}
    assert TrainConfig(**{k: v for k, v in resolve(TrainConfig()).as_dict().items() if k != "sizes"}).sizes == ""
