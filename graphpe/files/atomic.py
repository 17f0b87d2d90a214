"""Where files are kept, and writing them so that a reader sees the old content or the new one, never half of either."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: what a killed process leaves stays there
    fcntl = None  # type: ignore[assignment]

_TEMPORARY = re.compile(r"\..+\.\w+\.part")


def user_cache() -> Path | None:
    """The user's cache folder of graphpe, or None where the user has no home."""
    base = os.environ.get("LOCALAPPDATA") if sys.platform == "win32" else os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "graphpe"
    except RuntimeError:
        return None


def write_atomically(path: Path, content: bytes | memoryview | str) -> None:
    """Replace `path` by `content`: a temporary file beside it, fsync, rename.

    Where anything fails (a full disk, a missing folder), the temporary file is removed, the old content stays and the
    `OSError` passes on.

    Args:
        path: The file.
        content: Its new content; text is written as UTF-8.
    """
    data = content.encode() if isinstance(content, str) else content
    handle, temporary = _temporary(path)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            # mkstemp makes a private file; what we leave behind follows the user's umask like any other file.
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(temporary, 0o666 & ~umask)
            if fcntl is not None:
                os.replace(temporary, path)  # before the file is closed, with which its lock ends
        if fcntl is None:
            os.replace(temporary, path)  # Windows renames closed files only
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def leftovers(folder: Path) -> list[Path]:
    """Temporary files of `write_atomically` in a folder: of a process that writes, or of one that was killed."""
    return [path for path in folder.glob(".*.part") if _TEMPORARY.fullmatch(path.name)]


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files that killed processes left in a folder; those of a process that writes stay."""
    for path in leftovers(folder):
        with contextlib.suppress(OSError):
            handle = os.open(path, os.O_RDONLY)
            try:
                if fcntl is not None:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()
            finally:
                os.close(handle)


def _temporary(path: Path) -> tuple[int, str]:
    """A new file beside `path`, locked as long as this process lives, as far as the file system can."""
    while True:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        if fcntl is not None:
            with contextlib.suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle, temporary
        os.close(handle)  # taken for a leftover before it was locked


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut, where the system can (folders cannot be opened on Windows)."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
