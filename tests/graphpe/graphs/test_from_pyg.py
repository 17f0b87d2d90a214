from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import Subset
from torch_geometric import EdgeIndex
from torch_geometric.data import Batch, Data, HeteroData, InMemoryDataset

from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs

SIZES = [3, 0, 1, 6, 2]


class Stored(InMemoryDataset):
    def __init__(self, graphs, transform=None):
        super().__init__(transform=transform)
        self.data, self.slices = self.collate(graphs)


def forbid(*_):
    raise AssertionError("a Data was built")


# Data and lists


@settings(deadline=None, max_examples=30)
@given(sizes=st.lists(st.integers(0, 5), min_size=1, max_size=6), seed=st.integers(0, 2**32 - 1))
def test_list_round_trip(make_graphs, assert_same_data, sizes, seed):
    graphs = make_graphs(sizes, seed, pairs=True, weights=True)
    levels = {"x": "node", "mask": "node", "edge_attr": "edge", "y": "graph", "rrwp": "pair"}
    packed = PackedGraphs.from_data_list(graphs, levels=levels)
    for mine, original in zip(packed.to_data_list(), graphs, strict=True):
        assert_same_data(mine, original)


def test_list_of_generator_and_empty_list(make_graphs):
    assert len(PackedGraphs.from_data_list(data for data in make_graphs([2, 3], 0))) == 2
    assert len(PackedGraphs.from_data_list([])) == 0


def test_rooms_by_name_and_length(make_graphs):
    packed = PackedGraphs.from_data_list(make_graphs(SIZES, 3, pairs=True, weights=True))
    assert (set(packed.node), set(packed.edge), set(packed.graph)) == ({"x", "mask"}, {"edge_attr"}, {"y"})
    assert (set(packed.pair), set(packed.objects)) == ({"rrwp"}, {"name", "tokens"})
    assert packed.objects["name"] == [f"graph {i}" for i in range(5)]


def test_numbers_become_graph_values_as_in_pyg():
    graphs = [
        Data(num_nodes=2, y=1.5, z=torch.tensor(3), flag=True),
        Data(num_nodes=1, y=2, z=torch.tensor(4), flag=False),
    ]
    packed, expected = PackedGraphs.from_data_list(graphs), Batch.from_data_list(graphs)
    for key in ("y", "z", "flag"):
        assert torch.equal(packed.graph[key], expected[key])
        assert packed.graph[key].dtype == expected[key].dtype


def test_only_num_nodes():
    packed = PackedGraphs.from_data_list([Data(num_nodes=4), Data(num_nodes=0)])
    assert (packed.sizes.tolist(), packed.num_edges) == ([4, 0], 0)
    assert [data.num_nodes for data in packed.to_data_list()] == [4, 0]
    assert PackedGraphs.from_data(Data(num_nodes=4)).num_nodes == 4


def test_int32_and_typed_edges_become_int64():
    edges = torch.tensor([[0, 1], [1, 0]])
    for edge_index in (edges.int(), EdgeIndex(edges, sparse_size=(2, 2))):
        packed = PackedGraphs.from_data_list([Data(x=torch.zeros(2, 1), edge_index=edge_index)] * 2)
        assert type(packed.edge_index) is torch.Tensor
        assert packed.edge_index.dtype == torch.int64
        assert packed.edge_index.tolist() == [[0, 1, 2, 3], [1, 0, 3, 2]]


def test_vector_per_graph_by_its_kind():
    graphs = [Data(num_nodes=n, y=torch.arange(3.0) + n) for n in (2, 4)]
    with pytest.raises(GraphPEValueError, match=r"'y' fits no level.*levels=\{'y': 'graph'\}"):
        PackedGraphs.from_data_list(graphs)
    for packed in (
        PackedGraphs.from_data_list(graphs, levels={"y": "graph"}),
        PackedGraphs.from_data(Batch.from_data_list(graphs), levels={"y": "graph"}),
        PackedGraphs.from_dataset(Stored(graphs), levels={"y": "graph"}),
    ):
        assert packed.graph["y"].tolist() == [[2, 3, 4], [4, 5, 6]]
    objects = PackedGraphs.from_data_list(graphs, levels={"y": "object"}).objects["y"]
    assert [value.tolist() for value in objects] == [[2, 3, 4], [4, 5, 6]]
    ragged = [Data(num_nodes=1, y=torch.zeros(2)), Data(num_nodes=1, y=torch.zeros(3))]
    with pytest.raises(GraphPEValueError, match="'y' is not a graph value: graph 0 has 2 rows, expected 1"):
        PackedGraphs.from_data_list(ragged, levels={"y": "graph"})


