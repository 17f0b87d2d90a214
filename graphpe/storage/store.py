"""An encoded dataset on disk: written shard by shard, resumable at any moment, and never read unchecked.

    graphs.safetensors   every column of all graphs (see `graphpe.storage.format`); any reader of safetensors opens it
    manifest.json        parameters, columns, shards, checksums (see `graphpe.storage.manifest`)

While it is written the file is called `graphs.safetensors.part`, and `journal.jsonl` names the shards that are in it:
a shard counts when its bytes are on the disk and its line, with their checksums, is in the journal. The manifest comes
last: a folder that has one is complete.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphpe.errors import GraphPERuntimeError
from graphpe.files.atomic import write_atomically
from graphpe.files.locking import acquire, release
from graphpe.files.reading import check_file, read_bytes
from graphpe.storage.format import EDGE_INDEX, NUM_EDGES, NUM_NODES, TEXT_SIZES, Column, as_bytes, to_packed
from graphpe.storage.manifest import Manifest, digest_of
from graphpe.storage.stored import wrong_columns, wrong_edge, wrong_sizes, wrong_values

_MAP_NORESERVE = 0x4000  # of Linux; Python's mmap does not name it

_LOOKING = 0.5  # seconds in which another process only looks whether the dataset is finished

DATA, PART, JOURNAL, MANIFEST = "graphs.safetensors", "graphs.safetensors.part", "journal.jsonl", "manifest.json"


def read_manifest(root: Path) -> Manifest | None:
    """The manifest of a finished dataset, or None where there is none.

    Args:
        root: The dataset's folder.

    Raises:
        GraphPERuntimeError: It cannot be read, is damaged, or of another format.
    """
    path = root / MANIFEST
    return Manifest.from_json(read_bytes(path), path) if path.exists() else None


@contextlib.contextmanager
def writing(root: Path) -> Iterator[None]:
    """Make the folder of a dataset and hold its lock: one process at a time looks at what is there and writes.

    Raises:
        GraphPERuntimeError: It cannot be made, or another process writes to it.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GraphPERuntimeError(
            f"cannot write to {root}: {error.strerror or error}; choose another root, or mend that one"
        ) from None
    with _one_line_errors(root):
        lock = acquire(root, f"another process is encoding into {root}: wait for it, or stop it", wait=_LOOKING)
    try:
        yield
    finally:
        release(lock)


