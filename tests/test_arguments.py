"""Every public constructor checks its arguments alike: types, messages of one line, NumPy's numbers."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from torch import nn

from graphpe import PackedLoader
from graphpe import models as M
from graphpe import transforms as T
from graphpe.eigen import solvers
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs

# Arguments without a default, by name; the rest is left at its default.
GIVEN: dict[str, Any] = {
    "k": 4, "walk_length": 4, "max_length": 4, "max_distance": 4, "iterations": 2, "hops": 2, "num_types": 3,
    "alpha": 0.1, "times": (1.0, 2.0), "key": "some_key", "channels": 4, "columns": 2, "vocabulary": 8,
    "eigenvalues_key": "values",
    "mask_key": "mask", "coordinates": 2, "out": 2, "largest": 10.0, "categories": (3, 2), "num_attributes": 5,
    "node_encoder": nn.Identity(), "nodes": nn.Identity(), "width": 16, "heads": 4, "vectors": 3, "max_depth": 4,
    "max_children": 4, "types": 3, "encoder": M.LinearEncoding("some_key", 4, 16),
    "patterns": "Connected(4)", "motifs": "Connected(4)",
}  # fmt: skip
# What a constructor needs beside, so that its numbers may be 1.
WITH: dict[str, dict[str, Any]] = {
    "CyclePE": {"kind": "walks"},
    "DiffusionPE": {"k": 4},
    "PairBias": {"head": "mlp"},
    "MLPReadout": {"hidden_layers": 0},
}
BAD = (4.0, "4", True, None, [4], float("nan"))


def constructors() -> Iterator[type]:
    for room in (T, M, solvers):
        for name in room.__all__:
            thing = getattr(room, name)
            left_out = ("Compose", "AMG", "GPSEPE", "PretrainedPE")
            if inspect.isclass(thing) and not inspect.isabstract(thing) and name not in left_out:
                yield thing
    yield PackedLoader


def given(thing: type) -> dict[str, Any]:
    parameters = inspect.signature(thing).parameters
    return {name: GIVEN[name] for name, p in parameters.items() if p.default is p.empty and name in GIVEN}


def kinds(thing: type) -> dict[str, set[type]]:
    """Parameters, and which of int, float, bool, None and str they may be."""
    hints = typing.get_type_hints(thing.__init__)
    out = {}
    for name in inspect.signature(thing).parameters:
        hint = hints.get(name)
        parts = typing.get_args(hint) if typing.get_origin(hint) is not None else (hint,)
        out[name] = {part for part in parts if isinstance(part, type)}
    return out


INTEGERS = [
    pytest.param(thing, name, id=f"{thing.__name__}-{name}")
    for thing in constructors()
    for name, accepted in kinds(thing).items()
    if int in accepted
    and not accepted & {float, str, bool, list, tuple}
    and name not in ("categories", "num_types")  # one number, or one for each column
]
FLAGS = [
    pytest.param(thing, name, id=f"{thing.__name__}-{name}")
    for thing in constructors()
    for name, accepted in kinds(thing).items()
    if accepted == {bool}
]


def build(thing: type, **values: Any) -> Any:
    if thing is PackedLoader:
        return thing(PackedGraphs.from_data_list([]), **{"batch_size": 2} | values)
    return thing(**given(thing) | WITH.get(thing.__name__, {}) | values)


@pytest.mark.parametrize(("thing", "name"), INTEGERS)
def test_an_integer_is_an_integer(thing, name):
    accepted = kinds(thing)[name]
    for bad in BAD:
        if bad is None and type(None) in accepted:
            continue
        with pytest.raises(GraphPETypeError) as caught:
            build(thing, **{name: bad})
        assert "\n" not in str(caught.value)
        assert name in str(caught.value)
    with pytest.raises(GraphPEValueError):
        build(thing, **{name: -(2**70)})
    value = build(thing).__dict__.get(name, GIVEN.get(name, 4))
    value = value if isinstance(value, int) and not isinstance(value, bool) else GIVEN.get(name, 4)
    assert repr(build(thing, **{name: np.int64(value)})) == repr(build(thing, **{name: value}))


@pytest.mark.parametrize(("thing", "name"), FLAGS)
def test_a_flag_is_true_or_false(thing, name):
    for bad in (1, 0, "yes", None):
        with pytest.raises(GraphPETypeError) as caught:
            build(thing, **{name: bad})
        assert "\n" not in str(caught.value)
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("thing", "name"),
    [
        pytest.param(thing, name, id=f"{thing.__name__}-{name}")
        for thing in constructors()
        if thing is not PackedLoader
        for name, hint in typing.get_type_hints(thing.__init__).items()
        if typing.get_origin(hint) is typing.Literal
    ],
)
def test_a_choice_is_one_of_the_known(thing, name):
    for bad in (np.array([1, 2]), np.array(["sym", "random"]), ["sym"], "no such", 4, None):
        with pytest.raises(GraphPEValueError, match=f"{name} must be one of") as caught:
            build(thing, **{name: bad})
        assert "\n" not in str(caught.value)


def test_compose_takes_a_list():
    for bad in (None, 4, True, "DegreePE()", T.DegreePE()):
        with pytest.raises(GraphPETypeError, match="Compose takes a list of transforms, got"):
            T.Compose(bad)  # type: ignore[arg-type]
