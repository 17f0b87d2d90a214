"""Arrows between rooms run one way: graphpe <- transforms, graphpe <- models, all <- benchmarks."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FORBIDDEN = {
    "graphpe": ("graphpe.transforms", "graphpe.models", "graphpe.benchmarks"),
    "transforms": ("graphpe.models", "graphpe.benchmarks"),
    "models": ("graphpe.transforms", "graphpe.benchmarks"),
    "benchmarks": (),
}


def imported_names(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("room", FORBIDDEN)
def test_arrows_run_one_way(room: str) -> None:
    files = list((ROOT / room).rglob("*.py"))
    assert files
    for path in files:
        for name in imported_names(path):
            assert not name.startswith(FORBIDDEN[room]), f"{path.relative_to(ROOT)} imports {name}"


def test_every_package_is_installed() -> None:
    listed = (ROOT / "pyproject.toml").read_text()
    for init in [path for room in FORBIDDEN for path in (ROOT / room).rglob("__init__.py")]:
        parts = init.parent.relative_to(ROOT).parts
        name = ".".join(parts if parts[0] == "graphpe" else ("graphpe", *parts))
        assert f'"{name}",' in listed, f"{name} is missing in pyproject.toml"
