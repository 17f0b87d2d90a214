"""Reading text and JSON that others wrote: whatever it is, a value or one clear line."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

from graphpe.errors import GraphPERuntimeError


def check_file(path: Path) -> None:
    """Raise unless `path` is a regular file: a pipe or a device may never end.

    Args:
        path: The argument.

    Raises:
        GraphPERuntimeError: It is not there, a folder, a pipe, a socket or a device.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:  # a ValueError is about a null byte in the name
        raise GraphPERuntimeError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if stat.S_ISDIR(mode):
        raise GraphPERuntimeError(f"{path} cannot be read: Is a directory")
    if not stat.S_ISREG(mode):
        kind = "a pipe" if stat.S_ISFIFO(mode) else "a device or a socket"
        raise GraphPERuntimeError(f"{path} is {kind}, which may never end: copy what it gives into a file")


def check_folder_of_files(folder: Path) -> None:
    """Raise where something below a folder is a pipe, a socket or a device, or a link to one.

    Args:
        folder: The folder.

    Raises:
        GraphPERuntimeError: There is one.
    """
    for path in folder.rglob("*"):
        if path.exists() and not path.is_dir():
            check_file(path)


def read_bytes(path: Path) -> bytes:
    """What a file holds.

    Raises:
        GraphPERuntimeError: It is no regular file, or cannot be read.
    """
    check_file(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise GraphPERuntimeError(f"{path} cannot be read: {error.strerror or error}") from None


def read_text(path: Path) -> str:
    """A text in UTF-8, with or without a mark of its order of bytes.

    Args:
        path: The file.

    Raises:
        GraphPERuntimeError: It is no regular file, cannot be read, or is in another encoding.
    """
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise GraphPERuntimeError(f"{path} is no text in UTF-8 ({error.reason}): save it in that encoding") from None


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Args:
        path: The file.

    Raises:
        GraphPERuntimeError: It is no regular file, cannot be read, or is no JSON.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except RecursionError:
        reason = "its lists or objects are nested too deep"
    except ValueError as error:
        reason = " ".join(str(error).split())
    raise GraphPERuntimeError(f"{path} cannot be read as JSON ({reason})")
