"""OGB's link tasks, from small files in the layout of its downloads."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graphpe.benchmarks.tasks.links.ogb import OgblCitation2, OgblCollab, OgblPpa, OgblVessel
from graphpe.errors import GraphPERuntimeError
from graphpe.files.ogb import evaluator

NODES, TRAIN, HELD, OTHERS = 60, 90, 12, 1000


def write_rows(path: Path, rows: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt") as file:
        file.writelines(",".join(map(str, row)) + "\n" for row in np.atleast_2d(rows).tolist())


def write(folder: Path, kind: str, features: int = 0, *, weights: bool = False) -> dict[str, dict[str, np.ndarray]]:
    """A random graph in OGB's raw layout, whose edges are those of the training part."""
    rng = np.random.default_rng(5)
    tail, head = np.triu_indices(NODES, 1)
    order = rng.permutation(len(tail))
    pairs = np.stack([tail, head], axis=1)[order]
    ends = np.cumsum([TRAIN, HELD, HELD])
    split: dict[str, dict[str, Any]] = {}
    for part, first, last in (("train", 0, ends[0]), ("valid", ends[0], ends[1]), ("test", ends[1], ends[2])):
        split[part] = {"edge": pairs[first:last]}
        if part != "train":
            split[part]["edge_neg"] = rng.permutation(pairs[ends[2] :])[: 4 * HELD]
        if weights:
            split[part] |= {"weight": rng.integers(1, 5, last - first), "year": rng.integers(1990, 2020, last - first)}
    raw = folder / "raw"
    write_rows(raw / "edge.csv.gz", split["train"]["edge"])
    write_rows(raw / "num-node-list.csv.gz", np.array([[NODES]]))
    write_rows(raw / "num-edge-list.csv.gz", np.array([[TRAIN]]))
    write_rows(raw / "node_year.csv.gz", rng.integers(1990, 2020, (NODES, 1)))
    if features:
        write_rows(raw / "node-feat.csv.gz", rng.random((NODES, features)).round(3))
    if weights:
        write_rows(raw / "edge_weight.csv.gz", split["train"]["weight"][:, None])
        write_rows(raw / "edge_year.csv.gz", split["train"]["year"][:, None])
    if kind == "mrr":
        split = {
            part: {"source_node": content["edge"][:, 0], "target_node": content["edge"][:, 1]}
            | ({} if part == "train" else {"target_node_neg": rng.integers(0, NODES, (HELD, OTHERS))})
            for part, content in split.items()
        }
        for part in ("valid", "test"):
            same = split[part]["target_node_neg"] == split[part]["source_node"][:, None]
            split[part]["target_node_neg"][same] = (split[part]["source_node"][:, None] + same)[same] % NODES
    return split


def save(folder: Path, name: str, split: dict[str, dict[str, np.ndarray]]) -> None:
    (folder / "split" / name).mkdir(parents=True)
    for part, content in split.items():
        torch.save(content, folder / "split" / name / f"{part}.pt")
    (folder / "RELEASE_v1.txt").write_text("")


def edges_of(data: Any) -> set[tuple[int, int]]:
    return {tuple(edge) for edge in data.graphs.edge_index.t().tolist()}


def test_collab_is_what_ogb_reads_and_scores(tmp_path: Path) -> None:
    folder = tmp_path / "ogbl_collab"
    split = write(folder, "hits", 128, weights=True)
    save(folder, "time", split)
    data = OgblCollab(root=str(tmp_path), download=False).load(progress=False)
    train = {tuple(edge) for edge in split["train"]["edge"].tolist()}
    assert edges_of(data) == train | {(v, u) for u, v in train}
    assert data.graphs.node["x"].shape == (NODES, 128)
    weight = dict(zip(map(tuple, data.graphs.edge_index.t().tolist()), data.graphs.edge_weight.tolist(), strict=True))
    for edge, given in zip(split["train"]["edge"].tolist(), split["train"]["weight"].tolist(), strict=True):
        assert weight[tuple(edge)] == weight[tuple(edge[::-1])] == given
    scores = torch.randn(5 * HELD, 1)
    test = data.split["test"]
    assert torch.equal(data.pairs[:, test[:HELD]].long().t(), torch.from_numpy(split["test"]["edge"]))
    assert torch.equal(data.pairs[:, test[HELD:]].long().t(), torch.from_numpy(split["test"]["edge_neg"]))
    scores[0] = 9.0
    official = evaluator("ogbl-collab").eval({"y_pred_pos": scores[:HELD, 0], "y_pred_neg": scores[HELD:, 0]})
    assert data.metric == "Hits@50"
    assert data.evaluate(scores, test) == pytest.approx(official["hits@50"])


