from __future__ import annotations

import numpy as np
import pytest

from graphpe.arguments import (
    check_choice,
    check_counts,
    check_divides,
    check_flags,
    check_integer,
    check_not_negative,
    check_number,
    check_positive,
    check_probabilities,
    check_seed,
)
from graphpe.errors import GraphPETypeError, GraphPEValueError


def test_good_values_are_returned_as_python_has_them() -> None:
    values = (
        *check_counts(a=np.int64(1), b=2**40),
        check_integer("c", np.uint8(0), least=0),
        check_seed(np.int32(7)),
        *check_probabilities(a=0, b=np.float32(0.5)),
        check_number("d", 3),
        *check_not_negative(e=np.int64(0)),
        *check_flags(f=True, g=np.bool_(False)),
        check_choice("h", "x", ("x", "y")),
        check_choice("i", None, (None, "y")),
    )
    assert values == (1, 2**40, 0, 7, 0.0, 0.5, 3.0, 0.0, True, False, "x", None)
    assert {type(value) for value in values} == {int, float, bool, str, type(None)}
    check_divides(3, 12)


@pytest.mark.parametrize("value", [1.0, "1", None, True, [1], np.float64(1)])
def test_no_integer(value: object) -> None:
    with pytest.raises(GraphPETypeError, match=r"^n must be an integer, got "):
        check_counts(m=1, n=value)


@pytest.mark.parametrize(("value", "least", "most"), [(0, 1, None), (-1, 0, 3), (4, 0, 3), (2**70, None, 2**63)])
def test_out_of_range(value: int, least: int | None, most: int | None) -> None:
    with pytest.raises(GraphPEValueError, match=f"^n must be (from|at most) .*, got {value}$"):
        check_integer("n", value, least=least, most=most)


@pytest.mark.parametrize("value", [1, 1.0, -0.1, float("nan"), float("inf"), 10**400])
def test_no_probability(value: object) -> None:
    with pytest.raises(GraphPEValueError, match=r"^p must be (a number in|finite)"):
        check_probabilities(p=value)


def test_positive_numbers() -> None:
    assert check_positive(a=1, b=np.float64(0.5)) == (1.0, 0.5)
    for value in (0, -1, 0.0):
        with pytest.raises(GraphPEValueError, match=f"^p must be positive, got {value}$"):
            check_positive(a=1, p=value)
    with pytest.raises(GraphPEValueError, match=r"^p must be finite"):
        check_positive(p=float("inf"))


@pytest.mark.parametrize("value", ["0", None, False, 1j])
def test_no_number(value: object) -> None:
    with pytest.raises(GraphPETypeError, match=r"^p must be a number, got "):
        check_probabilities(p=value)


def test_other_values() -> None:
    with pytest.raises(GraphPEValueError, match=r"^width must be a multiple of heads, got width=10, heads=3$"):
        check_divides(3, 10)
    with pytest.raises(GraphPETypeError, match=r"^b must be True or False, got 1$"):
        check_flags(b=1)
    with pytest.raises(GraphPEValueError, match=r"^c must be one of 'x', 'y', got 'z'$"):
        check_choice("c", "z", ("x", "y"))
    with pytest.raises(GraphPEValueError) as caught:
        check_choice("c", "z\n" * 100, ("x", "y"))
    assert len(str(caught.value)) < 150
    assert "\n" not in str(caught.value)