def test_keys_chooses_values(make_graphs):
    graphs = make_graphs(SIZES, 0, weights=True)
    graphs[1].odd = torch.zeros(7)  # is not asked for, so need not fit
    packed = PackedGraphs.from_data_list(graphs, keys=["y", "name"])
    assert (packed.node, set(packed.graph), set(packed.objects)) == ({}, {"y"}, {"name"})
    assert packed.edge_weight is not None
    batch = Batch.from_data_list(make_graphs(SIZES, 0))
    batch.remark = 5
    for make in (PackedGraphs.from_data, PackedGraphs.from_dataset):
        given_ = batch if make == PackedGraphs.from_data else Stored(make_graphs(SIZES, 0))
        packed = make(given_, keys=())
        assert not any((packed.node, packed.edge, packed.graph, packed.pair, packed.objects))
        assert torch.equal(packed.edge_index, batch.edge_index)


def path(**values):
    return Data(x=torch.zeros(3, 1), edge_index=torch.tensor([[0, 1], [1, 2]]), **values)


@pytest.mark.parametrize(
    ("graphs", "arguments", "error", "message"),
    [
        ([path(z=torch.zeros(3)), path()], {}, GraphPEValueError, "'z' is in graph 0 but not in graph 1"),
        ([path(), path(), path(z=torch.zeros(3))], {}, GraphPEValueError, "'z' is in graph 2 but not in graph 0"),
        ([path(), path()], {"keys": ["z"]}, GraphPEValueError, r"keys names \['z'\]"),
        ([path(), path()], {"keys": "x"}, GraphPETypeError, "keys must be a collection of names"),
        ([path(z="s"), path()], {"keys": ["z"]}, GraphPEValueError, "'z' is in graph 0 but not in graph 1"),
        (
            [path(edge_weight=torch.ones(2)), path()],
            {"keys": []},
            GraphPEValueError,
            "'edge_weight' is in graph 0 but not in graph 1",
        ),
        ([path(), Data(x=torch.zeros(3, 1))], {}, GraphPEValueError, "'edge_index' is in graph 0"),
        ([path(z=torch.zeros(3)), path(z="s")], {}, GraphPEValueError, "'z' is a tensor in graph 0 but str in graph 1"),
        ([path(z=1), path(z="s")], {}, GraphPEValueError, "'z' is a number in graph 0 but str in graph 1"),
        ([path(z=torch.zeros(3, 1)), path(z=torch.zeros(3, 2))], {}, GraphPEValueError, r"'z' is \[3, 1\] in graph 0"),
        ([path(z=torch.zeros(5))], {}, GraphPEValueError, "'z' fits no level"),
        ([path(z=torch.zeros(2))], {"levels": {"z": "node"}}, GraphPEValueError, "graph 0 has 2 rows, expected 3"),
        ([path()], {"levels": {"z": "node"}}, GraphPEValueError, "levels names 'z'"),
        ([path()], {"levels": {"x": "nodes"}}, GraphPEValueError, r"levels\['x'\] is 'nodes': expected one of node"),
        ([path(z="s")], {"levels": {"z": "node"}}, GraphPEValueError, "'z' is not a node value: it holds str"),
        ([path(node_index=torch.zeros(3))], {}, GraphPEValueError, "contains 'index' or 'batch'"),
        ([path(face=torch.zeros(3))], {}, GraphPEValueError, "'face'"),
        ([path(adj=torch.eye(3).to_sparse())], {}, GraphPETypeError, "'adj' is a sparse tensor"),
        ([Data(num_nodes=1, z=1), Data(z=1)], {}, GraphPEValueError, "graph 1 does not say how many"),
        (
            [path(edge_weight=torch.ones(2, 1))],
            {},
            GraphPEValueError,
            r"edge_weight must be one number per edge, \[2\]",
        ),
        ([path(edge_weight="s")], {}, GraphPEValueError, "edge_weight"),
        (
            [path(), Data(x=torch.zeros(1, 1), edge_index=torch.tensor([[0], [1]]))],
            {},
            GraphPEValueError,
            r"edge_index of graph 1 has the edge \[0, 1\], but the graph has 1 nodes",
        ),
        ([Data(x=torch.zeros(3, 1), edge_index=torch.tensor([[-1], [1]]))], {}, GraphPEValueError, r"\[-1, 1\]"),
        ([Data(x=torch.zeros(3, 1), edge_index=torch.rand(2, 1))], {}, GraphPEValueError, r"must be integers \[2, E\]"),
        ([Data(x=torch.zeros(3, 1), edge_index=torch.zeros(1, 2).long())], {}, GraphPEValueError, r"must be integers"),
        (
            [path(), HeteroData()],
            {},
            GraphPETypeError,
            r"graph 1 is a HeteroData: convert .* to_homogeneous\(\)",
        ),
        ([path(), "graph"], {}, GraphPETypeError, "graph 1 must be a torch_geometric Data, got str"),
        ([Batch.from_data_list([path()])], {}, GraphPETypeError, "graph 0 is a Batch"),
    ],
)
@pytest.mark.filterwarnings("ignore:Unable to accurately infer")
def test_wrong_lists_are_named_in_one_line(graphs, arguments, error, message):
    with pytest.raises(error, match=message) as caught:
        PackedGraphs.from_data_list(graphs, **arguments)
    assert "\n" not in str(caught.value)


