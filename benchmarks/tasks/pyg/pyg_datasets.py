"""PyG's own dataset classes, read quietly and safely, with one clear line where the data is not there."""

from __future__ import annotations

import contextlib
import io
import pickle
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch

from graphpe.errors import GraphPERuntimeError
from graphpe.ogb import saved_types

PARTS = {"train": "train", "valid": "val", "test": "test"}
"""Our names of the parts of a split, and PyG's."""


def load_parts(
    name: str, build: Callable[[str], Any], raw: Sequence[Path], *, download: bool, progress: bool
) -> list[Any]:
    """The training, validation and test part of a dataset.

    Args:
        name: The dataset, for messages.
        build: From PyG's name of a part to the dataset object; it may download and process.
        raw: The files that PyG downloads.
        download: Whether it may.
        progress: Whether PyG's bars and lines are shown.

    Raises:
        GraphPERuntimeError: If the data is not there and cannot be downloaded, or cannot be read.
    """
    folder = raw[0].parent
    missing = [path.name for path in raw if not path.exists()]
    if missing and not download:
        raise GraphPERuntimeError(
            f"{name} is not in {folder} ({', '.join(missing)} missing): put PyG's files there, or allow the download"
        )
    new_folders = [path for path in (folder, folder.parent / "processed", *folder.parents[:3]) if not path.exists()]
    try:
        with contextlib.ExitStack() as stack:
            if not progress:
                stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
                stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
            stack.enter_context(torch.serialization.safe_globals(saved_types()))
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            return [build(part) for part in PARTS.values()]
    except (
        OSError,
        EOFError,
        RuntimeError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        zipfile.BadZipFile,
        pickle.UnpicklingError,
    ) as error:
        _remove_empty(new_folders)
        reason = " ".join(str(getattr(error, "reason", error)).split())[:200]
        if missing and isinstance(error, URLError | OSError):
            message = f"{name} is not in {folder} and cannot be downloaded ({reason}): put PyG's files there"
        else:
            message = (
                f"{name} in {folder} cannot be read ({type(error).__name__}: {reason}); delete the folder processed "
                "beside it to build it again, or download it again"
            )
        raise GraphPERuntimeError(message) from None


def _remove_empty(folders: Sequence[Path]) -> None:
    """Remove folders that were made on the way to a failure, as far as they are empty."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()
