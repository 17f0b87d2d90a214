from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from graphpe.benchmarks.tasks.user.files.rows import Rows
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


def rows(**counts: int) -> Rows:
    return Rows(counts or {"": 3}, lambda part, row: f"{part} line {row + 2}")


def test_unknown_splits() -> None:
    known = torch.ones(3, dtype=torch.bool)
    options = {"fractions": (0.8, 0.1, 0.1), "seed": 0, "column": lambda name: None}
    with pytest.raises(GraphPERuntimeError, match="there is no split 'scaffold': give 'random', the path"):
        choose_split("scaffold", rows(), known, **options)
    with pytest.raises(GraphPERuntimeError, match="there is no split 'part': give 'random', 'scaffold', the path"):
        choose_split("part", rows(), known, **options, scaffolds=lambda: ["", "", ""])
    for wrong in ((0.5, 0.5), (0.8, 0.1, 0.2), (1.2, -0.1, -0.1), 0.8, ("a", "b", "c")):
        with pytest.raises(GraphPEValueError, match="fractions must be three positive numbers"):
            check_fractions(wrong)


def test_only_graphs_with_a_known_target_are_in_a_part(tmp_path: Path) -> None:
    all_rows = rows(**{"": 12})
    some = all_rows.without({4: "unreadable", 7: "unreadable"})  # graph 4 is row 5, and so on
    known = torch.tensor([True, False, True, True, True, True, True, True, False, True])
    parts = ["train"] * 6 + ["valid", "valid", "test", "test", "", "test"]
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"train": list(range(6)), "valid": [6, 7], "test": [8, 9, 10, 11]}))
    options = {"fractions": (0.5, 0.25, 0.25), "seed": 0, "column": lambda name: parts}
    for split in ("part", str(path)):
        found = choose_split(split, some, known, **options)
        assert {part: ids.tolist() for part, ids in found.items()} == {
            "train": [0, 2, 3, 4], "valid": [5], "test": [6, 7, 9]
        }  # fmt: skip
    found = choose_split("random", some, known, **options)
    assert sorted(torch.cat(list(found.values())).tolist()) == known.nonzero().flatten().tolist()
    with pytest.raises(GraphPERuntimeError, match="line 8: no graph of the valid part of the split has a known target"):
        choose_split("part", some, known & (torch.arange(10) != 5), **options)
    with pytest.raises(GraphPERuntimeError, match="line 12: part is '', expected train, valid or test"):
        choose_split("part", all_rows, torch.ones(12, dtype=torch.bool), **options)


def test_files_are_parts() -> None:
    options = {"fractions": (0.6, 0.2, 0.2), "seed": 0, "column": lambda name: None}
    known = torch.ones(14, dtype=torch.bool)
    found = choose_split("random", rows(train=8, valid=4, test=2), known, **options)
    assert [ids.tolist() for ids in found.values()] == [list(range(8)), [8, 9, 10, 11], [12, 13]]
    for other, part in (("test", "valid"), ("valid", "test")):
        found = choose_split("random", rows(train=8, **{other: 6}), known, **options)
        assert list(found) == ["train", "valid", "test"]
        assert found[other].tolist() == list(range(8, 14))
        assert (len(found["train"]), len(found[part])) == (6, 2)
        assert sorted(found["train"].tolist() + found[part].tolist()) == list(range(8))
    groups = ["a", "a", "a", "b", "b", "b", "c", "c"] + ["x"] * 6
    found = choose_split("scaffold", rows(train=8, test=6), known, **options, scaffolds=lambda: groups)
    assert [ids.tolist() for ids in found.values()] == [[0, 1, 2, 3, 4, 5], [6, 7], list(range(8, 14))]
