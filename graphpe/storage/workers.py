"""Encoding shards here, in several processes, or on a Ray cluster: the same bytes wherever, and in whatever order.

A shard depends on nothing but its graphs, the encoding and its number: random signs are drawn for each shard anew, and
numerics run on one thread. Processes get graphs and give values back as plain arrays; only the caller writes.
"""

from __future__ import annotations

import contextlib
import copy
import math
import multiprocessing
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from types import ModuleType
from typing import Any, Literal

import numba
import torch
from torch import Tensor

from graphpe.compiled.jit import everything_compiled
from graphpe.compiled.threads import one_blas_thread
from graphpe.errors import GraphPEError, GraphPERuntimeError, GraphPETypeError, GraphPEValueError, GraphRangeError
from graphpe.graphs.packed import PackedGraphs
from graphpe.limits import current, limits
from graphpe.storage.chunks import encode_in_chunks, written_keys
from graphpe.storage.parallel import ray_cluster, run_jobs, run_ray_jobs
from graphpe.storage.pickling import (
    Serialized,
    SerializedGraphs,
    deserialize,
    deserialize_graphs,
    serialize,
    serialize_graphs,
)

Engine = Literal["local", "ray"]
Progress = Callable[[int], object]
Encoded = dict[str, Tensor]
Results = Generator[tuple[int, Encoded], None, None]

RETRIES = 3
"""How often Ray encodes a shard again whose worker was killed."""


@dataclass(frozen=True)
class Shards:
    """What is to be encoded.

    Attributes:
        graphs: The graphs of all shards.
        bounds: Shard s holds the graphs `bounds[s]` to `bounds[s + 1]`.
        transform: The encoding.
        device: Where it runs.
    """

    graphs: PackedGraphs
    bounds: Sequence[int]
    transform: Any
    device: torch.device

    def load(self, shard: int) -> PackedGraphs:
        """The graphs of a shard, without Python objects.

        Args:
            shard: Number of the shard.
        """
        return self.graphs._replace(objects={}).select(slice(self.bounds[shard], self.bounds[shard + 1]))

    def num_graphs(self, shard: int) -> int:
        """Graphs in a shard.

        Args:
            shard: Number of the shard.
        """
        return self.bounds[shard + 1] - self.bounds[shard]

    def name(self, shard: int) -> str:
        """What a message calls a shard.

        Args:
            shard: Number of the shard.
        """
        return f"shard {shard} (graphs {self.bounds[shard]} to {self.bounds[shard + 1] - 1})"


def encode_shards(
    shards: Shards, missing: Sequence[int], *, engine: Engine, workers: int, progress: Progress
) -> Results:
    """Encode shards; gives each as it is done, by number and values under `"<level>.<key>"`.

    Args:
        shards: All shards.
        missing: Those to encode.
        engine: `"local"` or `"ray"`.
        workers: Processes, or tasks at once on Ray (0: as many as the cluster has CPUs); 0: in this process.
        progress: Called with numbers of graphs that were encoded.

    Raises:
        GraphPEError: An encoding failed, a process died, or Ray is not installed.
    """
    if engine == "ray":
        return _encode_on_ray(shards, missing, workers, progress)
    if workers == 0 or not missing:
        return _encode_here(shards, missing, progress)
    return _encode_in_processes(shards, missing, min(workers, len(missing)), progress)


def encode_shard(
    graphs: PackedGraphs, transform: Any, shard: int, device: torch.device, progress: Progress | None = None
) -> Encoded:
    """The values of one shard: a function of its arguments alone, on one machine.

    Args:
        graphs: The graphs of the shard.
        transform: The encoding, or a `Compose` of some.
        shard: Number of the shard.
        device: Where it runs.
        progress: What is told how far it is; None for nothing.
    """
    # Values of pairs were checked against the limit of the whole dataset.
    with one_thread(), limits(pair_limit=math.inf):
        encoded = encode_in_chunks(graphs, for_shard(transform, shard), device=device, progress=progress)
    return {
        f"{level}.{key}": getattr(encoded, level)[key]
        for level, keys in written_keys(transform).items()
        for key in keys
    }


