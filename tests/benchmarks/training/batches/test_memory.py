from __future__ import annotations

import pytest
import torch

from graphpe.benchmarks.calls.build import build_encodings, build_model
from graphpe.benchmarks.tasks.node_level import NodeAdapter
from graphpe.benchmarks.training.batches import memory
from graphpe.benchmarks.training.batches.memory import check_attention_fits
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs

NODES = 100_000


def check(model: str, encodings: tuple[str, ...] = (), **options: object) -> None:
    graph = PackedGraphs(torch.zeros(2, 0, dtype=torch.long), torch.tensor([0, NODES]), torch.tensor([0, 0]))
    built = build_model(model, NodeAdapter((), (), 3, "classes", node_channels=2), build_encodings(encodings))
    check_attention_fits(built, graph, TrainConfig(**options), torch.device("cpu"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model", "size"),
    [
        ("GraphTransformer(width=16, layers=2, heads=4, attention='full', readout='none')", "960.0 GB"),
        ("GRIT(width=16, layers=2, heads=4, readout='none')", "3.8 TB"),
        ("RelationalTransformer(width=16, layers=2, heads=4, readout='none')", "3.8 TB"),
        ("EdgeTransformer(width=16, layers=2, heads=4, readout='none')", "3.8 TB"),
    ],
)
def test_attention_over_all_pairs_is_refused_with_its_size(
    model: str, size: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "memory_limit", lambda: 16 * 10**9)
    for options in ({}, {"sampler": "neighbors"}):
        with pytest.raises(GraphPEValueError, match=f"all pairs of 100,000 nodes, .* {size} of 16.0 GB") as caught:
            check(model, **options)
        assert "\n" not in str(caught.value)
    check(model, sampler="neighbors", evaluation="sampled")
    monkeypatch.setattr(memory, "memory_limit", lambda: 10**13)
    check(model)


def test_basis_features_of_a_large_graph_are_refused_with_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "memory_limit", lambda: 16 * 10**9)
    basis = ("PEARLEncoding(features='basis', layers=2, hidden=8)",)
    with pytest.raises(GraphPEValueError, match=r"each pair of 100,000 nodes, about 1\.9 TB of 16\.0 GB memory: take"):
        check("GCN(width=16, readout='none')", basis)
    check("GCN(width=16, readout='none')", basis, sampler="neighbors", evaluation="sampled")
    check("GCN(width=16, readout='none')", ("PEARLEncoding()",))


@pytest.mark.parametrize(
    "model",
    [
        "GraphTransformer(width=16, layers=2, heads=4, attention='sparse', readout='none')",
        "GPS(width=16, layers=2, heads=4, attention='linear', readout='none')",
        "Exphormer(width=16, layers=2, heads=4, readout='none')",
        "TopologicalTransformer(width=16, layers=2, heads=4, readout='none')",
    ],
)
def test_models_for_large_graphs_are_not(model: str) -> None:
    check(model)
