"""Looking at YAML files of options before they are read: some would never end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from graphpe.benchmarks.console.given import values_of
from graphpe.errors import GraphPERuntimeError
from graphpe.files.reading import read_text

_MOST_BYTES, _MOST_VALUES, _DEEPEST = 1 << 18, 10_000, 50


def check_config_files(arguments: Sequence[str]) -> None:
    """Raise where a file that `--config` names cannot be one of options.

    Raises:
        GraphPERuntimeError: It is a pipe or a device, no text, no mapping, unfolds into far too many values, or has a
            mapping where options have one value or a list.
    """
    for value in values_of("--config", arguments):
        path = Path(value).expanduser()
        if path.exists():
            _check_levels(path, read_options(path))


def _check_levels(path: Path, text: str) -> None:
    try:
        options = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return  # the parser of options says it better
    if options is not None and not isinstance(options, dict):
        raise GraphPERuntimeError(f"{path} is no file of options: write a line for each, such as `epochs: 5`")
    if options is not None:
        for name, value in options.items():
            if isinstance(value, dict):
                raise GraphPERuntimeError(
                    f"{path}: {name} is a mapping, which no option takes; write a value or a list"
                )


def read_options(path: Path) -> str:
    """The text of a file of options.

    Raises:
        GraphPERuntimeError: It is a pipe or a device, no text, or unfolds into far too many values.
    """
    text = read_text(path)
    if len(text) > _MOST_BYTES:
        raise GraphPERuntimeError(f"{path} has {len(text):,} characters, which is no file of options")
    try:
        values = _values(text)
    except yaml.YAMLError:
        return text  # the parser of options says it better
    if values > _MOST_VALUES:
        raise GraphPERuntimeError(
            f"{path} unfolds into more than {_MOST_VALUES:,} values (through & and *) or nests deeper than {_DEEPEST}: "
            "write out plain options"
        )
    return text


def _values(text: str) -> float:
    """How many values a text in YAML stands for; infinitely many where one holds itself, or nests deep."""
    sizes: dict[str, float] = {}
    open_: list[tuple[str | None, float]] = [(None, 0.0)]
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            open_.append((event.anchor, 1.0))
            if len(open_) > _DEEPEST:  # the parser's time grows with the square of it
                return float("inf")
            continue
        if isinstance(event, yaml.AliasEvent):
            anchor, size = None, sizes.get(str(event.anchor), float("inf"))
        elif isinstance(event, yaml.ScalarEvent):
            anchor, size = event.anchor, 1.0
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size = open_.pop()
        else:
            continue
        if anchor is not None:
            sizes[anchor] = size
        open_[-1] = open_[-1][0], open_[-1][1] + size
    return open_[0][1]
