from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest

from graphpe.compiled import jit as compiled
from graphpe.compiled.jit import compiled_by_steps, everything_compiled, is_ready, machine_code


def double(values: np.ndarray) -> float:
    total = 0.0
    for value in values:
        total += 2.0 * value
    return total


def fresh(decorate: Any = compiled.compiled) -> Any:
    """A function of which nothing is on disk."""
    loop = decorate(double)
    loop._cache.disable()
    return loop


@pytest.fixture(autouse=True)
def small_work_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """As outside tests, where not everything is compiled."""
    monkeypatch.setattr(compiled, "_everything", 0)
    monkeypatch.setattr(compiled, "_told", False)


def test_python_does_small_work() -> None:
    loop = fresh()
    assert loop(np.arange(4.0)) == 12.0
    assert not loop.overloads


def test_large_work_is_compiled() -> None:
    loop = fresh()
    assert loop(np.ones(compiled._SMALL + 1)) == 2.0 * (compiled._SMALL + 1)
    assert len(loop.overloads) == 1
    assert loop(np.arange(4.0)) == 12.0


def test_work_that_comes_often_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_OFTEN", 10)
    loop = fresh()
    for _ in range(2):
        loop(np.ones(5))
        assert not loop.overloads
    loop(np.ones(5))
    assert len(loop.overloads) == 1


def test_steps_count_where_numbers_do_not_tell() -> None:
    loop = fresh(compiled_by_steps(lambda values: 2.0**40))
    loop(np.ones(3))
    assert len(loop.overloads) == 1


def test_everything_is_compiled_inside() -> None:
    loop = fresh()
    with everything_compiled():
        loop(np.ones(3))
    assert len(loop.overloads) == 1


def test_machine_code_is_always_compiled() -> None:
    loop = fresh(machine_code)
    loop(np.ones(3))
    assert len(loop.overloads) == 1


def test_what_is_on_disk_is_used(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numba.core.config.CACHE_DIR", str(tmp_path))
    with everything_compiled():
        compiled.compiled(double)(np.ones(3))
    again = compiled.compiled(double)  # as in a new process
    again(np.ones(3))
    assert len(again.overloads) == 1
    assert sum(again.stats.cache_hits.values()) == 1
    third = compiled.compiled(double)
    assert third.is_compiled((np.ones(3),))
    assert len(third.overloads) == 1, "what was read is kept: read twice, it shares what was let go of"
    again(np.ones(3, np.float32))
    assert len(again.overloads) == 1, "there is nothing on disk for float32"


def test_functions_that_python_runs_call_others_in_python() -> None:
    inner = fresh(machine_code)
    inner.in_python = True

    def outer(values: np.ndarray) -> float:
        return inner(values) + inner(np.ones(compiled._SMALL + 1))

    loop = compiled.compiled(outer)
    loop._cache.disable()
    assert loop(np.ones(2)) == 4.0 + 2.0 * (compiled._SMALL + 1)
    assert not loop.overloads
    assert not inner.overloads


def test_integers_wrap_silently_in_python() -> None:
    @compiled.compiled
    def wrapped(words: np.ndarray) -> np.uint64:
        return words[0] * np.uint64(3)

    wrapped._cache.disable()  # type: ignore[attr-defined]
    with np.errstate(over="raise"):
        assert wrapped(np.array([2**63 + 1], np.uint64)) == 2**63 + 3


def test_when_a_caller_takes_another_way() -> None:
    loop = fresh(machine_code)
    values = np.ones(3)
    assert not is_ready(loop, 6, 10, values)
    assert is_ready(loop, 6, 10, values)  # 12 > 10
    other = fresh(machine_code)
    other(values)
    assert is_ready(other, 0, 10, values)
    assert not is_ready(other, 0, 10, np.ones(3, np.float32))
    with everything_compiled():
        assert is_ready(fresh(machine_code), 0, 10, values)


def test_it_says_once_that_it_compiles(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "graphpe"):
        for loop in (fresh(), fresh()):
            loop(np.ones(3))
            loop(np.ones(compiled._SMALL + 1))
    assert len(caplog.records) == 1
    assert "graphpe warmup" in caplog.text
