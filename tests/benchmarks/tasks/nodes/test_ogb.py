"""OGB's node tasks, from small files in the layout of its downloads."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.utils import to_undirected

from graphpe.benchmarks.tasks.nodes.ogb import OgbnArxiv, OgbnMag, OgbnProducts, OgbnProteins
from graphpe.errors import GraphPERuntimeError
from graphpe.files.ogb import evaluator

NODES, EDGES = 30, 70
PARTS = {"train": np.arange(0, 15), "valid": np.arange(15, 20), "test": np.arange(20, 30)}


def write_rows(path: Path, rows: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt") as file:
        file.writelines(",".join(map(str, row)) + "\n" for row in np.atleast_2d(rows).tolist())


def write(folder: Path, *, features: int, labels: np.ndarray, split: str, edge_features: int = 0) -> np.ndarray:
    """A random graph in OGB's raw layout; returns its edges, each of which stands there once."""
    rng = np.random.default_rng()
    tail, head = np.triu_indices(NODES, 1)
    chosen = rng.permutation(len(tail))[:EDGES]
    edges = np.stack([tail[chosen], head[chosen]])
    raw = folder / "raw"
    write_rows(raw / "edge.csv.gz", edges.T)
    write_rows(raw / "num-node-list.csv.gz", np.array([[NODES]]))
    write_rows(raw / "num-edge-list.csv.gz", np.array([[EDGES]]))
    write_rows(raw / "node_year.csv.gz", rng.integers(1990, 2020, (NODES, 1)))
    write_rows(raw / "node_species.csv.gz", rng.integers(0, 8, (NODES, 1)))
    write_rows(raw / "node-label.csv.gz", labels)
    if features:
        write_rows(raw / "node-feat.csv.gz", rng.random((NODES, features)).round(3))
    if edge_features:
        write_rows(raw / "edge-feat.csv.gz", rng.random((EDGES, edge_features)).round(3))
    for part, ids in PARTS.items():
        write_rows(folder / "split" / split / f"{part}.csv.gz", ids[:, None])
    (folder / "RELEASE_v1.txt").write_text("")
    return edges


def classes(count: int) -> np.ndarray:
    return np.random.default_rng().integers(0, count, (NODES, 1))


def test_arxiv_is_what_ogb_reads_and_scores(tmp_path: Path) -> None:
    labels = classes(40)
    edges = torch.from_numpy(write(tmp_path / "ogbn_arxiv", features=128, labels=labels, split="time"))
    data = OgbnArxiv(root=str(tmp_path), download=False).load(progress=False)
    assert torch.equal(data.graphs.edge_index, to_undirected(edges, num_nodes=NODES))
    one_way = OgbnArxiv(root=str(tmp_path), download=False, directed=True).load(progress=False)
    assert torch.equal(one_way.graphs.edge_index, edges)
    assert data.graphs.node["x"].shape == (NODES, 128)
    assert {part: ids.tolist() for part, ids in data.split.items()} == {k: v.tolist() for k, v in PARTS.items()}
    output, ids = torch.randn(10, 40), data.split["test"]
    output[:4] = torch.nn.functional.one_hot(torch.from_numpy(labels[20:24, 0]), 40) * 100.0
    official = evaluator("ogbn-arxiv").eval({"y_true": labels[20:], "y_pred": output.argmax(1, keepdim=True).numpy()})
    assert data.evaluate(output, ids) == pytest.approx(official["acc"])


def test_products_have_both_directions_already(tmp_path: Path) -> None:
    edges = torch.from_numpy(write(tmp_path / "ogbn_products", features=100, labels=classes(47), split="sales_ranking"))
    data = OgbnProducts(root=str(tmp_path), download=False).load(progress=False)
    found = {tuple(edge) for edge in data.graphs.edge_index.t().tolist()}
    assert found == {tuple(edge) for edge in torch.cat([edges, edges.flip(0)], dim=1).t().tolist()}


