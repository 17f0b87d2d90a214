"""ogbg-ppa, through OGB's own loader and split; where its graphs do not fit in memory, from the same files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from graphpe.benchmarks.tasks.fingerprint import fingerprint
from graphpe.benchmarks.tasks.graph_level import GraphAdapter, GraphTargets, GraphTask
from graphpe.benchmarks.tasks.metrics import ACCURACY
from graphpe.benchmarks.tasks.stored import Arrays, RawLayout, fits_in_memory, raw_graphs, stored_raw
from graphpe.errors import GraphPEError, GraphPERuntimeError
from graphpe.files.ogb import load_graph_dataset
from graphpe.files.ogb_raw import RawTable
from graphpe.graphs.packed import PackedGraphs
from graphpe.storage.store import Store

CLASSES, CHANNELS = 37, 7


@dataclass(frozen=True)
class Ppa(GraphTask):
    """ogbg-ppa: 158,100 neighbourhoods of proteins, of which of 37 groups of species? Species split.

    Nodes carry nothing, edges seven numbers. Where OGB's loader would take more than half of the memory (it holds the
    arrays, 32 GB, about three times), the raw files are read some graphs at a time into a store in the cache folder (32
    GB on disk), from which batches are read: that takes less than 4 GB of memory, files that are mapped included.

    Attributes:
        root: The folder that holds OGB's folder `ogbg_ppa`, or will.
        download: Whether OGB downloads the data (2.8 GB) if it is not there.
    """

    name: ClassVar[str] = "ppa"
    summary: ClassVar[str] = "ogbg-ppa: species of 158,100 protein neighbourhoods, species split, accuracy"
    default_encodings: ClassVar[tuple[str, ...]] = ("RandomWalkPE(walk_length=16)",)

    root: str = "dataset"
    download: bool = True

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> GraphTargets:
        """Read the set; OGB keeps its own processed copy beside the raw files, a store is in the cache folder.

        Args:
            workers: Not used: files are read in one process.
            cache: Folder for a store; None means the user's cache folder.
            progress: Whether bars are shown.

        Raises:
            GraphPERuntimeError: If the data is not there and cannot be downloaded, is incomplete, or cannot be read.
        """
        root = Path(self.root).expanduser()
        ogb = load_graph_dataset("ogbg-ppa", root, download=self.download, progress=progress, files_only=True)
        raw = raw_graphs(ogb.folder, both_directions=True)
        store: Store | None = None
        try:
            if raw is None or fits_in_memory(raw, node_bytes=8, edge_bytes=4 * CHANNELS):
                ogb = load_graph_dataset("ogbg-ppa", root, download=False, progress=progress)
                graphs = _checked(PackedGraphs.from_dataset(ogb.dataset, keys=("edge_attr", "y")))
            else:
                store = stored_raw(raw, _LAYOUT, cache=cache, progress=progress)
                graphs = store.packed
        except (GraphPEError, KeyError) as error:
            raise GraphPERuntimeError(
                f"{ogb.folder} does not hold ogbg-ppa: {error}; get raw/ again, and move processed/ away"
            ) from None
        adapter = GraphAdapter((1,), (), CLASSES, "classes", edge_channels=CHANNELS)
        notes = [f"ogbg-ppa from {ogb.folder}: {len(graphs):,} graphs", *ogb.notes]
        if store is not None:
            notes.append(f"graphs are read from {store.root}")
        digest = fingerprint(graphs, ogb.split, store=store)
        return GraphTargets(graphs, ogb.split, adapter, digest, notes, store=store, scored_by=ACCURACY)


def _checked(raw: PackedGraphs) -> PackedGraphs:
    """Graphs with features and classes as the task has them.

    Raises:
        GraphPERuntimeError: They are others.
    """
    edge_attr, target = raw.edge["edge_attr"].float(), raw.graph["y"].view(len(raw), -1).long()
    if (
        edge_attr.shape[1:] != (CHANNELS,)
        or target.shape[1] != 1
        or not 0 <= int(target.min()) <= int(target.max()) < CLASSES
    ):
        raise GraphPERuntimeError("edge features and classes are others: get it again")
    return PackedGraphs(
        edge_index=raw.edge_index,
        ptr=raw.ptr,
        edge_ptr=raw.edge_ptr,
        node={"x": torch.zeros(raw.num_nodes, 1, dtype=torch.long)},
        edge={"edge_attr": edge_attr},
        graph={"y": target},
    )


def _build(structure: PackedGraphs, arrays: Arrays) -> PackedGraphs:
    return _checked(
        structure.with_values(
            edge={"edge_attr": torch.from_numpy(arrays["edge-feat"])},
            graph={"y": torch.from_numpy(arrays["graph-label"])},
        )
    )


_LAYOUT = RawLayout(
    "ogbg-ppa",
    (RawTable("edge-feat", "edge", CHANNELS, np.float32), RawTable("graph-label", "graph", 1)),
    _build,
)
