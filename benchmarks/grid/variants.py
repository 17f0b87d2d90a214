"""A column and a model of a grid, once for each setting of their options."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from graphpe.benchmarks.calls.attention_parts import canonical_bias
from graphpe.benchmarks.calls.build import (
    build_encodings,
    canonical_head,
    canonical_model,
    find_encoding,
    model_classes,
)
from graphpe.benchmarks.calls.catalogue import SUPPLIED
from graphpe.benchmarks.calls.parts import canonical_encoder, canonical_perturb, supplied_to
from graphpe.benchmarks.calls.text import bind, find_class
from graphpe.benchmarks.grid.config import Column, GridConfig
from graphpe.benchmarks.grid.options import OF_THE_GRID, Named, read_options, training_options, varies
from graphpe.benchmarks.grid.ranges import settings
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.calls import Call, parse_call
from graphpe.errors import GraphPEError, GraphPEValueError


@dataclass(frozen=True)
class Variant:
    """A column and a model with one value for each option.

    Attributes:
        config: The options of its run, without a task.
        options: Those that vary, with their values here.
    """

    config: TrainConfig
    options: dict[str, Any]


def variants_of(grid: GridConfig, common: TrainConfig, column: Column, text: str, model: str) -> list[Variant]:
    """A column and a model, once for each setting of their options; of a random search first as they are given.

    Raises:
        GraphPEValueError: An option is not known, is given by both, or has a value that it does not take.
    """
    named = Named.parse(model)
    arguments = _model_arguments(named.call)
    of_all = read_options(", ".join(grid.vary), "--vary")
    for names, where in ((named.options, model), (of_all, f"--vary with {named.call}")):
        _check_names(names, arguments, where)
        if grid.params and "width" in names:
            raise GraphPEValueError(f"{where!r} has the option width, which the budget of parameters decides: give one")
    of_encodings = [name for each in column.encodings or () for name in _encoding_arguments(each)]
    _check_names(column.options, of_encodings, text)
    for name in column.options:
        if of_encodings.count(name) > 1 and name not in training_options():
            raise GraphPEValueError(
                f"{text!r} has the option {name}, which several of its encodings take: write it there"
            )
    joined = {"encoder": column.encoder, "bias": column.bias}  # by "with" and "as"
    of_column = {name: value for name, value in joined.items() if value is not None}
    twice = sorted(of_column.keys() & column.options.keys())
    if twice:
        raise GraphPEValueError(f"{text!r} names its {twice[0]} twice")
    of_column |= column.options
    both = sorted(of_column.keys() & named.options.keys())
    if both:
        raise GraphPEValueError(f"{both[0]} is given by both {text!r} and {model!r}: give it to one of them")
    options = {**of_all, **named.options, **of_column}
    varied = {name: values for name, values in options.items() if varies(values)}
    fixed = {name: value for name, value in options.items() if name not in varied}
    try:
        chosen = settings(varied, draws=grid.tune, seed=grid.tune_seed)
        if grid.tune and varied:  # untuned: what is given, beside what is drawn
            chosen.insert(0, {})
    except GraphPEValueError as error:
        raise GraphPEValueError(f"{model!r} in {text!r}: {error}") from None
    found = []
    for each in chosen:
        try:
            config = _with_options(common, named.call, column, fixed | each, of_column)
        except GraphPEError as error:
            raise GraphPEValueError(f"{model!r} in {text!r}: {error}") from None
        found.append(Variant(config, each))
    return found


def _with_options(
    common: TrainConfig, model: str, column: Column, options: Mapping[str, Any], of_column: Mapping[str, Any]
) -> TrainConfig:
    """The options of a run, each put where it belongs: training, the model's call, or an encoding's."""
    of_training = {name: value for name, value in options.items() if name in training_options()}
    of_call = {name: value for name, value in options.items() if name not in of_training}
    of_model = {name: value for name, value in of_call.items() if name not in of_column}
    of_encodings = {name: value for name, value in of_call.items() if name in of_column}
    encodings = column.encodings
    if of_encodings:
        encodings = _with_encoding_arguments(encodings or (), of_encodings)
        build_encodings(encodings)
    config = replace(common, model=_with_arguments(model, of_model), encodings=encodings, **of_training)
    if of_model:
        canonical_model(config.model)
    canonical_encoder(config.encoder)
    canonical_bias(config.bias)
    canonical_perturb(config.perturb)
    canonical_head(config.head)
    return config


def _with_arguments(model: str, values: Mapping[str, Any]) -> str:
    """The call of a model with other arguments."""
    return _replaced(model, values, find_class(parse_call(model).name, model_classes(), "model"), SUPPLIED)


def _with_encoding_arguments(encodings: Collection[str], values: Mapping[str, Any]) -> tuple[str, ...]:
    """The calls of encodings with other arguments, each in the one that takes it."""
    return tuple(
        _replaced(text, {name: value for name, value in values.items() if name in known}, made, supplied_to(made))
        for text in encodings
        for known, made in [(_encoding_arguments(text), _class_of(text))]
    )


def _class_of(encoding: str) -> type:
    return find_encoding(parse_call(encoding).name)


def _model_arguments(model: str) -> list[str]:
    """The names of the arguments that a model's call takes.

    Raises:
        GraphPEValueError: There is no such model.
    """
    constructor = find_class(parse_call(model).name, model_classes(), "model")
    return [name for name in inspect.signature(constructor).parameters if name not in SUPPLIED]


def _encoding_arguments(encoding: str) -> list[str]:
    """The names of the arguments that an encoding's call takes.

    Raises:
        GraphPEValueError: There is no such encoding.
    """
    constructor = _class_of(encoding)
    return [name for name in inspect.signature(constructor).parameters if name not in supplied_to(constructor)]


def _check_names(names: Collection[str], arguments: Collection[str], where: str) -> None:
    """Check that options are a run's, or arguments of what they stand behind.

    Args:
        names: The options.
        arguments: Those arguments.
        where: What they stand in, for errors.

    Raises:
        GraphPEValueError: One is not.
    """
    known = [*training_options(), *(name for name in arguments if name not in OF_THE_GRID)]
    for name in names:
        if name in known:
            continue
        if name in OF_THE_GRID:
            raise GraphPEValueError(f"{where!r} has the option {name}, which is the whole grid's: give it to that")
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise GraphPEValueError(f"{where!r} has the option {name}, which is not known; known: {', '.join(known)}{hint}")


def _replaced(text: str, values: Mapping[str, Any], constructor: type, without: Collection[str]) -> str:
    if not values:
        return text
    call = parse_call(text)
    arguments = bind(call, constructor, without=without) if call.args else call.kwargs
    return str(Call(call.name, (), arguments | dict(values)))
