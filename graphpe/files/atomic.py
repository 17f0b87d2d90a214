"""Where files are kept, and writing them so that a reader sees the old content or the new one, never half of either."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path


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
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes a private file; what we leave behind follows the user's umask like any other file.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


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