def for_shard(transform: Any, shard: int) -> Any:
    """A copy of an encoding that draws random signs by its seed and the shard's number, whatever it drew before.

    Args:
        transform: The encoding, or a `Compose` of some.
        shard: Number of the shard.
    """
    return transform.with_stream(shard) if hasattr(transform, "with_stream") else copy.deepcopy(transform)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Run BLAS, torch and numba on one thread inside the block: processes do not fight, and sums keep their order.

    Everything is compiled in it: what a machine has compiled before changes no bit.
    """
    before = torch.get_num_threads(), numba.get_num_threads()
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    try:
        with one_blas_thread(), everything_compiled():
            yield
    finally:
        torch.set_num_threads(before[0])
        numba.set_num_threads(before[1])


def raise_interrupt(error: BaseException) -> None:
    """Raise the `KeyboardInterrupt` that an error goes back to: compiled code makes a `SystemError` of Ctrl-C.

    Args:
        error: The error.
    """
    before = error.__cause__ or error.__context__
    while before is not None:
        if isinstance(before, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        before = before.__cause__ or before.__context__


def _encode_here(shards: Shards, missing: Sequence[int], progress: Progress) -> Results:
    for shard in missing:
        try:
            values = encode_shard(shards.load(shard), shards.transform, shard, shards.device, progress)
        except Exception as error:
            raise_interrupt(error)
            raise _told(error, shards.name(shard), shards.bounds[shard]) from error
        yield shard, values


# Several processes


class _Process:
    """A process that encodes one shard at a time."""

    def __init__(self, setup: bytes) -> None:
        context = multiprocessing.get_context("spawn")  # forked, OpenMP and BLAS threads of this process would hang
        self.connection, far_end = context.Pipe()
        self.process = context.Process(target=_serve, args=(far_end, setup), daemon=True)
        self.process.start()
        far_end.close()
        self.shard: int | None = None
        self.ready = False

    def send(self, shards: Shards, shard: int) -> None:
        """Give it a shard, once it is ready.

        Raises:
            GraphPEError: It cannot begin.
        """
        if not self.ready:
            problem = self.receive(shards)
            if isinstance(problem, GraphPEError):
                raise problem
            self.ready = True
        self.shard = shard
        with contextlib.suppress(BrokenPipeError):  # it died: `receive` says so
            self.connection.send((shard, serialize_graphs(shards.load(shard))))

    def receive(self, shards: Shards) -> dict[str, Serialized] | GraphPEError | None:
        """The values of its shard, or what went wrong; None when it is ready."""
        try:
            return self.connection.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            raise GraphPERuntimeError(self._death(shards)) from None

    def _death(self, shards: Shards) -> str:
        code = self.process.exitcode or 0
        if not self.ready and code >= 0:
            return (
                f"a process for encoding ended before it began (exit code {code}): a script that defines its encoding "
                "itself must call precompute under `if __name__ == '__main__':`"
            )
        how = f"killed by signal {-code} (out of memory?)" if code < 0 else f"exit code {code}"
        what = "that was to encode" if self.shard is None else f"that encoded {shards.name(self.shard)}"
        return (
            f"the process {what} died ({how}): shards that were written are kept, run again to go on, with fewer "
            "workers where memory is short"
        )


def _encode_in_processes(shards: Shards, missing: Sequence[int], workers: int, progress: Progress) -> Results:
    setup = _pickled(shards)
    processes: list[_Process] = []

    def begin(shard: int, place: int) -> _Process:
        processes[place].send(shards, shard)
        return processes[place]

    def finished(busy: Sequence[_Process]) -> Iterator[tuple[_Process, Any]]:
        by_connection: dict[Any, _Process] = {each.connection: each for each in busy}
        for connection in wait(list(by_connection)):
            process = by_connection[connection]
            yield process, process.receive(shards)

    try:
        # Children inherit ignored interrupts: Ctrl-C is for this process, which stops them.
        with _interrupts_ignored(), main_hidden(unless=b"__main__" in setup):
            for _ in range(workers):
                processes.append(_Process(setup))
        results = run_jobs(missing, workers, begin=begin, finished=finished, stop=lambda _: None)
        for shard, outcome in results:
            yield shard, _values(shards, shard, outcome, progress)
    finally:
        for process in processes:
            process.process.terminate()
        for process in processes:
            process.process.join()
            process.connection.close()


def _values(shards: Shards, shard: int, outcome: dict[str, Serialized] | GraphPEError, progress: Progress) -> Encoded:
    if isinstance(outcome, GraphPEError):
        raise _told(outcome, shards.name(shard), shards.bounds[shard])
    progress(shards.num_graphs(shard))
    return deserialize(outcome)


def _serve(connection: Connection, setup: bytes) -> None:
    """What a process does: answer shards until the other end is gone."""
    try:
        try:
            transform, device, seconds = pickle.loads(setup)
        except Exception as error:
            connection.send(GraphPERuntimeError(f"a process cannot load the encoding: {_text(error)}"))
            return
        connection.send(None)
        while True:
            shard, graphs = connection.recv()
            connection.send(_attempt(transform, device, seconds, shard, graphs))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


@contextlib.contextmanager
def _interrupts_ignored() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # only there may handlers be changed
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def main_hidden(unless: bool) -> Iterator[None]:
    """Start processes that do not run the caller's script again, unless the encoding is defined in it.

    They begin faster, take less memory, and the script needs no `if __name__ == "__main__":`.

    Args:
        unless: Whether the encoding is defined in the caller's script, which processes then have to run.
    """
    if unless:
        yield
        return
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


# Ray


def _encode_on_ray(shards: Shards, missing: Sequence[int], workers: int, progress: Progress) -> Results:
    setup = _pickled(shards)
    with ray_cluster() as ray:
        gpus = 1 if shards.device.type == "cuda" else 0
        task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)(_attempt_pickled)
        at_once = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        shared = ray.put(setup)

        def submit(shard: int) -> Any:
            return task.remote(shared, shard, serialize_graphs(shards.load(shard)))

        with contextlib.closing(run_ray_jobs(ray, missing, at_once, submit)) as results:
            for shard, outcome in results:
                if isinstance(outcome, ray.exceptions.RayError):
                    raise GraphPERuntimeError(
                        f"{shards.name(shard)} could not be encoded on Ray, {RETRIES} retries included "
                        f"({type(outcome).__name__}): shards that were written are kept, run again to go on"
                    ) from None
                yield shard, _values(shards, shard, outcome, progress)


# In other processes


def _attempt(
    transform: Any, device: torch.device, seconds: float, shard: int, graphs: SerializedGraphs
) -> dict[str, Serialized] | GraphPEError:
    """The values of a shard, or the error, as plain data."""
    try:
        with limits(seconds=seconds):
            return serialize(encode_shard(deserialize_graphs(graphs), transform, shard, device))
    except Exception as error:
        return _told(error)


def _attempt_pickled(setup: bytes, shard: int, graphs: SerializedGraphs) -> Any:
    transform, device, seconds = pickle.loads(setup)
    return _attempt(transform, device, seconds, shard, graphs)


def _pickled(shards: Shards) -> bytes:
    try:
        return pickle.dumps((shards.transform, shards.device, current().seconds))
    except Exception as error:
        raise GraphPETypeError(
            f"{shards.transform!r} cannot be sent to another process ({_text(error)}): use workers=0"
        ) from None


def _told(error: Exception, where: str = "", first: int = 0) -> GraphPEError:
    """An error that says where it happened, of a type that pickles; that of a graph by its number in the dataset."""
    if isinstance(error, GraphRangeError):
        return error.at(first + error.graph)
    levels = GraphPEValueError, GraphPETypeError, GraphPERuntimeError
    kind = next((kind for kind in levels if isinstance(error, kind)), GraphPERuntimeError)
    text = str(error) if isinstance(error, GraphPEError) else _text(error)
    return kind(f"{where}: {text}" if where else text)


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}".rstrip(": ")
