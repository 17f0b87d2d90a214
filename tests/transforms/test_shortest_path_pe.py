from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

from graphpe.distances.shortest_paths import shortest_paths
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.transforms.compose import Compose
from graphpe.transforms.shortest_path_pe import ShortestPathPE


@pytest.mark.parametrize("weighted", [False, True])
def test_values_are_the_distances(random_graph, weighted):
    packed = PackedGraphs.from_data_list([random_graph(seed, weighted=True) for seed in range(9)])
    for undirected in (False, True):
        for limit in (None, 2):
            transform = ShortestPathPE(limit, undirected=undirected, weighted=weighted)
            out = transform(packed).pair["shortest_path"]
            assert out.dtype == (torch.float32 if weighted else torch.int64)
            assert out.shape == (packed.num_pairs, transform.columns)
            expected = shortest_paths(packed, limit, undirected, weighted)[:, None].to(out.dtype)
            assert torch.equal(out, expected)


def test_embedding_table_of_the_vocabulary(random_graph):
    transform = ShortestPathPE(3, undirected=False)
    table = torch.nn.Embedding(transform.vocabulary, 2)
    seen = set()
    for seed in range(40):
        out = transform(random_graph(seed)).shortest_path
        table(out)
        seen |= set(out.unique().tolist())
    assert seen == {0, 1, 2, 3, 4}
    assert ShortestPathPE().vocabulary is ShortestPathPE(3, weighted=True).vocabulary is None


def test_compose_is_each_alone(random_graph):
    graph = random_graph(3, weighted=True)
    both = Compose(
        [ShortestPathPE(2), ShortestPathPE(attr_name="far"), ShortestPathPE(weighted=True, attr_name="long")]
    )
    out = both(graph)
    assert torch.equal(out.shortest_path, ShortestPathPE(2)(graph).shortest_path)
    assert torch.equal(out.far, ShortestPathPE()(graph).shortest_path)
    assert torch.equal(out.long, ShortestPathPE(weighted=True)(graph).shortest_path)


def test_lengths_beyond_float32_are_refused():
    graph = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), edge_weight=torch.tensor([3e38, 3e38]), num_nodes=3)
    with pytest.raises(GraphPEValueError, match=r"graph 0: shortest_path reaches 6e\+38, beyond float32's"):
        ShortestPathPE(weighted=True)(graph)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: ShortestPathPE(0), GraphPEValueError, "max_distance must be from 1 to 4096, got 0"),
        (lambda: ShortestPathPE(2.5), GraphPETypeError, "max_distance must be an integer, got 2.5"),
        (lambda: ShortestPathPE(True), GraphPETypeError, "max_distance must be an integer, got True"),
        (lambda: ShortestPathPE("far", weighted=True), GraphPETypeError, "max_distance must be a number, got 'far'"),
        (lambda: ShortestPathPE(-1.0, weighted=True), GraphPEValueError, "max_distance must be positive"),
        (lambda: ShortestPathPE(float("nan"), weighted=True), GraphPEValueError, "max_distance must be positive"),
        (lambda: ShortestPathPE(weighted=1), GraphPETypeError, "weighted must be True or False, got 1"),
        (lambda: ShortestPathPE(undirected=None), GraphPETypeError, "undirected must be True or False, got None"),
        (lambda: ShortestPathPE(attr_name="edge"), GraphPEValueError, "'edge' contains 'edge'"),
    ],
)
def test_parameters_are_checked(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_repr():
    text = "ShortestPathPE(max_distance=None, undirected=True, weighted=False, attr_name='shortest_path')"
    assert repr(ShortestPathPE()) == text
    assert "max_distance=0.5, " in repr(ShortestPathPE(0.5, weighted=True))
