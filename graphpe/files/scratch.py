"""Folders for work that is renamed into place when it is done: whoever is killed leaves nothing half-made behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: what a killed process leaves stays there
    fcntl = None  # type: ignore[assignment]

_PREFIX = ".building-"


@contextlib.contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """A new folder inside `parent`, which is removed at the end with what is still in it.

    Folders that killed processes left in `parent` are removed first.

    Args:
        parent: The folder that it is made in.
    """
    parent.mkdir(parents=True, exist_ok=True)
    with _locked(parent):
        _remove_abandoned(parent)
        folder = Path(tempfile.mkdtemp(dir=parent, prefix=_PREFIX))
        lock = _lock(folder, wait=False)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _unlock(lock)


def remove_abandoned(parent: Path) -> None:
    """Remove the folders that killed processes left in `parent`.

    Args:
        parent: The folder that they are in.
    """
    if any(parent.glob(f"{_PREFIX}*")):
        with _locked(parent):
            _remove_abandoned(parent)


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        lock = _lock(folder, wait=False)
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            _unlock(lock)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """For one process at a time, as far as the file system can: a new folder and its lock are made as one."""
    lock = _lock(folder, wait=True)
    try:
        yield
    finally:
        _unlock(lock)


def _lock(folder: Path, *, wait: bool) -> int | None:
    """Lock a folder until the handle is closed or the process ends; None where that cannot be."""
    if fcntl is None:
        return None
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:  # another process has it, or the file system knows no locks
        os.close(handle)
        return None
    return handle


def _unlock(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)
