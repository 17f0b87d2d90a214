"""`graphpe train`, and `graphpe pretrain`, which is the same of a task whose targets are encodings."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from graphpe.arguments import check_integer
from graphpe.benchmarks.calls.own import imported
from graphpe.benchmarks.calls.recipes import Recipe, named_recipe
from graphpe.benchmarks.console.data import DataOptions, add_data
from graphpe.benchmarks.console.parser import CommandParser, UsageError, expanded
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.benchmarks.training.run_folder import RunFolder
from graphpe.files.once import read_once

EXAMPLES = """
examples:
  graphpe train                                        the embedded task, from the Python source on this machine
  graphpe train molecules.csv --target solubility      your own: a table of SMILES, also .tsv and .parquet
  graphpe train graphs.pt                              graphs that PyG saved, a folder of edge lists, networkx JSON
  graphpe train train.csv --valid valid.csv --test test.csv --target active --skip-bad
  graphpe train src/                                   the functions of another source tree
  graphpe train new.csv --target y --init runs/smiles-table-001    from the weights of another run
  graphpe train --encodings "LaplacianPE(k=8)" --model "GraphTransformer(width=64, layers=4)" --epochs 5
  graphpe train --resume runs/python-source-001        go on after Ctrl-C, a crash or a kill
  graphpe train --recipe grit-zinc --root data/zinc    a published configuration (`graphpe list recipes`)
  graphpe train --import my_model.py --model "MyModel(width=32)"   an architecture of your own
  graphpe train --config runs/python-source-001/config.yaml --seed 1
"""

PRETRAIN_EXAMPLES = """
examples:
  graphpe pretrain molecules.csv --predict "RandomWalkPE(walk_length=8)" "ResistancePE()"    reads no labels
  graphpe pretrain graphs.pt --predict "LaplacianPE(k=8)" --features random    from random features, as GPSE does
  graphpe pretrain --task zinc --predict "RelativeRandomWalkPE(walk_length=8)" --model "GRIT(width=64, layers=4)"
  graphpe pretrain --task "python-source(graph='ast')" --predict "MagneticLaplacianPE(k=4)" "DepthPE()"
  graphpe train --task zinc --init runs/pretraining-001                     start from its weights
  graphpe train --task zinc --encodings "PretrainedPE(run='runs/pretraining-001')"     its vectors of nodes as encoding
  graphpe pretrain --resume runs/pretraining-001
