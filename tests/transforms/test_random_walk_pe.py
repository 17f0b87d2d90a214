from __future__ import annotations

import numpy as np
import torch
from torch_geometric.data import Data

from graphpe import transforms as T
from graphpe.graphs.packed import PackedGraphs
from graphpe.walks.return_probabilities import return_probabilities


def test_values_are_the_return_probabilities(random_graph):
    graphs = [random_graph(seed, weighted=True) for seed in range(9)]
    packed = PackedGraphs.from_data_list(graphs)
    for undirected in (False, True):
        out = T.RandomWalkPE(7, undirected=undirected)(packed).node["random_walk_pe"]
        assert out.dtype == torch.float32
        torch.testing.assert_close(out, return_probabilities(packed, 7, undirected).float())


def test_first_column_is_one_step():
    # A loop at 0 of half the weight; node 1 leads back.
    graph = Data(
        edge_index=torch.tensor([[0, 0, 1], [0, 1, 0]]), edge_weight=torch.tensor([2.0, 2.0, 5.0]), num_nodes=2
    )
    np.testing.assert_allclose(T.RandomWalkPE(2)(graph).random_walk_pe, [[0.5, 0.75], [0, 0.5]], atol=1e-7)


def test_probabilities_stay_within_bounds(random_graph):
    for seed in range(30):
        steps = T.RandomWalkPE(30)(random_graph(seed, weighted=True)).random_walk_pe
        assert steps.min() >= 0
        assert steps.max() <= 1 + 1e-6
