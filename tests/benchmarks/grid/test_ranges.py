from __future__ import annotations

import math

import numpy as np
import pytest

from graphpe.benchmarks.grid.ranges import Listed, Uniform, read_values, settings, split_outside
from graphpe.errors import GraphPEValueError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1e-3", 0.001),
        ("linear", "linear"),
        ("bf16-mixed", "bf16-mixed"),
        ("'GINE'", "GINE"),
        ("MLPReadout(hidden_layers=1, halve=False)", "MLPReadout(hidden_layers=1, halve=False)"),
        ("[1e-3, 3e-3]", Listed((0.001, 0.003))),
        ("[linear, cosine]", Listed(("linear", "cosine"))),
        ("choice(0, 0.1)", Listed((0, 0.1))),
        ("range(2, 8, 2)", Listed((2, 4, 6))),
        ("linspace(0, 0.4, 3)", Listed((0.0, 0.2, 0.4))),
        ("geomspace(1e-4, 1e-2, 3)", Listed((1e-4, 1e-3, 1e-2))),
        ("uniform(0, 0.5)", Uniform(0, 0.5)),
        ("loguniform(1e-4, 1e-2)", Uniform(1e-4, 1e-2, log=True)),
        ("integers(2, 6)", Uniform(2, 6, whole=True)),
    ],
)
def test_values_are_read(text: str, expected: object) -> None:
    assert read_values(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "holds no value"),
        ("[1, 1]", "names 1 twice"),
        ("uniform(2, 1)", "the smaller one comes first"),
        ("uniform(1)", "write its two bounds"),
        ("uniform('a', 2)", "a bound must be a number"),
        ("uniform(low=1, high=2)", "its arguments have no names"),
        ("loguniform(0, 1)", "must be positive"),
        ("integers(1.5, 2)", "whole numbers"),
        ("range(1, 5, 0)", "its step is 0"),
        ("range(0, 1000000000000)", "at most 10,000"),
        ("geomspace(0, 1, 3)", "must be positive"),
        ("linspace(0, 1, 2.5)", "must be an integer"),
    ],
)
def test_values_that_cannot_be_read(text: str, message: str) -> None:
    with pytest.raises(GraphPEValueError, match=message) as caught:
        read_values(text)
    assert "\n" not in str(caught.value)


def test_lists_give_every_combination() -> None:
    varied = {"a": Listed((1, 2)), "b": Listed(("x", "y", "z"))}
    found = settings(varied, draws=0, seed=0)
    assert found == [{"a": a, "b": b} for a in (1, 2) for b in "xyz"]
    assert settings({}, draws=7, seed=0) == [{}]
    with pytest.raises(GraphPEValueError, match="say with --tune"):
        settings({"a": Uniform(0, 1)}, draws=0, seed=0)
    with pytest.raises(GraphPEValueError, match="combinations"):
        settings({name: Listed(tuple(range(100))) for name in "abc"}, draws=0, seed=0)


def test_draws_are_those_of_their_distribution() -> None:
    varied = {
        "rate": Uniform(1e-4, 1e-2, log=True),
        "dropout": Uniform(0, 0.5),
        "layers": Uniform(2, 4, whole=True),
        "kind": Listed(("a", "b")),
    }
    drawn = settings(varied, draws=2000, seed=3)
    assert len(drawn) == 2000
    logs = np.array([math.log10(each["rate"]) for each in drawn])
    assert logs.min() >= -4
    assert logs.max() <= -2
    assert np.quantile(logs, [0.25, 0.5, 0.75]) == pytest.approx([-3.5, -3, -2.5], abs=0.08)
    assert np.mean([each["dropout"] for each in drawn]) == pytest.approx(0.25, abs=0.02)
    for name, values in (("layers", (2, 3, 4)), ("kind", ("a", "b"))):
        shares = [sum(each[name] == value for each in drawn) / 2000 for value in values]
        assert shares == pytest.approx([1 / len(values)] * len(values), abs=0.05)


def test_draws_do_not_depend_on_what_else_is_drawn_and_are_all_different() -> None:
    rate = {"rate": Uniform(1e-4, 1e-2, log=True)}
    alone = settings(rate, draws=5, seed=0)
    assert settings(rate, draws=5, seed=0) == alone
    assert settings(rate, draws=5, seed=1) != alone
    assert settings(rate, draws=3, seed=0) == alone[:3]  # a larger budget keeps what was done
    beside = settings({"other": Uniform(0, 1), **rate}, draws=5, seed=0)
    assert [each["rate"] for each in beside] == [each["rate"] for each in alone]
    few = settings({"layers": Uniform(1, 3, whole=True), "kind": Listed(("a", "b"))}, draws=6, seed=0)
    assert len({repr(each) for each in few}) == 6
    assert settings({"kind": Listed(("a", "b"))}, draws=9, seed=0) == [{"kind": "a"}, {"kind": "b"}]


def test_marks_in_brackets_and_quotes_do_not_split() -> None:
    assert split_outside("a(b, c), 'd, e', [f, {g, h}]", ",") == ["a(b, c)", " 'd, e'", " [f, {g, h}]"]
    assert split_outside("GPSEPE(weights='a@b')", "@") == ["GPSEPE(weights='a@b')"]
