"""`pairs=`: values of chosen pairs, on every kind of input, are those of all pairs at these."""

from __future__ import annotations

import copy
import pickle
import re

import pytest
import torch
from torch_geometric.data import Batch, Data, HeteroData
from torch_geometric.transforms import RandomLinkSplit

from graphpe import precompute
from graphpe import transforms as T
from graphpe.errors import GraphPETypeError, GraphPEValueError, GraphRangeError
from graphpe.graphs.packed import PackedGraphs
from graphpe.transforms.asked import check_pairs_key

KEY = "edge_label_index"
ENCODINGS = {
    "rrwp": lambda **more: T.RelativeRandomWalkPE(5, **more),
    "rrwp, both ways": lambda **more: T.RelativeRandomWalkPE(4, undirected=True, **more),
    "PageRank": lambda **more: T.PersonalizedPageRankPE(0.2, **({"tolerance": 1e-9} if more else {}), **more),
    "hops": lambda **more: T.ShortestPathPE(**more),
    "hops, cut": lambda **more: T.ShortestPathPE(2, undirected=False, **more),
    "lengths": lambda **more: T.ShortestPathPE(weighted=True, **more),
    "resistance": lambda **more: T.ResistancePE(**more),
    "commute time": lambda **more: T.CommuteTimePE(**more),
}


def with_pairs(data: Data, seed: int, count: int = 6) -> Data:
    data = copy.copy(data)
    drawn = torch.randint(data.num_nodes, (2, count), generator=torch.Generator().manual_seed(seed))
    data.edge_label_index = torch.cat([drawn, drawn[:, :2], drawn[:1].expand(2, -1)], dim=1) if count else drawn
    return data


@pytest.fixture
def graphs(random_graph) -> list[Data]:
    return [with_pairs(random_graph(seed, weighted=True), seed, count=seed % 4) for seed in range(10)]


@pytest.mark.parametrize("name", ENCODINGS)
def test_values_are_those_of_all_pairs(graphs, name):
    chosen, every = ENCODINGS[name](pairs=KEY), ENCODINGS[name]()
    key = chosen.attr_name
    assert (chosen.keys, chosen.pair_keys, chosen.asked_keys) == ([], [], [key])
    expected = []
    for data in graphs:
        full = every(data)[key].view(data.num_nodes, data.num_nodes, -1)
        expected.append(full[data.edge_label_index[0], data.edge_label_index[1]])
        found = chosen(data)[key]
        assert found.dtype == full.dtype
        torch.testing.assert_close(found, expected[-1], atol=1e-7, rtol=1e-6)
        assert key not in data
    listed = chosen(graphs)
    batch = chosen(Batch.from_data_list(graphs))
    packed = PackedGraphs.from_data_list(graphs, levels={KEY: "object"})
    objects = chosen(packed).objects[key]
    for i, values in enumerate(expected):
        for other in (listed[i][key], batch[i][key], objects[i]):
            torch.testing.assert_close(other, values, atol=1e-7, rtol=1e-6)
    torch.testing.assert_close(batch[key], torch.cat(expected), atol=1e-7, rtol=1e-6)
    again = Batch.from_data_list(listed)
    torch.testing.assert_close(again[key], torch.cat(expected), atol=1e-7, rtol=1e-6)
    torch.testing.assert_close(chosen(packed.to_batch())[key], torch.cat(expected), atol=1e-7, rtol=1e-6)


def test_compose_shares_the_pairs_and_the_graph(graphs):
    encodings = [T.RelativeRandomWalkPE(3, pairs=KEY), T.ResistancePE(pairs=KEY), T.RandomWalkPE(3), T.ShortestPathPE()]
    composed = T.Compose(encodings)
    assert composed.asked_keys == ["rrwp", "resistance"]
    for form in (graphs[5], Batch.from_data_list(graphs)):
        found = composed(form)
        for each in encodings:
            assert torch.equal(found[each.attr_name], each(form)[each.attr_name])
    with pytest.raises(GraphPEValueError, match="both write 'resistance'"):
        T.Compose([T.ResistancePE(pairs=KEY), T.ResistancePE()])


def test_what_random_link_split_writes():
    ring = torch.stack([torch.arange(30), (torch.arange(30) + 1) % 30])
    data = Data(edge_index=torch.cat([ring, ring.flip(0)], dim=1), x=torch.zeros(30, 1))
    train, valid, _ = RandomLinkSplit(0.2, 0.2, is_undirected=True)(data)
    for part in (train, valid):
        found = T.ShortestPathPE(pairs=KEY)(part).shortest_path
        full = T.ShortestPathPE()(part).shortest_path.view(30, 30)
        assert torch.equal(found[:, 0], full[part.edge_label_index[0], part.edge_label_index[1]])
    assert (T.ShortestPathPE(pairs="edge_index")(train).shortest_path == 1).all()  # edges are pairs, too


