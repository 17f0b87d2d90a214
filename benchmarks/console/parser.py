"""The argument parser all commands share: options from typed signatures, or from a YAML file, and one-line errors."""

from __future__ import annotations

import re
from argparse import RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ActionYesNo, ArgumentParser, DefaultHelpFormatter

from graphpe.benchmarks.console.config_file import check_config_files
from graphpe.calls import LARGEST
from graphpe.errors import GraphPEError


class UsageError(GraphPEError):
    """The command line or its YAML file is not understood."""


class _ExamplesAsWritten(RawDescriptionHelpFormatter, DefaultHelpFormatter):
    """Options with their types and defaults; examples one a line."""


class CommandParser(ArgumentParser):
    """A parser that raises `UsageError` with one line instead of printing its usage and leaving."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=_ExamplesAsWritten, **options)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise instead of exiting."""
        raise UsageError(_one_line(message)) from ex

    def given(self, arguments: Sequence[str]) -> dict[str, Any]:
        """Only what was given, on the command line or in the YAML file; no defaults."""
        return {key: value for key, value in self._parse(arguments, defaults=False).items() if value is not None}

    def values(self, arguments: Sequence[str]) -> dict[str, Any]:
        """All options, defaults included."""
        return self._parse(arguments, defaults=True)

    def add_import(self) -> None:
        """Add `--import`, the option for encodings, models and tasks of one's own; its values are under `imports`."""
        about = (
            "a Python module, my_module or my_model.py, whose encodings, models and tasks can be named, too; repeatable"
        )
        names = ("--import", "--imports")
        self.add_argument(*names, dest="imports", action="extend", nargs=1, default=[], metavar="MODULE", help=about)

    def add_fanout(self) -> None:
        """Add `--fanout`, an option of training that is several numbers."""
        about = "with --sampler neighbors, most incoming edges of a node that are drawn in each hop; -1 for all"
        self.add_argument("--fanout", nargs="+", type=int, default=[15, 10, 5], help=about)

    def add_graphs(self) -> None:
        """Add `--graphs` and `--no-graphs`, an option of training that is on or off."""
        about = "on CUDA, whether steps are captured as graphs of kernels, with batches padded to a few shapes"
        self.add_argument("--graphs", action=ActionYesNo(yes_prefix="", no_prefix="no_"), default=True, help=about)

    def _parse(self, arguments: Sequence[str], *, defaults: bool) -> dict[str, Any]:
        arguments = [_with_home(argument) for argument in arguments]
        check_config_files(arguments)
        namespace = self.parse_args(arguments, defaults=defaults)
        values = namespace.as_dict()
        values.pop("config", None)
        for name, value in values.items():
            if isinstance(value, int) and abs(value) > LARGEST:
                raise UsageError(f"--{name.replace('_', '-')} is {value}; it must be at most {LARGEST}")
        return values


def dashes_to_underscores(arguments: Sequence[str]) -> list[str]:
    """Let `--batch-size` stand for `--batch_size`."""
    return [
        re.sub(r"^--[\w-]+", lambda match: "--" + match.group()[2:].replace("-", "_"), argument)
        for argument in arguments
    ]


def expanded(text: str | None) -> Path | None:
    """The path that an option names, with the user's home for `~`; None where it is not given.

    Raises:
        UsageError: There is no such home.
    """
    if text is None:
        return None
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{text}: {error}") from None


def _with_home(argument: str) -> str:
    """`--option=~/file` with the user's home, which shells leave as it is."""
    option, equals, value = argument.partition("=")
    if option.startswith("--") and equals and value.startswith("~"):
        return f"{option}={expanded(value)}"
    return argument


def _one_line(message: str) -> str:
    return " ".join(message.replace("error: ", "").split())
