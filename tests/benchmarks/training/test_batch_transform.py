from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

from graphpe import transforms as T
from graphpe.benchmarks.tasks.code.adapter import CodeAdapter
from graphpe.benchmarks.training.batch_transform import BatchTransform, encode_graphs
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.storage import chunks


def graphs_of_sizes(sizes: list[int]) -> PackedGraphs:
    return PackedGraphs.from_data_list(
        [Data(x=torch.randn(n, 2), edge_index=torch.randint(n, (2, 3 * n)), y=torch.tensor([[n]])) for n in sizes]
    )


def test_chunks_in_order_of_size_change_nothing(monkeypatch) -> None:
    graphs = graphs_of_sizes([9, 2, 30, 1, 9, 17, 4, 9])
    transforms = [T.LaplacianPE(k=3, sign="canonical"), T.RandomWalkPE(walk_length=5)]
    monkeypatch.setattr(chunks, "CHUNK_GRAPHS", 3)
    encoded = encode_graphs(graphs, transforms, progress=False)
    whole = T.Compose(transforms)(graphs)
    assert torch.equal(encoded.node["x"], graphs.node["x"])
    assert torch.equal(encoded.graph["y"], graphs.graph["y"])
    assert encoded.graph["laplacian_mask"].dtype == torch.bool
    for key in ("laplacian_eigenvalues", "laplacian_mask"):
        torch.testing.assert_close(encoded.graph[key], whole.graph[key])
    torch.testing.assert_close(encoded.node["random_walk_pe"], whole.node["random_walk_pe"])
    one_by_one = [T.RandomWalkPE(walk_length=5)(data) for data in graphs.to_data_list()]
    torch.testing.assert_close(encoded.node["random_walk_pe"], torch.cat([d.random_walk_pe for d in one_by_one]))


def test_nothing_to_do() -> None:
    graphs = graphs_of_sizes([3, 4])
    assert encode_graphs(graphs, [], progress=False) is graphs
    empty = graphs.select([])
    assert encode_graphs(empty, [T.LaplacianPE(k=3)], progress=False) is empty


def test_pair_values_are_encoded_up_to_a_limit() -> None:
    graphs = graphs_of_sizes([9, 2, 30, 1])
    transform = T.RelativeRandomWalkPE(walk_length=3)
    (key,) = transform.pair_keys
    size = (81 + 4 + 900 + 1) * 3 * 4
    encoded = encode_graphs(graphs, [transform, T.RandomWalkPE(walk_length=2)], progress=False, pair_limit=size)
    torch.testing.assert_close(encoded.pair[key], transform(graphs).pair[key])
    with pytest.raises(GraphPEValueError, match="986 pairs"):
        encode_graphs(graphs, [transform], progress=False, pair_limit=size - 1)


def test_a_batch_gets_encodings_of_pairs_of_the_tasks_own_edges_then_the_tasks_changes() -> None:
    class Turned(CodeAdapter):
        def __init__(self) -> None:
            pass

        def model_graphs(self, graphs: PackedGraphs) -> PackedGraphs:
            return graphs.with_edges(graphs.edge_index.flip(0), graphs.edge_ptr, dict(graphs.edge))

    graphs = PackedGraphs.from_data_list([Data(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=3)] * 2)
    encoding = T.ShortestPathPE(undirected=False)
    batch = BatchTransform([encoding], Turned())(graphs)
    assert torch.equal(batch.edge_index, graphs.edge_index.flip(0))
    assert torch.equal(batch.pair["shortest_path"], encoding(graphs).pair["shortest_path"])
    assert BatchTransform([], Turned())(graphs).pair == {}
