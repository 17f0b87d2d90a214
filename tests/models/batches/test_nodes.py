from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch, Data, HeteroData

from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.graphs.partition import vectors_of
from graphpe.models import GCN
from graphpe.models.batches.nodes import _on_device, collated_ptr, node_to_graph, read_edges
from graphpe.models.layers.inputs import LinearNodes


def test_batch(make_batch) -> None:
    members = node_to_graph(make_batch([3, 0, 2]))
    assert members.graph.tolist() == [0, 0, 0, 2, 2]
    assert members.sizes.tolist() == [3, 0, 2]
    assert members.num_graphs == 3
    assert members.max_size == 3


def test_data_is_one_graph() -> None:
    members = node_to_graph(Data(edge_index=torch.tensor([[0], [1]]), num_nodes=4))
    assert members.graph.tolist() == [0, 0, 0, 0]
    assert members.ptr.tolist() == [0, 4]
    assert (members.max_size, members.num_pairs) == (4, 16)


def test_batch_vector_without_ptr(make_batch) -> None:
    batch = make_batch([2, 3])
    del batch.ptr
    assert node_to_graph(batch).ptr.tolist() == [0, 2, 5]


def test_max_size_that_pyg_collated_is_not_used() -> None:
    graph = Data(edge_index=torch.zeros(2, 0, dtype=torch.long), num_nodes=2, max_size=9)
    assert node_to_graph(Batch.from_data_list([graph, graph])).max_size == 2


def test_hetero_data_is_refused() -> None:
    with pytest.raises(GraphPETypeError, match="to_homogeneous"):
        node_to_graph(HeteroData())


def test_sizes_come_from_batch_when_ptr_disagrees(make_batch) -> None:
    batch = make_batch([3, 1, 4])
    batch = batch.subgraph(torch.tensor([True, False, True, False, True, True, False, True]))
    members = node_to_graph(batch)
    assert batch.ptr.tolist() == [0, 3, 4, 8]  # PyG leaves it as it was
    assert members.ptr.tolist() == [0, 2, 2, 5]
    assert (members.max_size, members.num_pairs, members.num_graphs) == (3, 13, 3)


def test_graphs_without_nodes_at_the_end(make_batch) -> None:
    batch = make_batch([2, 0, 0])
    assert node_to_graph(batch).num_graphs == 3
    for change in ({"ptr": torch.tensor([0, 1])}, {"ptr": torch.tensor([0, 0, 0, 0])}):  # PyG's count is the one
        assert node_to_graph(batch.clone().update(change)).ptr.tolist() == [0, 2, 2, 2]
    plain = Data(edge_index=batch.edge_index, batch=batch.batch, ptr=torch.tensor([0, 9, 9]), num_nodes=2)
    assert node_to_graph(plain).ptr.tolist() == [0, 2, 2]
    del plain.ptr
    assert node_to_graph(plain).ptr.tolist() == [0, 2]


def test_order_and_back() -> None:
    data = Data(edge_index=torch.tensor([[0, 3], [2, 1]]), batch=torch.tensor([1, 0, 1, 0]), num_nodes=4)
    members = node_to_graph(data)
    assert members.graph.tolist() == [0, 0, 1, 1]
    x = torch.tensor([10, 11, 12, 13])
    assert members.sort(x).tolist() == [11, 13, 10, 12]
    assert torch.equal(members.restore(members.sort(x)), x)
    edges = read_edges(data, members)
    assert torch.equal(members.sort(x)[edges], x[data.edge_index])


def test_an_edge_between_graphs_is_named_as_the_batch_has_it() -> None:
    data = Data(edge_index=torch.tensor([[0, 3], [2, 0]]), batch=torch.tensor([1, 0, 1, 0]), num_nodes=4)
    with pytest.raises(GraphPEValueError, match=r"edge 1, \[3, 0\], joins graphs 0 and 1"):
        read_edges(data, node_to_graph(data))


def test_a_batch_that_says_nothing_of_its_nodes() -> None:
    graphs = [Data(pe=torch.rand(3, 2)) for _ in range(2)]
    with pytest.raises(GraphPEValueError, match="neither 'batch' nor 'ptr'"):
        node_to_graph(Batch.from_data_list(graphs))


@pytest.mark.parametrize("size", [-1, "many", 2.5, torch.tensor(-3)])
def test_a_number_of_nodes_that_is_none(size: object) -> None:
    with pytest.raises(GraphPEValueError, match=r"does not say how many nodes it has \(num_nodes="):
        node_to_graph(Data(edge_index=torch.tensor([[0], [1]]), num_nodes=size))


def test_a_number_of_nodes_beyond_memory_is_compared_with_x() -> None:
    data = Data(x=torch.rand(3, 2), edge_index=torch.tensor([[0], [1]]), num_nodes=10**14)
    with pytest.raises(GraphPEValueError, match=r"batch\.x has 3 rows for 100000000000000 nodes"):
        GCN(width=8, layers=1, node_encoder=LinearNodes(2, 8))(data)


@pytest.mark.filterwarnings("ignore:Sparse")
def test_adjacency_in_place_of_edges() -> None:
    matrix = torch.tensor([[0.0, 1, 0], [0, 0, 0], [2, 1, 1]])  # (target, source)
    for adj_t in (matrix.to_sparse(), matrix.to_sparse_csr()):
        data = Data(adj_t=adj_t, num_nodes=3)
        assert read_edges(data, node_to_graph(data)).tolist() == [[1, 0, 1, 2], [0, 2, 2, 2]]
    data.adj_t = matrix
    with pytest.raises(GraphPETypeError, match="adj_t must be a sparse matrix, got Tensor: give edges as edge_index"):
        read_edges(data, node_to_graph(data))


def test_what_pyg_keeps_on_the_host_of_a_batch_elsewhere(make_batch) -> None:
    """No number of a device is read; here it is the CPU's function that is compared with."""
    batch = make_batch([3, 0, 2, 0])
    packed = PackedGraphs.from_data(batch, keys=["x"])
    for made in (batch, packed.to_batch(), packed.structure().to_batch()):
        ptr = collated_ptr(made, 5, 4)
        assert ptr is not None
        assert ptr.tolist() == [0, 3, 3, 5, 5]
        assert collated_ptr(made, 4, 4) is None  # a node was removed since


@pytest.mark.parametrize("change", ["none", "subgraph", "no ptr", "no order", "int32", "packed", "empty"])
def test_the_way_of_other_devices_is_the_same(make_batch, change: str) -> None:
    """It reads no numbers, or once, and gives what the CPU's way gives."""
    batch = make_batch([3, 0, 2, 4])
    if change == "subgraph":
        batch = batch.subgraph(torch.arange(9) % 3 > 0)
    elif change == "packed":
        batch = PackedGraphs.from_data(batch, keys=["x"]).to_batch()
    elif change == "int32":
        batch.batch = batch.batch.int()
    elif change == "empty":
        batch = make_batch([0, 0])
    elif change in ("no ptr", "no order"):
        del batch.ptr
        if change == "no order":
            batch = batch.subgraph(torch.tensor([8, 1, 3, 0, 2, 4, 7, 6, 5]))
    vectors = vectors_of(batch)
    assert vectors is not None
    found, expected = _on_device(batch, vectors), node_to_graph(batch)
    for name in ("graph", "ptr", "order"):
        ours, theirs = getattr(found, name), getattr(expected, name)
        assert theirs is None if ours is None else torch.equal(ours, theirs)
    known = (found.max_size, found.num_pairs)
    assert known == ((None, None) if change == "subgraph" else (expected.max_size, expected.num_pairs))
