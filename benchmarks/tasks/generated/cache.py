"""Generated data on disk: arrays under a key, with a checksum, so that they are generated once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from graphpe.errors import GraphPERuntimeError
from graphpe.files.atomic import remove_leftovers, user_cache, write_atomically
from graphpe.files.reading import read_bytes

Arrays = dict[str, NDArray]


def generated_once(
    name: str, recipe: str, cache: Path | None, generate: Callable[[], Arrays]
) -> tuple[Arrays, list[str]]:
    """Arrays that `generate` makes, or those it made before.

    Args:
        name: Folder in the cache.
        recipe: Everything the arrays depend on, and the version of the generator; its digest names the file.
        cache: Folder to keep them in; None means the user's cache folder.
        generate: Makes the arrays.

    Returns:
        The arrays, and lines about the cache worth telling.
    """
    cache = cache or user_cache()
    notes: list[str] = []
    path = None if cache is None else cache / name / f"{hashlib.blake2b(recipe.encode(), digest_size=12).hexdigest()}"
    if path is not None and path.exists():
        try:
            return _read(path, recipe), [f"{name}: taken from {path}"]
        except (GraphPERuntimeError, SafetensorError, ValueError, KeyError) as error:
            notes.append(f"{path} is damaged ({' '.join(str(error).split())}): generated again")
    arrays = generate()
    if path is not None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            remove_leftovers(path.parent)
            content = {key: np.ascontiguousarray(value) for key, value in arrays.items()}
            content["checksum"] = _checksum(arrays, recipe)
            write_atomically(path, save_safetensors(content))
        except OSError as error:
            notes.append(f"{name} is not kept: {path.parent} cannot be written ({error.strerror})")
    return arrays, notes


def _read(path: Path, recipe: str) -> Arrays:
    arrays = load_safetensors(read_bytes(path))
    if not np.array_equal(arrays.pop("checksum"), _checksum(arrays, recipe)):
        raise ValueError("checksum differs")
    return arrays


def _checksum(arrays: Arrays, recipe: str) -> NDArray[np.uint8]:
    digest = hashlib.blake2b(recipe.encode(), digest_size=16)
    for key in sorted(arrays):
        digest.update(f"{key} {arrays[key].dtype} {arrays[key].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[key]).data)
    return np.frombuffer(digest.digest(), dtype=np.uint8)
