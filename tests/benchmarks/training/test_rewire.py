"""Training on graphs with random edges and along random walks: resumed to the same bits, evaluated always alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import graphpe
from graphpe.benchmarks.calls.build import build_model
from graphpe.benchmarks.tasks.graph_level import GraphAdapter
from graphpe.benchmarks.training.batch_transform import BatchTransform
from graphpe.benchmarks.training.checkpoints.file import load_checkpoint
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.benchmarks.training.experiment import resolve, run_experiment
from graphpe.benchmarks.training.loop import Training
from graphpe.benchmarks.training.run_folder import RunFolder
from graphpe.errors import GraphPEValueError
from graphpe.graphs.loader import PackedLoader
from graphpe.graphs.packed import PackedGraphs
from graphpe.models import RewiredEdges

RANDOM = {
    "model": "NeuralWalker(width=8, layers=1, heads=2, walk_length=5, window=3, rate=0.5)",
    "encodings": ("RandomWalkPE(3)", "RandomIdentifiers(samples=2, hidden=4, layers=1, channels=2)"),
    "rewire": 2,
    "batch_size": 16,
    "epochs": 2,
}


class Stopped(Exception):
    """What ends the run."""


def test_a_run_that_was_ended_goes_on_to_the_same_bits(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = resolve(TrainConfig(**options | RANDOM))
    whole = run_experiment(config, run_path=tmp_path / "whole", progress=False)
    step = Training._step

    def ends(self: Training, batch: Any) -> Any:
        if self.state.total_steps == 7:  # of five an epoch
            raise Stopped
        return step(self, batch)

    monkeypatch.setattr(Training, "_step", ends)
    saved = resolve(TrainConfig(**options | RANDOM, checkpoint_minutes=1e-9))
    with pytest.raises(Stopped):
        run_experiment(saved, run_path=tmp_path / "ended", progress=False)
    monkeypatch.setattr(Training, "_step", step)
    folder = RunFolder.open(tmp_path / "ended")
    assert load_checkpoint(folder.last)["state"]["total_steps"] == 7
    again = run_experiment(folder.read_config(), resume=folder, progress=False)
    assert again["test"] == whole["test"]
    digests = [load_checkpoint(tmp_path / name / "best.pt")["state"]["best_digest"] for name in ("whole", "ended")]
    assert digests[0] == digests[1]
    run = graphpe.load_run(tmp_path / "whole")
    assert isinstance(run.model.edge_encoder, RewiredEdges)
    batch = run.batch(task_graphs(run, options))
    assert bool(batch.added.any())
    with torch.no_grad():
        assert torch.equal(run.model(batch), run.model(batch))  # walks, edges and identifiers of evaluation


def task_graphs(run: Any, options: dict[str, Any]) -> PackedGraphs:
    return run.task.load(workers=0, cache=None, progress=False).graphs.select(slice(0, 5))


def graphs() -> PackedGraphs:
    edges = torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]])
    index = torch.cat([edges + 4 * k for k in range(6)], 1)
    return PackedGraphs(
        index, torch.arange(7) * 4, torch.arange(7) * 6,
        node={"x": torch.zeros(24, 1, dtype=torch.long)}, edge={"edge_attr": torch.ones(36, 1, dtype=torch.long)},
    )  # fmt: skip


def test_batches_of_training_have_edges_of_their_own_and_others_always_the_same() -> None:
    adapter = GraphAdapter((6,), (4,), 1, "squared")
    transform = BatchTransform((), adapter, rewire=1)
    first, second = (list(PackedLoader(graphs(), 3, transform=transform).batches(epoch)) for epoch in (0, 1))
    assert not torch.equal(first[0].edge_index, second[0].edge_index) or not torch.equal(
        first[1].edge_index, second[1].edge_index
    )
    assert torch.equal(transform(graphs()).edge_index, transform(graphs()).edge_index)
    plain = BatchTransform((), adapter)
    assert plain.seeded(3) is plain
    assert "added" not in plain(graphs()).edge


def test_added_edges_reach_the_model_by_an_embedding_of_their_own() -> None:
    adapter = GraphAdapter((6,), (4,), 1, "squared")
    model = build_model("GINE(width=8, layers=2)", adapter, [], rewire=1).eval()
    assert isinstance(model.edge_encoder, RewiredEdges)
    batch = BatchTransform((), adapter, rewire=1)(graphs()).to_batch()
    before = model(batch)
    with torch.no_grad():
        model.edge_encoder.added += 1
    assert not torch.allclose(model(batch), before)
    with pytest.raises(GraphPEValueError, match=r"batch.added does not say of each edge whether it was added: let the"):
        model(graphs().to_batch())


def test_it_is_for_tasks_about_whole_graphs() -> None:
    from graphpe.benchmarks.training.batches.choose import check_sampler

    class Nodes:
        unit, graphs = "node", graphs()

    with pytest.raises(GraphPEValueError, match="rewire=2 adds edges to each graph of a batch, and this task is about"):
        check_sampler(Nodes(), TrainConfig(rewire=2), 1)
    with pytest.raises(GraphPEValueError, match="rewire must be from 0 to 1024, got -1"):
        TrainConfig(rewire=-1)
