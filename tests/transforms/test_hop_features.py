from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data
from torch_geometric.loader import NeighborLoader

from graphpe import transforms as T
from graphpe.errors import GraphPEError, GraphPETypeError, GraphPEValueError


def dense_hops(data: Data, hops: int, x: Tensor) -> Tensor:
    """By powers of the dense matrix in float64; edges as everywhere in this library."""
    n = data.num_nodes
    weight = data.edge_weight if "edge_weight" in data else None
    matrix = np.zeros((n, n))
    for number, (u, v) in enumerate(data.edge_index.t().tolist()):
        if weight is None:
            matrix[u, v] = 1.0
        else:
            matrix[u, v] += float(weight[number])
    matrix = np.maximum(matrix, matrix.T) + np.eye(n)
    scale = matrix.sum(1) ** -0.5
    matrix = scale[:, None] * matrix * scale
    rows = [np.linalg.matrix_power(matrix, hop) @ x.double().numpy().reshape(n, -1) for hop in range(hops + 1)]
    return torch.from_numpy(np.concatenate(rows, axis=1)).float()


@pytest.mark.parametrize("weighted", [False, True])
def test_equals_dense_powers(random_graph, weighted: bool) -> None:
    for seed in range(12):
        data = random_graph(seed, weighted=weighted)
        found = T.HopFeatures(3, features={"x": 2})(data).hop_features
        torch.testing.assert_close(found, dense_hops(data, 3, data.x))
        torch.testing.assert_close(T.HopFeatures(2)(data).hop_features, dense_hops(data, 2, torch.ones(data.num_nodes)))


def test_several_keys_of_any_type(random_graph) -> None:
    data = random_graph(5)
    data.height = torch.randint(-5, 5, (data.num_nodes,))
    data.lit = torch.rand(data.num_nodes, 1) < 0.5
    encoding = T.HopFeatures(2, features={"x": 2, "height": 1, "lit": 1})
    assert encoding.columns == 12
    x = torch.cat([data.x, data.height[:, None], data.lit], dim=1)
    torch.testing.assert_close(encoding(data).hop_features, dense_hops(data, 2, x))


def test_a_batch_gives_what_its_graphs_give(random_graph) -> None:
    graphs = [random_graph(seed) for seed in range(10)]
    encoding = T.HopFeatures(3, features={"x": 2})
    single = torch.cat([encoding(data).hop_features for data in graphs])
    torch.testing.assert_close(encoding(Batch.from_data_list(graphs)).hop_features, single)


def test_of_what_another_encoding_writes(random_graph) -> None:
    data = random_graph(8)
    steps = [T.RandomWalkPE(3), T.HopFeatures(2, features={"x": 2, "random_walk_pe": 3})]
    out = T.Compose(steps)(data)
    expected = dense_hops(data, 2, torch.cat([data.x, T.RandomWalkPE(3)(data).random_walk_pe], dim=1))
    torch.testing.assert_close(out.hop_features, expected)


def test_sampled_nodes_have_those_of_the_whole_graph() -> None:
    pytest.importorskip("torch_sparse", reason="PyG's NeighborLoader needs kernels")
    data = Data(x=torch.randn(50, 2), edge_index=torch.randint(0, 50, (2, 200)))
    data = T.HopFeatures(2, features={"x": 2})(data)
    for batch in NeighborLoader(data, [3, 3], batch_size=10):
        assert torch.equal(batch.hop_features, data.hop_features[batch.n_id])


def test_more_columns_than_an_eigenvector_has() -> None:
    """Bags of words: CiteSeer has 3,703."""
    data = Data(x=torch.rand(4, 3000), edge_index=torch.tensor([[0, 1], [1, 2]]))
    assert T.HopFeatures(2, features={"x": 3000})(data).hop_features.shape == (4, 9000)


@pytest.mark.parametrize(
    ("x", "kind", "message"),
    [
        (None, GraphPEValueError, "'x'"),
        (torch.zeros(3, 3), GraphPEValueError, "features says that 'x' has 2 columns, but it has 3"),
        (torch.full((3, 2), torch.nan), GraphPEValueError, "node value 'x' must be finite in float32"),
        (torch.zeros(3, 2, dtype=torch.complex64), GraphPETypeError, "must be a tensor of real numbers"),
    ],
)
def test_wrong_features(x: Tensor | None, kind: type[Exception], message: str) -> None:
    data = Data(x=x, edge_index=torch.tensor([[0], [1]]), num_nodes=3)
    with pytest.raises(kind, match=message) as caught:
        T.HopFeatures(1, features={"x": 2})(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hops": -1}, "hops must be from 0"),
        ({"hops": 2.0}, "hops must be an integer"),
        ({"hops": 1, "features": ["x"]}, "features must be keys of node values with their columns"),
        ({"hops": 1, "features": {"x": 0}}, r"features\['x'\] must be from 1"),
    ],
)
def test_bad_arguments(options, message: str) -> None:
    with pytest.raises(GraphPEError, match=message):
        T.HopFeatures(**options)
