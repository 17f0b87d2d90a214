from __future__ import annotations

from pathlib import Path

import pytest
import torch

from graphpe.benchmarks.measure.harness import Report, command, ending, machine, parser, take_turns


def test_sides_take_turns_and_the_first_one_warms_up() -> None:
    now = [0.0]
    order: list[str] = []

    def side(name: str, costs: float) -> None:
        order.append(name)
        now[0] += costs * len(order)  # every turn costs more

    sides = [lambda: side("a", 1.0), lambda: side("b", 10.0)]
    assert take_turns(sides, 3, clock=lambda: now[0]) == [5.0, 60.0]  # turns 3, 5 and 7 of a; 4, 6 and 8 of b
    assert order == ["a", "b"] * 4
    order.clear()
    assert take_turns(sides, 1, warm_up=False, clock=lambda: now[0]) == [1.0, 20.0]


def test_only_options_with_a_default() -> None:
    assert vars(parser(None, graphs=3).parse_args([])).keys() == {"graphs", "threads", "seed", "data", "out"}
    bare = parser(None, threads=None, seed=None, data=None)
    assert vars(bare.parse_args([])) == {"out": None}


def test_the_command_names_no_folder_of_this_machine() -> None:
    given = ["--graphs", "5", "--data", "/home/me", "--out=/tmp/x.md", "--sides", "a b", "--root", "r"]
    assert (
        command("speed.layers", given) == "python -m graphpe.benchmarks.measure.speed.layers --graphs 5 --sides 'a b'"
    )


def test_what_is_below_a_table() -> None:
    blank, about, _, ran = ending("Seconds.", "graphpe bench", "scipy", threads=7)
    assert about.startswith("Seconds. 20")
    assert f"torch {torch.__version__}" in about
    assert "scipy 1." in about
    assert ", 7 thread(s) of" in about
    assert f"{torch.get_num_threads()} thread(s)" in machine()
    assert (blank, ran) == ("", "    graphpe bench")


def test_a_report_is_in_its_file_so_far(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = Report(tmp_path / "a.md")
    report.say("one", "")
    assert (tmp_path / "a.md").read_text() == "one\n\n"
    report.say("two")
    assert (tmp_path / "a.md").read_text() == capsys.readouterr().out == "one\n\ntwo\n"
