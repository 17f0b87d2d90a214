"""Encodings, encoders, models and tasks of the user's own, beside those of graphpe.

No class registers itself anywhere. Two things bring names that texts know, and nothing else does:

* `--import my_module` on the command line, `imports` in its YAML file: within `with imported(names)` the public classes
  of these modules are known, and afterwards no more. A command enters it around all that it does, and so does a run in
  each of its processes, with the names in its options.
* Entry points of installed packages, in the groups `graphpe.encodings`, `graphpe.encoders`, `graphpe.biases`,
  `graphpe.models` and `graphpe.tasks`, called like the class. One is imported when a text names it.

A run folder says which modules its run imported, by name. `train --resume` goes on with the command that made it, and
imports them. `predict` and `load_run` do not: one predicts with others' runs, too, and what code runs here is not for
their folders to say; they ask for `--import`.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from graphpe.errors import GraphPEError, GraphPERuntimeError, GraphPEValueError

_MODULES: ContextVar[tuple[ModuleType, ...]] = ContextVar("modules", default=())


@contextmanager
def imported(names: Sequence[str]) -> Iterator[None]:
    """Within it, texts know the public classes of some modules; what their code raises is one line that says where.

    Modules are looked for in the current folder first, as Python does for a script there, and processes that are
    started meanwhile look there, too.

    Args:
        names: Names of modules, `my_package.models`, or files, `my_model.py`.

    Raises:
        GraphPEValueError: There is no such module, or a class in it has the name of one that is there.
        GraphPERuntimeError: Its code failed, when it was imported or later.
    """
    found, folders = list(_MODULES.get()), list(sys.path)
    token = None
    try:
        for name in names:
            module = _import(name)
            if module not in found:
                _check_useful(module)
                found.append(module)
        token = _MODULES.set(tuple(found))
        yield
    except GraphPEError:
        raise
    except Exception as error:  # of whatever kind: it is the user's code, and the user's error
        place = _place(error, found)
        if place is None:
            raise
        raise GraphPERuntimeError(f"{place}: {_said(error)}") from error
    finally:
        if token is not None:
            _MODULES.reset(token)
        for name in names:
            folder = str(_folder(name))
            if folder not in folders and folder in sys.path:
                sys.path.remove(folder)


def check_outside(names: Sequence[str], folder: Path) -> None:
    """Refuse modules in a run folder: it may be another's, and holds no code.

    Args:
        names: Modules that the run names.
        folder: The run folder.

    Raises:
        GraphPEValueError: One is in it.
    """
    for name in names:
        if _is_file(name) and Path(name).expanduser().resolve().is_relative_to(folder.resolve()):
            raise GraphPEValueError(f"{folder} imports {name}, in itself: say --import {name} if that code may run")


def any_imported() -> bool:
    """Whether modules of the user's are known now."""
    return bool(_MODULES.get())


def known_classes(kind: str, builtin: Mapping[str, type]) -> Mapping[str, type]:
    """The classes of a kind that texts may name now: graphpe's, those of imported modules, those of installed packages.

    Args:
        kind: `encoding`, `encoder`, `bias`, `model` or `task`.
        builtin: graphpe's own.

    Raises:
        GraphPEValueError: Two have one name.
    """
    own = own_classes(kind)
    check_new(own, builtin, kind)
    return _Known({**builtin, **own}, kind)


def check_new(own: Mapping[str, type], builtin: Iterable[str], kind: str) -> None:
    """Refuse a class that is called like one of graphpe's.

    Args:
        own: The user's, by name.
        builtin: Names of graphpe's.
        kind: `encoding`, `encoder`, `bias`, `model` or `task`.

    Raises:
        GraphPEValueError: One is.
    """
    taken = {plain_name(name): name for name in builtin}
    for name, member in own.items():
        if plain_name(name) in taken:
            raise GraphPEValueError(
                f"{member.__module__} defines {name}, but graphpe has the {kind} {taken[plain_name(name)]}: rename it"
            )


def own_classes(kind: str) -> dict[str, type]:
    """The classes of a kind in imported modules: of all their public names, those that graphpe does not define itself.

    Args:
        kind: `encoding`, `encoder`, `bias`, `model` or `task`.

    Raises:
        GraphPEValueError: Two modules have different ones of one name.
    """
    if not _MODULES.get():
        return {}
    from graphpe.benchmarks.calls.kinds import KINDS  # imports torch

    found: dict[str, type] = {}
    for module in _MODULES.get():
        for name, member in _classes(module):
            if KINDS[kind].fits(member):
                other = found.setdefault(name, member)
                if other is not member:
                    raise GraphPEValueError(f"{other.__module__} and {module.__name__} both define {name}: rename one")
    return found


@cache
def installed(kind: str) -> dict[str, EntryPoint]:
    """What installed packages offer, by name; nothing is imported.

    Args:
        kind: `encoding`, `encoder`, `bias`, `model` or `task`.
    """
    plural = "biases" if kind == "bias" else f"{kind}s"
    return {each.name: each for each in entry_points(group=f"graphpe.{plural}")}


def load_installed(entry: EntryPoint, kind: str) -> type:
    """The class of an entry point.

    Args:
        entry: The entry point.
        kind: What it has to be.

    Raises:
        GraphPERuntimeError: Importing it failed, or it is something else.
    """
    from graphpe.benchmarks.calls.kinds import KINDS  # imports torch

    package = f"the installed package {entry.dist.name if entry.dist else entry.module}"
    try:
        member = entry.load()
    except Exception as error:  # of whatever kind: another's code
        raise GraphPERuntimeError(f"{package} offers {entry.value}, which fails: {_said(error)}") from error
    asked = KINDS[kind]
    if not isinstance(member, type) or not asked.fits(member) or member.__name__ != entry.name:
        raise GraphPERuntimeError(
            f"{package} offers {entry.value} as the {kind} {entry.name}; that has to be the name of a class that "
            f"{asked.asked}"
        )
    return member


