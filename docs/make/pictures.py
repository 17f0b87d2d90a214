"""Draw every encoding on the same three graphs, for the page `docs/encodings.md`.

    python docs/make/pictures.py                 # all
    python docs/make/pictures.py LaplacianPE     # one

Writes `docs/pictures/NAME.png`: from left to right a molecule (caffeine without hydrogens, undirected), a syntax tree
(edges lead from parent to child) and a directed graph with a cycle.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import matplotlib.image
import matplotlib.pyplot
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch_geometric.data import Data

from graphpe import plot_encoding
from graphpe import transforms as T
from graphpe.transforms.base import Encoding

OUT = Path(__file__).resolve().parents[1] / "pictures"
COLUMNS = 2
DPI = 90

CALLS: dict[str, Encoding] = {
    type(encoding).__name__: encoding
    for encoding in (
        T.CommuteTimePE(),
        T.CyclePE(6),
        T.DegreePE(),
        T.DepthPE(),
        T.DiffusionPE(2, sign="canonical"),
        T.DirectedRandomWalkPE(3),
        T.EdgePathPE(2, num_types=2),
        T.ElectrostaticPE(),
        T.HeatKernelPE((0.5, 4.0)),
        T.HomomorphismPE(["Path(3, root=1)", "Cycle(5)"]),
        T.HopFeatures(2),
        T.LaplacianPE(2, sign="canonical"),
        T.MagneticLaplacianPE(2, q=0.25, sign="canonical"),
        T.MotifPE(["Path(4, root=0)", "Cycle(6)"]),
        T.PersonalizedPageRankPE(),
        T.RandomWalkPE(4),
        T.ReachabilityPE(),
        T.RelativeRandomWalkPE(3),
        T.ResistancePE(),
        T.ShortestPathPE(),
        T.SpectralCoordinates(2),
        T.SVDPE(2, sign="canonical"),
        T.TreeDistancePE(),
        T.TreeFieldPE(),
        T.TreePathPE(),
        T.WeisfeilerLehmanPE(2),
    )
}
"""What is drawn, by name; `GPSEPE` and `PretrainedPE` need weights and have no picture."""

FIRST = {
    "RandomWalkPE": (1, 3),
    "RelativeRandomWalkPE": (1, 2),
    "CyclePE": (2, 3),
    "ElectrostaticPE": (2, 9),
    "HopFeatures": (1, 2),
}
"""Columns in place of the first two, where those say little."""


def graphs() -> list[Data]:
    """The three graphs; `edge_attr` is 1 on the edges of rings of the molecule and 0 elsewhere."""
    bonds = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 1), (6, 7), (7, 8), (8, 9), (9, 5), (4, 10), (2, 11),
             (7, 12), (9, 13)]  # fmt: skip
    tree = [(0, 1), (0, 2), (0, 3), (1, 4), (1, 5), (3, 6), (3, 7), (6, 8), (6, 9), (6, 10), (7, 11)]
    cycle = [(0, 1), (1, 2), (2, 3), (3, 0), (2, 4), (4, 5), (5, 6), (4, 6), (6, 7), (8, 0), (9, 8), (9, 1)]
    out = []
    for edges, number in ((bonds + [(v, u) for u, v in bonds], 14), (tree, 12), (cycle, 10)):
        index = torch.tensor(edges).t()
        out.append(Data(edge_index=index, edge_attr=(index.sum(0) % 2)[:, None], num_nodes=number))
    return out


def picture(encoding: Encoding) -> NDArray[np.uint8]:
    """The encoding on the three graphs, side by side."""
    panels = []
    for data in graphs():
        columns = first_columns(encoding, encoding(data))
        figure = plot_encoding(columns, encoding.attr_name, columns=min(COLUMNS, width(columns[encoding.attr_name])))
        buffer = io.BytesIO()
        figure.savefig(buffer, dpi=DPI, facecolor="white")
        buffer.seek(0)
        panels.append((matplotlib.image.imread(buffer)[:, :, :3] * 255).astype(np.uint8))
        matplotlib.pyplot.close(figure)
    height = max(panel.shape[0] for panel in panels)
    padded = [np.pad(p, ((0, height - len(p)), (0, 0), (0, 0)), constant_values=255) for p in panels]
    return np.concatenate(padded, axis=1)


def first_columns(encoding: Encoding, data: Data) -> Data:
    """The graph with the columns that are worth drawing."""
    name = type(encoding).__name__
    if name in FIRST:
        data[encoding.attr_name] = data[encoding.attr_name][:, list(FIRST[name])]
    return data


def width(values: torch.Tensor) -> int:
    """Number of columns."""
    return values[0].numel()


def main(names: list[str]) -> None:
    """Write the pictures of these encodings, or of all."""
    OUT.mkdir(exist_ok=True)
    for name in names or CALLS:
        Image.fromarray(picture(CALLS[name])).quantize(64).save(OUT / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main(sys.argv[1:])
