"""Python files below a folder."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from graphpe.errors import GraphPEValueError

_LEFT_OUT = {"__pycache__", "site-packages", "dist-packages", "node_modules"}
_TESTS = re.compile(r"(.*_)?tests?")


@dataclass(frozen=True)
class SourceFile:
    """A file and its path relative to the root, as it is shown."""

    path: Path
    shown: str


@dataclass
class SourceTree:
    """What was found below a root.

    Attributes:
        files: The files, in order of their shown path.
        unreadable: Folders that could not be listed, and why.
        test_folders: How many folders of tests were left out.
    """

    files: list[SourceFile]
    unreadable: list[tuple[str, str]]
    test_folders: int = 0


def standard_library() -> Path:
    """The folder of the running interpreter's standard library."""
    return Path(sysconfig.get_paths()["stdlib"])


def find_sources(root: str | os.PathLike[str], *, tests: bool = False) -> SourceTree:
    """Find the `.py` files below a folder.

    Hidden folders, `__pycache__`, `site-packages`, `dist-packages` and `node_modules` are left out, and links to
    folders are not followed. Folders named `test`, `tests` or `..._test(s)` are left out unless asked for.

    Args:
        root: A folder, or one file.
        tests: Whether folders of tests are read.

    Raises:
        GraphPEValueError: If the root does not exist or holds no Python file.
    """
    top = Path(os.path.expanduser(root))
    if not os.fspath(root) or not os.path.exists(top):
        raise GraphPEValueError(f"there is no file or folder {os.fspath(root)!r}: give one that holds Python source")
    if not top.is_dir():
        return SourceTree([SourceFile(top, shown_path(top.name))], [])
    tree = SourceTree([], [])

    def unreadable(error: OSError) -> None:
        tree.unreadable.append((shown_path(os.path.relpath(error.filename, top)), _reason(error)))

    for folder, folders, files in os.walk(top, onerror=unreadable):
        here = Path(folder)
        kept = [name for name in folders if not name.startswith(".") and name not in _LEFT_OUT]
        if not tests:
            without = [name for name in kept if not _TESTS.fullmatch(name)]
            tree.test_folders += len(kept) - len(without)
            kept = without
        folders[:] = kept
        for name in files:
            path = here / name
            # A link that leads nowhere counts as a file that cannot be read; a pipe or device is no file at all.
            if name.endswith(".py") and (path.is_file() or path.is_symlink()):
                tree.files.append(SourceFile(path, shown_path(path.relative_to(top))))
    tree.files.sort(key=lambda file: file.shown)
    tree.unreadable.sort()
    if not tree.files:
        what = f"{tree.unreadable[0][0]}: {tree.unreadable[0][1]}" if tree.unreadable else "no .py file"
        left_out = " besides folders of tests" if tree.test_folders else ""
        raise GraphPEValueError(f"{top} holds no Python source{left_out} ({what}): give a folder that does")
    return tree


def digest_files(files: list[SourceFile]) -> tuple[list[str], int]:
    """A digest of every file's content, in order, and the number of bytes in all. What cannot be read gets a mark."""
    digests, size = [], 0
    for file in files:
        try:
            content = read_source(file.path)
        except OSError as error:
            digests.append(_reason(error))
        else:
            size += len(content)
            digests.append(hashlib.blake2b(content, digest_size=16).hexdigest())
    return digests, size


def read_source(path: Path) -> bytes:
    """What a file holds.

    Raises:
        OSError: It cannot be read, or is a pipe or a device, which may never end.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "no regular file")
    return path.read_bytes()


def shown_path(path: str | os.PathLike[str]) -> str:
    """A path as text that can be printed and kept, with `/`: bytes that are no text are written out."""
    return Path(path).as_posix().encode(errors="surrogateescape").decode(errors="backslashreplace")


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
