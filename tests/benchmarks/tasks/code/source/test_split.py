from __future__ import annotations

from itertools import chain

import numpy as np
import pytest

from graphpe.benchmarks.tasks.code.source.split import split_by_module
from graphpe.errors import GraphPEValueError


def random_tree(rng: np.random.Generator) -> tuple[list[str], np.ndarray]:
    files = sorted(f"unit{rng.integers(40)}/m{number}.py" for number in range(150))
    return files, rng.integers(0, len(files), 4000)


def unit(path: str) -> str:
    return path.split("/")[0].removesuffix(".py")


def test_no_unit_is_on_two_sides_and_nothing_is_lost():
    files, file_of = random_tree(np.random.default_rng())
    split = split_by_module(files, file_of)
    together = np.sort(np.concatenate([ids.numpy() for ids in split.functions.values()]))
    assert np.array_equal(together, np.arange(len(file_of)))
    for part, ids in split.functions.items():
        assert {unit(files[index]) for index in file_of[ids.numpy()]} == set(split.units[part])
    sizes = {part: len(ids) / len(file_of) for part, ids in split.functions.items()}
    assert sizes == pytest.approx({"train": 0.8, "valid": 0.1, "test": 0.1}, abs=0.06)


def test_the_order_of_files_does_not_matter():
    rng = np.random.default_rng()
    files, file_of = random_tree(rng)
    shuffled = rng.permutation(len(files))
    other = split_by_module([files[index] for index in shuffled], np.argsort(shuffled)[file_of])
    assert other.units == split_by_module(files, file_of).units


def test_a_unit_larger_than_a_tenth_is_trained_on():
    rng = np.random.default_rng()
    for _ in range(20):  # names decide the order, so one set of names shows nothing
        names = rng.choice(10_000, 60, replace=False)
        files = [f"m{number}.py" for number in names]
        file_of = np.repeat(np.arange(60), [90, *[8] * 59])
        split = split_by_module(files, file_of)
        assert f"m{names[0]}" in split.units["train"]
        assert len(split.functions["test"]) == pytest.approx(0.1 * len(file_of), abs=8)


def test_parts_do_not_follow_the_alphabet():
    files = [f"m{number:03}.py" for number in range(100)]
    units = split_by_module(files, np.arange(100)).units
    assert min(units["valid"] + units["test"]) < "m050" < max(units["valid"] + units["test"])


@pytest.mark.parametrize("sizes", [[1000, 1, 1], [1, 1, 1], [5, 5, 5, 1], [10, 9, 8, 7]])
def test_no_part_is_empty(sizes):
    split = split_by_module(list("abcd")[: len(sizes)], np.repeat(np.arange(len(sizes)), sizes))
    assert all(len(ids) for ids in split.functions.values())
    assert sizes[0] < 1000 or split.units["train"] == ["a"]


def test_a_single_package_is_opened():
    files = ["src/pkg/__init__.py", "src/pkg/a/x.py", "src/pkg/a/y.py", "src/pkg/b.py", "src/pkg/c.py"]
    split = split_by_module(files, np.arange(5).repeat(10))
    assert sorted(chain.from_iterable(split.units.values())) == [
        "src/pkg/__init__",
        "src/pkg/a",
        "src/pkg/b",
        "src/pkg/c",
    ]


def test_a_package_that_holds_nearly_everything_is_opened():
    files = ["docs/conf.py", "setup.py", "tool.py", *(f"pkg/m{number}.py" for number in range(10))]
    split = split_by_module(files, np.repeat(np.arange(13), [1, 1, 1, *[20] * 10]))
    assert {"pkg/m0", "setup"} <= set(chain.from_iterable(split.units.values()))


def test_modules_without_functions_do_not_count():
    with pytest.raises(GraphPEValueError, match=r"2 modules with functions cannot be split.*at least 3"):
        split_by_module(["a.py", "b.py", "c.py"], np.array([0, 0, 1]))
    with pytest.raises(GraphPEValueError, match="1 module with"):
        split_by_module(["a/b/c.py"], np.array([0, 0, 0]))
