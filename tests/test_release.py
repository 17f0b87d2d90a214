"""The version stands in one place; what repeats it says the same, and lower bounds are those that are tried."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import graphpe

ROOT = Path(__file__).resolve().parents[1]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_one_version() -> None:
    assert graphpe.__version__ == version("graphpe") == VERSION
    assert re.search(r"^version: (\S+)", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)[1] == VERSION  # type: ignore[index]
    first = re.search(r"^## \[([^\]]+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert first is not None
    assert first[1] == VERSION


def test_lower_bounds_are_those_that_are_tried() -> None:
    spec = importlib.util.spec_from_file_location("bounds", ROOT / ".ci" / "bounds.py")
    assert spec is not None
    assert spec.loader is not None
    bounds = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bounds)
    assert bounds.wrong() == []
    assert len(bounds.bounds()) > 10
