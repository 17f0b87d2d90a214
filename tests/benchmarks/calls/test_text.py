from __future__ import annotations

from dataclasses import dataclass

import pytest

from graphpe.benchmarks.calls.text import bind, build, encoding_calls, find_class
from graphpe.calls import parse_call
from graphpe.errors import GraphPEValueError


@dataclass(frozen=True)
class LaplacianThing:
    k: int
    sign: str = "random"


CLASSES = {"LaplacianThing": LaplacianThing, "PythonSource": dict}


def test_build_takes_positional_and_keyword_arguments() -> None:
    assert build("LaplacianThing(8)", CLASSES, "encoding") == LaplacianThing(8)
    assert build("laplacianthing(k=3, sign='none')", CLASSES, "encoding") == LaplacianThing(3, "none")
    assert build(repr(LaplacianThing(5)), CLASSES, "encoding") == LaplacianThing(5)


def test_names_may_be_written_with_dashes() -> None:
    assert find_class("python-source", CLASSES, "task") is dict


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(
        GraphPEValueError, match=r"unknown encoding 'LaplacianThink'; known: LaplacianThing, PythonSource; did"
    ):
        build("LaplacianThink(8)", CLASSES, "encoding")


def test_an_unknown_argument_lists_the_known_ones() -> None:
    with pytest.raises(GraphPEValueError, match=r"no argument 'kk'; it takes k, sign='random'"):
        build("LaplacianThing(kk=8)", CLASSES, "encoding")


@pytest.mark.parametrize("text", ["LaplacianThing()", "LaplacianThing(1, 'none', 3)", "LaplacianThing(1, k=2)"])
def test_missing_and_surplus_arguments(text: str) -> None:
    with pytest.raises(GraphPEValueError, match=r"it takes k, sign='random'"):
        build(text, CLASSES, "encoding")


@dataclass(frozen=True, kw_only=True)
class Named:
    width: int = 8
    heads: int = 2


def test_arguments_that_need_their_names() -> None:
    with pytest.raises(GraphPEValueError, match=r"name them, Named\(width=16, heads=4\)$"):
        build("Named(16, heads=4)", {"Named": Named}, "model")
    with pytest.raises(GraphPEValueError, match=r"it takes width=8, heads=2"):
        build("Named(1, 2, 3)", {"Named": Named}, "model")


def test_supplied_parameters_cannot_be_given() -> None:
    with pytest.raises(GraphPEValueError, match="no argument 'sign'; it takes k"):
        bind(parse_call("LaplacianThing(1, sign='x')"), LaplacianThing, without=("sign",))


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], ()),
        (["none"], ()),
        ([" None "], ()),
        (["published"], None),
        (["A(k=1)", "B()"], ("A(k=1)", "B()")),
        (["A(k=1) + B()", "C"], ("A(k=1)", "B()", "C")),
    ],
)
def test_one_form_for_encodings_in_every_command(texts: list[str], expected: tuple[str, ...] | None) -> None:
    assert encoding_calls(texts) == expected


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["none", "A()"], "encodings are none, A\\(\\): 'none' stands alone"),
        (["A() + none"], "'none' stands alone"),
        (["published", "none"], "'none' stands alone"),
        (["A() with SPE"], "cannot read 'A\\(\\) with SPE': only columns of `graphpe grid`.*--encoder and --bias"),
        (["A() as PairBias()"], "--encoder and --bias"),
    ],
)
def test_words_that_do_not_go_together(texts: list[str], message: str) -> None:
    with pytest.raises(GraphPEValueError, match=message):
        encoding_calls(texts)
