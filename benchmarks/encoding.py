"""Encoding a task's graphs before training, with a progress bar."""

from __future__ import annotations

from collections.abc import Sequence

from tqdm import tqdm

from graphpe.chunks import encode_in_chunks
from graphpe.estimate import check_pair_limit, encoded_columns
from graphpe.packed import PackedGraphs
from graphpe.precompute import PAIR_LIMIT
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
    with tqdm(total=graphs.num_graphs, desc="encode", unit="graph", leave=False, disable=not progress) as bar:
        return encode_in_chunks(graphs, transform, progress=bar.update)
