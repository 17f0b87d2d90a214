"""One bit of a file is turned over: it is named, or it changes nothing."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import graphpe
from graphpe.benchmarks.calls.build import build_task
from graphpe.benchmarks.tasks.task import Task
from graphpe.errors import GraphPERuntimeError

from ..benchmarks.tasks.test_hostile_folders import WRITERS
from .commands import Forks
from .conftest import Count, Data, Figures, outcome, same_files

pytestmark = pytest.mark.attack


def flip(path: Path) -> None:
    """Turn over a bit that is drawn."""
    content = bytearray(path.read_bytes())
    bit = random.randrange(8 * len(content))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(bytes(content))


def test_a_run(forks: Forks, data: Data, tmp_path: Path, count: Count, figures: Figures) -> None:
    whole = tmp_path / "whole"
    forks.run(*data.train(), "--run", whole).success()
    expected = _result(whole)
    for name in ("config.yaml", "task.json", "metrics.jsonl", "last.pt", "best.pt", "summary.json"):
        for attack in range(count(4)):
            run = tmp_path / f"{name}{attack}"
            shutil.copytree(whole, run)
            if name != "summary.json":  # else the run is done, and nothing else is read
                (run / "summary.json").unlink()
            flip(run / name)
            ended = forks.run("train", "--resume", run, "--quiet")
            if ended.status == 0:
                assert _result(run) == expected
            else:
                assert str(run / name) in ended.one_line() or (name == "best.pt" and "last.pt" in ended.one_line())
            figures.add("a bit of a file of a run, then `graphpe train --resume`: named, or the same result")


def _result(run: Path) -> dict[str, object]:
    return {key: value for key, value in outcome(run).items() if key not in ("last.pt", "best.pt")}


def test_a_store(forks: Forks, data: Data, tmp_path: Path, count: Count, figures: Figures) -> None:
    store = tmp_path / "store"
    forks.run(*data.encode(), "--out", store).success()
    for name in ("graphs.safetensors", "manifest.json"):
        whole = (store / name).read_bytes()
        for _ in range(count(150)):
            flip(store / name)
            with pytest.raises(GraphPERuntimeError, match=str(store)) as caught:
                graphpe.EncodedDataset(store, verify=True)
            assert "\n" not in str(caught.value)
            (store / name).write_bytes(whole)
            figures.add("a bit of a store: named")
    graphpe.EncodedDataset(store, verify=True)


def test_a_store_that_is_not_finished(forks: Forks, data: Data, tmp_path: Path, count: Count, figures: Figures) -> None:
    command = data.encode()
    seconds = forks.timed(*command, "--out", tmp_path / "whole")
    for attack in range(count(8)):
        out = tmp_path / f"out{attack}"
        forks.start(*command, "--out", out).wait(random.uniform(0.3, 1) * seconds)
        files = [path for path in out.glob("*") if path.stat().st_size]
        if not files:
            continue
        flip(random.choice(files))
        ended = forks.run(*command, "--out", out)
        if ended.status == 0:
            assert same_files(out, tmp_path / "whole") or str(out) in _damage(out)
        else:
            assert str(out) in ended.one_line()
        figures.add("a bit of an unfinished store, then the same call: named, or the same bytes")


def _damage(out: Path) -> str:
    """What opening says: where it was finished already, its checksums are compared when it is read."""
    with pytest.raises(GraphPERuntimeError) as caught:
        graphpe.EncodedDataset(out, verify=True)
    return str(caught.value)


def test_a_file_of_graphs(data: Data, tmp_path: Path, count: Count, figures: Figures) -> None:
    expected, path = build_task(data.task).load(progress=False).fingerprint, tmp_path / "graphs.pt"
    for _ in range(count(150)):
        shutil.copy(data.file, path)
        flip(path)
        _named_or_same(build_task(f"data-file(path={str(path)!r})"), expected)
        figures.add("a bit of a user's .pt file: named, or the same graphs")


@pytest.mark.parametrize(("write", "_"), WRITERS, ids=[writer.__name__ for writer, _ in WRITERS])
def test_a_folder_of_a_dataset(
    write: Callable[[Path], Task], _: list[str], tmp_path: Path, count: Count, figures: Figures
) -> None:
    task = write(tmp_path / "clean")
    expected = task.load(progress=False).fingerprint
    checked = [path for ending in ("*.pt", "*.csv.gz") for path in (tmp_path / "clean").rglob(ending)]
    for attack in range(count(25)):
        root = tmp_path / f"root{attack}"
        shutil.copytree(tmp_path / "clean", root)
        path = root / random.choice(checked).relative_to(tmp_path / "clean")
        if path.parent.name != "processed":  # else it would not be read
            for processed in root.rglob("processed"):
                shutil.rmtree(processed)
        flip(path)
        _named_or_same(type(task)(root=str(root), download=False), expected)
        shutil.rmtree(root)
        figures.add("a bit of a file of a dataset (ZINC, PATTERN, MNIST, Peptides, OGB): named, or the same graphs")


def _named_or_same(task: Task, expected: str) -> None:
    try:
        found = task.load(progress=False).fingerprint
    except GraphPERuntimeError as error:
        assert "\n" not in str(error)  # noqa: PT017 (either may be)
    else:
        assert found == expected
