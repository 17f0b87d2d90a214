"""Arguments as one writes them in a shell."""

from __future__ import annotations

import shlex


def quoted(argument: str) -> str:
    """For a shell; in double quotes where that is plainer than what `shlex` makes of single ones."""
    if argument.startswith("--"):
        argument = argument.replace("_", "-")  # the parser has both
    plain = shlex.quote(argument)
    return f'"{argument}"' if "'" in argument and not set(argument) & set('"$`\\!') else plain
