"""Triangle meshes with positions and normals of their vertices."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch_geometric.data import Data

from graphpe.graphs.packed import PackedGraphs

Floats = NDArray[np.float64]


class Mesh(NamedTuple):
    """A mesh.

    Attributes:
        position: `[n, 3]`.
        normal: `[n, 3]`: unit vectors, the mean of the adjacent faces' normals weighted by their areas.
        edges: `[2, E]`: the sides of faces, each once.
    """

    position: Floats
    normal: Floats
    edges: NDArray[np.int64]

    def graph(self) -> PackedGraphs:
        """The vertices and sides, with the sides' lengths as weights."""
        length = np.linalg.norm(self.position[self.edges[0]] - self.position[self.edges[1]], axis=1)
        data = Data(edge_index=torch.from_numpy(self.edges), num_nodes=len(self.position))
        data.edge_weight = torch.from_numpy(np.maximum(length, 1e-12))
        return PackedGraphs.from_data(data)


def read_mesh(path: Path) -> Mesh:
    """The vertices that faces use, and triangles of an OBJ file; vertices at one place are one."""
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    position = np.array([[float(x) for x in line[1:4]] for line in lines if line[:1] == ["v"]])
    corners = [[int(corner.split("/")[0]) - 1 for corner in line[1:]] for line in lines if line[:1] == ["f"]]
    faces = np.array([(f[0], f[i], f[i + 1]) for f in corners for i in range(1, len(f) - 1)])
    position, place = np.unique(position, axis=0, return_inverse=True)
    used, faces = np.unique(place.reshape(-1)[faces], return_inverse=True)
    position, faces = position[used], faces.reshape(-1, 3)
    a, b, c = (position[faces[:, k]] for k in range(3))
    area = np.cross(b - a, c - a)
    normal = np.zeros_like(position)
    for k in range(3):
        np.add.at(normal, faces[:, k], area)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-300)
    sides = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    sides = np.unique(sides[sides[:, 0] != sides[:, 1]], axis=0)
    return Mesh(position, normal, np.ascontiguousarray(sides.T))
