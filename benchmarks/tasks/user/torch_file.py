"""Files and folders of graphs that PyG, `torch.save` or graphpe wrote; nothing in them is executed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor
from torch_geometric.data import Batch, Data

from graphpe.benchmarks.tasks.user.saved_graphs import SavedGraphs
from graphpe.errors import GraphPERuntimeError
from graphpe.files.once import kept
from graphpe.files.unpickling import load_saved
from graphpe.graphs.packed import PackedGraphs
from graphpe.storage.encoded import EncodedDataset
from graphpe.storage.store import MANIFEST

PARTS = ("train", "valid", "test")

_PART = re.compile(r"(train|val|test)(ing|id|idation)?([_-]?(data|dataset|graphs))?")
_NUMBERED = re.compile(r"(.*?)(\d+)")
_PYG_RECORDS = ("pre_filter.pt", "pre_transform.pt")
_TABLES = {".csv": "SmilesTable", ".parquet": "SmilesTable", ".json": "NetworkxList"}

Parts = dict[str, SavedGraphs]
"""Graphs by part of a split, or all of them under `""`."""


def load_graphs(path: Path) -> tuple[PackedGraphs, list[str]]:
    """The graphs of a file or folder with all values that have a place, and lines about those that have none.

    Raises:
        GraphPERuntimeError: As for `open_saved`, or a graph is wrong; it is named.
    """
    if _is_encoded(path):
        return EncodedDataset(path).packed, []
    return joined(open_saved(path).values()).pack(lambda graph: f"{path}, graph {graph}")


def open_saved(path: Path) -> Parts:
    """The graphs of a file or folder.

    Args:
        path: A file of `torch.save` that holds `Data`, a list of them, lists under train, val and test, a `Batch`, or
            what an `InMemoryDataset` or `TUDataset` saved; a dataset's folder with such files in it or in its
            `processed/`: one, three named train, val (or valid) and test, or many with numbers, one graph in each; or a
            folder of `graphpe encode`.

    Raises:
        GraphPERuntimeError: It is not there, is damaged, or holds something else.
    """
    if _is_encoded(path):
        return {"": SavedGraphs.of_packed(EncodedDataset(path).packed)}
    if not path.is_dir():
        if path.suffix in _TABLES and path.is_file():
            task = _TABLES[path.suffix]
            raise GraphPERuntimeError(f'{path} is no file of torch.save: give "{task}({str(path)!r})" for it')
        return _parts_of(_saved(path), path)
    folder = path / "processed" if (path / "processed").is_dir() else path
    files = sorted(file for file in folder.glob("*.pt") if file.name not in _PYG_RECORDS)
    if len(files) == 1:
        return _parts_of(_saved(files[0]), files[0])
    parts = {_part_name(file.stem): file for file in files}
    if set(parts) == set(PARTS) and len(files) == len(PARTS):
        return {part: _one(_saved(parts[part]), parts[part]) for part in PARTS}
    numbered = [_NUMBERED.fullmatch(file.stem) for file in files]
    if len({match and match[1] for match in numbered}) == 1 and all(numbered):
        in_order = sorted(files, key=lambda file: int(_NUMBERED.fullmatch(file.stem)[2]))  # type: ignore[index]
        return {"": joined(_one(_saved(file), file) for file in in_order)}
    raise GraphPERuntimeError(_what_is_there(folder, files))


def _saved(path: Path) -> Any:
    return kept("torch.save", path, load_saved)


def _is_encoded(path: Path) -> bool:
    return (path / MANIFEST).is_file()


def _part_name(stem: str) -> str | None:
    match = _PART.fullmatch(stem)
    return match and {"val": "valid"}.get(match[1], match[1])


def _what_is_there(folder: Path, files: Sequence[Path]) -> str:
    names = [file.name for file in files]
    there = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    if not names:
        inside = sorted(each.parent for each in folder.glob("*/processed") if each.is_dir())
        if inside:
            return f"{folder} holds no .pt file, but {', '.join(each.name for each in inside[:3])}: give that folder"
        if (folder / "sqlite.db").exists():
            return (
                f"{folder} holds an OnDiskDataset, whose file is not read: save its graphs, "
                "torch.save(list(dataset), 'graphs.pt'), and give graphs.pt"
            )
        there = "no .pt file"
    return (
        f"{folder} holds {there}: expected one .pt file, or train.pt, val.pt and test.pt, or data_0.pt, data_1.pt, "
        "...; give the path of one file"
    )


def _parts_of(content: Any, path: Path) -> Parts:
    """The graphs of one file, which may hold the parts of a split."""
    if isinstance(content, dict) and content and all(isinstance(name, str) for name in content):
        names = {_part_name(name): name for name in content}
        if set(names) == set(PARTS) and len(content) == len(PARTS):
            return {part: _one(content[names[part]], path) for part in PARTS}
    return {"": _one(content, path)}


def _one(content: Any, path: Path) -> SavedGraphs:
    """Graphs that are not split."""
    if isinstance(content, Batch) and _is_graph(content):
        return _storage_of_batch(vars(content._store), path)
    if _is_graph(content):
        content = [content]
    stored = _stored(content)
    if stored is not None:
        values, slices = stored
        return SavedGraphs.of_dicts([values]) if slices is None else SavedGraphs.of_storage(values, slices, path)
    if isinstance(content, list | tuple):
        odd = [type(graph).__name__ for graph in content if not _is_graph(graph)]
        if not odd:
            return SavedGraphs.of_dicts([_values(graph) for graph in content])
        hint = ": save graph.to_homogeneous() of each" if odd[0] == "HeteroData" else ""
        raise GraphPERuntimeError(f"{path} holds a list with {odd[0]}, expected PyG Data{hint}")
    hint = " (a model's weights?)" if isinstance(content, dict) else ""
    raise GraphPERuntimeError(f"{path} holds {type(content).__name__}{hint}: expected a list of PyG Data")


def _is_graph(value: Any) -> bool:
    """A `Data`, or the values of one in a dictionary, as GNNBenchmarkDataset's raw files have them."""
    if isinstance(value, Data):
        return isinstance(vars(vars(value).get("_store", value)).get("_mapping"), dict)
    return isinstance(value, Mapping) and "edge_index" in value


