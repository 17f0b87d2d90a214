from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from graphpe.benchmarks.tasks.user.splits import (
    check_fractions,
    choose_split,
    named_split,
    random_split,
    read_split,
    scaffold_split,
)
from graphpe.errors import GraphPERuntimeError, GraphPEValueError


def where(row: int) -> str:
    return f"line {row + 2}"


def test_random_splits_cover_everything_once() -> None:
    split = random_split(101, (0.7, 0.2, 0.1), seed=3)
    assert [len(ids) for ids in split.values()] == [71, 20, 10]
    assert sorted(torch.cat(list(split.values())).tolist()) == list(range(101))
    assert torch.equal(random_split(101, (0.7, 0.2, 0.1), seed=3)["test"], split["test"])
    assert not torch.equal(random_split(101, (0.7, 0.2, 0.1), seed=4)["test"], split["test"])


def test_scaffolds_stay_together() -> None:
    scaffolds = ["a"] * 12 + ["b"] * 4 + ["c", "d", "e", "f"]
    split = scaffold_split(scaffolds, (0.8, 0.1, 0.1))
    parts = [{scaffolds[i] for i in ids.tolist()} for ids in split.values()]
    assert parts == [{"a", "b"}, {"c", "d"}, {"e", "f"}]


def test_named_parts(tmp_path: Path) -> None:
    split = named_split(["train", "Val", "test", "training", "validation "], "part", where)
    assert {part: ids.tolist() for part, ids in split.items()} == {"train": [0, 3], "valid": [1, 4], "test": [2]}
    with pytest.raises(GraphPERuntimeError, match="line 3: part is 'tset', expected train, valid or test"):
        named_split(["train", "tset"], "part", where)
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"train": [0, 3], "val": [1], "test": [2]}))
    assert {part: ids.tolist() for part, ids in read_split(path, 4).items()} == {
        "train": [0, 3],
        "valid": [1],
        "test": [2],
    }
    for content, message in (
        ({"train": [0, 4]}, "train must be a list of integers from 0 to 3"),
        ({"train": [0], "valid": [0]}, "graph 0 is named twice"),
        ({"dev": [1]}, "must hold positions of graphs under train"),
        ([1], "must hold positions"),
    ):
        path.write_text(json.dumps(content))
        with pytest.raises(GraphPERuntimeError, match=message):
            read_split(path, 4)
    path.write_text("{")
    with pytest.raises(GraphPERuntimeError, match="cannot be read as JSON"):
        read_split(path, 4)


def test_unknown_splits() -> None:
    options = {"fractions": (0.8, 0.1, 0.1), "seed": 0, "column": lambda name: None, "where": where}
    with pytest.raises(GraphPERuntimeError, match="there is no split 'scaffold': give 'random', the path"):
        choose_split("scaffold", 3, **options)
    with pytest.raises(GraphPERuntimeError, match="there is no split 'part': give 'random', 'scaffold', the path"):
        choose_split("part", 3, **options, scaffolds=lambda: ["", "", ""])
    for wrong in ((0.5, 0.5), (0.8, 0.1, 0.2), (1.2, -0.1, -0.1), 0.8, ("a", "b", "c")):
        with pytest.raises(GraphPEValueError, match="fractions must be three positive numbers"):
            check_fractions(wrong)
