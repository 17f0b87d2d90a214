"""PackedLoader: PyG mini-batches straight from packed storage."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Batch

from graphpe.arguments import check_flags, check_integer
from graphpe.compiled.jit import compiled, everything_compiled
from graphpe.errors import GraphPETypeError, GraphPEValueError, GraphRangeError
from graphpe.graphs.checks import check_device
from graphpe.graphs.packed import PackedGraphs

# Batches sorted by size together. A pool of this many leaves batches nearly as even in size as sorting everything
# would, while which graphs meet in a batch still changes from epoch to epoch.
_POOL_BATCHES = 64
_MOST = 2**48  # of what is counted in 64 bits, times the pool

# Nodes that are gathered at once. A selection costs some 100 us however small it is, which this spreads over several
# batches.
_NODES_TOGETHER = 32_768


class PackedLoader:
    """Iterates over PyG `Batch` objects, each a gather from `graphs`: no object per graph, no collation.

    Each pass is an epoch of its own, with its own order where `shuffle` asks for one: the first follows epoch 0 (or the
    one that `set_epoch` chose), the next epoch 1, also after a pass that was left early. A pass begins with its first
    batch. The order is a pure function of (seed, epoch), so a run that was killed resumes with the batches it would
    have seen, by `set_epoch`, by `batches(epoch, start=step)`, or by `load_state_dict` in the middle of an epoch.

    Where `torch.distributed` runs (DDP, Lightning), the processes share the batches of a loader that shuffles: of W
    processes, process r gets batches r, r + W, r + 2W, ... of the one order that all of them know. All get equally
    many: the last round is filled up with batches from the beginning, or left out with `drop_last`. Lightning takes
    such a loader as it is, and saves and loads its state (it asks for the number of batches once: with `max_nodes` or
    `max_pairs`, what a later epoch has more is left out). A loader that does not shuffle gives every process all of
    its batches, unless `distributed` asks otherwise.

    Args:
        graphs: Where the batches come from, on any device.
        batch_size: Graphs in a batch.
        shuffle: Whether each epoch has its own random order.
        seed: Seed of that order, not negative.
        drop_last: Whether to leave out a last batch that is smaller (with `shuffle`, other graphs each epoch).
        indices: Ids of the graphs to load, or a mask; by default all.
        max_nodes: Most nodes of a batch: it is closed before the graph that would pass this. None for no limit.
        max_pairs: Most pairs of nodes (the sum of squared sizes) of a batch, likewise: what bounds the memory of
            attention over all pairs. A graph that alone passes a limit is a batch of its own. With a limit, epochs
            differ in their number of batches.
        bucket_by_size: Whether graphs of similar size share a batch, so that dense layers pad less. With `shuffle`,
            graphs are sorted within random pools of 64 batches and the batches shuffled; without, batches go from
            the smallest graphs to the largest.
        transform: Applied to each batch as `PackedGraphs`, before it becomes a `Batch`: for encodings of pairs, which
            are computed on the fly because stored they take much space (`graphpe.transforms`). One that draws has a
            method `seeded`: `transform.seeded(seed)` is what is applied to a batch, with a seed that is a function of
            (seed, epoch, number of the batch) alone.
        device: Where batches go, before the transform; by default they stay where `graphs` is.
        distributed: Whether the processes of `torch.distributed` share the batches; None means where `shuffle` is.

    Attributes:
        epoch: The epoch under way, or the next one where none is.

    Raises:
        GraphPETypeError: `graphs` is no `PackedGraphs`, or a number is no integer.
        GraphPEValueError: `batch_size` or a limit is not positive, `seed` is negative, an id is out of range, or
            `drop_last` is asked for together with a limit, where no batch is smaller than it should be.
    """

    _step: int  # batches of the epoch that this process was given
    _begun: bool  # whether a pass has followed the epoch

    def __init__(
        self,
        graphs: PackedGraphs,
        batch_size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        drop_last: bool = False,
        indices: Tensor | NDArray[Any] | Sequence[int] | None = None,
        max_nodes: int | None = None,
        max_pairs: int | None = None,
        bucket_by_size: bool = False,
        transform: Callable[[PackedGraphs], PackedGraphs] | None = None,
        device: torch.device | str | None = None,
        distributed: bool | None = None,
    ) -> None:
        if not isinstance(graphs, PackedGraphs):
            raise GraphPETypeError(
                f"graphs must be a PackedGraphs, got {type(graphs).__name__}: use PackedGraphs.from_dataset"
            )
        self.graphs = graphs
        self.batch_size = check_integer("batch_size", batch_size, least=1, most=_MOST)
        self.shuffle, self.drop_last, self.bucket_by_size = check_flags(
            shuffle=shuffle, drop_last=drop_last, bucket_by_size=bucket_by_size
        )
        self.seed = check_integer("seed", seed, least=0)
        self.max_nodes = None if max_nodes is None else check_integer("max_nodes", max_nodes, least=1, most=_MOST)
        self.max_pairs = None if max_pairs is None else check_integer("max_pairs", max_pairs, least=1, most=_MOST)
        if drop_last and self.limited:
            raise GraphPEValueError("drop_last has no meaning with max_nodes or max_pairs: leave it out")
        if transform is not None and not callable(transform):
            raise GraphPETypeError(f"transform must be a function of PackedGraphs, got {transform!r}")
        self.transform = transform
        self.device = None if device is None else check_device(device)
        (self.distributed,) = check_flags(distributed=shuffle if distributed is None else distributed)
        self._ids = graphs.resolve(slice(None) if indices is None else indices).numpy().copy()
        self.set_epoch(0)

    def __len__(self) -> int:
        """Batches of this process in the epoch under way, or in the next one where none is."""
        return self._share(self._count(self.epoch))

    def __iter__(self) -> Iterator[Batch]:
        if self._begun:  # the last pass was left early
            self.set_epoch(self.epoch + 1)
        self._begun = True
        epoch, indices = self.epoch, self.batch_indices(self.epoch)
        rank, world_size = self._ranks()
        count = self._share(len(indices))
        mine = [i % len(indices) for i in range(rank, count * world_size, world_size)][self._step :]
        try:
            for batch in self._gather([indices[i] for i in mine], epoch, mine):
                if self.epoch == epoch:  # else a later pass over the same loader has begun
                    self._step += 1
                yield batch
        finally:  # Lightning asks for the last batch, and not whether there is another
            if self.epoch == epoch and self._step >= count:
                self.set_epoch(epoch + 1)

    def __repr__(self) -> str:
        return (
            f"PackedLoader({len(self._ids)} graphs, batch_size={self.batch_size}, shuffle={self.shuffle}, "
            f"seed={self.seed}, drop_last={self.drop_last}, max_nodes={self.max_nodes}, max_pairs={self.max_pairs}, "
            f"bucket_by_size={self.bucket_by_size}, distributed={self.distributed})"
        )

    @property
    def limited(self) -> bool:
        """Whether batches have a limit of nodes or pairs."""
        return self.max_nodes is not None or self.max_pairs is not None

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next pass follows, from its beginning.

        Args:
            epoch: Number of the epoch, from 0 on.
        """
        self.epoch = check_integer("epoch", epoch, least=0)
        self._step, self._begun = 0, False

    def state_dict(self) -> dict[str, Any]:
        """Where the loader is: what `load_state_dict` of an equal loader takes to give the batches that are left.

        Returns:
            `epoch`, `step` (batches this process was given in it), and what the order depends on.
        """
        ended = self._begun and self._step >= len(self)
        epoch, step = (self.epoch + 1, 0) if ended else (self.epoch, self._step)
        return {"epoch": epoch, "step": step, **self._order_depends_on()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where the loader was that gave `state`: the next pass gives what was left of its epoch.

        Args:
            state: What `state_dict` of a loader gave.

        Raises:
            GraphPETypeError: If it is no state.
            GraphPEValueError: If that loader had other graphs or options, or another number of processes.
        """
        if not isinstance(state, Mapping):
            raise GraphPETypeError(f"the state must be what state_dict gave, got {type(state).__name__}")
        for name, mine in self._order_depends_on().items():
            if state.get(name) != mine:
                raise GraphPEValueError(
                    f"the state is of a loader with {name}={state.get(name)}, not {mine}: "
                    "build an equal loader, or use set_epoch to begin an epoch"
                )
        self.set_epoch(state["epoch"])
        self._step = check_integer("step", state["step"], least=0)

    def _order_depends_on(self) -> dict[str, Any]:
        return {"loader": repr(self), "graphs": zlib.crc32(self._ids.tobytes()), "world_size": self._ranks()[1]}

    def _ranks(self) -> tuple[int, int]:
        """This process and the number of those that share the batches."""
        if self.distributed and torch.distributed.is_available() and torch.distributed.is_initialized():
            return torch.distributed.get_rank(), torch.distributed.get_world_size()
        return 0, 1

    def _share(self, batches: int) -> int:
        """Batches of each process, of those of an epoch."""
        _, world_size = self._ranks()
        return batches // world_size if self.drop_last else -(-batches // world_size)

    def _count(self, epoch: int) -> int:
        """Batches of an epoch, of all processes."""
        if self.limited:
            return len(self.batch_indices(epoch))
        return len(self._ids) // self.batch_size if self.drop_last else -(-len(self._ids) // self.batch_size)

    def batch_indices(self, epoch: int) -> list[Tensor]:
        """Ids of the graphs of each batch of `epoch`: a pure function of the loader's arguments and `epoch`.

        Args:
            epoch: Number of the epoch, from 0 on.
        """
        ids = self._ids
        # Two streams, so that bucketing does not change which graphs `drop_last` leaves out.
        order, batch_order = (
            np.random.default_rng([self.seed, check_integer("epoch", epoch, least=0), stream]) for stream in (0, 1)
        )
        ids = order.permutation(ids) if self.shuffle else ids.copy()
        if self.drop_last:
            # Before sorting: otherwise the graphs left out would always be large ones.
            ids = ids[: len(ids) // self.batch_size * self.batch_size]
        if self.bucket_by_size:
            pool = _POOL_BATCHES * self.batch_size if self.shuffle else max(len(ids), 1)
            ids = ids[np.lexsort((self._sizes[ids], np.arange(len(ids)) // pool))]
        batches = list(torch.from_numpy(ids).split(self._lengths(ids))) if len(ids) else []
        if self.bucket_by_size and self.shuffle:
            return [batches[i] for i in batch_order.permutation(len(batches))]
        return batches

    def _lengths(self, ids: NDArray[Any]) -> int | list[int]:
        """Graphs in each batch of `ids` as `split` takes them."""
        if not self.limited:
            return self.batch_size
        unlimited = np.iinfo(np.int64).max
        nodes, pairs = self.max_nodes or unlimited, self.max_pairs or unlimited
        return _fill_batches(self._sizes[ids], self.batch_size, nodes, pairs).tolist()

    @cached_property
    def _sizes(self) -> NDArray[np.int64]:
        return np.diff(self.graphs.host_ptr)

    def batches(self, epoch: int, *, start: int = 0, stride: int = 1) -> Iterator[Batch]:
        """The batches of `epoch`, from number `start` on, every `stride`-th of them; of those of all processes.

        An interrupted epoch goes on from `start`; process r of w takes `start=r, stride=w`. Neither changes `epoch`.

        Small batches are gathered several at a time and are views of one selection: they do not overlap, but each
        keeps the memory of its neighbours while it lives.

        Args:
            epoch: Number of the epoch, from 0 on.
            start: Number of the first batch, from 0 on.
            stride: Distance from one batch to the next, by number.
        """
        indices = self.batch_indices(epoch)
        return self._gather(indices[start::stride], epoch, range(len(indices))[start::stride])

    def _gather(self, indices: list[Tensor], epoch: int, numbers: Sequence[int]) -> Iterator[Batch]:
        """The batches of graphs `indices`, which have these numbers in their epoch."""
        nodes = self.graphs.num_nodes / max(len(self.graphs), 1) * self.batch_size
        together = max(1, min(64, int(_NODES_TOGETHER // max(nodes, 1))))
        if self.transform is not None:  # what it adds may be large: no batch waits for its neighbours
            together = 1
        _ = self.graphs.host_edge_index  # copied once, so that no batch asks the device
        for i in range(0, len(indices), together):
            chunk = indices[i : i + together]
            selected = self.graphs.select(torch.cat(chunk))
            if self.device is not None:
                if self.device.type == "cuda" and selected.device.type == "cpu":
                    selected = selected.pin_memory()  # else the copy waits for what the device does before it
                selected = selected.to(self.device, non_blocking=True)
            if self.transform is not None:
                try:
                    with everything_compiled():  # the same batches on every machine
                        selected = self._transform_of(epoch, numbers[i])(selected)
                except GraphRangeError as error:
                    raise error.at(int(chunk[0][error.graph])) from None
            if len(chunk) == 1:
                yield selected.to_batch()
            else:
                yield from selected.to_batches([len(ids) for ids in chunk])

    def _transform_of(self, epoch: int, number: int) -> Callable[[PackedGraphs], PackedGraphs]:
        """What is applied to one batch of an epoch."""
        assert self.transform is not None
        seeded = getattr(self.transform, "seeded", None)
        if seeded is None:
            return self.transform
        (seed,) = np.random.SeedSequence([self.seed, epoch, number]).generate_state(1, np.uint64)
        return seeded(int(seed))


@compiled
def _fill_batches(sizes: Any, max_graphs: int, max_nodes: int, max_pairs: int) -> Any:
    """Graphs in each batch, filled in order up to the limits; a graph too large for any is a batch of its own."""
    lengths = np.empty(len(sizes), np.int64)
    batch, graphs, nodes, pairs = -1, max_graphs, 0, 0
    for n in sizes:
        if graphs == max_graphs or nodes + n > max_nodes or pairs + n * n > max_pairs:
            batch, graphs, nodes, pairs = batch + 1, 0, 0, 0
        graphs, nodes, pairs = graphs + 1, nodes + n, pairs + n * n
        lengths[batch] = graphs
    return lengths[: batch + 1]