class StoreWriter:
    """Writes an encoded dataset, or goes on with one that was interrupted, inside `writing`.

    Args:
        root: Its folder.
        manifest: What is to be written.

    Attributes:
        missing: Shards that are still to be written.

    Raises:
        GraphPERuntimeError: The folder holds something else, or cannot be written to.
    """

    def __init__(self, root: Path, manifest: Manifest) -> None:
        self.root, self.manifest, self.layout = root, manifest, manifest.layout()
        self._digests: dict[int, dict[str, str]] = {}
        with _one_line_errors(root):
            self._file = self._open()
            self._check_space()
            self._journal = (root / JOURNAL).open("ab")

    @property
    def missing(self) -> list[int]:
        """Shards that are still to be written."""
        return [shard for shard in range(self.layout.num_shards) if shard not in self._digests]

    def commit(self, shard: int, values: Mapping[str, Tensor]) -> None:
        """Write a shard: its rows of every column, by name. When this returns, they survive a crash.

        Args:
            shard: Number of the shard.
            values: Its rows of every column, by the column's name.

        Raises:
            GraphPERuntimeError: The disk is full or fails; earlier shards are kept.
        """
        digests: dict[str, str] = {}
        with _one_line_errors(self.root):
            for column in self.layout.columns:
                value, ranges = values[column.name], self.layout.ranges(column, shard)
                pieces = [as_bytes(piece) for piece in (value if column.is_edge_index else [value])]
                for piece, (start, stop) in zip(pieces, ranges, strict=True):
                    if piece.nbytes != stop - start:
                        raise AssertionError(f"{column.name}: {piece.nbytes} bytes for {stop - start}")
                    self._file.seek(start)
                    self._file.write(piece.data)
                digests[column.name] = digest_of(pieces)
            _to_disk(self._file)
            self._journal.write(_journal_line(shard, digests))
            _to_disk(self._journal)
        self._digests[shard] = digests

    def finish(self) -> None:
        """Turn the folder into an encoded dataset."""
        columns = [column.name for column in self.layout.columns]
        digests = {name: [self._digests[shard][name] for shard in range(self.layout.num_shards)] for name in columns}
        with _one_line_errors(self.root):
            _to_disk(self._file)
            self.close()
            os.replace(self.root / PART, self.root / DATA)
            write_atomically(self.root / MANIFEST, self.manifest.with_digests(digests).to_json())
            (self.root / JOURNAL).unlink(missing_ok=True)  # who found the manifest may have removed it

    def close(self) -> None:
        """Leave the folder as it is."""
        self._file.close()
        self._journal.close()

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def _open(self) -> BinaryIO:
        part, journal, data = self.root / PART, self.root / JOURNAL, self.root / DATA
        begun = _read_journal(journal)
        self._check_ours(begun is not None)
        for name in (JOURNAL, MANIFEST):
            for unfinished in self.root.glob(f".{name}.*.part"):  # killed while one of them was written
                unfinished.unlink()
        if begun is not None:
            begun[0].check_same(self.manifest, self.root)
            if data.exists() and not part.exists():  # killed between renaming the file and writing the manifest
                os.replace(data, part)
            if part.exists():
                check_file(part)
            if part.exists() and part.stat().st_size == self.layout.total_bytes:
                file = part.open("r+b")
                file.write(self.layout.header)
                self._digests = {shard: found for shard, found in begun[1].items() if self._holds(file, shard, found)}
                lines = [_journal_line(shard, found) for shard, found in self._digests.items()]
                write_atomically(journal, self.manifest.to_json().encode() + b"\n" + b"".join(lines))
                return file
        write_atomically(journal, self.manifest.to_json() + "\n")  # before the file, which is known as ours by it
        file = part.open("w+b")
        file.truncate(self.layout.total_bytes)
        file.write(self.layout.header)
        return file

    def _check_ours(self, begun: bool) -> None:
        """Refuse a folder with files of somebody else: into one that this class has begun, they may have come later.

        Raises:
            GraphPERuntimeError: There are some.
        """
        ours = (f".{JOURNAL}.", f".{MANIFEST}.")
        others = [path.name for path in self.root.iterdir() if not path.name.startswith(ours)]
        if begun:
            others = [DATA] if DATA in others and PART in others else []
        elif PART in others:  # the same dataset's, whose journal was lost
            check_file(self.root / PART)
            with (self.root / PART).open("rb") as file:
                if file.read(len(self.layout.header)) == self.layout.header:
                    others.remove(PART)
        if others:
            raise GraphPERuntimeError(
                f"{self.root} holds {', '.join(sorted(others)[:3])}, which graphpe did not write: choose another root"
            )

    def _check_space(self) -> None:
        """The file has its full size, but parts that were not written take no space yet."""
        taken = getattr(os.fstat(self._file.fileno()), "st_blocks", 0) * 512
        free = shutil.disk_usage(self.root).free
        if free < self.layout.total_bytes - taken:
            raise GraphPERuntimeError(
                f"{self.root} will take {self.layout.total_bytes:,} bytes, and its disk has {free:,} free: "
                "choose another root, or free space"
            )

    def _holds(self, file: BinaryIO, shard: int, digests: Mapping[str, str]) -> bool:
        """Whether a shard is in the file as the journal says."""
        if not 0 <= shard < self.layout.num_shards:
            return False
        for column in self.layout.columns:
            pieces = []
            for start, stop in self.layout.ranges(column, shard):
                file.seek(start)
                pieces.append(np.frombuffer(file.read(stop - start), dtype=np.uint8))
            if digest_of(pieces) != digests.get(column.name):
                return False
        return True


