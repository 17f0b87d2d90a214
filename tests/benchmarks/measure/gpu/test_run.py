from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from graphpe.benchmarks.measure.gpu import __main__ as script
from graphpe.benchmarks.measure.gpu.kernels import check_kernels
from graphpe.benchmarks.measure.gpu.run import Run


def a_run(folder: Path, budget: float = 100) -> Run:
    return Run(torch.device("cpu"), folder / "gpu", {"device": "none"}, small=True, budget=budget)


def test_without_a_gpu_it_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert script.main(["--out", str(tmp_path / "gpu")]) == 1
    assert "no CUDA device here" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_results_are_there_from_the_first_record_on_and_a_failure_costs_only_itself(tmp_path: Path) -> None:
    run = a_run(tmp_path)

    def section(run: Run) -> None:
        run.add("broken", lambda: {"value": 1 / 0})
        assert json.loads((tmp_path / "gpu.json").read_text())["records"][0]["left_out"].startswith("ZeroDivisionError")
        run.add("whole", lambda: {"right": True, "seconds": 0.25})
        raise KeyError("the section")

    run.section("first", section, 50)
    run.section("second", lambda run: run.add("more", lambda: {"right": False}) and None, 50)
    records = json.loads((tmp_path / "gpu.json").read_text())["records"]
    assert [record["what"] for record in records] == ["broken", "whole", "the section", "more"]
    text = (tmp_path / "gpu.md").read_text()
    assert "1 checks failed, 2 left out" in text
    assert text.index("## first") < text.index("| whole |  | True | 0.25 |") < text.index("## second")


def test_what_there_is_no_time_for_is_named(tmp_path: Path) -> None:
    run = a_run(tmp_path, budget=0)
    run.section("first", lambda run: run.add("late", dict) and None, 50)
    assert run.records[0]["left_out"] == "no time left"
    run = a_run(tmp_path)
    run.section("short", lambda run: run.add("late", dict) and None, 0)  # its own limit
    run.section("long", lambda run: run.add("in time", dict) and None, 50)
    assert ["left_out" in record for record in run.records] == [True, False]


def test_all_sections_together_take_less_than_eight_minutes() -> None:
    assert sum(seconds for *_, seconds in script.SECTIONS) <= 465
    assert script.SECTIONS[0][0] == "kernels against the CPU"


def test_every_kernel_is_compared_with_the_cpu(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    run.section("kernels", check_kernels, 100)
    assert len(run.records) == 20
    assert all(record["right"] for record in run.records), run.records


@pytest.mark.slow
@pytest.mark.parametrize("device", ["pretend", "cpu"])
def test_it_is_rehearsed_from_start_to_end(device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHPE_DATA", str(tmp_path))
    out = tmp_path / "results" / "gpu"
    longest = [(name, function, 1e4) for name, function, _ in script.SECTIONS]
    monkeypatch.setattr(script, "SECTIONS", longest)
    assert script.main(["--device", device, "--small", "--budget=10000", "--out", str(out)]) == 0
    records = json.loads(out.with_suffix(".json").read_text())["records"]
    assert {record["section"] for record in records} == {name for name, *_ in script.SECTIONS}
    only_there = {record["section"] for record in records if "left_out" in record}
    assert only_there == {"one step by kernels", "compiled steps"}
    assert all(record.get("right", True) for record in records)
    assert sorted(path.name for path in out.parent.iterdir()) == ["gpu.json", "gpu.md"]
