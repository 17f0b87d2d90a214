"""Single graphs of any size that eigensolvers are measured on: five random families, and real ones where they are."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.io
import scipy.sparse
import torch
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree
from torch import Tensor

from graphpe.compiled.jit import machine_code
from graphpe.files.unpickling import load_pickle
from graphpe.structure.laplacian import laplacian, magnetic_laplacian

Edges = NDArray[np.int64]

Q = 0.1

ARXIV = 169_343, 1_166_243
"""Nodes and edges of ogbn-arxiv."""

_RANK = 0.73  # in-degrees fall with the rank to this power


class Graph(NamedTuple):
    """A graph; its operator is the normalised Laplacian, magnetic with q = 0.1 if it is directed.

    Attributes:
        name: Of the graph, or of its family.
        num_nodes: Number of nodes.
        edges: `[2, E]`; each undirected edge once or more.
        directed: Whether the directions count.
    """

    name: str
    num_nodes: int
    edges: Edges
    directed: bool = False

    def operator(self) -> Tensor:
        """`[n, n]` torch CSR, float64 or complex128."""
        edge_index = torch.from_numpy(self.edges)
        if self.directed:
            return magnetic_laplacian(edge_index, self.num_nodes, Q)
        return laplacian(edge_index, self.num_nodes)


def families() -> dict[str, Callable[[int, np.random.Generator], Graph]]:
    """The random families by name: functions of the number of nodes, which grids round down to a square."""
    return {
        "ring": ring,
        "grid": grid,
        "Barabasi-Albert": barabasi_albert,
        "kNN-geometric": nearest_neighbours,
        "random digraph": random_digraph,
    }


def ring(size: int, _: np.random.Generator) -> Graph:
    """A cycle."""
    node = np.arange(size)
    return Graph("ring", size, np.stack([node, (node + 1) % size]))


def path_graph(size: int, _: np.random.Generator) -> Graph:
    """A path."""
    node = np.arange(size - 1)
    return Graph("path", size, np.stack([node, node + 1]))


def grid(size: int, _: np.random.Generator) -> Graph:
    """A square grid."""
    side = int(size**0.5)
    node = np.arange(side * side).reshape(side, side)
    across = np.stack([node[:, :-1].ravel(), node[:, 1:].ravel()])
    down = np.stack([node[:-1].ravel(), node[1:].ravel()])
    return Graph("grid", side * side, np.concatenate([across, down], axis=1))


def barabasi_albert(size: int, generator: np.random.Generator, links: int = 4) -> Graph:
    """Preferential attachment, 4 links a node, parallel ones being one; by Batagelj and Brandes 2005."""
    draws = (generator.random(size * links) * (2 * np.arange(size * links) + 1)).astype(np.int64)
    ends = _attach(draws, links).reshape(-1, 2).T
    return Graph("Barabasi-Albert", size, ends[:, ends[0] != ends[1]])


@machine_code
def _attach(draws: Edges, links: int) -> Edges:
    """Tail and head of each link, one after the other: the head is any end before it, hence one with its degree."""
    ends = np.empty(2 * len(draws), np.int64)
    for i in range(len(draws)):
        ends[2 * i] = i // links
        ends[2 * i + 1] = ends[draws[i]]
    return ends


def nearest_neighbours(size: int, generator: np.random.Generator, neighbours: int = 8) -> Graph:
    """Random points in the unit square, each joined with its 8 nearest; the largest component."""
    points = generator.random((size, 2))
    near = KDTree(points).query(points, neighbours + 1)[1][:, 1:]
    edges = np.stack([np.repeat(np.arange(size), neighbours), near.ravel()]).astype(np.int64)
    return largest_component(Graph("kNN-geometric", size, edges))


def random_digraph(size: int, generator: np.random.Generator, degree: int = 4) -> Graph:
    """4 edges a node from anywhere to anywhere; the largest component."""
    edges = generator.integers(0, size, (2, degree * size))
    return largest_component(Graph("random digraph", size, edges[:, edges[0] != edges[1]], directed=True))


def citations(size: int, generator: np.random.Generator, edges: int | None = None) -> Graph:
    """Directed edges with the in-degrees of ogbn-arxiv: a power law, 6.9 on average.

    The largest is about 13,000 of 169,343 nodes, as there. Each edge comes from anywhere, and which nodes are cited
    often is random. By default of ogbn-arxiv's density.
    """
    count = round(size * ARXIV[1] / ARXIV[0]) if edges is None else edges
    weight = np.arange(1, size + 1) ** -_RANK
    cited = np.searchsorted(np.cumsum(weight / weight.sum()), generator.random(count)).clip(max=size - 1)
    place = generator.permutation(size)
    return Graph("citations", size, np.stack([generator.integers(0, size, count), place[cited]]), directed=True)


def copied_citations(size: int, generator: np.random.Generator, links: int = 7) -> Graph:
    """Citations that are copied: power-law in-degrees with the triangles and communities that real ones have.

    Each node takes an earlier one as its model, of its own field of 40 in four cases of five, cites it, and for each
    further link cites one of the model's own with probability 0.7, else any earlier node (Kumar et al. 2000).
    """
    field = generator.integers(0, 40, size)
    order = np.argsort(field, kind="stable")
    first = np.searchsorted(field[order], np.arange(41))
    place = np.empty(size, np.int64)
    place[order] = np.arange(size) - first[field[order]]  # number of earlier nodes of its field
    draws = generator.random((size, links + 1, 2))
    return Graph("copied citations", size, _copy(order, first, field, place, draws, links), directed=True)


@machine_code
def _copy(order: Edges, first: Edges, field: Edges, place: Edges, draws: Any, links: int) -> Edges:
    size = len(field)
    cited = np.empty((size, links), np.int64)
    for node in range(size):
        model = int(draws[node, links, 0] * node)
        if draws[node, links, 1] < 0.8 and place[node] > 0:
            model = order[first[field[node]] + int(draws[node, links, 0] * place[node])]
        for link in range(links):
            choice, which = draws[node, link, 0], draws[node, link, 1]
            if link == 0 or node < links:
                cited[node, link] = model
            elif choice < 0.7:
                cited[node, link] = cited[model, int(which * links)]
            else:
                cited[node, link] = int(which * node)
    edges = np.empty((2, (size - 1) * links), np.int64)
    for node in range(1, size):
        for link in range(links):
            edges[0, (node - 1) * links + link] = node
            edges[1, (node - 1) * links + link] = cited[node, link]
    return edges


def largest_component(graph: Graph) -> Graph:
    """The largest (weakly) connected component: of a graph of many, the low spectrum is all zeros."""
    ones = np.ones(graph.edges.shape[1], dtype=np.int8)
    matrix = scipy.sparse.coo_array((ones, tuple(graph.edges)), shape=(graph.num_nodes,) * 2)
    label = connected_components(matrix, directed=False)[1]
    kept = label == np.bincount(label).argmax()
    number = np.cumsum(kept) - 1
    edges = number[graph.edges[:, kept[graph.edges[0]]]]
    return graph._replace(num_nodes=int(kept.sum()), edges=edges)


def real_graphs(folder: Path) -> Iterator[Graph | str]:
    """The largest component of each real graph in the folder; for one that is absent, a line that says so."""
    readers: list[tuple[str, str, Callable[[Path], Edges], bool]] = [
        ("minnesota", "graphs/pygsp/minnesota.mat", _matlab_matrix, False),
        ("airfoil", "graphs/pygsp/airfoil.mat", _matlab_lists, False),
        ("3elt", "graphs/suitesparse/3elt.mtx.gz", _matrix_market, False),
        ("commanche_dual", "graphs/suitesparse/commanche_dual.mtx.gz", _matrix_market, False),
        ("luxembourg_osm", "graphs/suitesparse/luxembourg_osm.mtx.gz", _matrix_market, False),
        ("mesh spot", "meshes/spot.obj", _obj_faces, False),
        ("mesh stanford-bunny", "meshes/stanford-bunny.obj", _obj_faces, False),
        ("mesh horse", "meshes/horse.zip", _ply_faces, False),
        ("PubMed", "graphs/pubmed_topology/ind.pubmed.graph", _pickled_lists, False),
        ("chameleon", "graphs/directed/chameleon.out1_graph_edges.txt", _edge_list, True),
        ("citeseer", "graphs/directed/citeseer_npz.npz", _npz, True),
        ("EVA", "graphs/suitesparse/EVA.mtx.gz", _matrix_market, True),
        ("p2p-Gnutella31", "graphs/directed/p2p-Gnutella31.txt.gz", _edge_list, True),
    ]
    for name, path, read, directed in readers:
        if not (folder / path).is_file():
            yield f"{name} is left out: no {path} in {folder}"
            continue
        edges = np.ascontiguousarray(read(folder / path), dtype=np.int64)
        edges = edges[:, edges[0] != edges[1]]
        yield largest_component(Graph(name, int(edges.max()) + 1, edges, directed))


def planetoid_graphs(folder: Path) -> Iterator[Graph | str]:
    """Cora, CiteSeer and PubMed, all nodes, as `real_graphs` gives graphs."""
    for name, path in (
        ("Cora", "planetoid/Cora/raw/ind.cora.graph"),
        ("CiteSeer", "planetoid/CiteSeer/raw/ind.citeseer.graph"),
        ("PubMed", "graphs/pubmed_topology/ind.pubmed.graph"),
    ):
        if (folder / path).is_file():
            edges = np.ascontiguousarray(_pickled_lists(folder / path), dtype=np.int64)
            yield Graph(name, int(edges.max()) + 1, edges[:, edges[0] != edges[1]])
        else:
            yield f"{name} is left out: no {path} in {folder}"


def _matrix_market(path: Path) -> Edges:
    with gzip.open(path) as file:
        matrix = scipy.io.mmread(file).tocoo()
    return np.stack([matrix.row, matrix.col])


def _matlab_matrix(path: Path) -> Edges:
    matrix = scipy.sparse.coo_array(scipy.io.loadmat(path)["A"])
    return np.stack([matrix.row, matrix.col])


def _matlab_lists(path: Path) -> Edges:
    """Numbered from 1."""
    arrays = scipy.io.loadmat(path)
    return np.stack([arrays["i_inds"].ravel(), arrays["j_inds"].ravel()]).astype(np.int64) - 1


def _edge_list(path: Path) -> Edges:
    """A line of two numbers an edge, below one line of something else."""
    opened = gzip.open(path, "rt") if path.suffix == ".gz" else path.open()
    with opened as file:
        return np.loadtxt(file, dtype=np.int64, skiprows=1).T


def _pickled_lists(path: Path) -> Edges:
    """Neighbours by node, as the Planetoid files have them."""
    lists = load_pickle(path, encoding="latin1")
    return np.array([(node, other) for node, others in lists.items() for other in others]).T


def _npz(path: Path) -> Edges:
    with np.load(path) as arrays:
        indptr, indices = arrays["adj_indptr"], arrays["adj_indices"]
    return np.stack([np.repeat(np.arange(len(indptr) - 1), np.diff(indptr)), indices])


def _obj_faces(path: Path) -> Edges:
    lines = [line.split()[1:] for line in path.read_text().splitlines() if line.startswith("f ")]
    return _sides(np.array([[int(corner.split("/")[0]) - 1 for corner in line] for line in lines]))


def _ply_faces(path: Path) -> Edges:
    """The one little-endian PLY of triangles in an archive; a face, at its end, is a count and three numbers."""
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".ply") and "/" not in name)
        header, _, body = archive.read(name).partition(b"end_header\n")
    count = int(header.split(b"element face ")[1].split()[0])
    face = np.dtype([("corners", "u1"), ("node", "<i4", 3)])
    faces = np.frombuffer(body, face, count, offset=len(body) - count * face.itemsize)
    return _sides(faces["node"].astype(np.int64))


def _sides(faces: Edges) -> Edges:
    """The sides of polygons `[F, corners]`."""
    return np.stack([faces.ravel(), np.roll(faces, -1, axis=1).ravel()])
