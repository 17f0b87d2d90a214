"""A parsed corpus on disk: one safetensors file with a checksum, never trusted without it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from graphpe.benchmarks.tasks.code.source.corpus import ARRAYS, Corpus
from graphpe.errors import GraphPERuntimeError
from graphpe.files.atomic import remove_leftovers, write_atomically
from graphpe.files.reading import read_bytes


def corpus_path(cache: Path, key: str) -> Path:
    """Where a corpus stands in a cache folder."""
    return cache / "python-source" / f"{key}.safetensors"


def save_corpus(corpus: Corpus, cache: Path) -> None:
    """Keep a corpus; a reader sees all of it or nothing.

    Raises:
        OSError: If the folder cannot be written.
    """
    texts = [text.encode() for text in corpus.strings]
    arrays = {name: np.ascontiguousarray(getattr(corpus, name)) for name in ARRAYS}
    arrays["string_bytes"] = np.frombuffer(b"".join(texts), dtype=np.uint8)
    arrays["string_lengths"] = np.array([len(text) for text in texts], dtype=np.int64)
    about = json.dumps(
        {"key": corpus.key, "type_names": corpus.type_names, "files": corpus.files, "skipped": corpus.skipped}
    )
    arrays["about"] = np.frombuffer(about.encode(), dtype=np.uint8)
    arrays["checksum"] = _checksum(arrays)
    path = corpus_path(cache, corpus.key)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent)
    write_atomically(path, save_safetensors(arrays))


def load_corpus(cache: Path, key: str) -> Corpus | None:
    """A corpus that was kept, or None where there is none.

    Raises:
        GraphPERuntimeError: If the file is damaged.
    """
    path = corpus_path(cache, key)
    if not path.exists():
        return None
    content = read_bytes(path)
    try:
        arrays = load_safetensors(content)
        if not np.array_equal(arrays.pop("checksum"), _checksum(arrays)):
            raise ValueError("checksum differs")
        about = json.loads(arrays["about"].tobytes())
        if about["key"] != key:
            raise ValueError("it holds something else")
        stops = np.cumsum(arrays["string_lengths"]).tolist()
        blob = arrays["string_bytes"].tobytes()
        return Corpus(
            **{name: arrays[name] for name in ARRAYS},
            strings=[blob[start:stop].decode() for start, stop in zip([0, *stops], stops, strict=False)],
            type_names=about["type_names"],
            files=about["files"],
            skipped=[(path, reason) for path, reason in about["skipped"]],
            key=key,
        )
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise GraphPERuntimeError(f"{path} is damaged ({error})") from None


def _checksum(arrays: dict[str, NDArray]) -> NDArray[np.uint8]:
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(arrays[name].tobytes())
    return np.frombuffer(digest.digest(), dtype=np.uint8)
