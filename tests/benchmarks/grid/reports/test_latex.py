from __future__ import annotations

import re
from dataclasses import replace

import pytest

from graphpe.benchmarks.grid.reports.latex import escaped, latex_table
from graphpe.benchmarks.grid.reports.published.literature import Published
from graphpe.benchmarks.grid.results import Combination, Run, combine

RUN = Run("zinc", "none", "GINE", 0, "MAE", False, 0.5, 0.5, 100, 1.0, 1.0, 9.0, 10**9, 9)


def combinations(values: dict[tuple[str, str], list[float]], **options: object) -> list[Combination]:
    made = [
        replace(RUN, encoding=encoding, model=model, seed=seed, test=value, **options)  # type: ignore[arg-type]
        for (encoding, model), tests in values.items()
        for seed, value in enumerate(tests)
    ]
    return combine(made, [])


def cells(table: str) -> dict[str, list[str]]:
    rows = [line.removesuffix(r" \\").split(" & ") for line in table.splitlines() if line.endswith(r" \\")]
    return {row[0]: row[1:] for row in rows}


@pytest.mark.parametrize("maximize", [True, False])
def test_the_best_is_bold_only_where_it_differs_and_the_second_underlined(maximize: bool) -> None:
    sign = 1 if maximize else -1
    clear = {"none": [0.1, 0.12, 0.11], "a": [0.3, 0.32, 0.31], "b": [0.5, 0.521, 0.51]}
    close = {"none": [0.1, 0.2, 0.3], "a": [0.5, 0.1, 0.9], "b": [0.4, 0.9, 0.3]}
    values = {(row, "GINE"): [sign * each for each in tests] for row, tests in clear.items()}
    values |= {(row, "GPS"): [sign * each for each in tests] for row, tests in close.items()}
    table = latex_table(combinations(values, maximize=maximize))
    found = cells(table)
    assert found["encoding"] == ["GINE", "GPS"]
    assert found["b"][0].startswith(r"\textbf{")
    assert found["a"][0].startswith(r"\underline{")
    assert "textbf" not in "".join(row[1] for row in found.values())
    assert [row for row in ("none", "a", "b") if "underline" in found[row][1]] == ["a"]
    assert table.count(r"\toprule") == table.count(r"\bottomrule") == 1


def test_ties_are_not_bold_and_what_is_missing_is_a_dash() -> None:
    best, worse = [0.5, 0.51, 0.52], [0.9, 0.91, 0.925]
    values = {("none", "GINE"): best, ("a", "GINE"): best, ("b", "GINE"): worse, ("a", "GPS"): [0.1]}
    found = cells(latex_table(combinations(values)))
    assert found["none"] == [r"0.5100 $\pm$ 0.0100", "--"]
    assert found["b"][0] == r"\underline{0.9117 $\pm$ 0.0126}"
    assert found["a"][1] == "0.1000"


def test_options_are_columns() -> None:
    made = [replace(RUN, seed=seed, options={"learning_rate": rate}) for rate in (0.001, 0.003) for seed in (0, 1)]
    table = latex_table(combine(made, []))
    assert r"encoding & learning\_rate & GINE \\" in table
    assert r"none & 0.001 & 0.5000 $\pm$ 0.0000 \\" in table


def test_texts_are_escaped_and_braces_balanced() -> None:
    text = r"a_b & 50% #1 $x {y} ~z ^w \v <u |t --s"
    assert escaped(text) == (
        r"a\_b \& 50\% \#1 \$x \{y\} \textasciitilde{}z \textasciicircum{}w \textbackslash{}v \textless{}u "
        r"\textbar{}t -{}-s"
    )
    rows = [Published("GRIT_2", "RRWP", "MAE", 0.059, 0.002, 4, "Ma & others")]
    table = latex_table(combinations({("none", text): [0.5]}), rows)
    assert r"GRIT\_2, RRWP$^\dagger$ & \multicolumn{1}{l}{0.0590 $\pm$ 0.0020, 4 runs (Ma \& others)} \\" in table
    bare = re.sub(r"\\[{}\\]", "", table)
    assert bare.count("{") == bare.count("}")
