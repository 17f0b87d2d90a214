"""Names in docstrings, comments, notes and commands are names of what is there: modules, their members, files."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("graphpe", "transforms", "models", "benchmarks", "tests", "docs", ".ci")
TEXTS = sorted(
    path
    for pattern in ("*.py", "*.pyi", "*.md", "*.toml", "*.yml", "run")
    for path in (*ROOT.glob(pattern), *(p for room in ROOMS for p in (ROOT / room).rglob(pattern)))
    if path.is_file()
)
# A path below a room of the repository, or the name of a module or of one of its members.
PATH = re.compile(r"(?<![\w./-])(?:graphpe|transforms|models|benchmarks|tests|docs)/(?:\w+/)*\w+\.(?:py|pyi|md)\b")
MODULE = re.compile(r"(?<![\w.])graphpe(?:\.[A-Za-z_]\w*)+")
IMPORT = re.compile(r"from (graphpe[\w.]*) import (?:\(([\w\s,]+)\)|([\w ,]+))")
# Made up: what a new file would be called, what tests look for in vain or make themselves, and groups of entry points.
MADE_UP = re.compile(
    r"^graphpe\.(?:encodings|encoders|tasks)$|/(?:test_)?(?:name|NAME)(?:_pe)?\.\w+$|tests/[ax]\.py$|"
    r"docs/conf\.py$|\.(?:laplacain|__file__)$"
)


@cache
def words(path: Path) -> frozenset[str]:
    """Every name that a module defines, imports or re-exports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.alias(asname=str(name)):
                found.add(name)
            case ast.alias(name=name) | ast.Name(id=name):
                found.add(name)
    return frozenset(found)


# Groups of entry points are called like modules.
GROUPS = ("graphpe.encodings", "graphpe.encoders", "graphpe.biases", "graphpe.models", "graphpe.tasks")


def exists(name: str) -> bool:
    """Whether a dotted name is a module, or a member of one."""
    if name in GROUPS:
        return True
    folder, parts = ROOT, name.split(".")
    while parts and (folder / parts[0]).is_dir():
        folder /= parts.pop(0)
    if not parts:
        return True
    if (folder / f"{parts[0]}.py").exists():
        return len(parts) == 1 or parts[1] in words(folder / f"{parts[0]}.py")
    lists = (folder / each for each in ("__init__.py", "__init__.pyi"))
    return any(parts[0] in words(path) for path in lists if path.exists())


def wrong(path: Path) -> Iterator[str]:
    text = path.read_text()
    for match in PATH.finditer(text):
        if not MADE_UP.search(match[0]) and not any((each / match[0]).exists() for each in (ROOT, path.parent)):
            yield f"line {text[: match.start()].count(chr(10)) + 1}: {match[0]}"
    for match in MODULE.finditer(text):
        if not MADE_UP.search(match[0]) and not exists(match[0]):
            yield f"line {text[: match.start()].count(chr(10)) + 1}: {match[0]}"
    for match in re.finditer(r"(?m)^ *import (graphpe[\w.]*)", text):
        parts = ROOT.joinpath(*match[1].split("."))
        if not parts.is_dir() and not parts.with_suffix(".py").exists():
            yield f"line {text[: match.start()].count(chr(10)) + 1}: import {match[1]}"
    for match in IMPORT.finditer(text):
        names = [name.split(" as ")[0].strip() for name in (match[2] or match[3]).split(",")]
        for name in filter(None, names):
            if not exists(f"{match[1]}.{name}"):
                yield f"line {text[: match.start()].count(chr(10)) + 1}: from {match[1]} import {name}"


@pytest.mark.parametrize("room", ["", *ROOMS])
def test_every_name_in_a_text_is_there(room: str) -> None:
    texts = [path for path in TEXTS if (path.relative_to(ROOT).parts[0] if path.parent != ROOT else "") == room]
    assert texts
    assert {str(path.relative_to(ROOT)): found for path in texts if (found := list(wrong(path)))} == {}


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("models.grit", True),
        ("models.grit.GRIT", True),
        ("eigsh", True),
        ("trees.Exponential", True),
        ("limits", True),
        ("packed", False),
        ("models.membership", False),
        ("models.grit.Grit", False),
    ],
)
def test_what_counts_as_there(name: str, there: bool) -> None:
    assert exists(f"graphpe.{name}") is there
