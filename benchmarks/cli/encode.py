"""`graphpe encode`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from graphpe.benchmarks.calls.own import imported
from graphpe.benchmarks.console.data import DataOptions, add_data
from graphpe.benchmarks.console.parser import CommandParser, UsageError, expanded
from graphpe.errors import GraphPEValueError, GraphRangeError

EXAMPLES = """
examples:
  graphpe encode --data ogbg-molhiv --encodings "LaplacianPE(k=8)" "RandomWalkPE(walk_length=16)" --out encoded
  graphpe encode graphs.pt --encodings "RelativeRandomWalkPE(walk_length=8)" --out encoded --workers 4
  graphpe encode molecules.csv --target solubility --encodings "LaplacianPE(k=8)" --out encoded
  graphpe encode --data "python-source(graph='ast')" --encodings "MagneticLaplacianPE(k=8)" --out encoded
the same command goes on after Ctrl-C, a crash or a kill; graphpe.EncodedDataset("encoded") reads the result, and
`graphpe train encoded` trains on it
"""


def add_encode(parser: CommandParser) -> None:
    """Add the options of `graphpe encode`."""
    parser.epilog = EXAMPLES
    add_data(parser)
    parser.add_import()
    parser.add_argument("--config", action="config", help="YAML file with any of these options")
    parser.add_argument(
        "--data",
        type=str,
        help="an OGB dataset (ogbg-...), a file that torch.save wrote (a list of PyG Data), a dataset's folder "
        "(PyG or graphpe encode), or a task's call",
    )
    parser.add_argument(
        "--encodings", nargs="+", type=str, help='encodings, as calls: "LaplacianPE(k=8)"; "none" for the bare graphs'
    )
    parser.add_argument("--out", type=str, default=None, help="folder of the result (default: in the user's cache)")
    parser.add_argument("--root", type=str, default="dataset", help="folder that holds OGB's folder of the dataset")
    parser.add_argument("--workers", type=int, default=0, help="processes that encode; 0: this one (Ray: one a CPU)")
    parser.add_argument("--engine", type=str, default="local", help="local, or ray for a Ray cluster")
    parser.add_argument("--device", type=str, default="cpu", help="cpu or cuda")
    parser.add_argument(
        "--shard_graphs", type=int, default=None, help="graphs written and checked at once (default: 1024)"
    )
    parser.add_argument("--pair_limit", type=int, default=None, help="bytes pair encodings may take (default: 4 GiB)")
    parser.add_argument("--cache", type=str, default=None, help="folder for parsed data (default: the user's cache)")
    parser.add_argument("--quiet", action="store_true", help="print only the folder of the result")


def run_encode(parser: CommandParser, arguments: Sequence[str]) -> int:
    """Encode a dataset onto disk, or go on with it, and print where it is."""
    values = parser.values(arguments)
    with imported(values["imports"]):
        return _encode(values)


def _encode(values: dict[str, Any]) -> int:
    # Imported here, so that `--help` is quick: torch and PyG take seconds.
    from graphpe.benchmarks.calls.build import stored_encodings
    from graphpe.benchmarks.calls.named_graphs import read_graphs
    from graphpe.storage.precompute import precompute
    from graphpe.storage.workers import Engine
    from graphpe.transforms.compose import Compose

    options = DataOptions.take(values)
    if options.data is not None:
        if values["data"]:
            raise UsageError(f"{options.data} and --data {values['data']} are two datasets: give one of them")
        values["data"] = options.data
    for name in ("data", "encodings"):
        if not values[name]:
            raise UsageError(f"--{name} is missing")
    engine = values["engine"]
    if engine not in get_args(Engine):
        raise UsageError(f"--engine is {engine!r}; it must be one of {', '.join(get_args(Engine))}")
    encodings = stored_encodings(values["encodings"])
    cache = expanded(values["cache"])
    graphs = read_graphs(
        values["data"], Path(values["root"]).expanduser(), options=options, cache=cache, quiet=values["quiet"]
    )
    try:
        dataset = precompute(
            graphs,
            encodings[0] if len(encodings) == 1 else Compose(encodings),
            values["out"],
            device=values["device"],
            workers=values["workers"],
            engine=engine,
            progress=not values["quiet"],
            **{name: values[name] for name in ("shard_graphs", "pair_limit") if values[name] is not None},
        )
    except GraphRangeError as error:
        raise GraphPEValueError(f"{values['data']}, {error}") from None
    if values["quiet"]:
        print(dataset.root)
    return 0
