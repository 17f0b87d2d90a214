from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest

from graphpe.benchmarks.grid.reports.page.answer import answer
from graphpe.benchmarks.grid.results import Combination, Run, combine

RUN = Run("zinc", "none", "GINE", 0, "MAE", False, 0.5, 0.5, 100, 1.0, 1.0, 9.0, 10**9, 9)


def made(values: dict[tuple[str, str], list[float]], **options: object) -> list[Combination]:
    runs = [
        replace(RUN, encoding=encoding, model=model, seed=seed, test=value, **options)  # type: ignore[arg-type]
        for (encoding, model), tests in values.items()
        for seed, value in enumerate(tests)
    ]
    return combine(runs, [])


def said(found: list[Combination], **p_values: float) -> str:
    """The answer without its marks; p-values by column and model, as `a_GINE`."""
    tested = {tuple(name.split("_")): p_value for name, p_value in p_values.items()}
    return re.sub(r"<[^>]+>", "", answer(found, tested))  # type: ignore[arg-type]


CLEAR = {
    ("none", "GINE"): [0.50, 0.51, 0.52],
    ("a", "GINE"): [0.30, 0.311, 0.32],
    ("b", "GINE"): [0.90, 0.912, 0.92],
    ("none", "GPS"): [0.2, 0.9, 0.4],
    ("a", "GPS"): [0.3, 0.2, 0.8],
}


@pytest.mark.parametrize("maximize", [False, True])
def test_the_best_of_each_model_and_how_many_differ(maximize: bool) -> None:
    text = said(made(CLEAR, maximize=maximize), a_GINE=0.001, b_GINE=0.049, a_GPS=0.05)
    if maximize:
        assert text.startswith("b is best in GINE (0.9107 ± 0.0101 against 0.5100 without) and none is best in GPS")
    else:
        assert text.startswith("a is best in GINE (0.3103 ± 0.0100 against 0.5100 without) and GPS (0.4333 ± 0.3215")
    assert text.endswith("2 of 3 differences from none are significant after Holm's correction (1 better, 1 worse).")


def test_where_nothing_differs_it_says_so() -> None:
    one = made({key: value for key, value in CLEAR.items() if key[1] == "GPS"})
    text = said(one, a_GPS=0.625)
    assert text.endswith("the one difference from none is not significant after Holm's correction (smallest p = 0.62).")
    text = said(made(CLEAR), a_GINE=0.3, b_GINE=1.0, a_GPS=0.084)
    assert text.endswith(
        "none of the 3 differences from none is significant after Holm's correction (smallest p = 0.084)."
    )


def test_equal_ones_are_equally_good() -> None:
    values = {(row, "GINE"): [0.5, 0.5] for row in ("none", "a", "b")}
    assert said(made(values)).startswith("none, a and b are equally good, and best, in GINE (0.5000);")
    many = {(row, "GINE"): [0.5, 0.5] for row in ("none", *"abcd")}
    assert said(made(many)).startswith("5 columns are equally good, and best, in GINE (0.5000);")


def test_without_seeds_or_without_none_nothing_is_tested() -> None:
    assert said(made({("none", "GINE"): [0.5], ("a", "GINE"): [0.4]}), a_GINE=math.nan).endswith(
        "nothing can be tested: that takes two seeds with and without an encoding."
    )
    assert said(made({("a", "GINE"): [0.5], ("b", "GINE"): [0.4]})).endswith("no column is without an encoding.")
    assert said(made({("a", "GINE"): [0.5]})).startswith("One column, a: GINE (0.5000);")


def test_many_models_are_counted() -> None:
    values = {(row, f"M{number}"): [value] for row, value in (("none", 0.5), ("a", 0.4)) for number in range(7)}
    assert said(made(values)).startswith("a is best in 7 of 7 models;")


def test_what_is_not_finite_is_not_best() -> None:
    assert said(made({("none", "GINE"): [0.5], ("a", "GINE"): [-math.inf]})).startswith("none is best in GINE")
    assert said(made({("none", "GINE"): [math.nan]})).startswith("No run has a finite metric;")


def test_names_are_escaped() -> None:
    found = made({("none", "<script>"): [0.5], ("<i>x", "<script>"): [0.4]})
    text = answer(found, {})
    assert "<script>" not in text
    assert "<i>x" not in text