def test_ppa_and_vessel(tmp_path: Path) -> None:
    split = write(tmp_path / "ogbl_ppa", "hits", 58)
    save(tmp_path / "ogbl_ppa", "throughput", split)
    ppa = OgblPpa(root=str(tmp_path), download=False).load(progress=False)
    assert (ppa.metric, ppa.graphs.num_edges, len(ppa.split["valid"])) == ("Hits@100", 2 * TRAIN, 5 * HELD)
    split = write(tmp_path / "ogbl_vessel", "auc")
    edges = split["train"]["edge"].T
    np.savez(
        tmp_path / "ogbl_vessel" / "raw" / "data.npz",
        edge_index=edges,
        num_nodes_list=np.array([NODES]),
        num_edges_list=np.array([TRAIN]),
        node_feat=np.random.default_rng(0).random((NODES, 3)),
    )
    save(tmp_path / "ogbl_vessel", "spatial", split)
    vessel = OgblVessel(root=str(tmp_path), download=False).load(progress=False)
    assert vessel.metric == "ROC-AUC"
    x = vessel.graphs.node["x"]
    torch.testing.assert_close(x.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.std(0), torch.ones(3), atol=1e-5, rtol=0)


def test_citations_are_ranked_among_their_own(tmp_path: Path) -> None:
    folder = tmp_path / "ogbl_citation2"
    split = write(folder, "mrr", 128)
    save(folder, "time", split)
    data = OgblCitation2(root=str(tmp_path), download=False).load(progress=False)
    test = data.split["test"]
    assert len(test) == HELD * (1 + OTHERS)
    scores = torch.randn(len(test), 1)
    official = evaluator("ogbl-citation2").eval(
        {"y_pred_pos": scores[:HELD, 0], "y_pred_neg": scores[HELD:, 0].view(HELD, OTHERS)}
    )
    assert data.metric == "MRR"
    assert data.evaluate(scores, test) == pytest.approx(float(official["mrr_list"].mean()), rel=1e-6)
    others = data.pairs[:, test[HELD:]].long()
    assert torch.equal(others[0].view(HELD, OTHERS)[:, 0], torch.from_numpy(split["test"]["source_node"]))


@pytest.mark.parametrize(
    ("key", "rows", "shapes"),
    [
        ("target_node_neg", slice(3), rf"\[{HELD}\], \[{HELD}\], \[3, {OTHERS}\]"),
        ("target_node_neg", (slice(None), 0), rf"\[{HELD}\], \[{HELD}\], \[{HELD}\]"),
        ("source_node", slice(2), rf"\[2\], \[{HELD}\], \[{HELD}, {OTHERS}\]"),
    ],
)
def test_citations_that_differ_in_number_are_one_line(tmp_path: Path, key: str, rows: Any, shapes: str) -> None:
    folder = tmp_path / "ogbl_citation2"
    split = write(folder, "mrr", 128)
    split["test"][key] = split["test"][key][rows].copy()
    save(folder, "time", split)
    with pytest.raises(GraphPERuntimeError, match=f"the test part has source_node.* of the shapes {shapes}, expected"):
        OgblCitation2(root=str(tmp_path), download=False).load(progress=False)


def test_some_links_only_supervise(tmp_path: Path) -> None:
    split = write(tmp_path / "ogbl_collab", "hits", 128, weights=True)
    save(tmp_path / "ogbl_collab", "time", split)
    data = OgblCollab(root=str(tmp_path), download=False, disjoint=0.3).load(progress=False)
    assert (len(data.split["train"]), data.graphs.num_edges) == (27, 2 * 63)
    assert not data.sees_its_links
    assert len(data.graphs.edge_weight) == 2 * 63


def test_bad_folders_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(GraphPERuntimeError, match="ogbl-ppa is not in"):
        OgblPpa(root=str(tmp_path), download=False).load(progress=False)
    folder = tmp_path / "ogbl_ppa"
    split = write(folder, "hits", 58)
    del split["valid"]["edge_neg"]
    save(folder, "throughput", split)
    with pytest.raises(GraphPERuntimeError, match=r"does not hold ogbl-ppa \('edge_neg'\): get it again"):
        OgblPpa(root=str(tmp_path), download=False).load(progress=False)
    (folder / "split" / "throughput" / "test.pt").unlink()
    with pytest.raises(GraphPERuntimeError, match=r"cannot be read|incomplete"):
        OgblPpa(root=str(tmp_path), download=False).load(progress=False)
