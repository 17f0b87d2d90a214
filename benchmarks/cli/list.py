"""`graphpe list`."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from graphpe.benchmarks.calls.build import (
    ENCODER_SUPPLIED,
    SUPPLIED,
    encoder_classes,
    encoding_classes,
    model_classes,
    task_classes,
)
from graphpe.benchmarks.cli.parser import CommandParser, UsageError
from graphpe.benchmarks.tasks.task import Task

KINDS = {
    "encodings": encoding_classes,
    "encoders": encoder_classes,
    "models": model_classes,
    "tasks": task_classes,
}


def add_list(parser: CommandParser) -> None:
    """Add the arguments of `graphpe list`."""
    parser.add_argument("what", nargs="*", type=str, help=f"any of {', '.join(KINDS)} (default: all)")


def run_list(parser: CommandParser, arguments: Sequence[str]) -> int:
    """Print one line for each encoding, model and task, and the call that builds it."""
    asked = parser.values(arguments)["what"] or list(KINDS)
    for kind in asked:
        if kind not in KINDS:
            raise UsageError(f"nothing to list under {kind!r}; known: {', '.join(KINDS)}")
    for position, kind in enumerate(asked):
        print(f"{'' if position == 0 else chr(10)}{kind}")
        for name, member in KINDS[kind]().items():
            print(f"  {member.name if issubclass(member, Task) else name:<22} {_first_line(member)}")
            print(f"  {'':<22} {_call(member)}")
    return 0


def _first_line(member: type) -> str:
    return (inspect.getdoc(member) or "").split("\n")[0].rstrip(".")


def _call(member: type) -> str:
    encoders = encoder_classes().values()
    parameters = [
        name if parameter.default is inspect.Parameter.empty else f"{name}={parameter.default!r}"
        for name, parameter in inspect.signature(member).parameters.items()
        if name not in SUPPLIED and not (member in encoders and name in ENCODER_SUPPLIED)
    ]
    return f"{member.__name__}({', '.join(parameters)})"
