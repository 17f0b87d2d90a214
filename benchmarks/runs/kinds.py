"""What a file or folder of graphs is, from its name and from the names in it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from graphpe.benchmarks.tasks.user.edge_list_folder import ENDINGS, LABELS
from graphpe.errors import GraphPEValueError
from graphpe.storage.store import MANIFEST

Kind = Literal["python", "table", "pyg", "json", "edges"]

TABLES = (".csv", ".tsv", ".smi", ".parquet", ".pq")
_FILES: dict[str, Kind] = {
    ".py": "python",
    **dict.fromkeys(TABLES, "table"),
    ".pt": "pyg",
    ".pth": "pyg",
    ".json": "json",
}
_EDGES = (".edges", ".edgelist")


def kind_of(path: Path) -> Kind:
    """What is to be read there.

    `python`: a `.py` file, or a folder with some below it. `table`: CSV, TSV or Parquet, also gzipped. `pyg`: a `.pt`
    file, a folder with some (also in `processed/`), or one of `graphpe encode`. `json`: networkx graphs. `edges`: a
    folder of edge lists, with labels or without.

    Raises:
        GraphPEValueError: It is not there, or nothing of these.
    """
    if not path.exists():
        raise GraphPEValueError(f"{path} is not there: give files or folders of graphs")
    if not path.is_dir():
        name = path.name.removesuffix(".gz")
        found = _FILES.get(Path(name).suffix.lower())
        if found is None:
            known = ", ".join(sorted(_FILES))
            raise GraphPEValueError(f"{path}: files that end in {path.suffix or 'nothing'} are not read, but {known}")
        return found
    if (path / MANIFEST).is_file() or any(path.glob("*.pt")) or any(path.glob("processed/*.pt")):
        return "pyg"
    if (path / LABELS).is_file() or (path / "edges").is_dir() or any(any(path.glob(f"*{end}")) for end in _EDGES):
        return "edges"
    if next(path.rglob("*.py"), None) is not None:
        return "python"
    if any(each.suffix in ENDINGS and each.suffix and each.is_file() for each in path.iterdir()):  # to be predicted
        return "edges"
    raw = (
        "; it has raw files: load the dataset with PyG once, which makes processed/" if (path / "raw").is_dir() else ""
    )
    raise GraphPEValueError(
        f"{path} holds no graphs: expected .pt files, {LABELS} or edges/ with edge lists, or Python files{raw}"
    )
