"""QM9, through PyG's loader."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from graphpe.arguments import check_choice, check_seed
from graphpe.benchmarks.tasks.fingerprint import fingerprint
from graphpe.benchmarks.tasks.graph_level import GraphAdapter, GraphTargets, GraphTask
from graphpe.benchmarks.tasks.metrics import MAE
from graphpe.benchmarks.tasks.pyg.pyg_datasets import load_one
from graphpe.benchmarks.tasks.random_split import cut, shuffled
from graphpe.benchmarks.tasks.targets import standardisation
from graphpe.errors import GraphPEError, GraphPERuntimeError
from graphpe.graphs.packed import PackedGraphs

Property = Literal[
    "mu", "alpha", "homo", "lumo", "gap", "r2", "zpve", "u0", "u298", "h298", "g298", "cv",
    "u0_atom", "u298_atom", "h298_atom", "g298_atom", "a", "b", "c",
]  # fmt: skip
"""Properties in PyG's order and units (D, a0^3, eV, a0^2, cal/(mol K), GHz)."""

NODE_CHANNELS, EDGE_CHANNELS = 11, 4
TRAIN, VALID, PUBLISHED = 110_000, 10_000, 130_831


@dataclass(frozen=True)
class QM9(GraphTask):
    """QM9: quantum-chemical properties of 130,831 molecules of up to nine heavy atoms, hydrogens included.

    Atoms carry PyG's eleven numbers, bonds four; places in space are not used. There is no published split: 110,000
    molecules for training, 10,000 for validation and the rest for the test, in an order drawn from `seed` (smaller sets
    in the same proportions).

    Attributes:
        target: The property.
        root: PyG's folder of the set (`raw/` with `gdb9.sdf` and so on, or `qm9_v3.pt` where rdkit is not installed).
        seed: Of the split.
        download: Whether PyG downloads the data if it is not there.
    """

    name: ClassVar[str] = "qm9"
    summary: ClassVar[str] = "QM9: one of 19 properties of 130,831 molecules, seeded split of 110,000 / 10,000, MAE"
    default_encodings: ClassVar[tuple[str, ...]] = ("RandomWalkPE(walk_length=16)",)

    target: Property = "gap"
    root: str = "dataset/qm9"
    seed: int = 0
    download: bool = True

    def __post_init__(self) -> None:
        check_choice("target", self.target, get_args(Property))
        object.__setattr__(self, "seed", check_seed(self.seed))

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> GraphTargets:
        """Read the molecules; PyG keeps a processed copy beside the raw files.

        Args:
            workers: Not used: PyG reads in one process.
            cache: Not used: PyG keeps what it processed.
            progress: Whether PyG's bars are shown.

        Raises:
            GraphPERuntimeError: If the data is not there and cannot be downloaded, is incomplete, or cannot be read.
        """
        from torch_geometric.datasets import QM9 as Published

        folder = Path(self.root).expanduser()
        dataset = load_one(Published, "QM9", folder, download=self.download, progress=progress)
        column = get_args(Property).index(self.target)
        try:
            raw = PackedGraphs.from_dataset(dataset, keys=("x", "edge_attr", "y"))
            x, edge_attr = raw.node["x"].float(), raw.edge["edge_attr"].float()
            y = raw.graph["y"].view(len(raw), -1)
        except (GraphPEError, KeyError) as error:
            raise GraphPERuntimeError(
                f"{folder} does not hold QM9: {error}; get raw/ again, and move processed/ away"
            ) from None
        shapes = x.shape[1], edge_attr.shape[1], y.shape[1]
        if shapes != (NODE_CHANNELS, EDGE_CHANNELS, len(get_args(Property))):
            raise GraphPERuntimeError(f"{folder} does not hold QM9: {shapes} columns of nodes, edges and targets")
        graphs = PackedGraphs(
            edge_index=raw.edge_index,
            ptr=raw.ptr,
            edge_ptr=raw.edge_ptr,
            node={"x": x},
            edge={"edge_attr": edge_attr},
            graph={"y": y[:, column : column + 1].float()},
        )
        count = len(graphs)
        split = cut(shuffled(count, self.seed), count * TRAIN // PUBLISHED, count * VALID // PUBLISHED)
        shift, scale = standardisation(graphs.graph["y"][split["train"]])
        adapter = GraphAdapter(
            (),
            (),
            1,
            "absolute",
            node_channels=NODE_CHANNELS,
            edge_channels=EDGE_CHANNELS,
            shift=shift,
            scale=scale,
            target_names=(self.target,),
        )
        notes = [
            f"QM9 from {folder}: {count:,} molecules, split in an order drawn from seed {self.seed}: "
            + ", ".join(f"{part} {len(ids):,}" for part, ids in split.items())
        ]
        smiles = partial(_smiles, dataset)
        digest = fingerprint(graphs, split)
        return GraphTargets(graphs, split, adapter, digest, notes, scored_by=MAE, smiles=smiles)


def _smiles(dataset: Any) -> list[str]:
    return list(dataset._data.smiles)
