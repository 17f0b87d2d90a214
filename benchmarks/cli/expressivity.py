"""`graphpe expressivity`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from graphpe.benchmarks.calls.own import imported
from graphpe.benchmarks.console.parser import CommandParser, UsageError, expanded
from graphpe.benchmarks.expressivity.sets import (
    ALL_SETS,
    DATASETS,
    DEFAULT_ENCODINGS,
    DEFAULT_MODELS,
    MADE,
    USUAL_ENCODINGS,
    Case,
)
from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.files.atomic import write_atomically
from graphpe.progress import progress_bar

EXAMPLES = """
examples:
  graphpe expressivity --data dataset/expressivity
  graphpe expressivity --data dataset/expressivity --sets sr25 EXP --encodings "RandomWalkPE(walk_length=8)" --out a.csv
  graphpe expressivity --data dataset/expressivity --models "GRIT(layers=3)" --encodings "RelativeRandomWalkPE(8)"
  graphpe expressivity --data dataset/expressivity --models default --encodings default --out a.md a.tex --picture a.png
"""

DEFAULT = "default"
TABLES = (".md", ".csv", ".tex")
PICTURES = (".png", ".svg", ".pdf")


def add_expressivity(parser: CommandParser) -> None:
    """Add the options of `graphpe expressivity`."""
    parser.epilog = EXAMPLES
    parser.add_import()
    files = ", ".join(dict.fromkeys(DATASETS.values()))
    parser.add_argument("--data", type=str, help=f"folder that holds {files}; {', '.join(MADE)} needs none")
    parser.add_argument("--sets", nargs="+", type=str, help=f"any of {', '.join(ALL_SETS)} (default: all)")
    parser.add_argument(
        "--encodings",
        nargs="+",
        type=str,
        help='encodings, as calls; for a model joined by " + "; "none" is always among them; default: a list of '
        f"{len(DEFAULT_ENCODINGS)}, which is also what is taken without --models",
    )
    parser.add_argument(
        "--models",
        nargs="+",
        type=str,
        default=[],
        help="models with random weights, as calls: alone and with each of --encodings (without those, with "
        f"{USUAL_ENCODINGS[1]}); default: a list of {len(DEFAULT_MODELS)} models with encodings of their own",
    )
    parser.add_argument(
        "--encoder", type=str, default=Case("").encoder, help="what brings eigenvectors to --models, as for train"
    )
    parser.add_argument("--seeds", type=int, default=3, help="initialisations of each model")
    parser.add_argument(
        "--epochs", type=int, default=0, help="epochs for which models are trained on each pair; 0: random weights"
    )
    parser.add_argument(
        "--pairs", type=int, default=20, help="pairs of EXP and of CEXP, a sample, that models are tested on"
    )
    parser.add_argument(
        "--out", nargs="+", type=str, default=[], help="files of the table, .md, .csv or .tex (default: printed)"
    )
    parser.add_argument("--picture", type=str, default=None, help="file of a heat map, .png, .svg or .pdf")
    parser.add_argument("--rounds", type=int, default=0, help="rounds of message passing after an encoding alone")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random numbers of the comparison")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run_expressivity(parser: CommandParser, arguments: Sequence[str]) -> int:
    """Count the pairs of graphs that encodings and models tell apart, and print or write a table."""
    values = parser.values(arguments)
    with imported(values["imports"]):
        return _expressivity(values, arguments)


def _expressivity(values: dict[str, Any], arguments: Sequence[str]) -> int:
    # Imported here, so that `--help` is quick: torch and PyG take seconds.
    from graphpe.benchmarks.expressivity.bounds import bound_of, bound_of_model
    from graphpe.benchmarks.expressivity.graph_sets import read_sets
    from graphpe.benchmarks.expressivity.models import MOST_TESTED, compare_model
    from graphpe.benchmarks.expressivity.pairs import compare
    from graphpe.benchmarks.expressivity.picture import PictureFormat, heat_map
    from graphpe.benchmarks.expressivity.refinement import REFINEMENTS, pairs_alike
    from graphpe.benchmarks.expressivity.table import (
        Result,
        as_csv,
        as_latex,
        as_markdown,
        of_encoding,
        of_model,
        of_refinement,
    )

    named = values["sets"] or list(ALL_SETS)
    from_files = [name for name in named if name in DATASETS]
    if from_files and not values["data"]:
        raise UsageError(f"--data is missing: the folder that holds {DATASETS[from_files[0]]}")
    outs = [_writable(text, "--out", TABLES) for text in values["out"]]
    picture = None if values["picture"] is None else _writable(values["picture"], "--picture", PICTURES)
    for name, least in (("seed", 0), ("rounds", 0), ("epochs", 0), ("seeds", 1), ("pairs", 1)):
        if values[name] < least:
            raise GraphPEValueError(f"--{name} must be at least {least}, got {values[name]}")
    encodings = _encodings(values)
    cases, notes = _cases(values)
    sets = read_sets(Path(values["data"] or "").expanduser(), named)
    seed, seeds, epochs = values["seed"], values["seeds"], values["epochs"]
    too_many = next((data for data in sets if data.pairs > MOST_TESTED), None)
    if cases and epochs and too_many is not None:
        raise GraphPEValueError(
            f"--epochs trains a model for each pair, and {too_many.name} has {too_many.pairs:,}: name other --sets"
        )
    results: list[Result] = []
    alike: dict[tuple[str | None, str, int], Any] = {}  # pairs of a set, by the refinement that takes them for one
    total = (len(REFINEMENTS) + len(encodings) + len(cases)) * len(sets)
    with progress_bar(total=total, leave=False, disable=values["quiet"]) as bar:
        for refinement in REFINEMENTS:
            for data in sets:
                bar.set_description(f"{refinement}, {data.name}")
                alike[refinement, data.name, data.pairs] = same = pairs_alike(refinement, data)
                results.append(of_refinement(refinement, data, data.pairs - len(same)))
                bar.update()
        for encoding in encodings:
            bound = bound_of(encoding)
            for data in sets:
                bar.set_description(f"{type(encoding).__name__ if encoding else 'none'}, {data.name}")
                known = alike.get((bound, data.name, data.pairs))
                verdict = compare(encoding, data, rounds=values["rounds"], seed=seed, alike=known)
                results.append(of_encoding(verdict, bound))
                bar.update()
        for case in cases:
            bound = bound_of_model(case)
            for data in sets:
                bar.set_description(f"{case.model.partition('(')[0]}, {data.name}")
                some = data.fewer(values["pairs"]) if data.name in ("EXP", "CEXP") else data
                place = bound, some.name, some.pairs
                if bound is not None and place not in alike:
                    alike[place] = pairs_alike(bound, some)
                found = compare_model(case, some, seeds=seeds, epochs=epochs, seed=seed, alike=alike.get(place))
                results.append(of_model(found, bound))
                bar.update()
    command = shlex.join(["graphpe", "expressivity", *arguments])
    said: dict[str, Any] = {"seeds": seeds, "epochs": epochs}
    places: list[Path | None] = [*outs] if outs else [None]
    for out in places:
        kind = ".md" if out is None else out.suffix
        if kind == ".md":
            text = as_markdown(results, command, rounds=values["rounds"], notes=notes, **said)
        else:
            text = as_csv(results) if kind == ".csv" else as_latex(results, **said)
        if out is None:
            print(text, end="")
        else:
            _write(out, text)
    if picture is not None:
        form: PictureFormat = next(each for each in get_args(PictureFormat) if picture.suffix == f".{each}")
        _write(picture, heat_map(results, form))
    return 0


def _encodings(values: dict[str, Any]) -> list[Any]:
    """None for no encoding, and the encodings that are compared by themselves, each once."""
    from graphpe.benchmarks.calls.build import build_encodings, check_not_of_graphs, stored_encodings

    read = build_encodings if values["models"] else stored_encodings  # a model may make some itself
    found = [each for text in _texts(values) for each in read([text])]
    check_not_of_graphs(found)
    return [None, *{repr(each): each for each in found if each.keys or each.pair_keys}.values()]


def _texts(values: dict[str, Any]) -> list[str]:
    given = values["encodings"] or ([] if values["models"] else [DEFAULT])
    return [each for text in given for each in (DEFAULT_ENCODINGS if text == DEFAULT else [text])]


def _cases(values: dict[str, Any]) -> tuple[list[Case], list[str]]:
    """Models with encodings, and lines about those that do not go together."""
    from graphpe.benchmarks.expressivity.models import check_case

    cases: list[Case] = []
    notes = []
    for model in values["models"]:
        if model == DEFAULT:
            cases += DEFAULT_MODELS
            continue
        alone = Case(model)
        check_case(alone)
        cases.append(alone)
        for text in _texts(values) if values["encodings"] else USUAL_ENCODINGS:
            case = Case(model, text, values["encoder"])
            try:
                check_case(case)
            except GraphPEValueError as error:
                notes.append(f"{model} + {text}: {error}")
            else:
                cases.append(case)
    return list(dict.fromkeys(case if case.encodings != "none" else Case(case.model) for case in cases)), notes


def _writable(text: str, option: str, suffixes: Sequence[str]) -> Path:
    path = expanded(text)
    assert path is not None
    if path.suffix not in suffixes:
        *first, last = suffixes
        raise UsageError(f"{option} is {path}; it must end in {', '.join(first)} or {last}")
    if not path.absolute().parent.is_dir():
        raise GraphPERuntimeError(f"{path.absolute().parent} is no folder: {path.name} cannot be written there")
    return path


def _write(path: Path, content: str | bytes) -> None:
    try:
        write_atomically(path, content)
    except OSError as error:
        raise GraphPERuntimeError(f"{path} cannot be written: {error.strerror}") from None
    print(path)
