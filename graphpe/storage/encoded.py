"""EncodedDataset: a PyG dataset of encoded graphs on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch_geometric.data import Data, Dataset

from graphpe.graphs.packed import PackedGraphs
from graphpe.storage.store import Store


class EncodedDataset(Dataset):
    """Graphs with encodings, as `graphpe.precompute` writes them: memory-mapped from one safetensors file.

    A PyG dataset: `dataset[i]` is a `Data` (with `transform`, if any), `dataset[ids]` or `dataset[:100]` a subset; it
    can be given to a `DataLoader` with workers, pickled (by its path) and iterated. `packed` has all of it at once, for
    a `PackedLoader`. Only what is asked for is read; tensors are views of the mapped file, and changing one in place
    changes it in this process only.

    Opening checks the manifest, the size of the file and its header. The checksums of a shard are compared when one of
    its graphs is first asked for in a process (about 1 s per GB), so that a damaged byte is never read unnoticed.

    Args:
        root: Its folder.
        transform: Applied to each `Data` that is asked for; what is too large to store can be encoded here.
        verify: Whether all checksums are compared now.

    Raises:
        GraphPERuntimeError: There is no encoded dataset, or it is unfinished, damaged or of another format.
    """

    def __init__(
        self, root: str | Path, transform: Callable[[Any], Any] | None = None, *, verify: bool = False
    ) -> None:
        super().__init__(str(root), transform)
        self._store = Store(Path(root).expanduser())
        if verify:
            self._store.verify()

    def len(self) -> int:
        """Graphs on disk."""
        return self._store.packed.num_graphs

    def get(self, idx: int) -> Data:
        """The graph with this number on disk, without `transform`.

        Args:
            idx: Number of the graph on disk, from 0 on.
        """
        self._store.verify([self._store.shard_of(idx)])
        return self._store.packed[idx]

    @property
    def packed(self) -> PackedGraphs:
        """All graphs, over the mapped file; those of a subset are copied.

        Compares the checksums that were not compared before, at its first use.
        """
        if self._indices is None:
            self._store.verify()
            return self._store.packed
        ids = np.asarray(self._indices, dtype=np.int64)
        self._store.verify(self._store.shards_of(ids))
        return self._store.packed.select(ids)

    def release(self) -> None:
        """Give back the memory of what was read, as `graphpe.storage.store.Store.release` does."""
        self._store.release()

    @property
    def encodings(self) -> str:
        """The call that builds the encoding: its `repr`."""
        return self._store.manifest.transform

    @property
    def fingerprint(self) -> str:
        """A digest of the graphs and their values before encoding."""
        return self._store.manifest.fingerprint

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)}, encodings={self.encodings!r})"
