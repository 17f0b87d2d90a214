"""Encoding a task's graphs: those of nodes before training, with a progress bar, those of pairs batch by batch."""

from __future__ import annotations

import math
from collections.abc import Sequence

from graphpe.benchmarks.tasks.task import TaskAdapter
from graphpe.graphs.packed import PackedGraphs
from graphpe.limits import PAIR_LIMIT, limits
from graphpe.progress import progress_bar
from graphpe.storage.chunks import encode_in_chunks
from graphpe.storage.estimate import check_pair_limit, encoded_columns
from graphpe.transforms.base import Encoding
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


class BatchTransform:
    """What is done to the graphs of a batch before a model sees them.

    Encodings of pairs, which would take too much memory for all graphs at once, are computed from the edges as the task
    has them; then come the task's own changes, such as inverse edges.

    Args:
        encodings: Encodings of pairs.
        adapter: The task's.
    """

    def __init__(self, encodings: Sequence[Encoding], adapter: TaskAdapter) -> None:
        self.encode = Compose(encodings) if encodings else None
        self.adapter = adapter

    def __call__(self, graphs: PackedGraphs) -> PackedGraphs:
        """The graphs as the model sees them."""
        return self.adapter.model_graphs(graphs if self.encode is None else self.encode(graphs))
