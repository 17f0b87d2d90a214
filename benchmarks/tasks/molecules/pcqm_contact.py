"""PCQM-Contact of the Long Range Graph Benchmark (Dwivedi et al. 2022), through PyG's loader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, get_args

import torch
from torch import Tensor

from graphpe.arguments import check_choice, check_flags
from graphpe.benchmarks.tasks.fingerprint import fingerprint
from graphpe.benchmarks.tasks.graph_level import GraphAdapter, GraphTask, categories
from graphpe.benchmarks.tasks.links.contacts import ContactAdapter, ContactData, Negatives
from graphpe.benchmarks.tasks.links.ranks import Variant
from graphpe.benchmarks.tasks.pyg.pyg_datasets import PARTS, load_parts
from graphpe.errors import GraphPEError, GraphPERuntimeError
from graphpe.files.ogb import molecule_categories
from graphpe.graphs.concatenate import concatenate
from graphpe.graphs.packed import PackedGraphs


@dataclass(frozen=True)
class PCQMContact(GraphTask):
    """PCQM-Contact: which atoms, five bonds or more apart, are closer than 3.5 angstrom in space?

    529,434 molecules of about 30 atoms with OGB's features, contacts in both directions, the published split. The model
    needs `readout='none'`; a pair scores the product of the vectors of its atoms. Reported are MRR and Hits@1, 3 and 10
    in three ways to rank a contact (i, j) among pairs (i, k): `raw` (all of them: Dwivedi et al. 2022, as released),
    `filtered` (those that are no contacts) and `extended filtered` (without (i, i), too; both of Tönshoff et al.
    2023). About 4 GB of memory, more while PyG reads.

    Attributes:
        root: The folder that holds PyG's folder of the set (`pcqm-contact/raw/train.pt` and so on), or will.
        metric: The way to rank whose MRR chooses the epoch: `raw`, `filtered` or `extended filtered`.
        negatives: `drawn`: training is that with pairs drawn at every step, as published, in its expectation.
            `listed`: on the pairs that the files list with label 0.
        download: Whether PyG downloads the data if it is not there.
    """

    name: ClassVar[str] = "pcqm-contact"
    summary: ClassVar[str] = "LRGB PCQM-Contact: contacts of atoms in 529,434 molecules, published split, MRR in 3 ways"
    default_encodings: ClassVar[tuple[str, ...]] = ("LaplacianPE(k=10)",)
    readout: ClassVar[str | None] = "none"
    adapter_class: ClassVar[type[GraphAdapter]] = ContactAdapter

    root: str = "dataset/lrgb"
    metric: Variant = "raw"
    negatives: Negatives = "drawn"
    download: bool = True

    def __post_init__(self) -> None:
        check_choice("metric", self.metric, get_args(Variant))
        check_choice("negatives", self.negatives, get_args(Negatives))
        check_flags(download=self.download)

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> ContactData:
        """Read the graphs; PyG keeps a processed copy beside the raw files.

        Args:
            workers: Not used: PyG reads in one process.
            cache: Not used: PyG keeps what it processed.
            progress: Whether PyG's bars are shown.

        Raises:
            GraphPERuntimeError: If the data is not there and cannot be downloaded, or cannot be read.
        """
        from torch_geometric.datasets import LRGBDataset

        root = Path(self.root).expanduser()
        folder = root / self.name
        datasets = load_parts(LRGBDataset, self.name, root, self.name, download=self.download, progress=progress)
        atoms, bonds = molecule_categories()
        try:
            parts = [PackedGraphs.from_dataset(each, keys=("x", "edge_attr")) for each in datasets]
            raw = concatenate(parts)
            graphs = PackedGraphs(
                edge_index=raw.edge_index,
                ptr=raw.ptr,
                edge_ptr=raw.edge_ptr,
                node={"x": categories(raw.node["x"], "x", atoms)},
                edge={"edge_attr": categories(raw.edge["edge_attr"], "edge_attr", bonds)},
            )
        except (GraphPEError, KeyError) as error:
            raise GraphPERuntimeError(f"{folder} does not hold OGB's features of molecules: {error}") from None
        y = torch.cat(
            [_labels(dataset, part.sizes, f"{folder}, {name}.pt") for name, dataset, part in
             zip(PARTS.values(), datasets, parts, strict=True)]
        )  # fmt: skip
        graphs = graphs.with_values(pair={"y": y})
        split = dict(zip(PARTS, torch.arange(len(graphs)).split([len(part) for part in parts]), strict=True))
        if self.negatives == "listed" and not bool((graphs.select(split["train"]).pair["y"] == 0).any()):
            raise GraphPERuntimeError(f"{folder} lists no pair with label 0 for training: use negatives='drawn'")
        adapter = ContactAdapter(atoms, bonds, 1, "binary", negatives=self.negatives)
        contacts, none = int((y > 0).sum()), int((y == 0).sum())
        notes = [
            f"{self.name} from {folder}: {len(graphs):,} graphs, {contacts:,} contacts, {none:,} pairs with label 0",
            f"of each epoch: MRR {self.metric}; negatives {self.negatives}",
        ]
        try:
            digest = fingerprint(graphs, {**split, "y": y}, [self.metric, self.negatives])
            return ContactData(graphs, split, adapter, digest, notes, variant=self.metric)
        except GraphPEError as error:
            raise GraphPERuntimeError(f"{folder}: {error}") from None


def _labels(dataset: Any, sizes: Tensor, what: str) -> Tensor:
    """Labels of all ordered pairs of nodes, `[sum n_b^2, 1]` int8: 1, 0, or -1 where a pair is not listed.

    Args:
        dataset: A part, as PyG read it.
        sizes: Number of nodes of each of its graphs.
        what: Names it in messages.

    Raises:
        GraphPERuntimeError: Pairs and labels do not fit each other, or the graphs.
    """
    pairs, label, counts = _listed(dataset, len(sizes), what)
    graph = torch.arange(len(sizes)).repeat_interleave(counts)
    wrong = ((pairs < 0) | (pairs >= sizes[graph])).any(dim=0)
    if bool(wrong.any()):
        first = int(wrong.nonzero()[0])
        raise GraphPERuntimeError(
            f"{what}: graph {int(graph[first])} has {int(sizes[graph[first]])} nodes, and edge_label_index asks for "
            f"{pairs[:, first].tolist()}: get the files again"
        )
    odd = (label != 0) & (label != 1)
    odd |= (pairs[0] == pairs[1]) & (label == 1)
    if bool(odd.any()):
        first = int(odd.nonzero()[0])
        raise GraphPERuntimeError(
            f"{what}: graph {int(graph[first])} has label {label[first].item()} for {pairs[:, first].tolist()}: "
            "expected 1 for contacts of two nodes, 0 for other pairs"
        )
    squares = sizes**2
    place = (squares.cumsum(0) - squares)[graph] + pairs[0] * sizes[graph] + pairs[1]
    y = torch.full((int(squares.sum()), 1), -1, dtype=torch.int8)
    y[place, 0] = label.to(torch.int8)
    both = y[place, 0] != label
    if bool(both.any()):
        first = int(both.nonzero()[0])
        raise GraphPERuntimeError(
            f"{what}: graph {int(graph[first])} lists {pairs[:, first].tolist()} with label 0 and with label 1"
        )
    return y


def _listed(dataset: Any, graphs: int, what: str) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs `[2, P]`, as PyG has them in each graph, their labels `[P]`, and how many each graph has `[B]`."""
    data, slices = dataset._data, dataset.slices
    stored = [data.get(key) for key in ("edge_label_index", "edge_label")]
    expected = f"{what} must have edge_label_index [2, pairs] and edge_label [pairs]"
    if not all(isinstance(value, Tensor) and not value.is_complex() for value in stored):
        raise GraphPERuntimeError(f"{expected}: it has {sorted(data.keys())}")
    pairs, label = stored
    if pairs.dim() != 2 or len(pairs) != 2 or pairs.is_floating_point() or list(label.shape) != [pairs.shape[1]]:
        raise GraphPERuntimeError(f"{expected}: got {pairs.dtype} {list(pairs.shape)} and {list(label.shape)}")
    whole: Sequence[int] = (0, len(label))
    ends = [torch.as_tensor((slices or {}).get(key, whole)) for key in ("edge_label_index", "edge_label")]
    if len(ends[0]) != graphs + 1 or not torch.equal(*ends):
        raise GraphPERuntimeError(f"{expected} in every graph, as many pairs as labels: get the files again")
    return pairs.long(), label, ends[0].diff()
