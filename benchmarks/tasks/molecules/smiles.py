"""SMILES as graphs, with OGB's features of atoms and bonds; scaffolds. Needs rdkit (the extra `chem`)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from graphpe.benchmarks.tasks.generated.cache import Arrays, generated_once
from graphpe.benchmarks.tasks.processes import cores, in_processes
from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.files.ogb import molecule_categories
from graphpe.graphs.packed import PackedGraphs
from graphpe.progress import progress_bar

_CHUNK = 100
_SMALL = 500
"""Fewer molecules than this are not worth another process."""


class UnparsableSmiles(GraphPEValueError):
    """A text is no molecule with atoms.

    Attributes:
        position: Its position among the texts.
        reason: What is wrong with it.
    """

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(f"molecule {position} {reason}")
        self.position = position
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.position, self.reason)


def require_rdkit() -> None:
    """Raise unless rdkit is there.

    Raises:
        GraphPERuntimeError: It is not.
    """
    try:
        import rdkit  # noqa: F401
    except ImportError:
        raise GraphPERuntimeError(
            "molecules are read through rdkit, which is not installed: pip install 'graphpe[chem]'"
        ) from None


def smiles_graphs(
    smiles: Sequence[str], *, workers: int = 1, cache: Path | None = None, progress: bool = False
) -> tuple[PackedGraphs, list[str]]:
    """Molecules as graphs: `x` (nine features of atoms) and `edge_attr` (three of bonds), both directions of a bond.

    As OGB's `smiles2graph`: the categories are those of `graphpe.files.ogb.molecule_categories`.

    Args:
        smiles: The molecules.
        workers: Processes; 0 means as many as there are cores.
        cache: Folder in which the graphs are kept; None means the user's cache folder.
        progress: Whether to show a bar.

    Returns:
        The graphs, and lines about the cache.

    Raises:
        GraphPERuntimeError: If rdkit is not installed.
        UnparsableSmiles: For the first text that is no molecule, or one without atoms.
    """
    require_rdkit()
    import rdkit

    digest = hashlib.blake2b("\n".join(smiles).encode(), digest_size=16).hexdigest()
    recipe = f"molecules 1: {len(smiles)} SMILES {digest}, rdkit {rdkit.__version__}"
    arrays, notes = generated_once("molecules", recipe, cache, lambda: _read_all(smiles, workers, progress))
    ptr, edge_ptr = (np.concatenate([[0], np.cumsum(arrays[key].astype(np.int64))]) for key in ("nodes", "edges"))
    index = arrays["edge_index"].astype(np.int64) + np.repeat(ptr[:-1], np.diff(edge_ptr))
    graphs = PackedGraphs(
        edge_index=torch.from_numpy(index),
        ptr=torch.from_numpy(ptr),
        edge_ptr=torch.from_numpy(edge_ptr),
        node={"x": torch.from_numpy(arrays["x"].astype(np.int64))},
        edge={"edge_attr": torch.from_numpy(arrays["edge_attr"].astype(np.int64))},
    )
    return graphs, notes


def unreadable_smiles(smiles: Sequence[str]) -> dict[int, str]:
    """What is wrong with the texts that `smiles_graphs` would refuse, by position.

    Raises:
        GraphPERuntimeError: If rdkit is not installed.
    """
    require_rdkit()
    from rdkit import Chem, rdBase

    wrong: dict[int, str] = {}
    with rdBase.BlockLogs():
        for position, text in enumerate(smiles):
            molecule = Chem.MolFromSmiles(text)
            if molecule is None:
                wrong[position] = f"{text!r} is no SMILES that rdkit can read"
            elif not molecule.GetNumAtoms():
                wrong[position] = f"{text!r} has no atoms"
    return wrong


def scaffolds(smiles: Sequence[str]) -> list[str]:
    """The Bemis-Murcko scaffold of each molecule as SMILES; `""` where it has no ring.

    Raises:
        GraphPERuntimeError: If rdkit is not installed.
    """
    require_rdkit()
    from rdkit import rdBase
    from rdkit.Chem.Scaffolds.MurckoScaffold import MurckoScaffoldSmiles

    with rdBase.BlockLogs():
        return [MurckoScaffoldSmiles(text, includeChirality=False) for text in smiles]


def canonical_smiles(smiles: Sequence[str]) -> list[str]:
    """One text for each molecule, however it was written.

    Raises:
        GraphPERuntimeError: If rdkit is not installed.
    """
    require_rdkit()
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        return [Chem.MolToSmiles(Chem.MolFromSmiles(text)) for text in smiles]


def _read_all(smiles: Sequence[str], workers: int, progress: bool) -> Arrays:
    molecule_categories()  # imports OGB without its question to the network
    starts = range(0, len(smiles), _CHUNK)
    chunks = [(start, list(smiles[start : start + _CHUNK])) for start in starts]
    workers = workers or cores() if len(smiles) >= _SMALL else 1
    read = in_processes(_read, chunks, workers, at_once=1, what="molecules")
    bar = progress_bar(read, total=len(chunks), desc="molecules", leave=False, disable=not progress, unit="x100")
    parts = list(bar)
    return {key: np.concatenate([part[key] for part in parts], axis=-1 if key == "edge_index" else 0) for key in _KEYS}


_KEYS = ("nodes", "edges", "x", "edge_index", "edge_attr")


def _read(chunk: tuple[int, list[str]]) -> Arrays:
    """Arrays of some molecules, ids counted within each."""
    from ogb.utils.mol import smiles2graph
    from rdkit import rdBase

    start, texts = chunk
    found = []
    with rdBase.BlockLogs():
        for position, text in enumerate(texts, start):
            try:
                graph = smiles2graph(text)
            except AttributeError:  # rdkit gave None
                raise UnparsableSmiles(position, f"{text!r} is no SMILES that rdkit can read") from None
            if not graph["num_nodes"]:
                raise UnparsableSmiles(position, f"{text!r} has no atoms")
            found.append(graph)
    return {
        "nodes": np.array([graph["num_nodes"] for graph in found], np.int32),
        "edges": np.array([graph["edge_index"].shape[1] for graph in found], np.int32),
        "x": np.concatenate([np.zeros((0, 9)), *(graph["node_feat"] for graph in found)]).astype(np.uint8),
        "edge_index": np.concatenate([np.zeros((2, 0)), *(graph["edge_index"] for graph in found)], 1).astype(np.int32),
        "edge_attr": np.concatenate([np.zeros((0, 3)), *(graph["edge_feat"] for graph in found)]).astype(np.uint8),
    }
