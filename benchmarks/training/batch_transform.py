"""Encoding a task's graphs: those of nodes before training, with a progress bar, those of pairs batch by batch."""

from __future__ import annotations

import math
import multiprocessing
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from graphpe.benchmarks.tasks.task import TaskAdapter
from graphpe.graphs.packed import PackedGraphs
from graphpe.limits import PAIR_LIMIT, limits
from graphpe.progress import progress_bar
from graphpe.sampling.rewiring import RandomRewiring
from graphpe.storage.chunks import encode_in_chunks
from graphpe.storage.estimate import check_pair_limit, encoded_columns
from graphpe.storage.precompute import precompute
from graphpe.transforms.base import Encoding, LinkEncoding
from graphpe.transforms.compose import Compose


def encode_graphs(
    graphs: PackedGraphs, encodings: Sequence[Encoding], *, progress: bool, pair_limit: int = PAIR_LIMIT
) -> PackedGraphs:
    """Apply encodings to packed graphs in memory, in chunks of similar size; they share their work.

    Args:
        graphs: The graphs.
        encodings: Encodings of nodes, graphs or pairs.
        progress: Whether to show a bar.
        pair_limit: Bytes of memory that encodings of pairs may take.

    Raises:
        GraphPEValueError: They would take more.
    """
    if not encodings or not graphs.num_graphs:
        return graphs
    transform = Compose(encodings)
    if transform.pair_keys:
        check_pair_limit(graphs, encoded_columns(graphs, transform), pair_limit)
    with (
        limits(pair_limit=math.inf),
        progress_bar(total=graphs.num_graphs, desc="encode", unit="graph", leave=False, disable=not progress) as bar,
    ):
        return encode_in_chunks(graphs, transform, progress=bar.update)


def encode_stored(
    graphs: PackedGraphs, encodings: Sequence[Encoding], *, workers: int, cache: Path | None, progress: bool
) -> tuple[PackedGraphs, Callable[[], None]]:
    """Apply encodings of nodes and graphs to graphs in a store; their values are in another one, beside it.

    Args:
        graphs: The graphs.
        encodings: Encodings of nodes or graphs.
        workers: Processes that encode; 0 means as many as there are cores.
        cache: Folder in which the result is kept; None means the user's cache folder.
        progress: Whether to show a bar.

    Returns:
        The encoded graphs, and what gives back the memory of what was read of their encodings.

    Raises:
        GraphPEError: They cannot be encoded, or written.
    """
    if not encodings or not graphs.num_graphs:
        return graphs, _nothing
    transform = Compose(encodings)
    replaced = set(transform.keys) & graphs.node.keys()  # encodings that become columns of `x`
    read = (
        graphs.structure()
        if not replaced
        else graphs.structure().with_values(node={key: graphs.node[key] for key in replaced})
    )
    workers = workers or os.cpu_count() or 1
    if workers == 1 or graphs.num_graphs < _FEW or multiprocessing.current_process().daemon:
        workers = 0  # in this process: a daemon may have no children
    encoded = precompute(read, transform, cache=cache, workers=workers, progress=progress)
    values = encoded.packed
    return graphs.with_values(
        node={key: values.node[key] for key in transform.keys},
        graph={key: values.graph[key] for key in transform.graph_keys},
    ), encoded.release


_FEW = 10_000
"""Graphs that this process encodes sooner than others would start."""


def _nothing() -> None:
    return


RELEASED_ROWS = 2**23
"""Nodes and edges that are read from a store before the memory of what was read is given back: about a gigabyte."""


class BatchTransform:
    """What is done to the graphs of a batch before a model sees them.

    Encodings of pairs, which would take too much memory for all graphs at once, are computed from the edges as the task
    has them; then come the task's own changes, such as inverse edges, and edges that are added at random: a loader
    seeds these for each batch, elsewhere they are always the same.

    Args:
        encodings: Encodings of all pairs.
        adapter: The task's.
        asked: Encodings of the pairs that a batch asks for, which tasks about links read.
        release: What gives back the memory of graphs that were read from a store; called now and then.
        rewire: Permutations of the nodes whose edges are added (`RandomRewiring`); 0 for none.
    """

    def __init__(
        self,
        encodings: Sequence[Encoding],
        adapter: TaskAdapter,
        asked: Sequence[LinkEncoding] = (),
        release: Sequence[Callable[[], None]] = (),
        rewire: int = 0,
    ) -> None:
        self.asked = list(asked)
        self.encode = Compose(encodings) if encodings else None
        self.adapter = adapter
        self.release = tuple(release)
        self.rewire = RandomRewiring(rewire) if rewire else None
        self._rows = 0

    def seeded(self, seed: int) -> Callable[[PackedGraphs], PackedGraphs]:
        """The same for one batch of training, with edges of its own.

        Args:
            seed: The seed of the batch.
        """
        return self if self.rewire is None else partial(self._made, rewire=self.rewire.seeded(seed))

    def __call__(self, graphs: PackedGraphs) -> PackedGraphs:
        """The graphs as the model sees them."""
        return self._made(graphs, self.rewire)

    def _made(self, graphs: PackedGraphs, rewire: RandomRewiring | None) -> PackedGraphs:
        self._rows += graphs.num_nodes + graphs.num_edges
        if self._rows > RELEASED_ROWS:
            self._rows = 0
            for release in self.release:
                release()
        made = self.adapter.model_graphs(graphs if self.encode is None else self.encode(graphs))
        return made if rewire is None else rewire(made)
