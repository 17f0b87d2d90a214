"""From texts to objects: encodings, and a model whose two ends fit a task."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from torch import nn

import graphpe.benchmarks.tasks as tasks
import graphpe.models as models
import graphpe.transforms as transforms
from graphpe.benchmarks.calls import bind, build, find_class, parse_call, public_classes
from graphpe.benchmarks.tasks.task import ModelEnds, Task
from graphpe.errors import GraphPEValueError
from graphpe.models.encoders import EigenvectorEncoding, EmbeddingEncoding, LinearEncoding
from graphpe.transforms.base import Encoding, SpectralEncoding

SUPPLIED = ("node_encoder", "edge_encoder", "encodings", "head")
"""Parameters of an architecture that come from the task and its encodings, never from a text."""


def encoding_classes() -> dict[str, type]:
    """Every encoding, by name."""
    return public_classes(transforms, Encoding)


def task_classes() -> dict[str, type]:
    """Every task, by the name of its class."""
    return public_classes(tasks, Task)


def model_classes() -> dict[str, type]:
    """Every architecture, by name: the public modules that take a `node_encoder`."""
    return {
        name: member
        for name, member in public_classes(models, nn.Module).items()
        if "node_encoder" in inspect.signature(member).parameters
    }


def canonical_task(text: str, root: str | None = None) -> str:
    """A task's text with every parameter, and `root` among them."""
    call = parse_call(text)
    constructor = find_class(call.name, task_classes(), "task")
    arguments = bind(call, constructor)
    if root is not None:
        arguments["root"] = root
    return repr(constructor(**arguments))


def build_task(text: str) -> Task:
    """A task from its text.

    Raises:
        GraphPEValueError: For an unknown one, or a bad argument.
    """
    return build(text, task_classes(), "task")


def canonical_encodings(texts: Sequence[str]) -> tuple[str, ...]:
    """The texts of encodings with every parameter."""
    return tuple(repr(encoding) for encoding in build_encodings(texts))


def canonical_model(text: str) -> str:
    """A model's text with every parameter. Builds the model once without a task, so that a bad value shows at once."""
    constructor, arguments = _architecture(text)
    return repr(constructor(**arguments, node_encoder=nn.Identity()))


def build_encodings(texts: Sequence[str]) -> list[Encoding]:
    """Encodings from their texts.

    Raises:
        GraphPEValueError: For an unknown one, a bad argument, or two that write the same key.
    """
    built: list[Encoding] = [build(text, encoding_classes(), "encoding") for text in texts]
    writers: dict[str, Encoding] = {}
    for encoding in built:
        for key in encoding.keys:
            if key in writers:
                raise GraphPEValueError(
                    f"{writers[key]!r} and {encoding!r} both write {key!r}; give one of them another attr_name"
                )
            writers[key] = encoding
    return built


def build_model(text: str, ends: ModelEnds, encodings: Sequence[Encoding]) -> nn.Module:
    """A model for a task: its ends and the encoders of its encodings, around the architecture the text names."""
    constructor, arguments = _architecture(text)
    width = constructor(**arguments, node_encoder=nn.Identity()).width
    return constructor(
        **arguments,
        node_encoder=ends.node_encoder(width),
        edge_encoder=ends.edge_encoder(width),
        encodings=[encoding_module(encoding, width) for encoding in encodings],
        head=ends.head(width),
    )


def encoding_module(encoding: Encoding, width: int) -> nn.Module:
    """The module that brings an encoding's values to the model's width.

    Raises:
        GraphPEValueError: The encoding is of pairs, which no model here takes.
    """
    if encoding.pair_keys and not encoding.keys:
        raise GraphPEValueError(
            f"{encoding!r} is of pairs of nodes: no model here takes it, choose an encoding of nodes"
        )
    if isinstance(encoding, SpectralEncoding):
        return EigenvectorEncoding(
            encoding.attr_name,
            encoding.columns,
            width,
            mask_key=encoding.mask_name,
            complex=isinstance(encoding, transforms.MagneticLaplacianPE),
        )
    if encoding.vocabulary is not None:
        return EmbeddingEncoding(encoding.attr_name, encoding.columns, encoding.vocabulary, width)
    return LinearEncoding(encoding.attr_name, encoding.columns, width)


def _architecture(text: str) -> tuple[type, dict[str, Any]]:
    call = parse_call(text)
    constructor = find_class(call.name, model_classes(), "model")
    return constructor, bind(call, constructor, without=SUPPLIED)
