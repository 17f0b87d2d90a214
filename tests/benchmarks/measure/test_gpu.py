from __future__ import annotations

import json

import pytest
import torch

from graphpe.benchmarks.measure import gpu


def test_without_a_gpu_it_says_so(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main(["--out", str(tmp_path / "gpu")]) == 1
    assert "no CUDA device here" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_same_code_on_the_cpu(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHPE_DATA", str(tmp_path))
    out = tmp_path / "results" / "gpu"
    assert gpu.main(["--device=cpu", "--small", "--out", str(out)]) == 0
    records = json.loads(out.with_suffix(".json").read_text())["records"]
    assert {record["section"] for record in records} == {"check", "molecules", "dense", "iterative"}
    checks = [record for record in records if record["section"] == "check"]
    assert len(checks) == 5 * 2 * 5
    assert all(record["right"] for record in checks)
    assert all("left_out" not in record for record in records)
    timed = [record for record in records if record["section"] == "iterative"]
    assert all(record["residual"] <= 2e-6 for record in timed)
    text = out.with_suffix(".md").read_text()
    assert text.count("SciPy eigsh SA") == 6
    assert "0 checks failed" in text
    assert sorted(path.name for path in out.parent.iterdir()) == ["gpu.json", "gpu.md"]


def test_what_there_is_no_time_for_is_named(tmp_path):
    run = gpu.Run(torch.device("cpu"), small=True, budget=0, limit=1, folder=tmp_path)
    gpu.time_dense(run)
    assert {record["left_out"] for record in run.records} == {"no time left"}
    assert "no time left" in gpu.table({"device": "none"}, run.records)


def test_a_failure_costs_only_itself(tmp_path):
    run = gpu.Run(torch.device("cpu"), small=True, budget=100, limit=1, folder=tmp_path)
    run.add("check", "broken", lambda: 1 / 0)
    run.add("check", "whole", lambda: {"right": True})
    assert run.records[0]["left_out"].startswith("ZeroDivisionError")
    assert run.records[1]["right"]


def test_ratios_are_of_right_results_on_one_graph():
    records = [
        {"section": "iterative", "what": "Lanczos, grid, 9 nodes", "seconds": 2.0, "residual": 1e-7},
        {"section": "iterative", "what": "ChebyshevFilter, grid, 9 nodes", "seconds": 1.0, "residual": 1e-3},
        {"section": "iterative", "what": "CuPy eigsh SA, grid, 9 nodes", "seconds": 6.0, "residual": 1e-7},
        {"section": "iterative", "what": "CuPy lobpcg, grid, 9 nodes", "left_out": "> 40 s"},
        {"section": "iterative", "what": "SciPy eigsh SA, ring, 9 nodes", "seconds": 6.0, "residual": 1e-7},
    ]
    assert list(gpu._ratios(records)) == ["| grid, 9 nodes | Lanczos, 2 s | CuPy eigsh SA, 6 s | 3.0x |"]