class Store:
    """A finished dataset on disk, mapped into memory.

    Opening checks the manifest, the file's size and header and the sizes of all graphs. A shard's checksums are
    compared, and its edges, before its values are handed out for the first time; that reads the shard once.

    Args:
        root: Its folder.

    Attributes:
        manifest: What it holds.
        packed: All graphs, over the mapped file; call `verify` for those that you read.

    Raises:
        GraphPERuntimeError: There is none, or it is unfinished, damaged or of another format.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._map()
        self._verified = np.zeros(self.layout.num_shards, dtype=bool)

    def shard_of(self, graph: int) -> int:
        """The shard that holds a graph.

        Args:
            graph: Number of the graph.
        """
        return int(np.searchsorted(self._starts, graph, side="right")) - 1

    def shards_of(self, graphs: np.ndarray) -> list[int]:
        """The shards that hold some graphs.

        Args:
            graphs: Numbers of the graphs.
        """
        return np.unique(np.searchsorted(self._starts, graphs, side="right") - 1).tolist()

    def release(self) -> None:
        """Give back the memory of what was read: it stays in the system's cache, and is mapped again when it is read.

        What this process changed in place is lost; nothing is done where the system cannot.
        """
        if hasattr(mmap, "MADV_DONTNEED"):
            self._mapped.madvise(mmap.MADV_DONTNEED)

    def verify(self, shards: Iterable[int] | None = None) -> None:
        """Compare the checksums of shards (None: all) that were not compared before.

        They are read from the file, not through the mapping: this takes no memory.

        Args:
            shards: Numbers of the shards; None for all.

        Raises:
            GraphPERuntimeError: One differs; the message names the shard and the key. An edge leaves its graph.
        """
        for shard in range(self.layout.num_shards) if shards is None else shards:
            if not self._verified[shard]:
                edges = None
                for column in self.layout.columns:
                    pieces = self._verify(column, shard)
                    if column.is_edge_index:
                        edges = np.stack([piece.view(np.int64) for piece in pieces])
                assert edges is not None, "every dataset has edges"
                start, stop = self.manifest.rows.graph[shard : shard + 2]
                self._refuse(wrong_edge(self.packed, start, stop, edges))
                self._verified[shard] = True

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root, "_verified": self._verified, "_stamp": self._stamp}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.root = state["root"]
        self._map()
        same = state["_stamp"] == self._stamp and len(state["_verified"]) == self.layout.num_shards
        self._verified = state["_verified"].copy() if same else np.zeros(self.layout.num_shards, dtype=bool)

    def _map(self) -> None:
        manifest = read_manifest(self.root)
        if manifest is None:
            raise GraphPERuntimeError(_why_there_is_none(self.root))
        self.manifest = manifest
        self._refuse(wrong_columns(manifest))
        self.layout = manifest.layout()
        path, expected = self.root / DATA, self.layout.total_bytes
        again = f"move {self.root} away and encode again"
        if path.exists():
            check_file(path)
        try:
            status = path.stat()
            if status.st_size != expected:
                raise GraphPERuntimeError(f"{path} has {status.st_size:,} bytes instead of {expected:,}: {again}")
            self._mapped = _map_file(path)
        except FileNotFoundError:
            raise GraphPERuntimeError(f"{path} is missing: {again}") from None
        except OSError as error:
            raise GraphPERuntimeError(f"{path} cannot be read: {error.strerror}") from None
        header = self.layout.header
        content = torch.frombuffer(self._mapped, dtype=torch.uint8)
        if content[: len(header)].numpy().tobytes() != header:
            raise GraphPERuntimeError(f"{path} is damaged in its header: {again}")
        self._stamp = (status.st_size, status.st_mtime_ns, status.st_ino)
        self._starts = np.asarray(manifest.rows.graph[:-1], dtype=np.int64)
        tensors = {column.name: self.layout.tensor(column, content) for column in manifest.columns}
        for column in self.layout.columns:
            if column.name in (NUM_NODES, NUM_EDGES, TEXT_SIZES):
                for shard in range(self.layout.num_shards):
                    self._verify(column, shard)
        self._refuse(wrong_sizes(tensors, manifest.rows))
        self.packed = to_packed(tensors, manifest.objects)
        self._refuse(wrong_values(self.packed))

    def _refuse(self, reason: str | None) -> None:
        if reason is not None:
            raise GraphPERuntimeError(
                f"{self.root} was not written by graphpe, or changed since: {reason}; encode again, into another folder"
            )

    def _verify(self, column: Column, shard: int) -> list[NDArray[np.uint8]]:
        pieces = []
        try:
            with (self.root / DATA).open("rb") as file:
                if os.fstat(file.fileno()).st_ino != self._stamp[2]:
                    self._refuse("another file took its place")
                for start, stop in self.layout.ranges(column, shard):
                    file.seek(start)
                    pieces.append(np.frombuffer(file.read(stop - start), dtype=np.uint8))
        except OSError as error:
            raise GraphPERuntimeError(f"{self.root / DATA} cannot be read: {error.strerror}") from None
        if digest_of(pieces) != self.manifest.digests[column.name][shard]:
            start, stop = self.manifest.rows.graph[shard : shard + 2]
            key = "edge_index" if column.name == EDGE_INDEX else column.name.partition(".")[2]
            raise GraphPERuntimeError(
                f"{self.root / DATA} is damaged in shard {shard} (graphs {start} to {stop - 1}), key {key!r}: "
                f"move {self.root} away and encode again"
            )
        return pieces


def _map_file(path: Path) -> mmap.mmap:
    """A file's bytes, copied on write: who changes a tensor in place changes it in this process, never on disk."""
    with path.open("rb") as file:
        if sys.platform == "linux":
            # Without the flag Linux refuses files that are larger than the memory, all of which might be written to.
            flags, access = mmap.MAP_PRIVATE | _MAP_NORESERVE, mmap.PROT_READ | mmap.PROT_WRITE
            return mmap.mmap(file.fileno(), 0, flags=flags, prot=access)
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)


def _why_there_is_none(root: Path) -> str:
    if not root.is_dir():
        return f"there is no encoded dataset at {root}: it is no folder"
    begun = _read_journal(root / JOURNAL)
    if begun is None:
        return f"there is no encoded dataset at {root}: it has no {MANIFEST}"
    return (
        f"the dataset at {root} is not finished ({len(begun[1])} of {begun[0].layout().num_shards} shards): "
        "run the same graphpe.precompute(...) or `graphpe encode` again to go on"
    )


def _read_journal(path: Path) -> tuple[Manifest, dict[int, dict[str, str]]] | None:
    """What is being written, and the checksums of shards that were; a line cut off by a crash is no line."""
    if not path.exists():
        return None
    first, *lines = read_bytes(path).split(b"\n")
    shards: dict[int, dict[str, str]] = {}
    for line in lines:
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
            entry = json.loads(line)
            shards[int(entry["shard"])] = dict(entry["digests"])
    return Manifest.from_json(first, path), shards


def _journal_line(shard: int, digests: Mapping[str, str]) -> bytes:
    return json.dumps({"shard": shard, "digests": digests}).encode() + b"\n"


def _to_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


@contextlib.contextmanager
def _one_line_errors(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise GraphPERuntimeError(
            f"cannot write to {root}: {error.strerror or error}; shards that were written are kept, run again to go on"
        ) from None
