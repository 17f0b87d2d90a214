"""`precompute`: encode a dataset once, onto disk."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData

from graphpe.arguments import check_choice, check_integer
from graphpe.errors import GraphPERuntimeError, GraphPETypeError, GraphPEValueError
from graphpe.files.atomic import user_cache
from graphpe.files.ogb import load_graph_dataset
from graphpe.graphs.checks import describe as describe_value
from graphpe.graphs.packed import PackedGraphs
from graphpe.graphs.ragged import Ints
from graphpe.limits import PAIR_LIMIT, format_bytes, format_seconds
from graphpe.progress import progress_bar
from graphpe.storage.chunks import written_keys
from graphpe.storage.encoded import EncodedDataset
from graphpe.storage.estimate import (
    check_pair_limit,
    describe,
    encoded_columns,
    graphs_per_second,
)
from graphpe.storage.format import Column, Texts, graph_columns, shard_rows, take_rows
from graphpe.storage.manifest import Manifest, fingerprint
from graphpe.storage.store import JOURNAL, StoreWriter, read_manifest, writing
from graphpe.storage.workers import Engine, Shards, encode_shards

SHARD_GRAPHS = 1024
SHARD_PAIR_BYTES = 2**28
"""A shard with more pair values than this holds fewer graphs: it is in memory as a whole."""


def precompute(
    dataset: Any,
    transform: Callable[[PackedGraphs], PackedGraphs],
    root: str | Path | None = None,
    *,
    device: torch.device | str = "cpu",
    workers: int = 0,
    engine: Engine = "local",
    shard_graphs: int = SHARD_GRAPHS,
    pair_limit: int = PAIR_LIMIT,
    progress: bool = True,
    cache: Path | None = None,
) -> EncodedDataset:
    """Encode a dataset once, onto disk, and open the result.

    Interrupted or killed, the same call goes on where it was; the files are the same bytes in the end. Neither
    `workers` nor `engine` changes a bit of them: shards are encoded on one thread each, and random signs come from the
    encoding's seed and the shard's number (so they differ from those of `transform(graphs)`, and are the same in every
    epoch). Numerics may differ in the last bits between machines of different levels.

    Where `root` already holds this very encoding of this dataset, it is opened; anything else is an error.

    Args:
        dataset: A PyG dataset, a sequence of `Data`, a `PackedGraphs`, or the name of an OGB dataset of graphs
            (`"ogbg-molhiv"`; its folder is looked for, or downloaded to, in `dataset/`). Read into memory; a
            `transform` of the dataset is applied once.
        transform: An encoding of graphpe, or a `Compose` of them: called on `PackedGraphs`, it says by `keys`,
            `graph_keys` and `pair_keys` what it writes, and by its `repr` all of its parameters.
        root: Folder of the result; None: one of its own in the user's cache folder.
        device: `"cpu"` or `"cuda"`.
        workers: Processes that encode, 0 for this one. With `engine="ray"` tasks at once, 0 for one a CPU.
        engine: `"local"`, or `"ray"` for the Ray cluster that this process is connected to (or `RAY_ADDRESS` names,
            else a new one on this machine).
        shard_graphs: Graphs that are encoded, written and checked together; fewer where their pair values would take
            more than 256 MiB.
        pair_limit: Bytes that pair encodings may take.
        progress: Whether to print estimates and show a bar.
        cache: The cache folder that `root=None` means; None: the user's.

    Raises:
        GraphPETypeError: `dataset` or `transform` is of another kind.
        GraphPEValueError: Pair encodings exceed `pair_limit`, an option is not accepted, or a value cannot be stored.
        GraphPERuntimeError: `root` holds something else or cannot be written, the disk is too small, a process died,
            or Ray or CUDA is not there.
    """
    where = _check_options(device, workers, engine, shard_graphs, pair_limit)
    written_keys(transform)
    graphs = _read(dataset, progress)
    job = _plan(graphs, transform, where, shard_graphs, pair_limit)
    path = _default_root(job.manifest, cache) if root is None else Path(root).expanduser()
    say = print if progress else _say_nothing
    if not _is_finished(path, job, say):
        with writing(path):
            if not _is_finished(path, job, say):  # by another process, since this one looked
                _write(path, graphs, job, say, engine=engine, workers=int(workers), progress=progress)
    return EncodedDataset(path)


def _is_finished(path: Path, job: _Job, say: Callable[[str], object]) -> bool:
    """Whether a folder holds this encoding of this dataset.

    Raises:
        GraphPERuntimeError: It holds another one.
    """
    finished = read_manifest(path)
    if finished is None:
        return False
    finished.check_same(job.manifest, path)
    with contextlib.suppress(OSError):
        (path / JOURNAL).unlink(missing_ok=True)  # left by a kill at the very end
    say(f"{path} holds this encoding already: {job.shards.bounds[-1]:,} graphs, {job.size}")
    return True


def _write(
    path: Path,
    graphs: PackedGraphs,
    job: _Job,
    say: Callable[[str], object],
    *,
    engine: Engine,
    workers: int,
    progress: bool,
) -> None:
    """Encode what is not on disk yet."""
    with StoreWriter(path, job.manifest) as writer:
        for line in describe(graphs, list(job.stored), job.encoded):
            say(line)
        say(f"  {job.size:>9}  in all")
        left = sum(job.shards.num_graphs(shard) for shard in writer.missing)
        if progress and left:
            processes = max(1, min(workers, os.cpu_count() or 1)) if engine == "local" else 1
            say(_time_estimate(graphs, job, left, processes))
        start = time.perf_counter()
        _encode(job, writer, left, engine=engine, workers=workers, progress=progress)
        writer.finish()
    seconds = time.perf_counter() - start
    say(f"encoded {left:,} graphs in {seconds:.1f} s ({left / seconds:,.0f} graphs/s): {job.size} in {path}")


@dataclass(frozen=True)
class _Job:
    """All that is to be done.

    Attributes:
        manifest: What will be on disk.
        stored: The graphs' own columns.
        encoded: The encodings' columns.
        shards: What is encoded.
    """

    manifest: Manifest
    stored: dict[Column, Tensor]
    encoded: list[Column]
    shards: Shards

    @property
    def size(self) -> str:
        """Bytes on disk, for people."""
        return format_bytes(self.manifest.layout().total_bytes)


def _plan(graphs: PackedGraphs, transform: Any, device: torch.device, shard_graphs: int, pair_limit: int) -> _Job:
    encoded = encoded_columns(graphs, transform)
    check_pair_limit(graphs, encoded, pair_limit)
    texts = Texts(graphs) if graphs.objects else None
    originals = graph_columns(graphs, texts)
    replaced = {column.name for column in encoded}
    stored = {column: value for column, value in originals.items() if column.name not in replaced}
    pair_bytes = sum(column.row_bytes for column in encoded if column.rows == "pair")
    bounds = shard_bounds(graphs.host_pair_ptr, shard_graphs, pair_bytes)
    manifest = Manifest(
        library=version("graphpe"),
        transform=repr(transform),
        device=device.type,
        shard_graphs=int(shard_graphs),
        fingerprint=fingerprint(originals),
        objects=sorted(graphs.objects),
        columns=[*stored, *encoded],
        rows=shard_rows(graphs, texts, bounds),
        digests={},
    )
    return _Job(manifest, stored, encoded, Shards(graphs, bounds, transform, device))


def _encode(job: _Job, writer: StoreWriter, left: int, *, engine: Engine, workers: int, progress: bool) -> None:
    num_graphs = job.shards.bounds[-1]
    bar = progress_bar(
        total=num_graphs,
        initial=num_graphs - left,
        desc="encode",
        unit="graph",
        leave=False,
        disable=not progress,
    )
    results = encode_shards(job.shards, writer.missing, engine=engine, workers=workers, progress=bar.update)
    with bar, contextlib.closing(results):
        for shard, values in results:
            for column in job.encoded:
                value = values[column.name]
                if value.dtype != column.dtype or tuple(value.shape[1:]) != column.shape:
                    raise GraphPEValueError(
                        f"{job.shards.name(shard)}: {column.name} is {describe_value(value)}, but was {column.dtype} "
                        f"[..., {', '.join(map(str, column.shape))}] for the smallest graph"
                    )
            rows = job.manifest.rows
            own = {column.name: take_rows(column, value, rows, shard) for column, value in job.stored.items()}
            writer.commit(shard, own | values)


def _time_estimate(graphs: PackedGraphs, job: _Job, left: int, processes: int) -> str:
    # With Ray, this process may be on a machine without the cluster's GPUs.
    device = job.shards.device if torch.cuda.is_available() else torch.device("cpu")
    speed = graphs_per_second(graphs, job.shards.transform, device)
    rest = f"{left:,} of them are left: " if left < graphs.num_graphs else ""
    by = f"{processes} processes" if processes > 1 else "one process"
    seconds = format_seconds(left / (speed * processes))
    return f"{rest}{seconds} for {by} ({speed:,.0f} graphs/s each on a random sample)"


def shard_bounds(pair_ptr: Ints, shard_graphs: int, pair_bytes: int) -> list[int]:
    """First graph of each shard, and the number of graphs.

    Args:
        pair_ptr: Pairs of nodes before each graph `[B + 1]`.
        shard_graphs: Graphs in a shard, at most.
        pair_bytes: Bytes of the encodings of one pair.
    """
    bounds, num_graphs = [0], len(pair_ptr) - 1
    while bounds[-1] < num_graphs:
        start = bounds[-1]
        stop = min(start + shard_graphs, num_graphs)
        if pair_bytes:
            level = pair_ptr[start] + SHARD_PAIR_BYTES // pair_bytes
            stop = min(stop, max(start + 1, int(np.searchsorted(pair_ptr, level, side="right")) - 1))
        bounds.append(stop)
    return bounds


def _read(dataset: Any, progress: bool) -> PackedGraphs:
    if isinstance(dataset, str):
        dataset = load_graph_dataset(dataset, Path("dataset"), progress=progress).dataset
    if isinstance(dataset, EncodedDataset) and dataset.transform is None:
        return dataset.packed
    if isinstance(dataset, PackedGraphs):
        return dataset.to("cpu")
    if isinstance(dataset, Data | HeteroData):
        raise GraphPETypeError("dataset is one graph: give a list of graphs, or PackedGraphs.from_data(batch)")
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise GraphPETypeError(
            "dataset must be a PyG dataset, a sequence of Data, a PackedGraphs or the name of an OGB dataset, "
            f"got {type(dataset).__name__}"
        )
    return PackedGraphs.from_dataset(dataset).to("cpu")


def _check_options(
    device: torch.device | str, workers: Any, engine: Any, shard_graphs: Any, pair_limit: Any
) -> torch.device:
    check_integer("workers", workers, least=0)
    check_integer("shard_graphs", shard_graphs, least=1)
    check_integer("pair_limit", pair_limit, least=0)
    check_choice("engine", engine, get_args(Engine))
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError):
        found = torch.device("meta")
    if found.type not in ("cpu", "cuda"):
        raise GraphPEValueError(f"device must be 'cpu' or 'cuda', got {str(device)!r}")
    if found.type == "cuda" and not torch.cuda.is_available() and engine == "local":
        raise GraphPERuntimeError("device='cuda', but torch finds no CUDA device here: use device='cpu'")
    return found


def _default_root(manifest: Manifest, cache: Path | None) -> Path:
    cache = cache or user_cache()
    if cache is None:
        raise GraphPEValueError("root=None means the user's cache folder, but there is none: name a folder")
    text = "\n".join(str(value) for value in manifest.parameters().values())
    return cache / "encoded" / blake2b(text.encode(), digest_size=16).hexdigest()


def _say_nothing(_: str) -> None:
    return
