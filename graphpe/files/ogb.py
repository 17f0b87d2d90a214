"""OGB on current torch and pandas: everything that has to be worked around, in one place.

ogb 1.3.6 asks questions on standard input, ends the process, deletes folders, opens a connection when it is imported,
loads its own files in a way that torch >= 2.6 rejects, and reads the words `nan` and `null` as missing numbers. Here
none of that happens.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import importlib
import io
import pickle
import sys
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from torch import Tensor

from graphpe.errors import GraphPERuntimeError
from graphpe.files.guarded import MISSING, data_only, guarded, names
from graphpe.files.ogb_rows import rows_compared
from graphpe.files.reading import check_file, check_folder_of_files
from graphpe.files.scratch import remove_abandoned
from graphpe.progress import progress_bar


@dataclass
class OGBDataset:
    """What OGB's loader gives.

    Attributes:
        dataset: The dataset; None where only the files were asked for.
        folder: Where its files are.
        split: Ids of graphs or nodes by part: `train`, `valid`, `test`.
        notes: What OGB would have asked or said.
    """

    dataset: Any
    folder: Path
    split: dict[str, Tensor]
    notes: list[str] = field(default_factory=list)


@cache
def evaluator(name: str) -> Any:
    """OGB's evaluator of a dataset.

    Args:
        name: Name of the dataset, such as `ogbg-molhiv` or `ogbn-arxiv`.
    """
    with _quiet_import():
        return importlib.import_module(f"ogb.{_PACKAGES[name[:4]][0]}").Evaluator(name)


def molecule_categories() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Categories of each feature of atoms, and of bonds, in OGB's molecule sets."""
    with _quiet_import():
        from ogb.utils.features import get_atom_feature_dims, get_bond_feature_dims
    return tuple(get_atom_feature_dims()), tuple(get_bond_feature_dims())


def load_graph_dataset(
    name: str, root: Path, *, download: bool = True, progress: bool = True, files_only: bool = False
) -> OGBDataset:
    """Load a graph property dataset through OGB's own PyG loader.

    Args:
        name: OGB's name, such as `ogbg-code2`.
        root: The folder that holds OGB's folder of the dataset (`ogbg_code2`), or will.
        download: Whether a dataset that is not there is downloaded, without a question.
        progress: Whether OGB's bars are shown.
        files_only: Whether to stop when the files and the split are there: OGB reads all graphs at once.

    Raises:
        GraphPERuntimeError: If the dataset is not there and cannot be downloaded, is incomplete, or cannot be read.
    """
    dataset, split, folder, notes = load_any(name, root, download=download, progress=progress, files_only=files_only)
    found = OGBDataset(dataset, folder, {part: torch.as_tensor(ids).long() for part, ids in split.items()}, notes)
    ids, counts = torch.cat(list(found.split.values())).unique(return_counts=True)
    if bool((counts > 1).any()):
        raise GraphPERuntimeError(
            f"{folder}: the split names graph {int(ids[counts > 1][0])} more than once ({int((counts > 1).sum()):,} "
            "such graphs), but each belongs to one part: get split/ again"
        )
    return found


def load_node_dataset(
    name: str, root: Path, *, download: bool = True, progress: bool = True, node_type: str | None = None
) -> OGBDataset:
    """Load a node property dataset; as `load_graph_dataset`.

    Args:
        name: OGB's name, such as `ogbn-arxiv`.
        root: The folder that holds OGB's folder of the dataset (`ogbn_arxiv`), or will.
        download: Whether a dataset that is not there is downloaded, without a question.
        progress: Whether OGB's bars are shown.
        node_type: Of a heterogeneous graph, the type of the nodes that are split.

    Raises:
        GraphPERuntimeError: If the dataset is not there and cannot be downloaded, is incomplete, or cannot be read.
    """
    dataset, split, folder, notes = load_any(name, root, download=download, progress=progress)
    try:
        if node_type is not None:
            split = {part: ids[node_type] for part, ids in split.items()}
    except (KeyError, TypeError):
        raise GraphPERuntimeError(f"{folder} has no split of nodes of type {node_type}: get it again") from None
    return OGBDataset(dataset, folder, {part: torch.as_tensor(ids).long() for part, ids in split.items()}, notes)