"""

_PRETRAINED = "GPS(width=64, layers=4)"
"""The model where none is named: without encodings as inputs, it needs messages along edges."""

_OF_THE_MODEL = ("model", "encodings", "encoder", "bias", "perturb", "rewire", "encoding_width", "head")
"""Options that a run which starts from another one has from there, unless they are given."""


def add_train(parser: CommandParser) -> None:
    """Add the options of `graphpe train`."""
    parser.epilog = EXAMPLES
    parser.add_argument(
        "--recipe", type=str, default=None, help="a published configuration by name; options beside it replace its own"
    )
    parser.add_argument(
        "--predict_encodings",
        nargs="+",
        type=str,
        default=None,
        help='encodings to predict beside the targets, as calls: "RandomWalkPE(walk_length=8)"; inputs only where '
        "--perturb hides them",
    )
    parser.add_argument("--predict_weight", type=float, default=0.1, help="of the loss of these encodings")
    _add_training(parser)


def add_pretrain(parser: CommandParser) -> None:
    """Add the options of `graphpe pretrain`."""
    parser.epilog = PRETRAIN_EXAMPLES
    parser.add_argument(
        "--predict",
        nargs="+",
        type=str,
        default=None,
        help='encodings to predict, as calls: "RandomWalkPE(walk_length=8)" "ResistancePE()"; of nodes or of pairs',
    )
    parser.add_argument(
        "--features",
        type=str,
        default="task",
        help="what the model reads of nodes and edges: task, or random for random features of nodes and nothing else",
    )
    parser.add_argument("--partners", type=int, default=32, help="pairs that each node is asked about, at most")
    _add_training(parser)
    parser.set_defaults({"model": _PRETRAINED, "encodings": ["none"]})


def _add_training(parser: CommandParser) -> None:
    add_data(parser)
    parser.add_argument("--config", action="config", help="YAML file with any of these options")
    parser.add_argument("--run", type=str, default=None, help="folder of the run (default: runs/<task>-001, and so on)")
    parser.add_argument("--resume", type=str, default=None, help="run folder to go on with")
    parser.add_argument("--workers", type=int, default=0, help="processes that read data; 0: one a core")
    parser.add_argument(
        "--cache", type=str, default=None, help="folder for parsed data (default: the user's cache folder)"
    )
    parser.add_argument("--quiet", action="store_true", help="print only the result")
    parser.add_import()
    parser.add_argument(
        "--log",
        type=str,
        default="none",
        help="tensorboard or wandb (pip install 'graphpe[log]'): where the numbers of each epoch go beside metrics.csv "
        "and metrics.jsonl of the run",
    )
    parser.add_class_arguments(TrainConfig, skip={"encodings", "imports", "fanout", "graphs"})
    parser.add_fanout()
    parser.add_graphs()
    parser.add_argument(
        "--encodings",
        nargs="*",
        type=str,
        default=None,
        help='encodings, as calls: "LaplacianPE(k=8)" "RandomWalkPE(walk_length=8)"; "none", or nothing after it, for '
        'no encoding; "published", or no option, for what the model is published with, or else suits the task',
    )


def run_train(parser: CommandParser, arguments: Sequence[str]) -> int:
    """Train, or go on training, and print the result."""
    with read_once():
        if (recipe := named_recipe(arguments)) is not None:
            parser.set_defaults(recipe.options)
        values = parser.values(arguments)
        values.pop("recipe")
        given = parser.given(arguments)
        predict, weight = (values.pop(name) for name in ("predict_encodings", "predict_weight"))
        if predict is not None:
            from graphpe.benchmarks.pretraining.auxiliary import WithEncodings

            if values["resume"] is not None:
                raise UsageError("--predict-encodings is of a new run and --resume goes on with an old one; give one")
            with imported(values["imports"]):
                task = WithEncodings(_labelled(values, given), tuple(predict), weight)
                _asks(values, given, repr(task.understood()))
        elif "predict_weight" in given:
            raise UsageError("--predict-weight is of --predict-encodings, which is missing: name encodings")
        return _train(values, given, recipe)


def run_pretrain(parser: CommandParser, arguments: Sequence[str]) -> int:
    """Train a model to predict encodings, or go on with it, and print the result."""
    with read_once():
        values, given = parser.values(arguments), parser.given(arguments)
        about = {name: values.pop(name) for name in ("predict", "features", "partners")}
        if values["resume"] is None:
            from graphpe.benchmarks.pretraining.task import Pretraining

            if not about["predict"]:
                raise UsageError('--predict is missing: name encodings, such as "RandomWalkPE(walk_length=8)"')
            with imported(values["imports"]):
                task = Pretraining(
                    _graphs_of(values, given), tuple(about["predict"]), about["features"], about["partners"]
                )
                _asks(values, given, repr(task.understood()))
        elif twice := sorted(name for name in about if name in given):
            raise UsageError(f"--{twice[0]} is of a new run and --resume goes on with an old one; give one of them")
        return _train(values, given, None)


def _asks(values: dict[str, Any], given: dict[str, Any], task: str) -> None:
    """Let a task about another one's graphs take its place, and that of DATA."""
    if not values["quiet"] and _is_first():
        print(f"task {task}", flush=True)
    given["task"] = values["task"] = task
    given.pop("root", None)
    values |= {"root": None, "own_data": None, "target": None, "valid": None, "test": None, "skip_bad": False}


