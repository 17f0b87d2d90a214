from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphpe.calls import Call, parse_call
from graphpe.errors import GraphPEValueError
from graphpe.trees import parse_function

literals = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(1 - 2**63, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner),
    max_leaves=5,
)


@given(args=st.lists(literals, max_size=2), kwargs=st.dictionaries(st.sampled_from(["k", "sign", "q"]), literals))
def test_text_and_call_are_inverse(args: list[object], kwargs: dict[str, object]) -> None:
    call = Call("Name", tuple(args), kwargs)
    assert parse_call(str(call)) == call


@pytest.mark.parametrize("text", ["Name", "Name()", " Name ( ) "])
def test_a_bare_name_is_a_call_without_arguments(text: str) -> None:
    assert parse_call(text) == Call("Name", (), {})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "k=8",
        "Name(",
        "Name(k=print(1))",
        "Name(*[1])",
        "Name(**{'k': 1})",
        "Name(k=x)",
        "Name(1)(2)",
        "Name(k=1, k=2)",
        "Name() or Name()",
        "a.b(1)",
        "Name(__import__('os').getcwd())",
    ],
)
def test_anything_but_literals_is_refused(text: str) -> None:
    with pytest.raises(GraphPEValueError, match="cannot read"):
        parse_call(text)


@pytest.mark.parametrize(
    "text", ["Exponential(rate=1.0, rate=2.0)", "Exponential(*[1.0])", "Exponential(**{'rate': 1.0})"]
)
def test_functions_of_distance_take_arguments_as_calls_do(text: str) -> None:
    with pytest.raises(GraphPEValueError, match="cannot read the function"):
        parse_function(text)
    with pytest.raises(GraphPEValueError, match="cannot read the arguments"):
        parse_call(text)
