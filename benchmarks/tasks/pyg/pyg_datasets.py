"""PyG's own dataset classes, read quietly and safely, with one clear line where the data is not there."""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor
from torch_geometric.io import planetoid

from graphpe.errors import GraphPERuntimeError
from graphpe.files.guarded import data_only, guarded
from graphpe.files.ogb import UNREADABLE

PARTS = {"train": "train", "valid": "val", "test": "test"}
"""Our names of the parts of a split, and PyG's."""


def load_parts(base: type[Any], name: str, root: Path, *arguments: Any, download: bool, progress: bool) -> list[Any]:
    """The training, validation and test part of a dataset. Nothing in its files is executed.

    Args:
        base: PyG's class; its `root`, further arguments and `split` are given here.
        name: The dataset, for messages.
        root: PyG's folder of the dataset, or of several.
        arguments: What the class takes after `root`.
        download: Whether it may download.
        progress: Whether PyG's bars and lines are shown.

    Raises:
        GraphPERuntimeError: If the data is not there and cannot be downloaded, or cannot be read.
    """

    def load(kind: type[Any]) -> list[Any]:
        return [kind(str(root), *arguments, split=part) for part in PARTS.values()]

    return _load(base, name, root, load, download=download, progress=progress)


def load_one(base: type[Any], name: str, root: Path, *arguments: Any, download: bool, progress: bool) -> Any:
    """A dataset that is not in parts; as `load_parts`.

    Args:
        base: PyG's class.
        name: The dataset, for messages.
        root: PyG's folder of the dataset, or of several.
        arguments: What the class takes after `root`.
        download: Whether it may download.
        progress: Whether PyG's bars and lines are shown.

    Raises:
        GraphPERuntimeError: If the data is not there and cannot be downloaded, or cannot be read.
    """

    def load(kind: type[Any]) -> Any:
        return kind(str(root), *arguments)

    return _load(base, name, root, load, download=download, progress=progress)


def _load(
    base: type[Any], name: str, root: Path, load: Callable[[type[Any]], Any], *, download: bool, progress: bool
) -> Any:
    new_folders = [path for path in (root / name / "raw", root / name, root / "raw", root, *root.parents[:2])]
    new_folders = [path for path in new_folders if not path.exists()]
    kind = guarded(base, name, download=download)
    try:
        with contextlib.ExitStack() as stack:
            if not progress:
                stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
                stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
            stack.enter_context(data_only(sys.modules[base.__module__], planetoid))
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            found = load(kind)
        for dataset in found if isinstance(found, list) else [found]:
            _check_lengths(dataset, name, root)
        return found
    except GraphPERuntimeError:
        _remove_empty(new_folders)
        raise
    except UNREADABLE as error:
        _remove_empty(new_folders)
        reason = " ".join(str(error).split())[:200]
        raise GraphPERuntimeError(
            f"{name} in {root} cannot be read ({type(error).__name__}: {reason}): move processed/ away to have it "
            "built again from raw/, or get raw/ again"
        ) from None


def _check_lengths(dataset: Any, name: str, root: Path) -> None:
    """Reject values of fewer or more rows than its graphs have together, as a raw file that was cut off leaves them.

    What PyG made of such files is removed, so that the mended ones are read.

    Raises:
        GraphPERuntimeError: There are some.
    """
    data: Any = getattr(dataset, "_data", None)
    for key, ends in (getattr(dataset, "slices", None) or {}).items():
        value = data[key]
        if not isinstance(value, Tensor) or not value.dim():
            continue
        rows = value.size(data.__cat_dim__(key, value) or 0)
        if rows != int(ends[-1]):
            if dataset.processed_now:
                shutil.rmtree(dataset.processed_dir)
            also = "" if dataset.processed_now else ", and move processed/ away"
            raise GraphPERuntimeError(
                f"{name} in {root} has {rows:,} rows of {key}, but its graphs have {int(ends[-1]):,}: a file in raw/ "
                f"is cut off, or of another set; get raw/ again{also}"
            )


def _remove_empty(folders: Sequence[Path]) -> None:
    """Remove folders that were made on the way to a failure, as far as they are empty."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()
