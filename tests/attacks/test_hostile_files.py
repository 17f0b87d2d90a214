"""Files that would execute something, or never end, wherever a command opens one."""

from __future__ import annotations

import os
import pickle
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch_geometric.data import Data as Graph

from graphpe.benchmarks.tasks.task import Task

from ..benchmarks.tasks.test_hostile_folders import WRITERS
from .commands import Forks
from .conftest import Count, Data, Figures, small_graphs

pytestmark = pytest.mark.attack


class Payload:
    """Touches a file when it is unpickled, in one of several ways."""

    def __init__(self, canary: Path, way: int) -> None:
        self.canary, self.way = str(canary), way

    def __reduce__(self) -> Any:
        ways: list[Any] = [
            (os.system, (f"touch {self.canary}",)),
            (os.mkdir, (self.canary,)),
            (exec, (f"open({self.canary!r}, 'w')",)),
            (eval, (f"open({self.canary!r}, 'w')",)),
            (open, (self.canary, "w")),
            (subprocess.Popen, (["touch", self.canary],)),
        ]
        if self.way == len(ways):  # inside the memory of a tensor
            return torch.storage._load_from_bytes, (pickle.dumps(Payload(Path(self.canary), 1)),)
        return ways[self.way]


FORMS = ("zip", "legacy", "pickle")


def plant(path: Path, canary: Path) -> None:
    """Write a payload in place of a file: beside graphs, in one, or alone."""
    payload = Payload(canary, random.randrange(7))
    graph = small_graphs(1)[0]
    graph.extra = payload
    content = random.choice([payload, [torch.zeros(1), payload], {"model": payload}, [*small_graphs(3), graph]])
    form = random.choice(FORMS)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    if form == "pickle":
        path.write_bytes(pickle.dumps(content, protocol=random.randint(2, 5)))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")


def test_a_user_file(forks: Forks, data: Data, tmp_path: Path, count: Count, figures: Figures) -> None:
    path, canary = tmp_path / "graphs.pt", tmp_path / "canary"
    for attack in range(count(8)):
        plant(path, canary)
        command = random.choice([data.encode(), data.train()])
        with_file = [str(each).replace(str(data.file), str(path)) for each in command]
        target = ["--out" if command[0] == "encode" else "--run", tmp_path / str(attack)]
        assert "graphs.pt" in forks.run(*with_file, *target).one_line()
        assert not canary.exists()
        figures.add("a payload in a user's file, through `encode` and `train`: refused, not executed")


@pytest.mark.parametrize(("write", "files"), WRITERS, ids=[writer.__name__ for writer, _ in WRITERS])
def test_a_folder_of_a_dataset(
    write: Callable[[Path], Task],
    files: list[str],
    forks: Forks,
    data: Data,
    tmp_path: Path,
    count: Count,
    figures: Figures,
) -> None:
    task, canary = write(tmp_path / "clean"), tmp_path / "canary"
    task.load(progress=False)
    (processed,) = (path.relative_to(tmp_path / "clean") for path in (tmp_path / "clean").rglob("processed"))
    records = [str(processed / name) for name in ("pre_transform.pt", "pre_filter.pt")]
    for attack in range(count(3)):
        root, name = tmp_path / f"root{attack}", random.choice([*files, *records])
        shutil.copytree(tmp_path / "clean", root)
        if "/raw/" in f"/{name}":
            shutil.rmtree(root / processed)
        plant(root / name, canary)
        given = repr(type(task)(root=str(root), download=False))
        command = ["encode", "--data", given, "--encodings", "DegreePE(max_degree=3)", "--out", tmp_path / f"o{attack}"]
        ended = forks.run(*command, "--quiet")
        assert not canary.exists()
        if name in records:  # which nobody reads
            ended.success()
        else:
            ended.one_line()
        figures.add("a payload in a dataset's folder, through `encode`: refused, not executed")


