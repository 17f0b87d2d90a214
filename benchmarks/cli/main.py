"""`graphpe`: the command line. Every command is a function; its signature and docstring make the options."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from graphpe.benchmarks.cli.bench import add_bench, run_bench
from graphpe.benchmarks.cli.encode import add_encode, run_encode
from graphpe.benchmarks.cli.expressivity import add_expressivity, run_expressivity
from graphpe.benchmarks.cli.grid import add_grid, run_grid
from graphpe.benchmarks.cli.list import add_list, run_list
from graphpe.benchmarks.cli.parser import CommandParser, UsageError, dashes_to_underscores
from graphpe.benchmarks.cli.predict import add_predict, run_predict
from graphpe.benchmarks.cli.report import add_report, run_report
from graphpe.benchmarks.cli.show import add_show, run_show
from graphpe.benchmarks.cli.signals import heard_at_once
from graphpe.benchmarks.cli.train import add_train, run_train
from graphpe.benchmarks.memory import memory_errors
from graphpe.errors import GraphPEError

COMMANDS = {
    "train": (add_train, run_train, "train a model on a task"),
    "predict": (add_predict, run_predict, "name the functions of Python files with a trained model"),
    "encode": (add_encode, run_encode, "encode a dataset once, onto disk"),
    "expressivity": (add_expressivity, run_expressivity, "count the pairs of graphs that encodings tell apart"),
    "show": (add_show, run_show, "draw an encoding on its graph"),
    "grid": (add_grid, run_grid, "train every encoding with every model, over seeds"),
    "report": (add_report, run_report, "tables, statistics and pictures of a grid"),
    "list": (add_list, run_list, "list encodings, models and tasks"),
    "bench": (add_bench, run_bench, "measure the speed of encodings and loading against PyG's"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What follows `graphpe`; None means the process's own arguments.

    Returns:
        The exit status: 0, 1 for an error in the work, 2 for one in the command, 130 after Ctrl-C.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        print(_help())
        return 0
    if given[0] == "--version":
        import graphpe

        print(f"graphpe {graphpe.__version__}")
        return 0
    name, rest = given[0], dashes_to_underscores(given[1:])
    if name not in COMMANDS:
        return _fail("graphpe", f"unknown command {name!r}; known: {', '.join(COMMANDS)}", 2)
    add_arguments, run, description = COMMANDS[name]
    parser = CommandParser(prog=f"graphpe {name}", description=description, allow_abbrev=False)
    try:
        add_arguments(parser)
        with heard_at_once(f"graphpe {name}"), memory_errors("give it less to do at once, or more memory"):
            return run(parser, rest)
    except UsageError as error:
        return _fail(f"graphpe {name}", f"{error} (see `graphpe {name} --help`)", 2)
    except GraphPEError as error:
        return _fail(f"graphpe {name}", str(error), getattr(error, "exit_code", 1))
    except KeyboardInterrupt:
        return _fail(f"graphpe {name}", "interrupted", 130)
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        sys.stderr.close()
        return 141


def _fail(program: str, message: str, status: int) -> int:
    print(f"{program}: error: {' '.join(message.split())}", file=sys.stderr)
    return status


def _help() -> str:
    lines = [f"  graphpe {name:<12} {description}" for name, (_, _, description) in COMMANDS.items()]
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
