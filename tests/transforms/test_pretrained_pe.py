"""Vectors of nodes of a run as an encoding."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import pytest
import torch
from torch_geometric.data import Batch, Data

import graphpe
from graphpe import transforms as T
from graphpe.benchmarks.calls.build import build_encodings
from graphpe.benchmarks.cli.main import main
from graphpe.errors import GraphPEError, GraphPETypeError, GraphPEValueError


def graphs() -> list[Data]:
    generator = torch.Generator().manual_seed(3)
    found = [Data(edge_index=torch.zeros(2, 0, dtype=torch.long), num_nodes=1, x=torch.ones(1, 3))]
    for n in range(2, 24):
        edges = (torch.rand(n, n, generator=generator) < 0.3).nonzero().t()
        found.append(Data(edge_index=edges, num_nodes=n, x=torch.randn(n, 3, generator=generator)))
    return found


def pretrain(folder: Path, name: str, *more: str) -> Path:
    torch.save(graphs(), folder / "graphs.pt")
    command = ["pretrain", str(folder / "graphs.pt"), "--predict", "DegreePE()", "--epochs", "1", "--quiet"]
    assert main([*command, "--model", "GPS(width=8, layers=1, heads=2)", "--run", str(folder / name), *more]) == 0
    return folder / name


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pretrained")


@pytest.fixture(scope="module")
def run(folder: Path) -> str:
    return str(pretrain(folder, "random", "--features", "random"))


def test_it_is_what_the_head_reads(run: str) -> None:
    data_list = graphs()
    found = T.PretrainedPE(run)(Batch.from_data_list(data_list)).pretrained_pe
    assert found.shape == (sum(each.num_nodes for each in data_list), 8)
    torch.testing.assert_close(found, graphpe.load_run(run).embed(data_list), atol=1e-5, rtol=1e-5)
    alone = torch.cat([T.PretrainedPE(run)(each).pretrained_pe for each in data_list])
    torch.testing.assert_close(alone, found, atol=1e-5, rtol=1e-5)


def test_it_is_the_same_every_time_and_a_mean_over_samples(run: str) -> None:
    data = graphs()[9]
    torch.manual_seed(0)
    one = T.PretrainedPE(run)(data).pretrained_pe
    torch.manual_seed(1)
    assert torch.equal(T.PretrainedPE(run)(data).pretrained_pe, one)
    other = T.PretrainedPE(run, seed=1)(data).pretrained_pe
    assert not torch.allclose(one, other)
    torch.testing.assert_close(T.PretrainedPE(run, samples=2)(data).pretrained_pe, (one + other) / 2)


def test_empty_graphs_have_no_rows(run: str) -> None:
    none = Data(edge_index=torch.zeros(2, 0, dtype=torch.long), num_nodes=0)
    first, second, third = T.PretrainedPE(run)([none, graphs()[4], none])
    assert first.pretrained_pe.shape == third.pretrained_pe.shape == (0, 8)
    torch.testing.assert_close(second.pretrained_pe, T.PretrainedPE(run)(graphs()[4]).pretrained_pe)
    assert T.PretrainedPE(run)(none).pretrained_pe.shape == (0, 8)


def test_its_text_holds_the_weights(run: str, folder: Path) -> None:
    encoding = T.PretrainedPE(run)
    assert f"digest={graphpe.load_run(run).digest!r}" in repr(encoding)
    (built,) = build_encodings([repr(encoding)])
    copied = pickle.loads(pickle.dumps(built))
    data = graphs()[6]
    assert torch.equal(copied(data).pretrained_pe, encoding(data).pretrained_pe)
    moved = folder / "moved"
    shutil.copytree(run, moved)
    assert T.PretrainedPE(str(moved)).digest == encoding.digest
    waiting = pickle.dumps(T.PretrainedPE(str(moved)))
    shutil.rmtree(moved)
    pretrain(folder, "moved", "--features", "random", "--seed", "1")
    assert T.PretrainedPE(str(moved)).digest != encoding.digest
    with pytest.raises(GraphPEValueError, match="is not the run that was encoded with") as caught:
        T.PretrainedPE(str(moved), digest=encoding.digest)
    assert "\n" not in str(caught.value)
    with pytest.raises(GraphPEValueError, match="is not the run that was encoded with"):
        pickle.loads(waiting)(data)


def test_a_store_of_other_weights_is_not_taken(run: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = pretrain(folder, "other", "--features", "random", "--seed", "2")
    place = folder / "same place"
    encode = ["encode", str(folder / "graphs.pt"), "--out", str(folder / "encoded"), "--quiet"]
    shutil.copytree(run, place)
    assert main([*encode, "--encodings", f"PretrainedPE({str(place)!r})"]) == 0
    shutil.rmtree(place)
    shutil.copytree(other, place)
    assert main([*encode, "--encodings", f"PretrainedPE({str(place)!r})"]) == 1
    assert "digest" in capsys.readouterr().err


def test_features_of_the_task_are_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    encoding = T.PretrainedPE(str(pretrain(folder, "task")))
    assert encoding.node_keys == ["x"]
    data = graphs()[5]
    assert not torch.allclose(
        encoding(data).pretrained_pe, encoding(Data(**{**data.to_dict(), "x": -data.x})).pretrained_pe
    )
    with pytest.raises(GraphPEValueError, match="reads the node value 'x'"):
        encoding(Data(edge_index=data.edge_index, num_nodes=data.num_nodes))
    with pytest.raises(GraphPEError, match="x has 5 columns"):
        encoding(Data(edge_index=data.edge_index, num_nodes=data.num_nodes, x=torch.randn(data.num_nodes, 5)))
    with pytest.raises(GraphPEValueError, match="reads no random features"):
        T.PretrainedPE(encoding.run, samples=2)


def test_a_run_on_graphs_gives_its_vectors_before_pooling(run: str, folder: Path) -> None:
    data_list = graphs()
    for each in data_list:
        each.y = torch.tensor([float(each.num_nodes)])
    torch.save(data_list, folder / "labelled.pt")
    trained = folder / "graph-level"
    command = ["train", str(folder / "labelled.pt"), "--model", "GPS(width=8, layers=1, heads=2)", "--epochs", "1"]
    encoding = f"PretrainedPE({run!r})"
    assert main([*command, "--encodings", encoding, "--run", str(trained), "--quiet"]) == 0
    found = T.PretrainedPE(str(trained))([data_list[5], data_list[8]])
    pooled = graphpe.load_run(trained).embed([data_list[5], data_list[8]])
    means = torch.stack([each.pretrained_pe.mean(0) for each in found])
    torch.testing.assert_close(means, pooled, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "error", "what"),
    [
        ({"run": 3}, GraphPETypeError, "run must be the folder of a run"),
        ({"run": "no-such-folder"}, GraphPEValueError, "is not a run folder"),
        ({"samples": 0}, GraphPEValueError, "samples"),
        ({"digest": 5}, GraphPETypeError, "digest"),
        ({"seed": -1}, GraphPEValueError, "seed"),
    ],
)
def test_what_cannot_be_is_one_line(run: str, arguments: dict[str, object], error: type, what: str) -> None:
    with pytest.raises(error, match=what) as caught:
        T.PretrainedPE(**({"run": run} | arguments))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