def _graphs_of(values: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """The task whose graphs are to be encoded: DATA without targets unless some are named, or `--task`."""
    from graphpe.benchmarks.calls.data import unlabelled_task

    options = DataOptions.take(dict(values))
    if options.data is not None and not options.targets and "task" not in given:
        return repr(unlabelled_task(options.data, options).understood())
    return _labelled(values, given)


def _labelled(values: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """The task that DATA or `--task` is."""
    from graphpe.benchmarks.calls.build import canonical_task
    from graphpe.benchmarks.calls.data import own_task

    options = DataOptions.take(dict(values))
    own = own_task(options, given.get("task"), given_by="--task")
    return own if own is not None else canonical_task(values["task"], values["root"])


def _train(values: dict[str, Any], given: dict[str, Any], recipe: Recipe | None) -> int:
    # Imported here, so that `--help` is quick: torch and PyG take seconds.
    from graphpe.benchmarks.calls.build import without_imposed
    from graphpe.benchmarks.calls.data import own_task
    from graphpe.benchmarks.training.experiment import check_resumable, resolve, run_experiment
    from graphpe.benchmarks.training.logs.epoch_log import check_log
    from graphpe.benchmarks.training.summary import next_lines, summary_lines

    path, resume_path, workers, cache, quiet, log = (
        values.pop(key) for key in ("run", "resume", "workers", "cache", "quiet", "log")
    )
    check_log(log)
    check_integer("workers", workers, least=0)
    with imported(values["imports"]):
        task = own_task(DataOptions.take(values), given.get("task"), given_by="--task")
    if task is not None:
        given["task"] = values["task"] = task
        if not quiet and _is_first():
            print(f"task {task}", flush=True)
    resume = None
    if (old := expanded(resume_path)) is not None:
        if path is not None:
            raise UsageError("--run names a new run and --resume an old one; give one of them")
        if recipe is not None:
            raise UsageError("--recipe is of a new run and --resume goes on with an old one; give one of them")
        resume = RunFolder.open(old)
        config = check_resumable(resume, given)
    else:
        if (start := expanded(None if values["init"] == "none" else values["init"])) is not None:
            its = RunFolder.open(start).read_config()
            taken = {name: getattr(its, name) for name in _OF_THE_MODEL if name not in given}
            with imported(values["imports"]):
                taken |= {"model": without_imposed(its.model, its.task)} if "model" in taken else {}
            values |= taken
        suited = _suited(values, {*given, *({} if recipe is None else recipe.options)})
        if suited and not quiet and _is_first():
            print("as suits the task: " + ", ".join(f"{name} {value}" for name, value in suited.items()), flush=True)
        values |= suited
        config = resolve(TrainConfig(**values))
    if recipe is not None and not quiet:
        print(f"{recipe.name} ({recipe.paper}): {recipe.published}; {recipe.cost}; differs: {recipe.differs}")
    summary = run_experiment(
        config,
        run_path=expanded(path),
        resume=resume,
        workers=workers,
        cache=expanded(cache),
        progress=not quiet,
        log=log,
    )
    if _is_first():
        print("\n".join(summary_lines(summary)))
        if not quiet:
            with imported(config.imports):
                lines = next_lines(summary, config.imports)
            print("\n".join(lines))
    return 0


def _suited(values: Mapping[str, Any], given: Collection[str]) -> dict[str, Any]:
    """Options of training that suit the task, as far as they are not given."""
    from graphpe.benchmarks.calls.build import build_task

    with imported(values["imports"]):
        options = build_task(values["task"]).training_defaults(values["sampler"])
    return {name: value for name, value in options.items() if name not in given}


def _is_first() -> bool:
    from lightning_fabric.utilities.rank_zero import rank_zero_only

    return getattr(rank_zero_only, "rank", 0) == 0  # Fabric keeps the number of this process there
