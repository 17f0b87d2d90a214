from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch_geometric.data import Batch

from graphpe.benchmarks.calls.build import build_task
from graphpe.benchmarks.tasks.shared_graph import NodeSplitTargets
from graphpe.benchmarks.tasks.targets import is_known
from graphpe.benchmarks.training.batch_transform import BatchTransform, encode_graphs
from graphpe.benchmarks.training.batches.choose import batch_source
from graphpe.benchmarks.training.batches.source import BatchSource
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.transforms import LaplacianPE, ShortestPathPE

Make = Callable[..., tuple[NodeSplitTargets, PackedGraphs, BatchSource]]


@pytest.fixture
def make(node_options: dict[str, Any]) -> Make:
    def made(pairs: bool = False, **more: Any) -> tuple[NodeSplitTargets, PackedGraphs, BatchSource]:
        config = TrainConfig(**node_options | more)
        data = build_task(config.task).understood().load()
        assert isinstance(data, NodeSplitTargets)
        graphs = encode_graphs(data.graphs, [LaplacianPE(k=3, sign="none")], progress=False)
        graphs = graphs.with_values(node={"number": torch.arange(60)})
        transform = BatchTransform([ShortestPathPE(max_distance=4)] if pairs else [], data.adapter)
        return data, graphs, batch_source(data, graphs, transform, config, Fabric(accelerator="cpu"))

    return made


class Echo(nn.Module):
    """Predicts the number of a node."""

    def forward(self, batch: Batch) -> Tensor:
        return batch.number[:, None].float().expand(-1, 3)


@pytest.mark.parametrize("sampler", ["whole", "neighbors", "partitions"])
def test_a_batch_has_the_values_of_its_nodes_and_asks_only_for_the_training_part(make: Make, sampler: str) -> None:
    data, graphs, source = make(sampler=sampler)
    asked: list[int] = []
    for batch, count in source.train(0):
        nodes = batch.number
        known = is_known(batch.y).flatten()
        assert int(known.sum()) == count
        assert torch.equal(batch.y[known], data.graphs.node["y"][nodes[known]])
        for key in ("x", "laplacian_eigenvector_pe"):
            assert torch.equal(batch[key], graphs.node[key][nodes])
        if sampler == "neighbors":
            assert known.nonzero().flatten().tolist() == list(range(count))
        asked += nodes[known].tolist()
        edges = {(int(u), int(v)) for u, v in nodes[batch.edge_index].t()}
        assert edges <= {(int(u), int(v)) for u, v in data.graphs.edge_index.t()}
    train = data.split["train"].tolist()
    assert len(set(asked)) == len(asked)
    assert set(asked) <= set(train)
    assert len(asked) == (len(train) // 6 * 6 if sampler == "neighbors" else len(train))


@pytest.mark.parametrize("sampler", ["neighbors", "partitions"])
def test_batches_are_functions_of_seed_epoch_and_step(make: Make, sampler: str) -> None:
    _, _, one = make(sampler=sampler)
    _, _, two = make(sampler=sampler)
    first = [batch for batch, _ in one.train(1)]
    list(two.train(0))
    later = [batch for batch, _ in two.train(1, start=1, stride=2)]
    assert len(first) == one.count(1)
    assert len(later) == len(first[1::2])
    for a, b in zip(first[1::2], later, strict=True):
        assert torch.equal(a.number, b.number)
        assert torch.equal(a.edge_index, b.edge_index)
    assert not torch.equal(first[0].number, next(one.train(2))[0].number)
    assert not torch.equal(first[0].number, next(make(sampler=sampler, seed=1)[2].train(1))[0].number)


@pytest.mark.parametrize("evaluation", ["whole", "sampled"])
@pytest.mark.parametrize("sampler", ["neighbors", "partitions"])
def test_predictions_come_in_the_order_of_the_split(make: Make, sampler: str, evaluation: str) -> None:
    data, _, source = make(sampler=sampler, evaluation=evaluation)
    for part, ids in data.split.items():
        found, loss = source.predict(Echo(), part, progress=False)
        assert found[:, 0].tolist() == ids.tolist()
        output = ids[:, None].float().expand(-1, 3)
        expected = nn.functional.cross_entropy(output, data.graphs.node["y"][ids].flatten())
        assert loss == pytest.approx(float(expected), abs=1e-6)


def test_values_of_pairs_are_those_of_the_whole_graph(make: Make) -> None:
    data, _, source = make(pairs=True, sampler="neighbors")
    whole = ShortestPathPE(max_distance=4)(data.graphs).pair["shortest_path"].reshape(60, 60)
    for batch, _ in source.train(0):
        n = batch.num_nodes
        assert torch.equal(batch.shortest_path.reshape(n, n), whole[batch.number][:, batch.number])


def test_parts_of_a_batch_keep_the_edges_between_them(make: Make) -> None:
    data, _, source = make(sampler="partitions")
    for batch, _ in source.train(0):
        inside = np.isin(data.graphs.edge_index.numpy(), batch.number.numpy()).all(0)
        assert batch.num_edges == int(inside.sum())


def test_samplers_refuse_what_they_are_not_for(make: Make, tmp_path: Any) -> None:
    with pytest.raises(GraphPEValueError, match="batch_size=12 of parts=12 parts in a batch is the whole graph"):
        make(sampler="partitions", batch_size=12)
    with pytest.raises(GraphPEValueError, match="parts is 61, but the graph has 60 nodes"):
        make(sampler="partitions", parts=61)
    with pytest.raises(GraphPEValueError, match="fanout must be positive"):
        make(sampler="neighbors", fanout=(3, 0))
    with pytest.raises(GraphPEValueError, match="sampler must be one of"):
        make(sampler="metis")
