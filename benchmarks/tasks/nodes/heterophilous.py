"""Graphs whose neighbours are mostly of other classes (Platonov et al. 2023), from the published files."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch_geometric.datasets import HeterophilousGraphDataset

from graphpe.arguments import check_choice, check_integer
from graphpe.benchmarks.tasks.metrics import ACCURACY, ROC_AUC
from graphpe.benchmarks.tasks.nodes.node_task import NodeTask, Numbers, with_reverse
from graphpe.benchmarks.tasks.pyg.pyg_datasets import load_one
from graphpe.benchmarks.tasks.shared_graph import NodeSplitTargets
from graphpe.errors import GraphPERuntimeError
from graphpe.files.reading import check_file

Name = Literal[
    "roman-empire",
    "amazon-ratings",
    "minesweeper",
    "tolokers",
    "questions",
    "chameleon-filtered",
    "squirrel-filtered",
    "chameleon-filtered-directed",
    "squirrel-filtered-directed",
]

SPLITS = 10
_OF_PYG = ("roman-empire", "amazon-ratings", "minesweeper", "tolokers", "questions")
_BINARY = ("minesweeper", "tolokers", "questions")
_ARRAYS = {"node_features": 2, "node_labels": 1, "edges": 2, "train_masks": 2, "val_masks": 2, "test_masks": 2}
_UNREADABLE = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Heterophilous(NodeTask):
    """Platonov et al. (2023): nodes of one graph whose neighbours are mostly of other classes; ten published splits.

    minesweeper, tolokers and questions have two classes and ROC-AUC, the others accuracy. Edges go both ways, as in
    PyG, except in the directed versions.

    Attributes:
        name: Which graph: `roman-empire`, `amazon-ratings`, `minesweeper`, `tolokers`, `questions`, or one of
            `chameleon-filtered` and `squirrel-filtered`, also with `-directed` behind it.
        root: The folder that holds the published file `minesweeper.npz`, or PyG's folder `minesweeper/raw` with it.
        split: Number of the split, 0 to 9.
        download: Whether PyG downloads a file that is not there (into PyG's folder; it knows the first five).
    """

    summary: ClassVar[str] = "classes of nodes of one heterophilous graph: minesweeper, tolokers, ...; ten splits"

    name: Name = "minesweeper"  # type: ignore[misc]
    root: str = "dataset/heterophilous"
    split: int = 0
    download: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", str(self.name).lower().replace("_", "-"))
        check_choice("name", self.name, get_args(Name))
        check_integer("split", self.split, least=0, most=SPLITS - 1)

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> NodeSplitTargets:
        """Read the file.

        Args:
            workers: Not used.
            cache: Not used.
            progress: Whether PyG's bars are shown.

        Raises:
            GraphPERuntimeError: If it is not there and cannot be downloaded, or cannot be read.
        """
        path = self._file(progress)
        arrays = read_arrays(path)
        x = torch.from_numpy(arrays["node_features"]).float()
        edges = torch.from_numpy(arrays["edges"].astype(np.int64).T.copy())
        nodes = len(x)
        if edges.numel() and not 0 <= int(edges.min()) <= int(edges.max()) < nodes:
            raise GraphPERuntimeError(f"{path} has edges of nodes that are not there: it holds {nodes:,} nodes")
        labels = torch.from_numpy(arrays["node_labels"].astype(np.int64)).view(-1, 1)
        split = {
            part: torch.from_numpy(np.flatnonzero(arrays[f"{name}_masks"][self.split]))
            for part, name in (("train", "train"), ("valid", "val"), ("test", "test"))
        }
        directed = self.name.endswith("-directed")
        binary = self.name in _BINARY
        if binary and not bool(((labels == 0) | (labels == 1)).all()):
            raise GraphPERuntimeError(f"{path} does not hold {self.name}: its labels are not 0 and 1")
        numbers = Numbers(
            x, edges if directed else with_reverse(edges, nodes), labels.float() if binary else labels, split
        )
        classes = 1 if binary else int(labels.max()) + 1
        return numbers.data(
            str(path),
            outputs=classes,
            loss="binary" if binary else "classes",
            metric=ROC_AUC if binary else ACCURACY,
            notes=[f"{self.name} from {path}: split {self.split} of {SPLITS}"],
        )

    def _file(self, progress: bool) -> Path:
        root, stem = Path(self.root).expanduser(), self.name.replace("-", "_")
        flat, pyg = root / f"{stem}.npz", root / stem / "raw" / f"{stem}.npz"
        found = next((path for path in (flat, pyg) if path.is_file()), None)
        if found is not None:
            return found
        if self.name not in _OF_PYG:
            raise GraphPERuntimeError(
                f"{flat} is not there: put {stem}.npz there, from github.com/yandex-research/heterophilous-graphs"
            )
        load_one(HeterophilousGraphDataset, stem, root, stem, download=self.download, progress=progress)
        return pyg


def read_arrays(path: Path) -> dict[str, NDArray]:
    """The arrays of a published file, whose shapes fit each other. Nothing in it is executed.

    Args:
        path: The file.

    Raises:
        GraphPERuntimeError: It cannot be read, or holds something else.
    """
    check_file(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in _ARRAYS}
    except _UNREADABLE as error:
        reason = " ".join(str(error).split())[:100]
        raise GraphPERuntimeError(f"{path} cannot be read ({type(error).__name__}: {reason}): get it again") from None
    nodes = len(arrays["node_labels"]) if arrays["node_labels"].ndim else -1
    for name, dimensions in _ARRAYS.items():
        value = arrays[name]
        masks = name.endswith("_masks")
        rows = value.shape[-1] if masks and value.ndim else len(value) if value.ndim else -1
        wanted = (
            value.ndim == dimensions
            and (name == "edges" or rows == nodes)
            and (name != "edges" or value.shape[1] == 2)
            and (not masks or (value.dtype == np.bool_ and len(value) == SPLITS))
            and (name not in ("edges", "node_labels") or value.dtype.kind in "iu")
            and (name != "node_features" or value.dtype.kind in "fiub")
        )
        if not wanted:
            raise GraphPERuntimeError(
                f"{path}: {name} is {value.dtype} {list(value.shape)}, which does not fit {nodes:,} nodes and {SPLITS} "
                "splits: get it again"
            )
    return arrays
