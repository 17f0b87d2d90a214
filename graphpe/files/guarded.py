"""PyG's dataset classes, so that nothing in their files is executed and no file is left half-made.

As they are, they unpickle what they find in a dataset's folder (`raw/*.pickle`, `processed/*.pt`, `pre_transform.pt`),
and what a killed process downloaded or processed half stands in the way of the next.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import types
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from graphpe.errors import GraphPERuntimeError
from graphpe.files.reading import check_folder_of_files
from graphpe.files.scratch import scratch_folder
from graphpe.files.unpickling import load_pickle, load_saved

MISSING = object()


def guarded(base: type[Any], name: str, *, download: bool) -> type[Any]:
    """A subclass of a dataset class that downloads and processes in a folder of its own and then renames it.

    `pre_transform.pt` and `pre_filter.pt`, records of what the data was processed with, are neither read nor written.

    Args:
        base: A class of PyG (or OGB), made without transforms.
        name: The dataset, for messages.
        download: Whether it may download.
    """

    class Guarded(base):
        root: str
        original_root: str  # of OGB
        _processing: str | None = None
        processed_now = False
        """Whether `processed/` was made from the raw files just now."""

        @property
        def processed_dir(self) -> str:
            return super().processed_dir if self._processing is None else self._processing

        def _download(self) -> None:
            raw = Path(self.raw_dir)
            missing = [path.name for path in map(Path, self.raw_paths) if not path.exists()]
            if not missing:
                check_folder_of_files(raw)
                return
            if raw.is_dir() and any(raw.iterdir()):
                raise GraphPERuntimeError(
                    f"{raw} is incomplete: it lacks {', '.join(missing)} of {name}; complete it, or move it away"
                )
            if not download:
                raise GraphPERuntimeError(
                    f"{name} is not in {raw} ({', '.join(missing)} missing): put its files there, or allow the download"
                )
            with scratch_folder(_existing(Path(self.root))) as scratch:
                own = {key: getattr(self, key) for key in ("root", "original_root") if hasattr(self, key)}
                self.root, self.original_root = str(scratch / Path(self.root).name), str(scratch)
                try:
                    Path(self.raw_dir).mkdir(parents=True, exist_ok=True)
                    self.download()
                    made = Path(self.raw_dir)
                except OSError as error:
                    reason = " ".join(str(getattr(error, "reason", error)).split())[:200]
                    raise GraphPERuntimeError(
                        f"{name} is not in {raw} ({', '.join(missing)} missing) and cannot be downloaded ({reason}): "
                        "put its files there"
                    ) from None
                finally:
                    del self.original_root
                    for key, value in own.items():
                        setattr(self, key, value)
                _move_into(made.parent, raw.parent, last=raw.name)

        def _process(self) -> None:
            processed = Path(self.processed_dir)
            if all(Path(path).exists() for path in self.processed_paths):
                check_folder_of_files(processed)
                return
            with scratch_folder(_existing(processed.parent)) as scratch:
                self._processing = str(scratch)
                try:
                    self.process()
                finally:
                    self._processing = None
                processed.mkdir(parents=True, exist_ok=True)
                _move_into(scratch, processed)
                self.processed_now = True

    Guarded.__name__ = Guarded.__qualname__ = base.__name__
    return Guarded


@contextlib.contextmanager
def data_only(*modules: ModuleType) -> Iterator[None]:
    """Let PyG and the modules of datasets read files of `torch.save` and `pickle` as data, for a while.

    Args:
        *modules: Modules that read such files.
    """
    from torch_geometric.io import fs

    def load(path: Any, *_: Any, **__: Any) -> Any:
        try:
            return load_saved(Path(path))
        except GraphPERuntimeError as error:
            folder = Path(path).parent
            if folder.name != "processed":
                raise
            raise GraphPERuntimeError(f"{error}; move {folder} away to have it built again from raw/") from None

    def unpickle(file: Any, *_: Any, encoding: str = "ASCII", **__: Any) -> Any:
        return load_pickle(Path(file.name), encoding=encoding)

    views = {"torch": view(torch, load=load), "pickle": view(pickle, load=unpickle)}
    with contextlib.ExitStack() as stack:
        stack.enter_context(names(fs, torch_load=load))
        for module in modules:
            stack.enter_context(names(module, **{key: views[key] for key in views if key in vars(module)}))
        yield


@contextlib.contextmanager
def names(module: ModuleType, **values: Any) -> Iterator[None]:
    """Give names of a module (or built-ins that it uses) another meaning inside it, for a while.

    Args:
        module: The module.
        **values: What each name means inside it.
    """
    before = {name: vars(module).get(name, MISSING) for name in values}
    vars(module).update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is MISSING:
                del vars(module)[name]
            else:
                vars(module)[name] = value


def view(module: ModuleType, **changed: Any) -> ModuleType:
    """A module with other values under some names.

    Args:
        module: The module, which stays as it is.
        **changed: The other values.
    """
    view = types.ModuleType(module.__name__)
    vars(view).update(vars(module) | changed)
    return view


def _existing(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _move_into(made: Path, folder: Path, last: str = "") -> None:
    """Move what is in one folder into another; the file or folder by which others see that all is there comes last."""
    folder.mkdir(parents=True, exist_ok=True)
    for entry in sorted(made.iterdir(), key=lambda entry: entry.name == last):
        target = folder / entry.name
        if target.is_dir():
            target.rmdir()  # empty, or somebody else's: then this fails
        os.replace(entry, target)
