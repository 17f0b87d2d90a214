"""Kernels in Triton's interpreter, or on the device where there is one."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def triton() -> None:
    pytest.importorskip("triton", reason="needs Triton: pip install triton")
