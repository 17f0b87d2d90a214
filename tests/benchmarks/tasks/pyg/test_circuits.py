from __future__ import annotations

import csv
import gzip
import random
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch

from graphpe.benchmarks.calls.build import build_task
from graphpe.benchmarks.tasks.pyg.circuits import Circuits, published_split
from graphpe.errors import GraphPEError, GraphPERuntimeError


def write_circuits(folder: Path, count: int = 60) -> list[tuple[np.ndarray, np.ndarray]]:
    """Random circuits in the layout of the benchmark; some tables gzipped."""
    rng = np.random.default_rng()
    circuits = []
    for _ in range(count):
        n = int(rng.integers(2, 8))
        tail, head = np.triu_indices(n, 1)
        kept = rng.random(len(tail)) < 0.6
        circuits.append((np.stack([tail[kept], head[kept]], 1), rng.integers(0, (10, 26, 103), (n, 3))))
    tables = {
        "edge": [row for edges, _ in circuits for row in edges.tolist()],
        "node-feat": [row for _, x in circuits for row in x.tolist()],
        "num-node-list": [[len(x)] for _, x in circuits],
        "num-edge-list": [[len(edges)] for edges, _ in circuits],
        "amp-stage": [[3 if index % 5 else 2] for index in range(count)],
        "perform101": [["", "valid", "gain", "pm", "bw", "fom"]]
        + [[index, 1, *rng.normal(5, 2, 4).tolist()] for index in range(count)],
    }
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, rows) in enumerate(tables.items()):
        text = "".join(",".join(map(str, row)) + "\n" for row in rows)
        if number % 2:
            (folder / f"{name}.csv").write_text(text)
        else:
            (folder / f"{name}.csv.gz").write_bytes(gzip.compress(text.encode()))
    return circuits


def test_tables_become_graphs(tmp_path: Path) -> None:
    circuits = write_circuits(tmp_path)
    data = Circuits(root=str(tmp_path), target="bw").load()
    assert len(data.graphs) == len(circuits)
    for index, (edges, x) in enumerate(circuits):
        graph = data.graphs[index]
        assert graph.edge_index.t().tolist() == edges.tolist()
        assert graph.x.tolist() == x.tolist()
    with (tmp_path / "perform101.csv").open() as file:
        expected = [float(row["bw"]) for row in csv.DictReader(file)]
    np.testing.assert_allclose(data.graphs.graph["y"].flatten(), expected, rtol=1e-6)
    two = Circuits(root=str(tmp_path), target="bw", test_stages=2).load()
    assert set(two.split["test"].tolist()) == {index for index in range(60) if index % 5 == 0}
    assert torch.equal(two.split["train"], data.split["train"])


def test_loss_is_standardised_and_the_metric_is_not(tmp_path: Path) -> None:
    write_circuits(tmp_path)
    data = Circuits(root=str(tmp_path)).load()
    y = data.graphs.graph["y"][data.split["train"]]
    mean, deviation = y.double().mean(), y.double().std(correction=0)
    output = torch.randn(len(y), 1)
    batch = data.graphs.select(data.split["train"]).to_batch()
    expected = (output - (y - mean) / deviation).square().mean()
    torch.testing.assert_close(data.adapter.loss(output, batch).double(), expected.double(), rtol=1e-5, atol=0)
    torch.testing.assert_close(data.adapter.predict(output), (output * deviation + mean).float())
    rmse = data.evaluate(data.adapter.predict(output), data.split["train"])
    assert rmse == pytest.approx(float(expected.sqrt() * deviation), rel=1e-5)
    assert data.constant_baseline(data.split["train"])[0] == pytest.approx(float(deviation), rel=1e-6)


def test_the_split_is_the_published_one() -> None:
    stage = np.array([3] * 8026 + [2] * 1974)
    np.random.default_rng().shuffle(stage)
    parts = published_split(stage, 3)
    assert {part: len(ids) for part, ids in parts.items()} == {"train": 7223, "valid": 401, "test": 402}
    assert sorted(torch.cat(list(parts.values())).tolist()) == np.flatnonzero(stage == 3).tolist()
    state = np.random.get_state()  # noqa: NPY002 - the published script shuffles with these calls
    try:
        np.random.seed(123)  # noqa: NPY002
        three = np.flatnonzero(stage == 3).tolist()
        np.random.shuffle(three)  # noqa: NPY002
    finally:
        np.random.set_state(state)  # noqa: NPY002
    assert parts["train"].tolist() == three[:7223]
    assert len(published_split(stage, 2)["test"]) == 500


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(GraphPERuntimeError, match=r"edge.csv \(or edge.csv.gz\) is not in .*none"):
        Circuits(root=str(tmp_path / "none")).load()
    for name, text, message in (
        ("num-node-list", "3\n4\n", "not of the same circuits"),
        ("edge", "0,x\n", "edge in .* must hold 2 columns of integers"),
        ("perform101", "gain,pm\n1,2\n", "has no column 'bw'"),
        ("node-feat", "", "is empty"),
    ):
        folder = tmp_path / name
        write_circuits(folder)
        for path in folder.glob(f"{name}.csv*"):
            path.unlink()
        (folder / f"{name}.csv").write_text(text)
        with pytest.raises(GraphPERuntimeError, match=message) as caught:
            Circuits(root=str(folder), target="bw").load()
        assert "\n" not in str(caught.value)
    write_circuits(tmp_path / "nan")
    path = tmp_path / "nan" / "perform101.csv"
    lines = path.read_text().splitlines()
    lines[4] = "3,1,,1,1,1"
    path.write_text("\n".join(lines))
    with pytest.raises(GraphPERuntimeError, match="gain of row 3 is not a number"):
        Circuits(root=str(tmp_path / "nan")).load()
    with pytest.raises(GraphPEError, match="target must be one of 'gain'"):
        build_task("circuits(target='gian')")


def test_real_files(shared_data: Path) -> None:
    data = Circuits(root=str(shared_data / "amp_ocb101")).load()
    assert data.graphs.num_nodes == 95_910
    assert data.graphs.num_edges == 145_276
    for index in random.sample(range(10_000), 30):
        assert nx.is_directed_acyclic_graph(data.graphs.to_networkx(index))
    assert {part: len(ids) for part, ids in data.split.items()} == {"train": 7223, "valid": 401, "test": 402}
