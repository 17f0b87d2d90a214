from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from graphpe.benchmarks.calls.build import task_classes
from graphpe.benchmarks.cli.train import add_train
from graphpe.benchmarks.console.parser import CommandParser, dashes_to_underscores
from graphpe.benchmarks.grid.reports.page.command import ALWAYS, train_command
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.errors import GraphPEError

PLAIN = TrainConfig(task="Bridges(family='random')", model='GPS(width=8, local="GINE")', encodings=())
OTHER = TrainConfig(
    task="Zinc(root='a folder')",
    sizes="16 | 17-24",
    model="GINE(width=8)",
    encodings=("LaplacianPE(k=8)", "DegreePE()"),
    imports=("one.py", "two"),
    encoder="SPE()",
    bias="PairBias(head='fire')",
    fanout=(3, 2),
    graphs=False,
    patience=0,
    learning_rate=1e-3,
    precision="bf16-mixed",
    seed=3,
)


@pytest.mark.parametrize(
    "config", [PLAIN, OTHER, replace(PLAIN, encoder="EigenvectorEncoding()")], ids=["plain", "other", "full"]
)
def test_the_command_has_the_options_of_the_run(config: TrainConfig) -> None:
    words = shlex.split(train_command(config))
    assert words[:2] == ["graphpe", "train"]
    parser = CommandParser(prog="graphpe train", allow_abbrev=False)
    add_train(parser)
    values = parser.values(dashes_to_underscores(words[2:]))
    for name, value in config.as_dict().items():
        parsed = list(values[name]) if isinstance(value, list) else values[name]
        if name == "encodings" and not value:
            assert parsed == ["none"]
        elif name == "encoder":
            assert parsed == value.removesuffix("()") or parsed == value
        else:
            assert parsed == value, name


def test_what_is_the_default_is_not_said() -> None:
    command = train_command(PLAIN)
    assert "--dropout" not in command
    assert "--schedule" not in command
    assert "--encoder" not in train_command(replace(PLAIN, encoder="EigenvectorEncoding()"))


def test_options_that_tasks_set_by_themselves_are_always_said() -> None:
    found = set()
    for each in task_classes().values():
        for sampler in ("whole", "neighbors", "partitions"):
            try:
                found |= set(each().training_defaults(sampler))
            except (TypeError, GraphPEError):  # it needs a path, or a package
                continue
    assert "epochs" in found
    assert found <= set(ALWAYS)
