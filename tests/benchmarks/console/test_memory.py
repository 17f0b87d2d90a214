from __future__ import annotations

import errno
from pathlib import Path

import pytest
import torch

from graphpe.benchmarks.console.memory import OutOfMemory, memory_errors
from graphpe.errors import GraphPEValueError


def fail(kind: str) -> None:
    if kind == "torch":
        torch.empty(2**50)
    if kind == "python":
        bytearray(2**60)
    if kind == "fork":
        raise OSError(errno.ENOMEM, "Cannot allocate memory")
    if kind == "a writer":
        try:
            bytearray(2**60)
        finally:
            raise RuntimeError("unexpected pos 2 vs 1")


@pytest.mark.parametrize("kind", ["torch", "python", "fork", "a writer"])
def test_every_kind_is_one_line(kind: str) -> None:
    with pytest.raises(OutOfMemory, match=r"^out of memory \(.*\): use less$") as caught, memory_errors("use less"):
        fail(kind)
    assert "\n" not in str(caught.value)


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(FileNotFoundError), memory_errors("use less"):
        Path("/nowhere/file").read_text()
    with pytest.raises(RuntimeError, match="wrong shape"), memory_errors("use less"):
        raise RuntimeError("wrong shape")
    with pytest.raises(GraphPEValueError, match="out of memory"), memory_errors("use less"):
        raise GraphPEValueError("out of memory, it says")
