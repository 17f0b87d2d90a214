"""PCQM4Mv2 of OGB-LSC: from OGB's table of SMILES to graphs in a store."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from graphpe.arguments import check_seed
from graphpe.benchmarks.tasks.fingerprint import fingerprint
from graphpe.benchmarks.tasks.graph_level import GraphAdapter, GraphTargets, GraphTask
from graphpe.benchmarks.tasks.metrics import MAE
from graphpe.benchmarks.tasks.molecules.smiles import UnparsableSmiles, require_rdkit, smiles_graphs
from graphpe.benchmarks.tasks.processes import cores, in_processes
from graphpe.benchmarks.tasks.random_split import shuffled
from graphpe.benchmarks.tasks.stored import store_folder
from graphpe.benchmarks.tasks.targets import standardisation
from graphpe.errors import GraphPEError, GraphPERuntimeError
from graphpe.files.ogb import lsc_files, molecule_categories
from graphpe.files.ogb_raw import digest_of_files
from graphpe.files.reading import check_file
from graphpe.files.unpickling import load_saved
from graphpe.graphs.packed import PackedGraphs
from graphpe.limits import format_bytes
from graphpe.progress import progress_bar
from graphpe.storage.shards import KEPT_GRAPHS, Sizes, keep_graphs
from graphpe.storage.store import Store

HELD_OUT, TRAINING = 150_000, 3_378_606
"""Molecules for validation, of those that are for training: as GraphGPS holds them out."""

MOLECULE_BYTES, MEMORY = 2_200, 1_500_000_000
"""On disk for each molecule of about 14 atoms, and what making the store takes at most."""


@dataclass(frozen=True)
class PCQM4Mv2(GraphTask):
    """PCQM4Mv2: the gap between HOMO and LUMO (eV) of 3,746,620 molecules, from their graphs.

    OGB hides the targets of its two test sets. As in the literature (GraphGPS), the test part here is OGB's validation
    set, whose MAE papers report, and the validation part 150,000 molecules held out of the training set, drawn from
    `seed` (of a smaller set as large a share). Molecules without a target are in no part.

    Made once, in parallel, and resumed when killed: about 3.75 million molecules at some 1,500 a second and core are 40
    core minutes; the store takes 8.2 GB in the cache folder, and making it less than 1.5 GB of memory. Opening it
    compares 8.2 GB of checksums (about 10 s). Encodings of nodes go to a store beside it (RandomWalkPE(16): 3.4 GB,
    some 10 core minutes), encodings of pairs are computed batch by batch: of RRWP(16), 211 pairs a molecule, stored
    ones would take 51 GB. An epoch has 12,600 steps of 256 molecules; GPS-medium (19 M parameters) trains for 150.

    Attributes:
        root: The folder that holds OGB's folder `pcqm4m-v2` (`raw/data.csv.gz` and `split_dict.pt`), or will.
        seed: Of what is held out for validation.
        download: Whether OGB downloads the data (60 MB) if it is not there.
    """

    name: ClassVar[str] = "pcqm4mv2"
    summary: ClassVar[str] = "PCQM4Mv2: HOMO-LUMO gap of 3,746,620 molecules, OGB's validation set as test, MAE"
    default_encodings: ClassVar[tuple[str, ...]] = ("RandomWalkPE(walk_length=16)",)

    root: str = "dataset"
    seed: int = 0
    download: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", check_seed(self.seed))

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> GraphTargets:
        """Read the molecules, or open the store in which they are.

        Args:
            workers: Processes that read SMILES; 0 means as many as there are cores.
            cache: Folder for the store; None means the user's cache folder.
            progress: Whether to show bars and, before the store is made, what it will take.

        Raises:
            GraphPERuntimeError: If the data is not there and cannot be downloaded, is incomplete, or cannot be read.
        """
        require_rdkit()
        folder = lsc_files(Path(self.root).expanduser(), download=self.download, progress=progress)
        table = folder / "raw" / "data.csv.gz"
        store = _store(table, workers=workers, cache=cache, progress=progress)
        graphs = store.packed
        split = _split(folder / "split_dict.pt", graphs.graph["y"], self.seed)
        shift, scale = standardisation(graphs.graph["y"][split["train"]])
        atoms, bonds = molecule_categories()
        adapter = GraphAdapter(
            atoms,
            bonds,
            1,
            "absolute",
            shift=shift,
            scale=scale,
            target_names=("gap",),
        )
        notes = [
            f"PCQM4Mv2 from {folder}: {len(graphs):,} molecules; test is OGB's validation set, validation was held out "
            f"of its training set with seed {self.seed}",
            f"graphs are read from {store.root}",
        ]
        digest = fingerprint(graphs, split, store=store)
        return GraphTargets(graphs, split, adapter, digest, notes, store=store, scored_by=MAE)


def _store(table: Path, *, workers: int, cache: Path | None, progress: bool) -> Store:
    import rdkit

    source = f"pcqm4mv2 1: {digest_of_files([table])} rdkit {rdkit.__version__}"
    folder = store_folder(cache, "pcqm4mv2", source)
    parts = folder.with_name(f"{folder.name}-parts")

    def sizes() -> Sizes:
        starts = [start for start, _, _ in _rows(table)]
        count = starts[-1] + KEPT_GRAPHS if starts else 0
        if progress:
            print(
                f"PCQM4Mv2, at most {count:,} molecules: about {format_bytes(MEMORY)} of memory, and "
                f"{format_bytes(count * MOLECULE_BYTES)} on disk in {folder}",
                flush=True,
            )
        jobs = [(start, smiles, parts, table) for start, smiles, _ in _rows(table)]
        nodes, edges = [], []
        bar = progress_bar(total=count, desc="molecules", leave=False, disable=not progress)
        with bar:
            for found in in_processes(_read, jobs, workers or cores(), at_once=1):
                if isinstance(found, str):
                    raise GraphPERuntimeError(found)
                nodes.append(found[0])
                edges.append(found[1])
                bar.update(len(found[0]))
        if not nodes:
            raise GraphPERuntimeError(f"{table} holds no molecule: get it again")
        return Sizes(np.concatenate(nodes), np.concatenate(edges))

    def make(bounds: list[int]) -> Iterator[PackedGraphs]:
        for _, smiles, target in _rows(table):
            graphs, _ = smiles_graphs(smiles, cache=parts)
            yield graphs.with_values(graph={"y": torch.from_numpy(target).view(-1, 1)})

    try:
        store = keep_graphs(folder, source, sizes, make, progress=progress)
    except GraphPEError:  # of the table: what was read of it is of no use
        shutil.rmtree(parts, ignore_errors=True)
        raise
    shutil.rmtree(parts, ignore_errors=True)
    store.verify()
    return store


def _rows(table: Path) -> Iterator[tuple[int, list[str], np.ndarray]]:
    """Number of the first row, SMILES and targets, a shard at a time."""
    import pandas

    check_file(table)
    start = 0
    try:
        with pandas.read_csv(
            table, dtype={"smiles": str, "homolumogap": np.float32}, keep_default_na=True, chunksize=KEPT_GRAPHS
        ) as reader:
            for frame in reader:
                absent = [name for name in ("smiles", "homolumogap") if name not in frame]
                if absent:
                    raise GraphPERuntimeError(f"{table} has no column {absent[0]!r}, only {list(frame)}")
                empty = np.flatnonzero(frame["smiles"].isna().to_numpy())
                if len(empty):
                    raise GraphPERuntimeError(f"{table}, line {start + empty[0] + 2}: there is no SMILES")
                yield start, frame["smiles"].tolist(), frame["homolumogap"].to_numpy(np.float32).copy()
                start += len(frame)
    except pandas.errors.EmptyDataError:
        raise GraphPERuntimeError(f"{table} is empty: get it again") from None
    except (OSError, EOFError, ValueError, zlib.error) as error:
        if isinstance(error, GraphPEError):
            raise
        reason = " ".join(str(error).split())[:200]
        raise GraphPERuntimeError(f"{table} cannot be read ({reason}): get it again") from None


def _read(job: tuple[int, list[str], Path, Path]) -> tuple[np.ndarray, np.ndarray] | str:
    """Nodes and edges of each of some molecules, whose graphs are kept; or why they cannot be read."""
    start, smiles, parts, table = job
    try:
        graphs, _ = smiles_graphs(smiles, cache=parts)
    except UnparsableSmiles as error:
        return f"{table}, line {start + error.position + 2}: {error.reason}"
    except GraphPEError as error:
        return str(error)
    return np.diff(graphs.host_ptr), np.diff(graphs.host_edge_ptr)


def _split(path: Path, target: Tensor, seed: int) -> dict[str, Tensor]:
    """Training, held out from it, and OGB's validation set.

    Raises:
        GraphPERuntimeError: The file is missing, damaged, or no split of these molecules.
    """
    if not path.exists():
        raise GraphPERuntimeError(f"{path.name} is not in {path.parent}: put OGB's file there")
    content = load_saved(path)
    try:
        train, test = (torch.as_tensor(np.asarray(content[part], dtype=np.int64)) for part in ("train", "valid"))
    except (ValueError, TypeError, LookupError) as error:
        raise GraphPERuntimeError(f"{path} is no split ({type(error).__name__}: {error}): get it again") from None
    used = torch.cat([train, test])
    if not len(train) or not len(test) or used.min() < 0 or used.max() >= len(target) or len(used.unique()) < len(used):
        raise GraphPERuntimeError(f"{path} is no split of the {len(target):,} molecules of the table: get both again")
    if not bool(target[used].isfinite().all()):
        raise GraphPERuntimeError(f"{path} has molecules for training or validation whose target is not known")
    held_out = max(1, round(len(train) * HELD_OUT / TRAINING)) if len(train) > 1 else 0
    order = train[shuffled(len(train), seed)]
    return {"train": order[held_out:].sort().values, "valid": order[:held_out].sort().values, "test": test}
