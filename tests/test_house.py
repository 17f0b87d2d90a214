"""The rules of the house: what may import what, how many files a room holds, and which names stay in their file."""

from __future__ import annotations

import ast
import tomllib
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAX_FILES = 12

# Which rooms each room may import, itself aside. A room's folders inside belong to it, unless they are named here.
BASE = ("errors", "arguments", "compiled")
MODELS = ("models.batches", "models.layers", "models.attention", "models.encoders")
NUMERICS = (*BASE, "graphs", "structure", "eigen", "spectra", "walks", "distances", "homomorphisms", "pairs", "trees")
ARROWS: dict[str, tuple[str, ...]] = {
    "errors": (),
    "lazy": (),
    "arguments": ("errors",),
    "calls": ("errors",),
    "limits": ("errors", "arguments"),
    "progress": (),
    "compiled": ("errors", "arguments"),
    "files": (*BASE, "progress"),
    "graphs": BASE,
    "structure": (*BASE, "graphs"),
    "eigen.operators": (*BASE, "structure"),
    "eigen.batched": (*BASE, "graphs", "structure"),
    "eigen.factors": (*BASE, "structure", "eigen.operators"),
    "eigen.solvers": (*BASE, "structure", "eigen.operators", "eigen.batched", "eigen.factors"),
    "eigen": (
        *(*BASE, "limits", "graphs", "structure"),
        *("eigen.operators", "eigen.batched", "eigen.factors", "eigen.solvers"),
    ),
    "distances": (*BASE, "graphs", "structure"),
    "walks": (*BASE, "limits", "graphs", "structure"),
    "homomorphisms": (*BASE, "calls", "limits", "graphs", "structure"),
    "spectra": (*BASE, "limits", "graphs", "structure", "eigen", "eigen.batched", "eigen.operators", "walks"),
    "pairs": (*BASE, "limits", "graphs", "structure", "eigen", "walks", "spectra", "distances"),
    "trees.functions": (*BASE, "calls"),
    "trees": (*BASE, "graphs", "structure", "eigen", "trees.functions"),
    "storage": (*BASE, "limits", "progress", "files", "graphs"),
    "drawing": (*BASE, "graphs"),
    "sampling": (*BASE, "graphs"),
    "transforms": (*NUMERICS, "calls", "lazy", "limits", "storage", "trees.functions"),
    "models": (*BASE, "calls", "lazy", *MODELS),
    "models.walks": (*BASE, "graphs", "sampling", *MODELS),
    "models.batches": (*BASE, "graphs", "models.layers"),
    "models.layers": (*BASE, "sampling", "models.batches", "models.attention"),
    "models.encoders": (*BASE, "structure", "models.batches", "models.layers", "models.attention"),
    "models.attention": (*BASE, "graphs", "structure", "trees", "trees.functions", *MODELS),
}
# Rooms in which one concept a file, all of one kind, makes many files: encodings.
MANY_FILES = ("transforms",)


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[1:] if parts[0] == "graphpe" else parts).removesuffix("__init__").rstrip(".")


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by its name without `graphpe.`, from the real folders."""
    folders = [ROOT / name for name in ("transforms", "models", "benchmarks")]
    inside = [path for path in (ROOT / "graphpe").iterdir() if not path.is_symlink()]
    files = [path for path in inside if path.suffix == ".py"]
    files += [path for folder in folders + inside if folder.is_dir() for path in folder.rglob("*.py")]
    return {module_of(path): path for path in files}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imports(path: Path) -> set[str]:
    """Modules of the package that a file imports, without `graphpe.`."""
    found: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                deeper = f"{node.module}.{alias.name}"
                found.add(deeper if deeper.removeprefix("graphpe.") in modules() else str(node.module))
    return {name.removeprefix("graphpe.") for name in found if name.split(".")[0] == "graphpe"} - {"graphpe"}


def room_of(module: str) -> str | None:
    """The innermost room that a module stands in; None for the package itself and for benchmarks."""
    parts = module.split(".")
    names = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    return next((name for name in names if name in ARROWS), None)


def test_every_room_has_its_arrows() -> None:
    for module in modules():
        assert not module or module.split(".")[0] == "benchmarks" or room_of(module), f"{module} is in no room"
    for room, allowed in ARROWS.items():
        assert {room, *allowed} <= ARROWS.keys()


@pytest.mark.parametrize("room", ARROWS)
def test_arrows_run_one_way(room: str) -> None:
    for module, path in modules().items():
        if module and room_of(module) == room:
            for name in imports(path):
                assert not name.startswith("benchmarks"), f"{module} imports {name}"
                assert room_of(name) in (room, *ARROWS[room]), f"{module} imports {name}"


def test_what_is_installed_does_not_import_what_is_not() -> None:
    for module, path in modules().items():
        # `graphpe bench` is the door to the measurements, and says so where they are not.
        if module.startswith("benchmarks") and not module.startswith(("benchmarks.measure", "benchmarks.cli.bench")):
            assert not any(name.startswith("benchmarks.measure") for name in imports(path)), module


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {module: imports(path) & modules().keys() for module, path in modules().items()}
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, f"a circle: {' -> '.join((*way[way.index(module) :], module))}"
        if module not in done:
            for name in sorted(graph[module]):
                visit(name, (*way, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_no_import_hides_from_the_interpreter() -> None:
    for module, path in modules().items():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
                names = [name for inner in node.body for name in ast.walk(inner) if isinstance(name, ast.ImportFrom)]
                assert not any(str(name.module).startswith("graphpe") for name in names), module


def test_no_name_with_an_underscore_leaves_its_file() -> None:
    for module, path in modules().items():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("graphpe"):
                assert not any(alias.name.startswith("_") for alias in node.names), f"{module}: {ast.unparse(node)}"


def test_rooms_are_small() -> None:
    folders = Counter(path.parent for path in modules().values() if path.name != "__init__.py")
    for folder, count in folders.items():
        if module_of(folder) not in MANY_FILES:
            assert count <= MAX_FILES, f"{folder.relative_to(ROOT)} holds {count} files"


@pytest.mark.parametrize("room", [*NUMERICS[len(BASE) :], "storage"])
def test_no_stem_twice_in_a_room(room: str) -> None:
    stems = Counter(name.split(".")[-1] for name, path in modules().items() if name.startswith(f"{room}."))
    assert max(stems.values()) == 1, stems.most_common(1)


def test_tests_mirror_the_rooms() -> None:
    folders = {ROOT / "tests" / (Path("graphpe") if top else Path()) / module_of(path.parent).replace(".", "/")
               for path in modules().values() for top in [path.is_relative_to(ROOT / "graphpe")]}  # fmt: skip
    folders |= {ROOT / "tests", ROOT / "tests" / "attacks", ROOT / "tests" / "device"}  # of the whole
    for path in (ROOT / "tests").rglob("test_*.py"):
        assert path.parent in folders, f"{path.relative_to(ROOT)} mirrors no folder"


def test_links_and_packages() -> None:
    for name in ("transforms", "models", "benchmarks"):
        assert (ROOT / "graphpe" / name).readlink() == Path("..") / name
    for path in modules().values():
        assert (path.parent / "__init__.py").exists(), f"{path.parent.relative_to(ROOT)} is no package"
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    assert found == {"include": ["graphpe*"], "exclude": ["graphpe.benchmarks.measure*"]}