def why_not(name: str, kind: str) -> str | None:
    """Why a class of the user's that a text names is not what it should be; None if there is no such class."""
    if not _MODULES.get():
        return None
    from graphpe.benchmarks.calls.kinds import KINDS  # imports torch

    for module in _MODULES.get():
        for own, member in _classes(module):
            if plain_name(own) == plain_name(name) and kind in KINDS:
                abstract = sorted(getattr(member, "__abstractmethods__", ()))
                lacks = f" (it does not define {', '.join(abstract)})" if abstract else ""
                return f"{own} of {module.__name__} is no {kind}{lacks}: a class that {KINDS[kind].asked} is one"
    return None


def plain_name(name: str) -> str:
    """A name in small letters, without `-` and `_`."""
    return re.sub(r"[-_]", "", name).lower()


class _Known(Mapping[str, type]):
    """Classes by name, in alphabetical order; those of installed packages are imported when they are asked for."""

    def __init__(self, here: Mapping[str, type], kind: str) -> None:
        self._here, self._kind, self._installed = here, kind, installed(kind)
        self._names = sorted({*here, *self._installed}, key=str.lower)
        self._plain = {plain_name(name): name for name in here}

    def __getitem__(self, name: str) -> type:
        entry = self._installed.get(name)
        if entry is None:
            return self._here[name]
        member = load_installed(entry, self._kind)
        other = self._here.get(self._plain.get(plain_name(name), ""), member)
        if other is not member:
            raise GraphPEValueError(
                f"{entry.value} of an installed package and {other.__module__} both define the {self._kind} {name}: "
                "uninstall that package, or rename one"
            )
        return member

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _classes(module: ModuleType) -> Iterator[tuple[str, type]]:
    names = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
    for name in names:
        member = getattr(module, name, None)
        if isinstance(member, type) and member.__name__ == name and member.__module__.split(".")[0] != "graphpe":
            yield name, member


def _check_useful(module: ModuleType) -> None:
    """Raise for a module without anything that a text could name: something in it is not as it was meant.

    Raises:
        GraphPEValueError: It is one.
    """
    from graphpe.benchmarks.calls.kinds import KINDS  # imports torch

    if not any(kind.fits(member) for _, member in _classes(module) for kind in KINDS.values()):
        asked = f"an encoding {KINDS['encoding'].asked}; a model {KINDS['model'].asked}"
        raise GraphPEValueError(
            f"{_file(module) or module.__name__} defines no encoding, encoder, model or task ({asked})"
        )


def _is_file(name: str) -> bool:
    return name.endswith(".py") or os.sep in name


def _folder(name: str) -> Path:
    """The folder in which a module is looked for first."""
    return Path(name).expanduser().resolve().parent if _is_file(name) else Path.cwd()


def _import(name: str) -> ModuleType:
    path, is_file, folder = Path(name).expanduser(), _is_file(name), _folder(name)
    module_name = path.stem if is_file else name
    if is_file and (path.suffix != ".py" or not path.is_file()):
        raise GraphPEValueError(
            f"--import {name}: {'there is no such file' if path.suffix == '.py' else 'no .py file'}"
        )
    if not all(part.isidentifier() for part in module_name.split(".")):
        raise GraphPEValueError(f"--import {name}: {module_name!r} is no name of a Python module: rename the file")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    importlib.invalidate_caches()  # of a file that was written a moment ago
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise GraphPERuntimeError(f"--import {name} failed: {_said(error)}") from None
        raise GraphPEValueError(
            f"--import {name}: there is no module {error.name} in {folder}, nor is one installed; name a module, or a "
            "file such as my_model.py"
        ) from None
    except (Exception, SystemExit) as error:  # of whatever kind: it is the user's code, and the user's error
        raise GraphPERuntimeError(f"--import {name} failed{_line(error)}: {_said(error)}") from error
    if is_file and (found := _file(module)) != path.resolve():
        raise GraphPEValueError(
            f"--import {name}: a module {module_name} is there already ({found or 'of Python itself'}): rename the file"
        )
    return module


def _file(module: ModuleType) -> Path | None:
    file = getattr(module, "__file__", None)
    return None if file is None else Path(file).resolve()


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}" if str(error) else type(error).__name__


def _line(error: BaseException) -> str:
    """Where an import failed: the last line that is not of Python's own machinery."""
    if isinstance(error, SyntaxError):
        return ""  # which says it itself
    frames = [each for each in traceback.extract_tb(error.__traceback__) if not each.filename.startswith("<frozen")]
    return f" in {frames[-1].filename}, line {frames[-1].lineno}" if len(frames) > 1 else ""


def _place(error: BaseException, modules: Sequence[ModuleType]) -> str | None:
    """Where in the user's modules an error came up; None if it did not pass through them."""
    files = [file for module in modules if (file := _file(module)) is not None]
    roots = [file.parent if file.name == "__init__.py" else file for file in files]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if any(Path(frame.filename).resolve().is_relative_to(root) for root in roots):
            return f"{frame.filename}, line {frame.lineno}, in {frame.name}"
    return None