def test_a_checkpoint(forks: Forks, data: Data, tmp_path: Path, count: Count, figures: Figures) -> None:
    whole, canary = tmp_path / "whole", tmp_path / "canary"
    forks.run(*data.train(), "--run", whole).success()
    for attack in range(count(8)):
        run, name = tmp_path / f"run{attack}", random.choice(["last.pt", "best.pt"])
        shutil.copytree(whole, run)
        (run / "summary.json").unlink()
        plant(run / name, canary)
        ended = forks.run("train", "--resume", run, "--quiet")
        assert not canary.exists()
        if ended.status:  # else `best.pt` was written again from `last.pt`
            assert str(run) in ended.one_line()
        figures.add("a payload in a checkpoint, through `train --resume`: refused, not executed")


NEVER_ENDING: list[tuple[str, Callable[[Path], object]]] = [
    ("a link to /dev/zero", lambda path: path.symlink_to("/dev/zero")),
    ("a pipe", lambda path: os.mkfifo(path)),
]


@pytest.mark.parametrize(("what", "make"), NEVER_ENDING, ids=["zero", "pipe"])
def test_what_never_ends(
    what: str, make: Callable[[Path], object], forks: Forks, data: Data, tmp_path: Path, figures: Figures
) -> None:
    whole = tmp_path / "whole"
    forks.run(*data.train(), "--run", whole).success()
    (whole / "summary.json").unlink()
    store = tmp_path / "store"
    forks.run(*data.encode(), "--out", store).success()

    def attack(place: Path, *command: object, mended: bool = False) -> None:
        place.unlink(missing_ok=True)
        make(place)
        ended = forks.run(*command, seconds=60)
        if not (mended and ended.status == 0):
            ended.one_line()
        figures.add("a pipe or an endless device in place of a file: refused, or not read")

    for name in ("config.yaml", "task.json", "last.pt", "best.pt"):
        run = tmp_path / f"run-{name}"
        shutil.copytree(whole, run)
        attack(run / name, "train", "--resume", run, "--quiet", mended=name in ("task.json", "best.pt"))
    for name in ("manifest.json", "graphs.safetensors"):
        copy = tmp_path / f"store-{name}"
        shutil.copytree(store, copy)
        attack(copy / name, "encode", "--data", copy, "--encodings", "none", "--out", tmp_path / "o", "--quiet")
    given = [str(each).replace(str(data.file), str(tmp_path / "given")) for each in data.train()]
    attack(tmp_path / "given", *given, "--run", tmp_path / "r")
    attack(tmp_path / "options.yaml", "train", "--config", tmp_path / "options.yaml")
    attack(tmp_path / "split.json", *[each.replace("given')", "x')") for each in given], "--run", tmp_path / "r2")


def test_texts_of_every_kind(forks: Forks, tmp_path: Path, figures: Figures) -> None:
    alias = "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    texts = {
        "deep": b"epochs: " + b"[" * 100_000,
        "aliases": b"a: &a [x, x]\n" + alias.encode() + b"epochs: *i\n",
        "utf-16": "epochs: 3\n".encode("utf-16"),
        "latin-1": 'task: "\u00fc"\n'.encode("latin-1"),
        "bytes": random.randbytes(500),
        "null": b'epochs: "\0"\n',
        "long": b"#" + b"x" * 300_000,
    }
    for name, content in texts.items():
        (tmp_path / f"{name}.yaml").write_bytes(content)
        forks.run("train", "--config", tmp_path / f"{name}.yaml", seconds=60).one_line()
        (tmp_path / f"{name}.json").write_bytes(content if name != "deep" else b"[" * 100_000)
        task = f"networkx-list(path={str(tmp_path / f'{name}.json')!r})"
        forks.run("train", "--task", task, "--run", tmp_path / "run", seconds=60).one_line()
        figures.add("texts of odd encodings, deep JSON, YAML that unfolds: refused in one line", 2)


def test_graph_attributes_do_not_execute(tmp_path: Path) -> None:
    """The payloads do what they say where nobody stops them."""
    canary = tmp_path / "canary"
    torch.save([Graph(extra=Payload(canary, 1))], tmp_path / "graphs.pt")
    torch.load(tmp_path / "graphs.pt", weights_only=False)
    assert canary.exists()