# Batch


@settings(deadline=None, max_examples=30)
@given(sizes=st.lists(st.integers(0, 5), min_size=1, max_size=6), seed=st.integers(0, 2**32 - 1))
def test_batch_is_read_as_its_list(make_graphs, assert_same_data, sizes, seed):
    graphs = make_graphs(sizes, seed, pairs=True, weights=True)
    levels = {"x": "node", "mask": "node", "edge_attr": "edge", "y": "graph", "rrwp": "pair"}
    batch = Batch.from_data_list(graphs, follow_batch=["x"])
    stripped = Data.from_dict({key: batch[key] for key in batch.keys() if key not in ("ptr", "x_batch", "x_ptr")})
    trailing_empty = sizes[-1] == 0  # which a bare batch vector cannot tell
    for given_ in [batch] if trailing_empty else [batch, stripped]:
        packed = PackedGraphs.from_data(given_, levels=levels)
        for mine, original in zip(packed.to_data_list(), graphs, strict=True):
            assert_same_data(mine, original)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_edges_in_any_order_are_sorted_with_their_values(make_graphs, seed):
    graphs = make_graphs([4, 3, 0, 5], seed, weights=True)
    batch = Batch.from_data_list(graphs)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(batch.edge_index.size(1)))
    for key in ("edge_attr", "edge_weight"):
        batch[key] = batch[key][order]
    batch.edge_index = batch.edge_index[:, order]
    packed = PackedGraphs.from_data(batch, levels={"edge_attr": "edge"})
    # Within each graph: the shuffled edges, in the order in which the batch lists them.
    for i, data in enumerate(packed.to_data_list()):
        mine = batch.batch[batch.edge_index[0]] == i
        assert torch.equal(data.edge_index + packed.ptr[i], batch.edge_index[:, mine])
        assert torch.equal(data.edge_attr, batch.edge_attr[mine])
        assert torch.equal(data.edge_weight, batch.edge_weight[mine])


def test_values_added_after_batching_and_stale_slices(make_graphs):
    graphs = make_graphs(SIZES, 8)
    batch = Batch.from_data_list(graphs)
    batch.pe = torch.arange(12.0)  # no slices
    keep = batch.edge_index[0] < batch.edge_index[1]
    batch.edge_index, batch.edge_attr = batch.edge_index[:, keep], batch.edge_attr[keep]  # stale slices
    packed = PackedGraphs.from_data(batch)
    assert packed.node["pe"].tolist() == list(range(12))
    expected = [int((data.edge_index[0] < data.edge_index[1]).sum()) for data in graphs]
    assert packed.edge_sizes.tolist() == expected
    assert set(packed.edge) == {"edge_attr"}


def test_shifted_values_can_be_kept_as_objects():
    graphs = [path(pair_index=torch.tensor([[0], [2]])), path(pair_index=torch.tensor([[1, 1], [0, 2]]))]
    for packed in (
        PackedGraphs.from_data_list(graphs, levels={"pair_index": "object"}),
        PackedGraphs.from_data(Batch.from_data_list(graphs), levels={"pair_index": "object"}),
        PackedGraphs.from_dataset(Stored(graphs), levels={"pair_index": "object"}),
    ):
        assert [value.tolist() for value in packed.objects["pair_index"]] == [[[0], [2]], [[1, 1], [0, 2]]]
        assert packed.to_batch()[1].pair_index.tolist() == [[1, 1], [0, 2]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"edge_index": torch.tensor([[0, 1, 2, 4], [1, 2, 3, 5]])}, r"edge 2, \[2, 3\], joins graphs 0 and 1"),
        ({"edge_index": torch.tensor([[0, 1, 3, 4], [1, 2, 4, 6]])}, "runs from 0 to 6, but the batch has 6 nodes"),
        ({"edge_index": torch.tensor([[-1, 1, 3, 4], [1, 2, 4, 5]])}, "runs from -1 to 5"),
        ({"batch": torch.tensor([0, 1, 0, 1, 0, 1])}, "not in the order of their graphs: sort them"),
        (
            {"batch": torch.tensor([0, 0, 0, 1, 1])},
            "batch holds the graphs of 5 nodes, and the data has 6",
        ),
        ({"batch": torch.tensor([-1, 0, 0, 1, 1, 1])}, "batch holds -1: graphs are numbered 0, 1, 2"),
        ({"batch": torch.zeros(6, 1).long()}, "batch must be a vector"),
        ({"batch": None, "ptr": torch.tensor([0, 2, 5])}, "ptr must begin with 0, never decrease and end with .* 6"),
        ({"batch": None, "ptr": torch.tensor([0, 7, 6])}, "ptr must begin with 0, never decrease"),
        ({"batch": None, "ptr": torch.tensor([1, 3, 6])}, "ptr must begin with 0"),
        ({"remark": 5}, "'remark' of the batch is int"),
        ({"remark": ["one"]}, "'remark' of the batch is list"),
        ({"remark": torch.tensor(5)}, "'remark' is one number for the whole batch"),
        ({"remark": torch.zeros(7)}, "'remark' fits no level"),
    ],
)
def test_wrong_batches_are_named_in_one_line(change, message):
    batch = Batch.from_data_list([path(), path()])
    for key, value in change.items():
        batch[key] = value
    with pytest.raises(GraphPEValueError, match=message) as caught:
        PackedGraphs.from_data(batch)
    assert "\n" not in str(caught.value)


