"""A task with encodings to predict beside its targets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

import graphpe
from graphpe import models as M
from graphpe import transforms as T
from graphpe.benchmarks.calls.build import build_encodings, build_model, build_task
from graphpe.benchmarks.cli.main import main
from graphpe.benchmarks.pretraining.auxiliary import TARGETS, AuxiliaryData, TwoHeads
from graphpe.benchmarks.runs.initial import InitialWeights
from graphpe.benchmarks.tasks.by_size import load_task
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.benchmarks.training.experiment import resolve, run_experiment
from graphpe.benchmarks.training.run_folder import RunFolder
from graphpe.errors import GraphPEError

PREDICT = ("RandomWalkPE(walk_length=3)", "ShortestPathPE(undirected=False)")
MODEL = "GPS(width=16, layers=1, heads=2)"


def options(path: Path, **more: object) -> TrainConfig:
    task = f"WithEncodings({f'DataFile({str(path)!r})'!r}, {PREDICT!r}, weight=0.5, pooling='sum')"
    given = {"task": task, "model": MODEL, "encodings": (), "accelerator": "cpu", "batch_size": 16, "warmup_steps": 2}
    return resolve(TrainConfig(**(given | {"patience": 0} | more)))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def run(graphs_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "run"
    run_experiment(options(graphs_file, epochs=4), run_path=path, progress=False, workers=1)
    return path


@torch.no_grad()
def test_the_loss_is_the_tasks_and_that_of_encodings(graphs_file: Path) -> None:
    config = options(graphs_file)
    data = build_task(config.task).load(workers=1, progress=False)
    plain = build_task(f"DataFile({str(graphs_file)!r})").load()
    assert isinstance(data, AuxiliaryData)
    model = build_model(config.model, data.adapter, [])
    assert isinstance(model, TwoHeads)
    ids = data.split["valid"]
    batch = data.adapter.model_graphs(data.graphs.select(ids)).to_batch()
    outputs = model.eval()(batch)
    vectors = model.model(batch)
    pooled = torch.stack([vectors[batch.batch == graph].sum(0) for graph in range(len(ids))])
    torch.testing.assert_close(outputs.task, model.head(pooled))
    own, encodings = plain.adapter.loss(outputs.task, batch), data.adapter.encodings.loss(outputs.encodings, batch)
    torch.testing.assert_close(data.adapter.loss(outputs, batch), own + 0.5 * encodings)
    rows = data.adapter.predict_batch(outputs, batch)
    assert data.evaluate(rows, ids) == pytest.approx(plain.evaluate(plain.adapter.predict(outputs.task), ids))
    assert data.metric == plain.metric
    assert data.constant_baseline(ids) == plain.constant_baseline(ids)
    assert list(data.target_scores(rows, ids)) == [
        "random_walk_pe R2",
        "shortest_path R2",
        "random_walk_pe loss",
        "shortest_path loss",
    ]


def test_a_run_trains_predicts_and_is_resumed(run: Path, graphs_file: Path) -> None:
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert records[-1]["valid_by_target"]["shortest_path loss"] < records[0]["valid_by_target"]["shortest_path loss"]
    trained = graphpe.load_run(run)
    frame = trained.predict(graphs_file)
    assert list(frame) == ["graph", "predicted_y"]
    assert trained.embed(graphs_file).shape == (60, 16)
    assert T.PretrainedPE(str(run))(torch.load(graphs_file, weights_only=False)[5]).pretrained_pe.shape[1] == 16
    before = trained.summary["test"]
    (run / "summary.json").unlink()
    folder = RunFolder.open(run)
    again = run_experiment(folder.read_config(), resume=folder, progress=False, workers=1)
    assert again["test"] == before


HIDDEN = ("RandomWalkPE(walk_length=3)",)


@torch.no_grad()
@pytest.mark.parametrize("more", [(), ("DegreePE()",)])
def test_what_is_hidden_is_predicted_where_it_is_hidden(graphs_file: Path, more: tuple[str, ...]) -> None:
    """DropPos: the loss is over the hidden nodes alone, and of other encodings over all."""
    task = f"WithEncodings({f'DataFile({str(graphs_file)!r})'!r}, {HIDDEN + more!r}, weight=0.5)"
    config = options(graphs_file, task=task, encodings=HIDDEN, perturb="Perturbed(drop=0.4)")
    data = build_task(config.task).load(workers=1, progress=False)
    assert isinstance(data, AuxiliaryData)
    encodings = build_encodings(HIDDEN)
    model = build_model(config.model, data.adapter, encodings, perturb=config.perturb)
    graphs = encodings[0](data.adapter.model_graphs(data.graphs.select(data.split["train"])))
    batch = graphs.to_batch()
    outputs = model(batch)
    (encoder,) = (each for each in model.modules() if isinstance(each, M.Perturbed))
    dropped = encoder.dropped
    assert dropped is not None
    assert 0.2 < dropped.float().mean() < 0.6
    asked = batch[TARGETS][:, 1:]
    scaling = data.adapter.encodings.scaling
    shift, scale = (torch.tensor(each)[:, None] for each in scaling)
    known = scale[:, 0] > 0
    errors = ((outputs.encodings.nodes.t() - (asked.t() - shift) / scale.clamp(min=1e-9)) ** 2)[known]
    walks = int(known[:3].sum())
    expected = errors[:walks, dropped].mean() + (errors[walks:].mean() if more else 0)
    own = data.adapter.base.loss(outputs.task, batch)
    torch.testing.assert_close(data.adapter.loss(outputs, batch), own + 0.5 * expected / (1 + len(more)))
    # Nothing is hidden in evaluation, so that nothing of it is asked.
    rows = data.adapter.predict_batch(model.eval()(batch), batch)
    scores = data.target_scores(rows, data.split["train"])
    assert scores["random_walk_pe R2"] is None
    assert not more or scores["degree_pe loss"] is not None


def test_a_run_predicts_what_it_hides(graphs_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", str(graphs_file), "--predict-encodings", *HIDDEN, "--encodings", *HIDDEN, "--model", MODEL]
    command += ["--epochs", "1", "--quiet", "--run", str(tmp_path / "run")]
    assert main(command) == 1
    assert 'or hide it at some nodes: --perturb "Perturbed(drop=0.3)"' in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert main([*command, "--perturb", "Perturbed(drop=0.3)"]) == 0
    assert list(graphpe.load_run(tmp_path / "run").predict(graphs_file)) == ["graph", "predicted_y"]


def test_it_starts_from_a_pretrained_run(graphs_file: Path, tmp_path: Path) -> None:
    command = ["pretrain", str(graphs_file), "--predict", "DegreePE()", "--model", MODEL, "--epochs", "1", "--quiet"]
    assert main([*command, "--run", str(tmp_path / "run")]) == 0
    config = options(graphs_file, init=str(tmp_path / "run"))
    initial = InitialWeights.read(config)
    assert initial is not None
    adapter = build_task(config.task).load(workers=1, progress=False).adapter
    model = build_model(config.model, adapter, build_encodings(()))
    initial.give(model, config, adapter)
    theirs = graphpe.load_run(tmp_path / "run").model.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in model.model.state_dict().items())  # type: ignore[operator, union-attr]


def test_nodes_of_one_graph(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    edges = (torch.rand(60, 60, generator=generator) < 0.06).nonzero().t()
    path = tmp_path / "one.pt"
    torch.save(Data(edge_index=edges, num_nodes=60, y=torch.arange(60) % 3), path)
    for sampler, predict in (("whole", PREDICT), ("neighbors", PREDICT[:1])):
        command = [
            "train",
            str(path),
            "--predict-encodings",
            *predict,
            "--model",
            MODEL,
            "--encodings",
            "none",
            "--quiet",
        ]
        more = ["--epochs", "2", "--batch-size", "8", "--sampler", sampler, "--run", str(tmp_path / sampler)]
        assert main([*command, *more]) == 0
        summary = RunFolder(tmp_path / sampler).read_summary()
        assert summary is not None
        assert summary["metric"] == "accuracy"
        assert np.isfinite(summary["test_by_target"]["random_walk_pe R2"])


@pytest.mark.parametrize(
    ("task", "encodings", "what"),
    [
        ("DataFile({path!r})", ("RandomWalkPE(walk_length=2)",), "holds the answer"),
        ("DataFile({path!r}, target=())", (), "names no target"),
    ],
)
def test_what_cannot_be_is_one_line(graphs_file: Path, task: str, encodings: tuple[str, ...], what: str) -> None:
    text = f"WithEncodings({task.format(path=str(graphs_file))!r}, {PREDICT!r})"
    with pytest.raises(GraphPEError, match=what) as caught:
        options(graphs_file, task=text, encodings=encodings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["WithEncodings", "Pretraining"])
def test_sizes_are_those_of_the_task(kind: str, graphs_file: Path, tmp_path: Path) -> None:
    """Drawn where it draws its graphs, divided otherwise; both are scaled by the new training part."""
    sizes = [len(each.x) for each in torch.load(graphs_file, weights_only=False)]
    middle = sorted(sizes)[len(sizes) // 2]
    for task, text in (
        ("path-length(train=20, valid=4, test=4)", "6 | 7-8 20"),
        (f"DataFile({str(graphs_file)!r})", f"{middle} | {middle + 1}-{max(sizes)}"),
    ):
        plain = load_task(build_task(task), text, cache=tmp_path, progress=False)
        data = load_task(build_task(f"{kind}({task!r}, 'RandomWalkPE(3)')"), text, cache=tmp_path, progress=False)
        assert torch.equal(data.graphs.sizes, plain.graphs.sizes)
        assert all(torch.equal(data.split[part], ids) for part, ids in plain.split.items())
        assert (data.mean_sizes, set(data.notes)) == (plain.mean_sizes, {*plain.notes, *data.notes})
        assert sum("says little" in note for note in data.notes) == sum("says little" in note for note in plain.notes)
        if isinstance(data, AuxiliaryData):
            assert data.adapter.base == plain.adapter
    assert build_task(f"{kind}('sorting-networks', 'DegreePE()')").size_unit == "wires"


def test_other_tasks_are_refused(graphs_file: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    command = [
        "train",
        "--task",
        "playground(train=4, valid=2, test=2)",
        "--predict-encodings",
        "DegreePE()",
        "--encodings",
        "none",
    ]
    assert main([*command, "--quiet", "--cache", str(tmp_path), "--run", str(tmp_path / "run")]) == 1
    assert "beside targets of graphs or nodes" in capsys.readouterr().err
    assert main(["train", str(graphs_file), "--predict-weight", "1", "--quiet"]) == 2
    assert "--predict-encodings, which is missing" in capsys.readouterr().err
