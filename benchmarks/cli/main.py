"""`graphpe`: the command line. Every command is a module of its own with a parser of jsonargparse.

They are no subcommands of one such parser: that imports all of them and builds all their options for whichever is asked
(0.28 s of CPU time for `graphpe --help`, here 0.05), lists them without what they are for, and takes `--epoch` for
`--epochs`.
"""

from __future__ import annotations

import errno
import importlib
import io
import os
import sys
from collections.abc import Sequence

from graphpe.benchmarks.console.memory import memory_errors
from graphpe.benchmarks.console.signals import heard_at_once
from graphpe.errors import GraphPEError

COMMANDS = {
    "train": "train a model on a task",
    "pretrain": "train a model to predict encodings of graphs without labels",
    "predict": "predict with a trained model: molecules, graphs, the names of functions",
    "runs": "list trained runs, sort them, compare some",
    "encode": "encode a dataset once, onto disk",
    "expressivity": "count the pairs of graphs that encodings and models tell apart",
    "show": "draw an encoding on its graph",
    "grid": "train every encoding with every model, over seeds",
    "report": "tables, statistics and pictures of a grid",
    "list": "list encodings, models and tasks",
    "bench": "measure the speed of encodings and loading against PyG's (from a checkout)",
    "warmup": "compile what runs on this machine, ahead of the first use",
}
"""What each command is for. `graphpe NAME` is `add_NAME` and `run_NAME` of the module beside this one of that name."""

_BESIDE = {"pretrain": "train"}
"""Commands that stand in the module of another one, whose options they have."""


_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO)

_LONGEST = 3000
"""Characters of an error: more are of a value that was given, not of what is said about it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What follows `graphpe`; None means the process's own arguments.

    Returns:
        The exit status: 0, 1 for an error in the work, 2 for one in the command, 130 after Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # of a name that the terminal has no letters for
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        print(_help())
        return 0
    if given[0] == "--version":
        import graphpe

        print(f"graphpe {graphpe.__version__}")
        return 0
    name = given[0]
    if name not in COMMANDS:
        return _fail("graphpe", f"unknown command {name!r}; known: {', '.join(COMMANDS)}", 2)
    try:
        status = _run(name, given[1:])
        sys.stdout.flush()  # what cannot be written is an error here, not of the interpreter when it ends
        return status
    except GraphPEError as error:
        return _fail(f"graphpe {name}", str(error), getattr(error, "exit_code", 1))
    except KeyboardInterrupt:
        return _fail(f"graphpe {name}", "interrupted", 130)
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        sys.stderr.close()
        return 141
    except OSError as error:  # of a path that no reader or writer expected: a name too long, a folder that is locked
        if error.filename is None and error.errno in _FULL:
            sys.stdout = open(os.devnull, "w")  # what is left of the output has no place either
            return _fail(f"graphpe {name}", f"the output cannot be written: {error.strerror}", 1)
        if error.filename is None:
            raise
        return _fail(f"graphpe {name}", f"{_shortened(error.filename)}: {error.strerror}", 1)


def _run(name: str, arguments: Sequence[str]) -> int:
    # The parser and the command's module are imported here: `graphpe --help` needs neither.
    from graphpe.benchmarks.console.parser import CommandParser, UsageError, dashes_to_underscores

    command = importlib.import_module(f"graphpe.benchmarks.cli.{_BESIDE.get(name, name)}")
    parser = CommandParser(prog=f"graphpe {name}", description=COMMANDS[name], allow_abbrev=False)
    try:
        getattr(command, f"add_{name}")(parser)
        with heard_at_once(f"graphpe {name}"), memory_errors("give it less to do at once, or more memory"):
            return getattr(command, f"run_{name}")(parser, dashes_to_underscores(arguments))
    except UsageError as error:
        return _fail(f"graphpe {name}", f"{error} (see `graphpe {name} --help`)", 2)


def _fail(program: str, message: str, status: int) -> int:
    line = " ".join(message.split())
    print(f"{program}: error: {_shortened(line, _LONGEST)}", file=sys.stderr)
    return status


def _shortened(path: object, length: int = 120) -> str:
    text = os.fsdecode(path) if isinstance(path, str | bytes) else str(path)
    return text if len(text) <= length else f"{text[: length // 2]}...{text[3 - length // 2 :]}"


def _help() -> str:
    lines = [f"  graphpe {name:<12} {description}" for name, description in COMMANDS.items()]
    return "\n".join(
        [
            "graphpe: graph transformers with structural encodings",
            "",
            *lines,
            "",
            "graphpe COMMAND --help shows the options.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
