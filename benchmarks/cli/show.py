"""`graphpe show`."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from graphpe.benchmarks.calls.own import imported
from graphpe.benchmarks.console.parser import CommandParser, UsageError, expanded
from graphpe.errors import GraphPERuntimeError
from graphpe.files.atomic import write_atomically

_FORMATS = ("png", "svg", "pdf")


def add_show(parser: CommandParser) -> None:
    """Add the options of `graphpe show`."""
    parser.epilog = """
examples:
  graphpe show --encoding "MagneticLaplacianPE(k=4)"                   a function of Python's library
  graphpe show --data ogbg-molhiv --index 7 --encoding "LaplacianPE(k=8)" --out molecule.svg
  graphpe show --data encoded --index 7 --key laplacian_eigenvector_pe    what `graphpe encode --out encoded` wrote
"""
    parser.add_import()
    parser.add_argument(
        "--data",
        type=str,
        default="python-source()",
        help="an encoded folder, an OGB dataset (ogbg-...), a file that torch.save wrote, or a task's call",
    )
    parser.add_argument("--index", type=int, default=0, help="which graph")
    parser.add_argument("--encoding", type=str, default=None, help='what to compute and draw: "LaplacianPE(k=8)"')
    parser.add_argument("--key", type=str, default=None, help="what to draw of the values that the graphs have")
    parser.add_argument("--columns", type=int, default=None, help="columns to draw (default: at most 8)")
    parser.add_argument("--out", type=str, default="show.png", help="picture to write: .png, .svg or .pdf")
    parser.add_argument("--root", type=str, default="dataset", help="folder that holds OGB's folder of the dataset")
    parser.add_argument("--cache", type=str, default=None, help="folder for parsed data (default: the user's cache)")


def run_show(parser: CommandParser, arguments: Sequence[str]) -> int:
    """Draw an encoding of one graph into a file, and print its name."""
    values = parser.values(arguments)
    with imported(values["imports"]):
        return _show(values)


def _show(values: dict[str, Any]) -> int:
    # Imported here, so that `--help` is quick: torch and PyG take seconds.
    from graphpe.benchmarks.calls.build import stored_encodings
    from graphpe.benchmarks.calls.named_graphs import read_graphs
    from graphpe.drawing.plotting import plot_encoding
    from graphpe.storage.encoded import EncodedDataset
    from graphpe.storage.store import JOURNAL, MANIFEST

    out = Path(values["out"]).expanduser()
    if out.suffix.removeprefix(".") not in _FORMATS:
        raise UsageError(f"--out is {values['out']!r}; it must end with {', '.join('.' + name for name in _FORMATS)}")
    if (values["encoding"] is None) == (values["key"] is None):
        raise UsageError("give --encoding (to compute it) or --key (for what the graphs have), one of them")
    what: Any = values["key"]
    if values["encoding"] is not None:
        encodings = stored_encodings([values["encoding"]])
        if len(encodings) != 1:
            raise UsageError(f"--encoding is {values['encoding']!r}; a picture is of one encoding")
        (what,) = encodings
    folder = Path(values["data"]).expanduser()
    cache = expanded(values["cache"])
    root = Path(values["root"]).expanduser()
    encoded = (folder / MANIFEST).is_file() or (folder / JOURNAL).is_file()
    graphs = EncodedDataset(folder) if encoded else read_graphs(values["data"], root, cache=cache, quiet=True)
    figure = plot_encoding(graphs, what, values["index"], columns=values["columns"])
    picture = io.BytesIO()
    figure.savefig(picture, format=out.suffix.removeprefix("."), dpi=130)
    try:
        write_atomically(out, picture.getvalue())
    except OSError as error:
        raise GraphPERuntimeError(f"{out} cannot be written: {error.strerror or error}") from None
    print(out)
    return 0
