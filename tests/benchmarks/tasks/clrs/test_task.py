from __future__ import annotations

import dataclasses
import importlib
import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from graphpe.benchmarks.calls.build import build_model, build_task, canonical_model
from graphpe.benchmarks.tasks.by_size import load_task
from graphpe.benchmarks.tasks.clrs import samples as clrs_samples
from graphpe.benchmarks.tasks.clrs.algorithms import ALGORITHMS
from graphpe.benchmarks.tasks.clrs.samples import sample_arrays, sample_graphs
from graphpe.benchmarks.tasks.clrs.scores import constant_outputs
from graphpe.benchmarks.tasks.clrs.task import Clrs, ClrsAdapter, ClrsTargets
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.benchmarks.training.experiment import resolve, run_experiment
from graphpe.errors import GraphPEError, GraphPERuntimeError, GraphPEValueError
from graphpe.graphs.loader import PackedLoader
from graphpe.graphs.packed import PackedGraphs

from .clrs_feedback import RandomSampler, random_feedback, random_graphs

RELATIONAL = "RelationalTransformer(width=16, layers=2, heads=2)"


@pytest.fixture
def sampler(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """A stand-in for dm-clrs with random samples; which samplers were built."""
    built: list[tuple[str, int, int]] = []

    def build_sampler(name: str, count: int, *, seed: int, track_max_steps: bool, length: int) -> Any:
        assert (count, track_max_steps) == (-1, False)
        built.append((name, length, seed))
        return RandomSampler(name, seed, length), None

    def process_random_pos(batches: Iterator[Any], rng: np.random.RandomState) -> Iterator[Any]:
        while True:
            feedback = next(batches)  # as dm-clrs does: at the end, a RuntimeError
            for point in feedback.features.inputs:
                if point.name == "pos":
                    point.data = np.sort(rng.uniform(size=point.data.shape), 1)
            yield feedback

    module = SimpleNamespace(build_sampler=build_sampler, process_random_pos=process_random_pos, __version__="0.0")
    monkeypatch.setattr(clrs_samples, "require_clrs", lambda: module)
    return built


def test_sizes(sampler: list[Any], tmp_path: Path) -> None:
    task = Clrs(algorithm="dijkstra", train=10, valid=5, test=6, seed=5)
    data = load_task(task, "16 | 17-24 64", cache=tmp_path, progress=False)
    found = {part: data.graphs.sizes[ids].tolist() for part, ids in data.split.items()}
    spread = [4, 7, 10, 13, 16]
    assert found["train"] == [n for n in spread for _ in range(2)]
    assert found["valid"] == spread
    assert found["test"] == [4, 4, 7, 10, 13, 16]
    assert found["17-24"] == [17, 17, 18, 20, 22, 24]
    assert found["64"] == [64] * 6
    assert data.mean_sizes == {"test": 9.0, "17-24": sum(found["17-24"]) / 6, "64": 64.0}
    assert len({seed for _, _, seed in sampler}) == len(sampler)  # no two runs of the sampler share one
    assert load_task(task, "16 | 17-24 64", cache=tmp_path, progress=False).fingerprint == data.fingerprint
    with pytest.raises(GraphPEValueError, match="sizes must be at least 4"):
        load_task(task, "3 | 4-8", cache=tmp_path, progress=False)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_trains(algorithm: str, sampler: list[Any], tmp_path: Path) -> None:
    task = Clrs(algorithm=algorithm, train=10, valid=3, test=4, train_sizes=(4, 6), valid_size=6, test_size=9, seed=5)
    assert build_task(repr(task)) == task
    data = task.load(cache=tmp_path, progress=False)
    assert sampler == [(algorithm, n, seed) for n, seed in ((4, 5), (6, 8), (6, 6), (9, 7))]
    assert {part: len(ids) for part, ids in data.split.items()} == {"train": 10, "valid": 3, "test": 4}
    assert data.graphs.sizes.tolist() == [4] * 5 + [6] * 5 + [6] * 3 + [9] * 4
    assert task.load(cache=tmp_path, progress=False).fingerprint == data.fingerprint
    assert len(sampler) == 4  # taken from the file
    adapter = task.adapter(data.adapter.state())
    assert adapter == data.adapter
    about_pairs = ALGORITHMS[algorithm].about_pairs
    for text in (RELATIONAL, "GraphTransformer(width=16, layers=1, heads=2)"):
        text = canonical_model(text, task)
        assert ("pair_output=True" in text) == (about_pairs and "Relational" in text)
        model = build_model(text, adapter, [])
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        for batch in PackedLoader(data.graphs, 6, shuffle=True, seed=1):
            optimizer.zero_grad()
            adapter.loss(model(batch), batch).backward()
            optimizer.step()
        unused = [name for name, weight in model.named_parameters() if weight.requires_grad and weight.grad is None]
        assert not unused
        with torch.no_grad():
            predictions = adapter.predict_batch(model(data.graphs.to_batch()), data.graphs.to_batch())
        assert 0 <= data.evaluate(predictions, torch.arange(len(data.graphs))) <= 1
    score, text = data.constant_baseline(data.split["test"])
    assert 0 <= score <= 1
    assert all(probe.name in text for probe in ALGORITHMS[algorithm].outputs)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_right_answers_score_one(algorithm: str) -> None:
    graphs = random_graphs(algorithm)
    data = ClrsTargets(graphs, {"train": torch.arange(len(graphs))}, ClrsAdapter(algorithm), "")
    ids = torch.tensor([4, 0, 3])
    chosen = graphs.select(ids)
    right = {"node": chosen.node, "edge": chosen.pair, "graph": chosen.graph}[ALGORITHMS[algorithm].place]["y"]
    assert data.evaluate(right, ids) == 1
    with pytest.raises(GraphPEValueError, match="predictions must be"):
        data.evaluate(right[1:], ids)
    with pytest.raises(GraphPEValueError, match="of no sample"):
        data.evaluate(right[:0], ids[:0])
    for probe in ALGORITHMS[algorithm].outputs:
        for guess in constant_outputs(probe, chosen).values():
            assert guess.shape == right[:, 0].shape


def test_the_relational_transformer_learns_pointers() -> None:
    """Who is my predecessor? The node whose number is mine plus one: read from pairs, of sizes not seen."""
    rng = np.random.default_rng()

    def line(size: int) -> PackedGraphs:
        feedback = random_feedback("insertion_sort", 8, size, rng)
        key = next(point for point in feedback.features.inputs if point.name == "key").data
        order = key.argsort(1)
        first = np.concatenate([order[:, :1], order[:, :-1]], 1)
        np.put_along_axis(feedback.outputs[0].data, order, first, 1)
        return sample_graphs("insertion_sort", sample_arrays("insertion_sort", feedback))

    torch.manual_seed(0)
    adapter = ClrsAdapter("insertion_sort")
    model = build_model(canonical_model("RelationalTransformer(width=32, layers=2, heads=4)", Clrs()), adapter, [])
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    losses = []
    for _ in range(150):
        batch = line(6).to_batch()
        optimizer.zero_grad()
        losses.append(adapter.loss(model(batch), batch))
        losses[-1].backward()
        optimizer.step()
    assert float(losses[0].detach()) == pytest.approx(math.log(6), abs=0.8)
    assert float(torch.stack(losses[-5:]).detach().mean()) < 0.75
    graphs = line(8)
    guess = adapter.predict_batch(model(graphs.to_batch()), graphs.to_batch())
    assert float((guess == graphs.node["y"]).float().mean()) > 0.5


def test_training_through_the_command_line_path(sampler: list[Any], tmp_path: Path) -> None:
    options = dataclasses.asdict(TrainConfig()) | {
        "task": "clrs(algorithm='topological_sort', train=12, valid=4, test=3, train_sizes=(5, 7), test_size=9)",
        "model": RELATIONAL,
        "epochs": 2,
        "batch_size": 5,
    }
    config = resolve(TrainConfig(**options))
    assert "readout='none'" in config.model
    assert config.encodings == ()
    summary = run_experiment(config, run_path=tmp_path / "run", cache=tmp_path, progress=False)
    assert summary["metric"] == "micro-F1"
    other = resolve(
        dataclasses.replace(config, model="GPS(width=16, layers=1, heads=2)", encodings=("RandomWalkPE(4)",))
    )
    low = dataclasses.replace(config, precision="bf16-mixed")
    assert 0 <= run_experiment(low, run_path=tmp_path / "low", cache=tmp_path, progress=False)["test"] <= 1
    assert run_experiment(other, run_path=tmp_path / "other", cache=tmp_path, progress=False)["metric"] == "micro-F1"


def test_vectors_of_pairs_need_all_pairs(sampler: list[Any], tmp_path: Path) -> None:
    task = Clrs(train=4, valid=2, test=2, train_sizes=(5,), test_size=6)
    data = task.load(cache=tmp_path, progress=False)
    sparse = canonical_model("RelationalTransformer(width=8, layers=1, heads=2, attention='sparse')", task)
    with pytest.raises(GraphPEValueError, match="give attention='full', or pair_output=False"):
        build_model(sparse, data.adapter, [])(data.graphs.to_batch())
    of_nodes = canonical_model(
        "RelationalTransformer(width=8, layers=1, heads=2, attention='sparse', pair_output=False)", task
    )
    assert torch.isfinite(
        data.adapter.loss(build_model(of_nodes, data.adapter, [])(data.graphs.to_batch()), data.graphs.to_batch())
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"algorithm": "bogosort"}, "algorithm must be"),
        ({"train": 0}, "train must be from 1"),
        ({"train_sizes": ()}, "train_sizes must be sizes"),
        ({"train_sizes": 16}, "train_sizes must be sizes"),
        ({"test_size": 3}, "sizes must be at least 4"),
        ({"valid_size": 1.5}, "must be an integer"),
        ({"random_positions": 1}, "random_positions"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(GraphPEError, match=message):
        Clrs(**arguments)
    with pytest.raises(GraphPEValueError, match="expected the adapter of a clrs run"):
        Clrs().adapter({"algorithm": "bogosort"})


def test_without_dm_clrs_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def nothing(name: str) -> Any:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", nothing)
    with pytest.raises(GraphPERuntimeError, match=r"pip install 'graphpe\[clrs\]'") as caught:
        Clrs().load(cache=tmp_path, progress=False)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*.*"))
