from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest

from graphpe.benchmarks.calls import catalogue
from graphpe.benchmarks.calls.build import encoding_classes, model_classes, task_classes
from graphpe.benchmarks.calls.encoders import SUPPLIED_TO_ENCODERS
from graphpe.benchmarks.calls.kinds import reads_of
from graphpe.benchmarks.calls.parts import encoder_classes


def supplied_to(encoder: type) -> tuple[str, ...]:
    return SUPPLIED_TO_ENCODERS[str(reads_of(encoder))]


@pytest.mark.parametrize(
    ("listed", "classes", "without"),
    [
        (catalogue.encodings, encoding_classes, lambda _: ()),
        (catalogue.encoders, encoder_classes, supplied_to),
        (catalogue.models, model_classes, lambda _: catalogue.SUPPLIED),
        (catalogue.tasks, task_classes, lambda _: ()),
    ],
)
def test_what_the_source_says_is_what_the_classes_are(
    listed: Callable[[], list[catalogue.Entry]],
    classes: Callable[[], dict[str, type]],
    without: Callable[[type], tuple[str, ...]],
) -> None:
    entries = listed()
    assert len(entries) == len(classes())
    for entry, (name, member) in zip(entries, classes().items(), strict=True):
        named = {} if "name" in inspect.signature(member).parameters else vars(member)  # else an argument
        assert entry.name == named.get("name", name)
        assert entry.about == (inspect.getdoc(member) or "").split("\n")[0].rstrip(".")
        parameters = [
            key if each.default is inspect.Parameter.empty else f"{key}={each.default!r}"
            for key, each in inspect.signature(member).parameters.items()
            if key not in without(member)
        ]
        assert entry.call == f"{name}({', '.join(parameters)})"
