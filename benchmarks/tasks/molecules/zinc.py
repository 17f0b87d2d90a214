"""ZINC, through PyG's loader."""

from __future__ import annotations

import contextlib
import io
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from urllib.error import URLError

import torch

from graphpe.benchmarks.tasks.fingerprint import fingerprint
from graphpe.benchmarks.tasks.graph_level import AbsoluteErrors, GraphAdapter, categories
from graphpe.benchmarks.tasks.task import Task
from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.graphs.concatenate import concatenate
from graphpe.graphs.packed import PackedGraphs
from graphpe.ogb import saved_types

ATOMS, BONDS = (28,), (4,)
"""Kinds of atoms, and of bonds: 1 to 3 (0 is not used)."""

_PARTS = {"train": "train", "valid": "val", "test": "test"}


@dataclass(frozen=True)
class Zinc(Task):
    """ZINC: the penalised logP of molecules, 12,000 of them or all 249,456; the split of Dwivedi et al. (2020).

    Attributes:
        root: The folder that holds PyG's folders `raw` and `subset` (or `full`), or will.
        subset: Whether to take 10,000 / 1,000 / 1,000 molecules, as published results do.
        download: Whether PyG downloads the data if it is not there.
    """

    name: ClassVar[str] = "zinc"
    summary: ClassVar[str] = "ZINC: penalised logP of 12,000 (or 249,456) molecules, published split, MAE"
    default_encodings: ClassVar[tuple[str, ...]] = ("RandomWalkPE(walk_length=20)",)

    root: str = "dataset/zinc"
    subset: bool = True
    download: bool = True

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> AbsoluteErrors:
        """Read the molecules; PyG keeps a processed copy beside the raw files.

        Args:
            workers: Not used: PyG reads in one process.
            cache: Not used: PyG keeps what it processed.
            progress: Whether PyG's bars are shown.

        Raises:
            GraphPERuntimeError: If the data is not there and cannot be downloaded, is incomplete, or cannot be read.
        """
        folder = Path(self.root).expanduser()
        parts = [self._part(folder, name, progress) for name in _PARTS.values()]
        graphs = concatenate(parts)
        try:
            graphs = PackedGraphs(
                edge_index=graphs.edge_index,
                ptr=graphs.ptr,
                edge_ptr=graphs.edge_ptr,
                node={"x": categories(graphs.node["x"], "x", ATOMS)},
                edge={"edge_attr": categories(graphs.edge["edge_attr"], "edge_attr", BONDS)},
                graph={"y": graphs.graph["y"].float().view(len(graphs), 1)},
            )
        except GraphPEValueError as error:
            raise GraphPERuntimeError(f"{folder} does not hold ZINC: {error}") from None
        ids = torch.arange(len(graphs)).split([len(part) for part in parts])
        split = dict(zip(_PARTS, ids, strict=True))
        notes = [f"ZINC from {folder}: {len(graphs):,} molecules"]
        return AbsoluteErrors(
            graphs, split, GraphAdapter(ATOMS, BONDS, 1, "absolute"), fingerprint(graphs, split), notes
        )

    def _part(self, folder: Path, name: str, progress: bool) -> PackedGraphs:
        from torch_geometric.datasets import ZINC

        raw = [folder / "raw" / file for file in ("train.pickle", "val.pickle", "test.pickle", f"{name}.index")]
        if not self.download and not all(path.exists() for path in raw):
            raise GraphPERuntimeError(f"ZINC is not in {folder / 'raw'}: put PyG's files there, or allow the download")
        try:
            with contextlib.ExitStack() as stack:
                if not progress:
                    stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
                stack.enter_context(torch.serialization.safe_globals(saved_types()))
                stack.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore")
                dataset = ZINC(str(folder), subset=self.subset, split=name)
        except URLError as error:
            raise GraphPERuntimeError(
                f"ZINC is not in {folder} and cannot be downloaded ({error.reason}): put PyG's files there"
            ) from None
        except (OSError, EOFError, RuntimeError, ValueError, LookupError, pickle.UnpicklingError) as error:
            reason = " ".join(str(error).split())[:200]
            raise GraphPERuntimeError(
                f"ZINC in {folder} cannot be read ({type(error).__name__}: {reason}); delete the folders beside raw/ "
                "to build them again, or download it again"
            ) from None
        return PackedGraphs.from_dataset(dataset, keys=("x", "edge_attr", "y"))

    def adapter(self, state: Mapping[str, Any]) -> GraphAdapter:
        """The ends of a run.

        Raises:
            GraphPEValueError: If `state` is not theirs.
        """
        return GraphAdapter.from_state(state)
