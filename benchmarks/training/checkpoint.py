"""Checkpoints: everything a run needs to go on, in one file that loads with `torch.load(weights_only=True)`."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any, Final

import torch

from graphpe.errors import GraphPERuntimeError
from graphpe.storage.files import write_atomically

FORMAT: Final = 1


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint atomically: where it fails, the one that was there stays.

    Args:
        path: The file.
        content: Tensors, numbers, strings, and dictionaries and lists of them.

    Raises:
        GraphPERuntimeError: If the file cannot be written (a full disk, no permission).
    """
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **content}, buffer)
    try:
        write_atomically(path, buffer.getvalue())
    except OSError as error:
        kept = f"; the one saved before is still in {path}" if path.exists() else ""
        raise GraphPERuntimeError(
            f"could not save a checkpoint of {len(buffer.getvalue()) / 1e6:.1f} MB: {error.strerror or error}{kept}; "
            f"free space or mend the folder {path.parent}, then resume"
        ) from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU. Nothing in the file is executed.

    Raises:
        GraphPERuntimeError: If the file is missing, damaged or of another format.
    """
    try:
        with zipfile.ZipFile(path) as archive:  # torch.load itself does not look at the checksums
            if damaged := archive.testzip():
                raise zipfile.BadZipFile(f"checksum of {damaged}")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise GraphPERuntimeError(f"no checkpoint {path}: the run saved none, or the folder is not a run") from None
    except Exception as error:  # a damaged file fails in many ways: zip, pickle, end of file
        reason = " ".join(str(error).split())[:100]
        raise GraphPERuntimeError(
            f"checkpoint {path} is damaged ({type(error).__name__}: {reason}); remove it and use the other checkpoint "
            "of the run, or start a new run"
        ) from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise GraphPERuntimeError(f"{path} is not a checkpoint of format {FORMAT}; start a new run with this version")
    return content
