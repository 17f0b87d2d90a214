"""What stands behind an option among the arguments of a command, before they are parsed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def values_of(option: str, arguments: Sequence[str]) -> Iterator[str]:
    """The values of `--option value` and `--option=value`, in order; none where nothing follows.

    Args:
        option: With its dashes.
        arguments: What follows the name of the command.
    """
    for place, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name == option and (equals or place + 1 < len(arguments)):
            yield value if equals else arguments[place + 1]