def test_proteins_have_the_mean_of_their_edges(tmp_path: Path) -> None:
    labels = np.random.default_rng().integers(0, 2, (NODES, 112))
    write(tmp_path / "ogbn_proteins", features=0, labels=labels, split="species", edge_features=8)
    data = OgbnProteins(root=str(tmp_path), download=False).load(progress=False)
    edge_attr, head = data.graphs.edge["edge_attr"], data.graphs.edge_index[1]
    assert edge_attr.shape == (2 * EDGES, 8)
    for node in range(NODES):
        incoming = edge_attr[head == node]
        expected = incoming.mean(0) if len(incoming) else torch.zeros(8)
        torch.testing.assert_close(data.graphs.node["x"][node], expected)
    scores, ids = torch.randn(10, 112), data.split["test"]
    official = evaluator("ogbn-proteins").eval({"y_true": labels[20:], "y_pred": scores.numpy()})
    assert data.evaluate(scores, ids) == pytest.approx(official["rocauc"])


def write_mag(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """A heterogeneous graph in OGB's raw layout, with two of its types of nodes and of edges."""
    rng = np.random.default_rng()
    raw = folder / "raw"
    raw.mkdir(parents=True)
    authors = 5
    triplets = [("author", "writes", "paper"), ("paper", "cites", "paper")]
    write_text(raw / "num-node-dict.csv.gz", f"author,paper\n{authors},{NODES}\n")
    write_text(raw / "triplet-type-list.csv.gz", "".join(",".join(triplet) + "\n" for triplet in triplets))
    write_text(raw / "nodetype-has-feat.csv.gz", "author,paper\nFalse,True\n")
    write_text(raw / "nodetype-has-label.csv.gz", "author,paper\nFalse,True\n")
    cites = rng.integers(0, NODES, (EDGES, 2))
    for triplet, edges in ((triplets[0], rng.integers(0, authors, (20, 2))), (triplets[1], cites)):
        place = raw / "relations" / "___".join(triplet)
        write_rows(place / "edge.csv.gz", edges)
        write_rows(place / "num-edge-list.csv.gz", np.array([[len(edges)]]))
        write_rows(place / "edge_reltype.csv.gz", np.zeros((len(edges), 1), dtype=int))
    labels = classes(349)
    write_rows(raw / "node-feat" / "paper" / "node-feat.csv.gz", rng.random((NODES, 128)).round(3))
    write_rows(raw / "node-feat" / "paper" / "node_year.csv.gz", rng.integers(2010, 2020, (NODES, 1)))
    write_rows(raw / "node-label" / "paper" / "node-label.csv.gz", labels)
    split = folder / "split" / "time"
    split.mkdir(parents=True)
    write_text(split / "nodetype-has-split.csv.gz", "author,paper\nFalse,True\n")
    for part, ids in PARTS.items():
        write_rows(split / "paper" / f"{part}.csv.gz", ids[:, None])
    (folder / "RELEASE_v2.txt").write_text("")
    return cites.T, labels


def write_text(path: Path, text: str) -> None:
    with gzip.open(path, "wt") as file:
        file.write(text)


def test_mag_is_its_papers(tmp_path: Path) -> None:
    cites, labels = write_mag(tmp_path / "ogbn_mag")
    data = OgbnMag(root=str(tmp_path), download=False, directed=True).load(progress=False)
    assert torch.equal(data.graphs.edge_index, torch.from_numpy(cites))
    assert data.graphs.node["y"].tolist() == labels.tolist()
    assert data.graphs.num_nodes == NODES
    assert data.split["valid"].tolist() == PARTS["valid"].tolist()


def test_bad_folders_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(GraphPERuntimeError, match=r"ogbn-arxiv is not in .*ogbn_arxiv: put OGB's files there"):
        OgbnArxiv(root=str(tmp_path / "none"), download=False).load(progress=False)
    assert not (tmp_path / "none").exists()
    folder = tmp_path / "ogbn_arxiv"
    write(folder, features=128, labels=classes(40), split="time")
    for missing in ("raw/node-label.csv.gz", "raw/edge.csv.gz", "split/time/valid.csv.gz"):
        (folder / missing).rename(tmp_path / "away")
        with pytest.raises(GraphPERuntimeError) as caught:
            OgbnArxiv(root=str(tmp_path), download=False).load(progress=False)
        assert "\n" not in str(caught.value)
        assert "valid" in str(caught.value) or not (folder / "processed").exists()
        (tmp_path / "away").rename(folder / missing)
    write_rows(folder / "split" / "time" / "valid.csv.gz", np.arange(14, 20)[:, None])
    with pytest.raises(GraphPERuntimeError, match="node 14 is in the train part of the split and in the valid part"):
        OgbnArxiv(root=str(tmp_path), download=False).load(progress=False)