_PACKAGES = {
    "ogbg": ("graphproppred", "PygGraphPropPredDataset", "get_idx_split"),
    "ogbn": ("nodeproppred", "PygNodePropPredDataset", "get_idx_split"),
    "ogbl": ("linkproppred", "PygLinkPropPredDataset", "get_edge_split"),
}
"""By how a name begins: OGB's package, its loader and what gives the split."""


def load_any(
    name: str, root: Path, *, download: bool, progress: bool, files_only: bool = False
) -> tuple[Any, dict[str, Any], Path, list[str]]:
    """Load a dataset of graphs, nodes or links through OGB's own PyG loader.

    Args:
        name: OGB's name.
        root: The folder that holds OGB's folder of the dataset, or will.
        download: Whether a dataset that is not there is downloaded, without a question.
        progress: Whether OGB's bars are shown.
        files_only: Whether to stop when the files are there; the dataset is None then.

    Returns:
        The dataset, its split as OGB gives it, its folder, and what OGB would have asked or said.

    Raises:
        GraphPERuntimeError: If the dataset is not there and cannot be downloaded, is incomplete, or cannot be read.
    """
    package, kind_name, split_name = _PACKAGES[name[:4]]
    with _quiet_import():
        loader = importlib.import_module(f"ogb.{package}.dataset_pyg")
        import ogb.io.read_graph_pyg as read_pyg
        import ogb.io.read_graph_raw as read_raw
        import ogb.utils.url as url_tools
    base = name.replace("-", "_")
    folder = root / f"{base}_pyg" if (root / f"{base}_pyg").exists() else root / base
    missing_folders = [path for path in (folder / "raw", folder / "processed", folder, root) if not path.exists()]
    notes: list[str] = []
    if folder.is_dir():
        remove_abandoned(folder)
        check_folder_of_files(folder)
    held_files = any(path.is_file() for path in folder.rglob("*"))

    def no_question(prompt: str = "") -> str:
        if held_files:
            notes.append(f"{folder} has no RELEASE file of the version that OGB expects; it is used as it is")
        return "n"

    def decide(url: str) -> bool:
        # OGB comes here when raw files are missing.
        if held_files:
            raise GraphPERuntimeError(
                f"{folder} is incomplete: its raw/ lacks files of {name}; complete it, or move it away"
            )
        if not download:
            raise GraphPERuntimeError(f"{name} is not in {folder}: put OGB's files there, or allow the download")
        return True

    def no_exit(code: object = None) -> None:
        raise GraphPERuntimeError(f"OGB could not get {name}: put its files in {folder}")

    bar = {"tqdm": progress_bar if progress else _no_bar}
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(names(loader, input=no_question, exit=no_exit, decide_download=decide))
            stack.enter_context(data_only(loader))
            stack.enter_context(rows_compared(read_pyg, read_raw))
            for module in (read_pyg, read_raw, url_tools):
                stack.enter_context(names(module, **bar))
            stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
            if not progress:  # PyG says there that it is processing
                stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
            stack.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # it is copied at once
            kind = guarded(getattr(loader, kind_name), name, download=True)
            if files_only:
                dataset, split = None, _split_of(kind, name, root)
            else:
                dataset = kind(name, root=str(root))
                split = getattr(dataset, split_name)()
    except GraphPERuntimeError:
        _remove_empty(missing_folders)
        raise
    except URLError as error:
        _remove_empty(missing_folders)
        raise GraphPERuntimeError(
            f"{name} is not in {folder} and cannot be downloaded ({error.reason}): put OGB's files there"
        ) from None
    except UNREADABLE as error:
        if isinstance(error.__context__, KeyboardInterrupt):  # OGB's downloader turns Ctrl-C into a RuntimeError
            raise KeyboardInterrupt from None
        reason = " ".join(str(error).split())[:200]
        processed = folder / "processed"
        again = f"move {processed} away to have it built again from raw/, or " if processed.exists() else ""
        raise GraphPERuntimeError(
            f"{name} in {folder} cannot be read ({type(error).__name__}: {reason}); {again}get raw/ again"
        ) from None
    return dataset, split, folder, notes


