"""Kernels and bytes of training steps: a table that may only fall."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from graphpe.benchmarks.measure.gpu.step import Step

TABLE = Path(__file__).with_name("kernels.json")

_TORCH = ".".join(torch.__version__.split(".")[:2])

Compare = Callable[[str, Step], None]


@pytest.fixture(scope="session")
def compare(pytestconfig: pytest.Config) -> Iterator[Compare]:
    """Compares a step with the table; `pytest tests/device --figures tests/device/kernels.json` writes it anew."""
    table = json.loads(TABLE.read_text())
    # Another PyTorch writes the same operations out otherwise.
    most: dict[str, list[int]] = table["steps"] if table["torch"] == _TORCH else {}
    counted: dict[str, list[int]] = {}

    def compared(name: str, step: Step) -> None:
        counted[name] = [step.forward, step.seen.kernels - step.forward, step.seen.bytes]
        if figures is None and name in most:
            for what, value, before in zip(("forward", "backward", "bytes"), counted[name], most[name], strict=True):
                assert value <= before, f"{name}: {what} were {before:,} and are {value:,}"

    figures = pytestconfig.getoption("--figures")
    yield compared
    if figures is not None and figures.resolve() == TABLE:
        rows = [f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in counted.items()]
        TABLE.write_text(f'{{"torch": "{_TORCH}", "steps": {{\n' + ",\n".join(rows) + "\n}}\n")
