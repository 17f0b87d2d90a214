from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch

from graphpe.benchmarks.runs.newest import newest_run
from graphpe.errors import GraphPEValueError


def test_the_newest_run_that_can_read_the_graphs_answers(train, classes_run, graph_list, tmp_path: Path) -> None:
    def saved(columns: int) -> Path:
        graphs = [data.clone() for data in graph_list]
        for data in graphs:
            data.x = torch.zeros(data.num_nodes, columns)
        torch.save(graphs, path := tmp_path / f"{columns}.pt")
        return path

    other = train(f"DataFile({str(saved(7))!r})")
    for age, (name, run) in enumerate((("newer", other), ("older", classes_run[0]))):
        shutil.copytree(run, tmp_path / "runs" / name)
        os.utime(tmp_path / "runs" / name / "best.pt", (10**9 - age, 10**9 - age))
    run, inputs = newest_run([classes_run[1]], tmp_path / "runs", workers=1)
    assert run.folder.path == tmp_path / "runs" / "older"
    assert len(inputs.graphs) == len(graph_list)
    with pytest.raises(GraphPEValueError, match=r"x has 5 columns.* 7 columns.*\(run .*newer; --run names another\)"):
        newest_run([saved(5)], tmp_path / "runs", workers=1)
