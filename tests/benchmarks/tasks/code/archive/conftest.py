from __future__ import annotations

import ast
import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from graphpe.benchmarks.tasks import PythonSource
from graphpe.benchmarks.tasks.code.data import CodeData
from graphpe.benchmarks.tasks.code.export import export_ogb

Write = Callable[..., tuple[CodeData, list[str]]]


@pytest.fixture
def source_of(tmp_path: Path) -> Callable[[CodeData], list[str]]:
    """The text of every function of a loaded source tree, decorators included."""

    def read(data: CodeData) -> list[str]:
        texts = []
        for where in data.graphs.objects["where"]:
            name, line = where.rsplit(":", 1)
            tree = ast.parse((tmp_path / "source" / name).read_bytes())
            functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
            texts.append(ast.unparse(next(node for node in functions if node.lineno == int(line))))
        return texts

    return read


@pytest.fixture
def write_archive(
    tree: Callable[..., Path], modules: dict[str, str], source_of: Callable[[CodeData], list[str]], tmp_path: Path
) -> Write:
    """Writes a source tree as OGB's download of ogbg-code2; gives its data-flow graphs and the functions' source."""

    def write(files: dict[str, str] | None = None) -> tuple[CodeData, list[str]]:
        root = str(tree(modules if files is None else files))
        task = PythonSource(root=root, graph="dataflow", mask="definition", words=0)
        data = task.load(workers=1, cache=tmp_path / "cache", progress=False)
        folder = export_ogb(data, tmp_path / "dataset")
        texts = source_of(data)
        _put_archive(folder, {"columns": ["code"], "index": list(range(len(texts))), "data": [[t] for t in texts]})
        return data, texts

    return write


def _put_archive(folder: Path, content: object) -> Path:
    path = folder / "mapping" / "graphidx2code.json.gz"
    path.write_bytes(gzip.compress(json.dumps(content).encode()))
    return path


@pytest.fixture
def put_archive() -> Callable[[Path, object], Path]:
    """Writes the source of all functions into OGB's folder of the dataset."""
    return _put_archive
