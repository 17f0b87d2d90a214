from __future__ import annotations

from pathlib import Path

import pytest
import torch

from graphpe.benchmarks.calls.build import build_task
from graphpe.benchmarks.tasks.pyg.gnn_benchmark import Cluster, Mnist, Pattern
from graphpe.errors import GraphPERuntimeError, GraphPEValueError

COUNTS = (5, 3, 4)


def write(folder: Path, name: str, *, nodes: bool, classes: int, columns: int) -> list[dict[str, torch.Tensor]]:
    """Random graphs in the layout of PyG's download: dictionaries of tensors, three lists of them."""
    parts = []
    for count in COUNTS:
        graphs = []
        for _ in range(count):
            n = int(torch.randint(3, 9, ()))
            edges = (torch.rand(n, n) < 0.4).nonzero().t()
            graph = {"x": torch.rand(n, columns), "edge_index": edges}
            if nodes:
                graph["y"] = torch.randint(0, classes, (n,))
            else:
                graph |= {
                    "pos": torch.rand(n, 2),
                    "edge_attr": torch.rand(edges.shape[1]),
                    "y": torch.randint(0, classes, (1,)),
                }
            graphs.append(graph)
        parts.append(graphs)
    raw = folder / name / "raw"
    raw.mkdir(parents=True)
    torch.save(tuple(parts), raw / f"{name}_v2.pt")
    return [graph for part in parts for graph in part]


def test_superpixels(tmp_path: Path) -> None:
    graphs = write(tmp_path, "MNIST", nodes=False, classes=10, columns=1)
    data = Mnist(root=str(tmp_path), download=False).load(progress=False)
    assert {part: len(ids) for part, ids in data.split.items()} == {"train": 5, "valid": 3, "test": 4}
    for index, graph in enumerate(graphs):
        found = data.graphs[index]
        torch.testing.assert_close(found.x, torch.cat([graph["x"], graph["pos"]], 1))
        torch.testing.assert_close(found.edge_attr.flatten(), graph["edge_attr"])
        assert torch.equal(found.edge_index, graph["edge_index"])
        assert found.y.flatten().tolist() == graph["y"].tolist()
    batch = data.graphs.to_batch()
    assert data.adapter.node_encoder(8)(batch).shape == (data.graphs.num_nodes, 8)
    assert data.adapter.edge_encoder(8)(batch).shape == (data.graphs.num_edges, 8)  # type: ignore[misc]
    output = torch.randn(12, 10)
    expected = torch.nn.functional.cross_entropy(output, data.graphs.graph["y"].flatten())
    torch.testing.assert_close(data.adapter.loss(output, batch), expected)
    ids = torch.arange(12)
    right = (output.argmax(1) == data.graphs.graph["y"].flatten()).double().mean()
    assert data.evaluate(output, ids) == pytest.approx(float(right))
    with pytest.raises(GraphPEValueError, match=r"predictions must be \[12, 10\]"):
        data.evaluate(torch.zeros(12, 1), ids)


def test_nodes_of_block_models(tmp_path: Path) -> None:
    graphs = write(tmp_path, "CLUSTER", nodes=True, classes=6, columns=7)
    task = Cluster(root=str(tmp_path), download=False)
    data = task.load(progress=False)
    assert task.adapter(data.adapter.state()) == data.adapter
    for index, graph in enumerate(graphs):
        assert data.graphs[index].y.flatten().tolist() == graph["y"].tolist()
    ids = torch.tensor([4, 0, 9])
    chosen = data.graphs.select(ids)
    target = torch.cat([graphs[i]["y"] for i in ids.tolist()])
    output = torch.randn(len(target), 6)
    assert data.adapter.prediction_rows(data.graphs).tolist() == [len(graph["x"]) for graph in graphs]
    # The published loss and metric, as they are written: weights (V - V_c) / V, and the mean recall of the classes.
    counts = target.bincount(minlength=6)
    weight = (len(target) - counts).float() / len(target) * (counts > 0)
    expected = torch.nn.functional.cross_entropy(output, target, weight=weight)
    torch.testing.assert_close(data.adapter.loss(output, chosen.to_batch()), expected)
    recalls = [(output.argmax(1)[target == c] == c).double().mean() for c in range(6) if (target == c).any()]
    assert data.evaluate(output, ids) == pytest.approx(float(torch.stack(recalls).mean()))
    baseline, _ = data.constant_baseline(torch.arange(12))
    assert baseline == pytest.approx(1 / len(torch.cat([graph["y"] for graph in graphs]).unique()))
    with pytest.raises(GraphPEValueError, match="give it readout='none'"):
        data.adapter.loss(torch.zeros(3, 6), chosen.to_batch())
    with pytest.raises(GraphPEValueError, match="one row a node"):
        data.evaluate(torch.zeros(3, 6), ids)


def test_a_batch_of_one_class_has_a_loss(tmp_path: Path) -> None:
    write(tmp_path, "PATTERN", nodes=True, classes=1, columns=3)
    data = Pattern(root=str(tmp_path), download=False).load(progress=False)
    batch = data.graphs.to_batch()
    output = torch.randn(data.graphs.num_nodes, 2)
    torch.testing.assert_close(data.adapter.loss(output, batch), -output.log_softmax(1)[:, 0].mean())


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(GraphPERuntimeError, match=r"MNIST is not in .*raw \(MNIST_v2.pt missing\): put its files"):
        Mnist(root=str(tmp_path / "none"), download=False).load(progress=False)
    assert not (tmp_path / "none").exists()
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "MNIST_v2.pt").write_bytes(b"no tensors")
    with pytest.raises(GraphPERuntimeError, match=r"MNIST_v2.pt is no file that torch.save wrote") as caught:
        Mnist(root=str(tmp_path), download=False).load(progress=False)
    assert "\n" not in str(caught.value)
    write(tmp_path, "CLUSTER", nodes=True, classes=9, columns=7)
    with pytest.raises(GraphPERuntimeError, match=r"classes from 0 to [678], expected 0 to 5"):
        Cluster(root=str(tmp_path), download=False).load(progress=False)
    write(tmp_path, "PATTERN", nodes=False, classes=2, columns=3)
    with pytest.raises(GraphPERuntimeError, match="lacks 'y'"):
        build_task(f"pattern(root={str(tmp_path)!r}, download=False)").load(progress=False)