class _Ready(Exception):
    """A dataset's files are there."""


def lsc_files(root: Path, *, download: bool = True, progress: bool = True) -> Path:
    """OGB-LSC's folder of PCQM4Mv2, after the download where that is needed; its molecules are not read.

    Args:
        root: The folder that holds OGB's folder `pcqm4m-v2`, or will.
        download: Whether it is downloaded, without a question, if it is not there.
        progress: Whether OGB's bars are shown.

    Raises:
        GraphPERuntimeError: It is not there and cannot be downloaded, or is incomplete.
    """
    with _quiet_import():
        import ogb.lsc.pcqm4mv2_pyg as loader
        import ogb.utils.url as url_tools
    folder = root / "pcqm4m-v2"
    missing = [path for path in (folder / "raw", folder / "processed", folder, root) if not path.exists()]
    if folder.is_dir():
        remove_abandoned(folder)
        check_folder_of_files(folder)

    class Files(guarded(loader.PygPCQM4Mv2Dataset, "PCQM4Mv2", download=download)):  # type: ignore[misc]
        def _process(self) -> None:
            raise _Ready

    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(names(loader, input=lambda *_: "n", decide_download=lambda _: True))
            stack.enter_context(names(url_tools, tqdm=progress_bar if progress else _no_bar))
            stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            Files(root=str(root))
    except _Ready:
        return folder
    except GraphPERuntimeError:
        _remove_empty(missing)
        raise
    except URLError as error:
        _remove_empty(missing)
        raise GraphPERuntimeError(
            f"PCQM4Mv2 is not in {folder} and cannot be downloaded ({error.reason}): put OGB's files there"
        ) from None
    except UNREADABLE as error:
        if isinstance(error.__context__, KeyboardInterrupt):  # OGB's downloader turns Ctrl-C into a RuntimeError
            raise KeyboardInterrupt from None
        reason = " ".join(str(error).split())[:200]
        raise GraphPERuntimeError(f"PCQM4Mv2 cannot be put into {folder} ({reason}): put OGB's files there") from None
    raise AssertionError("PyG processes what it loads")


class _Split(Exception):
    """The split of a dataset whose files are there."""

    def __init__(self, split: dict[str, Any]) -> None:
        super().__init__()
        self.split = split


def _split_of(kind: type[Any], name: str, root: Path) -> dict[str, Any]:
    """The split, after the download where that is needed, without the graphs."""

    class Files(kind):
        def _process(self) -> None:
            raise _Split(self.get_idx_split())

    try:
        Files(name, root=str(root))
    except _Split as found:
        return found.split
    raise AssertionError("PyG processes what it loads")


def read_rows(path: Path, count: int | None = None) -> list[list[str]]:
    """Rows of a gzipped CSV file as text, the first `count` or all: `nan`, `null`, `None` and `NA` stay words.

    Args:
        path: The file.
        count: How many rows; None for all.

    Raises:
        GraphPERuntimeError: If the file cannot be read.
    """
    check_file(path)
    limit = csv.field_size_limit(sys.maxsize)
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            return [row for row in islice(csv.reader(file), count) if row]
    except (OSError, EOFError, ValueError, csv.Error, zlib.error) as error:
        raise GraphPERuntimeError(f"{path} cannot be read ({error})") from None
    finally:
        csv.field_size_limit(limit)


UNREADABLE: tuple[type[Exception], ...] = (
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    zlib.error,
    zipfile.BadZipFile,
    pickle.UnpicklingError,
)
"""What loaders raise on files that are damaged or of another kind."""


@contextlib.contextmanager
def _quiet_import() -> Iterator[None]:
    """Import OGB without the thread that asks the network for a newer version."""
    if "ogb" in sys.modules:
        yield
        return
    before = sys.modules.get("outdated", MISSING)
    sys.modules["outdated"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if before is MISSING:
            del sys.modules["outdated"]
        else:
            sys.modules["outdated"] = before  # type: ignore[assignment]


def _no_bar(items: Iterable[Any], **_: Any) -> Iterable[Any]:
    return items


def _remove_empty(folders: list[Path]) -> None:
    """Remove folders that were made on the way to a failure, as far as they are empty."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()