def test_texts():
    encoding = T.RelativeRandomWalkPE(4, pairs=KEY)
    text = (
        "RelativeRandomWalkPE(walk_length=4, undirected=False, pairs='edge_label_index', estimate=None, seed=0, "
        "attr_name='rrwp')"
    )
    assert repr(encoding) == repr(pickle.loads(pickle.dumps(encoding))) == text
    # As before there were chosen pairs: what was stored of all pairs is found again.
    assert repr(T.RelativeRandomWalkPE(4)) == "RelativeRandomWalkPE(walk_length=4, undirected=False, attr_name='rrwp')"


@pytest.mark.slow  # loops of their own are compiled
def test_estimates_are_of_their_seed(random_graph):
    data = with_pairs(random_graph(12), 0)
    exact = T.RelativeRandomWalkPE(4, pairs=KEY)(data).rrwp
    assert torch.equal(T.RelativeRandomWalkPE(4, pairs=KEY, estimate=10**9, seed=3)(data).rrwp, exact)  # no cheaper
    for bad in (0, -1):
        with pytest.raises(GraphPEValueError, match="estimate must be"):
            T.PersonalizedPageRankPE(pairs=KEY, estimate=bad)


@pytest.mark.parametrize(
    ("pairs", "error", "message"),
    [
        ("label", GraphPEValueError, "it has to contain 'index', as 'edge_label_index' does"),
        ("an index", GraphPEValueError, "is no key whose node ids PyG counts"),
        (3, GraphPETypeError, "pairs must be the key of node ids [2, num_pairs] or None, got 3"),
    ],
)
def test_keys(pairs, error, message):
    for build in ENCODINGS.values():
        with pytest.raises(error, match=re.escape(message)):
            build(pairs=pairs)
    assert check_pairs_key(None) is None


def test_bad_pairs_are_one_line(random_graph):
    encoding, data = T.ResistancePE(pairs=KEY), random_graph(3)
    cases = {
        "reads the pairs 'edge_label_index', which the graph does not have|must be a tensor of node ids": None,
        r"edge_label_index.* must be node ids \[2, num_pairs\], got \[3\]": torch.zeros(3, dtype=torch.long),
        "edge_label_index.* must be a tensor of node ids .*, got a tensor of float32": torch.zeros(2, 1),
        "edge_label_index.* asks for node 99, but there are": torch.tensor([[0], [99]]),
    }
    for message, value in cases.items():
        data[KEY] = value
        for form in (data, [data]):
            with pytest.raises((GraphPEValueError, GraphPETypeError), match=message):
                encoding(form)
    batch = Batch.from_data_list([with_pairs(random_graph(seed), seed) for seed in (5, 6)])
    batch.edge_label_index = torch.tensor([[0], [batch.num_nodes - 1]])
    with pytest.raises(GraphPEValueError, match="nodes of graphs 0 and 1: pairs are of nodes of one graph"):
        encoding(batch)


def test_values_beyond_float32_name_the_graph():
    weak = Data(edge_index=torch.tensor([[0], [1]]), edge_weight=torch.tensor([1e-300], dtype=torch.float64))
    weak.num_nodes, weak.edge_label_index = 2, torch.tensor([[0], [1]])
    fine = copy.copy(weak)
    fine.edge_weight = torch.ones(1, dtype=torch.float64)
    for form in ([fine, weak], Batch.from_data_list([fine, weak])):
        with pytest.raises(GraphRangeError, match="graph 1: resistance"):
            T.ResistancePE(pairs=KEY)(form)


def test_what_they_are_not_for(random_graph, tmp_path):
    encoding = T.ResistancePE(pairs=KEY)
    hetero = HeteroData()
    hetero["a"].num_nodes = 2
    hetero["a", "to", "a"].edge_index = torch.tensor([[0], [1]])
    with pytest.raises(GraphPEValueError, match="got a HeteroData, where values of pairs"):
        encoding(hetero)
    with pytest.raises(GraphPEValueError, match="is of pairs"):
        T.OfEdgeTypes(encoding, [("a", "to", "a")])
    with pytest.raises(GraphPEValueError, match=r"of chosen pairs.*apply it to the graph"):
        precompute([with_pairs(random_graph(5), 1)], encoding, root=tmp_path / "store")
    assert not (tmp_path / "store").exists()