def test_wrong_objects_in_place_of_data():
    with pytest.raises(GraphPETypeError, match="data is a HeteroData"):
        PackedGraphs.from_data(HeteroData())
    with pytest.raises(GraphPETypeError, match="got list"):
        PackedGraphs.from_data([path()])
    with pytest.raises(GraphPEValueError, match="neither 'batch' nor 'ptr'"):
        PackedGraphs.from_data(Batch.from_data_list([Data(y=torch.zeros(1, 1))]))


# Datasets


@pytest.mark.parametrize("with_x", [True, False])
@pytest.mark.parametrize(
    "ids", [None, slice(1, 4), [4, 0, 0, -1], torch.tensor([3, 1]), torch.tensor([True] * 2 + [False] * 3)]
)
def test_dataset_is_read_from_its_storage(make_graphs, assert_same_data, monkeypatch, with_x, ids):
    graphs = make_graphs(SIZES, 4, pairs=True, weights=True)
    if not with_x:
        for data in graphs:
            data.num_nodes = data.x.size(0)
            del data.x
    dataset = Stored(graphs) if ids is None else Stored(graphs)[ids]
    expected = [dataset[i] for i in range(len(dataset))]
    monkeypatch.setattr(InMemoryDataset, "_data_list", None, raising=False)
    monkeypatch.setattr("torch_geometric.data.in_memory_dataset.separate", forbid)
    monkeypatch.setattr(Stored, "__getitem__", forbid)
    packed = PackedGraphs.from_dataset(dataset)
    assert len(packed) == len(expected)
    for mine, original in zip(packed.to_data_list(), expected, strict=True):
        assert_same_data(mine, original)
    nested = PackedGraphs.from_dataset(Subset(Subset(dataset, range(len(dataset))), [1, 0]))
    assert_same_data(nested[0], expected[1])
    assert_same_data(nested[1], expected[0])


def test_dataset_saved_and_loaded(make_graphs, assert_same_data, tmp_path):
    graphs = make_graphs(SIZES, 6)
    for data in graphs:
        data.num_nodes = data.x.size(0)
        del data.x
    InMemoryDataset.save(graphs, str(tmp_path / "data.pt"))
    dataset = Stored(graphs[:2])
    dataset.load(str(tmp_path / "data.pt"))
    packed = PackedGraphs.from_dataset(dataset)
    assert packed.sizes.tolist() == SIZES
    assert_same_data(packed[3], graphs[3])


def test_other_datasets_are_read_item_by_item(make_graphs, assert_same_data):
    graphs = make_graphs(SIZES, 7)

    def shifted(data: Data) -> Data:
        data.x = data.x + 1
        return data

    class OwnGet(Stored):
        def get(self, idx):
            return shifted(super().get(idx).clone())

    for dataset in (Stored(graphs, transform=shifted), OwnGet(graphs), [shifted(data.clone()) for data in graphs]):
        packed = PackedGraphs.from_dataset(dataset)
        for mine, original in zip(packed.to_data_list(), graphs, strict=True):
            assert torch.equal(mine.x, original.x + 1)
    assert_same_data(PackedGraphs.from_dataset(Stored(graphs[:1]))[0], graphs[0])
    assert len(PackedGraphs.from_dataset(Subset(graphs, [2, 0]))) == 2


def test_dataset_with_edges_outside_their_graph():
    dataset = Stored([path(), path()])
    dataset._data.edge_index[0, 3] = 3
    with pytest.raises(GraphPEValueError, match=r"edge_index of graph 1 has the edge \[3, 2\]"):
        PackedGraphs.from_dataset(dataset)
