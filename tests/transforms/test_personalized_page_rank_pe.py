from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch

from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.transforms.directed_random_walk_pe import DirectedRandomWalkPE
from graphpe.transforms.personalized_page_rank_pe import PersonalizedPageRankPE
from graphpe.walks.personalized_pagerank import personalized_pagerank


@pytest.mark.parametrize("undirected", [False, True])
def test_values_are_those_of_the_function(random_graph, undirected):
    graphs = [random_graph(seed, weighted=True) for seed in range(12)]
    packed = PackedGraphs.from_data_list(graphs)
    transform = PersonalizedPageRankPE(0.2, undirected=undirected)
    values = transform(packed).pair["personalized_page_rank"]
    assert (values.dtype, values.shape) == (torch.float32, (packed.num_pairs, 1))
    assert torch.equal(values[:, 0], personalized_pagerank(packed, 0.2, undirected).float())
    batch = transform(Batch.from_data_list(graphs)).personalized_page_rank
    singles = torch.cat([transform(graph).personalized_page_rank for graph in graphs])
    assert torch.equal(batch, values)
    torch.testing.assert_close(singles, values, atol=1e-7, rtol=1e-6)


def test_directed_walks_hold_the_same_values(random_graph):
    data = random_graph(11)
    both = DirectedRandomWalkPE(1, ppr=0.3, level="pair")(data).directed_random_walk_pe
    assert torch.equal(both[:, 1:2], PersonalizedPageRankPE(0.3)(data).personalized_page_rank)


def test_parameters():
    transform = PersonalizedPageRankPE()
    text = "PersonalizedPageRankPE(alpha=0.15, undirected=False, attr_name='personalized_page_rank')"
    assert repr(transform) == text
    assert transform.columns == 1
    assert (transform.keys, transform.pair_keys) == ([], ["personalized_page_rank"])
    with pytest.raises(GraphPEValueError, match="alpha must be a probability above 0 and at most 1, got 2"):
        PersonalizedPageRankPE(2)
    with pytest.raises(GraphPETypeError, match="alpha must be a number, got 'much'"):
        PersonalizedPageRankPE("much")
