from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from graphpe.benchmarks.tasks import stored
from graphpe.benchmarks.tasks.pyg.ppa import Ppa
from graphpe.errors import GraphPERuntimeError
from graphpe.files.ogb import evaluator
from graphpe.storage import shards


def write_rows(path: Path, rows: list[list[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt") as file:
        file.writelines(",".join(map(str, row)) + "\n" for row in rows)


def write_ppa(folder: Path, count: int = 12) -> list[tuple[np.ndarray, np.ndarray, int]]:
    """Random graphs in OGB's raw layout; each edge stands there once."""
    rng = np.random.default_rng()
    graphs = []
    for _ in range(count):
        n = int(rng.integers(2, 9))
        tail, head = np.triu_indices(n, 1)
        graphs.append((np.stack([tail, head]), rng.random((len(tail), 7)).round(3), n))
    raw = folder / "raw"
    write_rows(raw / "edge.csv.gz", [list(pair) for edges, _, _ in graphs for pair in edges.T.tolist()])
    write_rows(raw / "edge-feat.csv.gz", [row for _, e, _ in graphs for row in e.tolist()])
    write_rows(raw / "num-node-list.csv.gz", [[n] for _, _, n in graphs])
    write_rows(raw / "num-edge-list.csv.gz", [[len(e)] for _, e, _ in graphs])
    write_rows(raw / "graph-label.csv.gz", [[index % 37] for index in range(count)])
    for part, ids in zip(("train", "valid", "test"), np.split(np.arange(count), [6, 9]), strict=True):
        write_rows(folder / "split" / "species" / f"{part}.csv.gz", [[i] for i in ids.tolist()])
    (folder / "RELEASE_v1.txt").write_text("")
    return graphs


def test_files_in_the_layout_of_ogb(tmp_path: Path) -> None:
    graphs = write_ppa(tmp_path / "ogbg_ppa")
    data = Ppa(root=str(tmp_path), download=False).load(progress=False)
    assert {part: len(ids) for part, ids in data.split.items()} == {"train": 6, "valid": 3, "test": 3}
    for index, (edges, features, n) in enumerate(graphs):
        found = data.graphs[index]
        assert torch.equal(found.x, torch.zeros(n, 1, dtype=torch.long))
        both = torch.from_numpy(np.stack([edges, edges[::-1]], axis=2).reshape(2, -1))
        assert torch.equal(found.edge_index, both)
        expected = torch.from_numpy(features).float().repeat_interleave(2, dim=0)
        torch.testing.assert_close(found.edge_attr, expected)
        assert found.y.item() == index
    output, ids = torch.randn(12, 37), torch.arange(12)
    output[:5] = torch.nn.functional.one_hot(torch.arange(5), 37) * 100.0
    official = evaluator("ogbg-ppa").eval(
        {"y_true": data.graphs.graph["y"].numpy(), "y_pred": output.argmax(1, keepdim=True).numpy()}
    )
    assert data.evaluate(output, ids) == pytest.approx(official["acc"])


def test_in_a_store_it_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_ppa(tmp_path / "ogbg_ppa", 30)
    task = Ppa(root=str(tmp_path), download=False)
    memory = task.load(progress=False)
    assert memory.store is None
    monkeypatch.setattr(stored, "memory_limit", lambda: 2**20 // 8)
    monkeypatch.setattr(shards, "KEPT_GRAPHS", 7)
    for _ in range(2):  # written, and opened
        data = task.load(cache=tmp_path / "cache", progress=False)
        assert data.store is not None
        assert len(data.store.manifest.rows.graph) == 6
        for name in ("edge_index", "ptr", "edge_ptr"):
            assert torch.equal(getattr(data.graphs, name), getattr(memory.graphs, name))
        for level in ("node", "edge", "graph"):
            mine, theirs = getattr(data.graphs, level), getattr(memory.graphs, level)
            assert mine.keys() == theirs.keys()
            assert all(torch.equal(mine[key], theirs[key]) and mine[key].dtype == theirs[key].dtype for key in mine)
        assert data.fingerprint == memory.fingerprint
        data.store.release()
        assert torch.equal(data.answers(data.split["test"]).graph["y"], memory.graphs.graph["y"][data.split["test"]])


def test_a_damaged_file_leaves_no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_ppa(tmp_path / "ogbg_ppa", 20)
    monkeypatch.setattr(stored, "memory_limit", lambda: 1)
    monkeypatch.setattr(shards, "KEPT_GRAPHS", 5)
    path = tmp_path / "ogbg_ppa" / "raw" / "edge-feat.csv.gz"
    whole = path.read_bytes()
    lines = gzip.decompress(whole).splitlines(keepends=True)
    cases = {
        "cannot be read": whole[: len(whole) * 2 // 3],
        "rows too early": gzip.compress(b"".join(lines[:-1])),
        "more rows than its graphs": gzip.compress(b"".join([*lines, lines[0]])),
        "6 columns, expected 7|cannot be read": gzip.compress(b"".join(line.split(b",", 1)[1] for line in lines)),
    }
    for message, content in cases.items():
        path.write_bytes(content)
        with pytest.raises(GraphPERuntimeError, match=message) as error:
            Ppa(root=str(tmp_path), download=False).load(cache=tmp_path / "cache", progress=False)
        assert "\n" not in str(error.value)
        assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    path.write_bytes(whole)
    assert len(Ppa(root=str(tmp_path), download=False).load(cache=tmp_path / "cache", progress=False).graphs) == 20


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(GraphPERuntimeError, match=r"ogbg-ppa is not in .*ogbg_ppa: put OGB's files there"):
        Ppa(root=str(tmp_path), download=False).load(progress=False)
    write_ppa(tmp_path / "ogbg_ppa")
    write_rows(tmp_path / "ogbg_ppa" / "raw" / "graph-label.csv.gz", [[40]] * 12)
    with pytest.raises(GraphPERuntimeError, match="edge features and classes"):
        Ppa(root=str(tmp_path), download=False).load(progress=False)