def _values(graph: Any) -> Mapping[str, Any]:
    if isinstance(graph, Mapping):
        return graph
    store = vars(graph._store)
    own = {"_num_nodes": store["_num_nodes"]} if "_num_nodes" in store else {}
    return store["_mapping"] | own


def _stored(content: Any) -> tuple[Mapping[str, Any], Mapping[str, Any] | None] | None:
    """Values and cuts of what versions of PyG save: (data, slices) and, after them, its class, or sizes and a class."""
    if not (isinstance(content, tuple) and len(content) in (2, 3, 4) and isinstance(content[1], dict | None)):
        return None
    return (_values(content[0]), content[1]) if _is_graph(content[0]) else None


def _storage_of_batch(store: Mapping[str, Any], path: Path) -> SavedGraphs:
    """A batch is a dataset's storage whose ids of nodes were shifted."""
    slices, shifts = store.get("_slice_dict"), store.get("_inc_dict")
    if not isinstance(slices, dict) or not isinstance(shifts, dict):
        raise GraphPERuntimeError(f"{path} holds a Batch that was not made of a list of graphs: save that list")
    content = {"_num_nodes": store.get("_num_nodes"), **store["_mapping"]}
    saved = SavedGraphs.of_storage(content, slices, path)

    def values(name: str) -> Sequence[Any]:
        found, shift = saved.values(name), shifts.get(name)
        if not isinstance(shift, Tensor) or shift.dim() != 1 or len(shift) != len(found) or not bool(shift.any()):
            return found
        return [value - each if isinstance(value, Tensor) else value for value, each in zip(found, shift, strict=True)]

    names = tuple(name for name in saved.names if name not in ("batch", "ptr", "_num_nodes"))
    return SavedGraphs(saved.count, names, values)


def joined(parts: Iterable[SavedGraphs]) -> SavedGraphs:
    """The graphs of several files, one file after the other."""
    parts = list(parts)
    if len(parts) == 1:
        return parts[0]
    names = tuple(dict.fromkeys(name for part in parts for name in part.names))
    count = sum(part.count for part in parts)
    return SavedGraphs(count, names, lambda name: [value for part in parts for value in part.values(name)])
