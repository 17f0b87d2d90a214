from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs

SIZES = [3, 0, 1, 6, 2, 1, 4]


@pytest.fixture
def packed(make_graphs):
    return PackedGraphs.from_data_list(make_graphs(SIZES, seed=1, pairs=True, weights=True))


def assert_same(actual: PackedGraphs, expected: PackedGraphs) -> None:
    for name in ("edge_index", "ptr", "edge_ptr", "sizes", "edge_sizes", "pair_ptr", "batch", "edge_batch"):
        assert getattr(actual, name).dtype == torch.int64
        assert torch.equal(getattr(actual, name), getattr(expected, name)), name
    for level in ("node", "edge", "graph", "pair"):
        mine, other = getattr(actual, level), getattr(expected, level)
        assert mine.keys() == other.keys()
        assert all(torch.equal(mine[key], other[key]) for key in mine)
    assert (actual.edge_weight is None) == (expected.edge_weight is None)
    assert actual.edge_weight is None or torch.equal(actual.edge_weight, expected.edge_weight)
    assert actual.objects == expected.objects


def test_sizes_and_owners(packed):
    assert packed.sizes.tolist() == SIZES
    assert (packed.num_graphs, len(packed), packed.num_nodes, packed.max_size) == (7, 7, sum(SIZES), 6)
    assert packed.num_edges == packed.edge_index.size(1) == int(packed.edge_sizes.sum()) > 0
    assert packed.num_pairs == sum(n * n for n in SIZES) == packed.pair["rrwp"].size(0)
    assert packed.batch.tolist() == [i for i, n in enumerate(SIZES) for _ in range(n)]
    assert torch.equal(packed.batch[packed.edge_index[0]], packed.edge_batch)
    assert packed.pair_ptr.tolist() == np.cumsum([0] + [n * n for n in SIZES]).tolist()
    assert packed.device == torch.device("cpu")


def test_repr_is_one_short_line(packed):
    assert repr(packed) == (
        f"PackedGraphs(num_graphs=7, num_nodes=17, num_edges={packed.num_edges}, edge_weight, node=['x', 'mask'], "
        "edge=['edge_attr'], graph=['y'], pair=['rrwp'], objects=['name', 'tokens'])"
    )


@settings(deadline=None, max_examples=40)
@given(
    sizes=st.lists(st.integers(0, 6), max_size=7),
    picks=st.lists(st.integers(-100, 100), max_size=9),
    seed=st.integers(0, 2**32 - 1),
)
def test_select_is_list_indexing(make_graphs, sizes, picks, seed):
    graphs = make_graphs(sizes, seed, pairs=True, weights=True)
    packed = PackedGraphs.from_data_list(graphs)
    # Ids from -B to B - 1, in any order and with repeats.
    ids = [i % (2 * len(sizes)) - len(sizes) for i in picks] if sizes else []
    expected = PackedGraphs.from_data_list([graphs[i] for i in ids])
    selected = packed.select(ids)
    if ids:
        assert_same(selected, expected)
    else:  # an empty list of Data has no keys, an empty selection keeps those it had
        assert (selected.num_graphs, selected.num_nodes, selected.num_edges) == (0, 0, 0)
    for bounds in (slice(1, 4), slice(None, None, 2), slice(None, None, -1), slice(-2, None), slice(4, 2)):
        if graphs[bounds]:
            assert_same(packed[bounds], PackedGraphs.from_data_list(graphs[bounds]))
        else:
            assert packed[bounds].num_graphs == 0


@pytest.mark.parametrize(
    "index",
    [
        torch.tensor([2, 0]),
        torch.tensor([2, 0], dtype=torch.int32),
        torch.tensor([-5, 0]),
        np.array([2, 0]),
        np.array([2, 0], dtype=np.uint8),
        (2, 0),
        range(2, -1, -2),
        [np.int64(2), 0],
    ],
    ids=repr,
)
def test_every_kind_of_index(packed, index):
    assert_same(packed.select(index), packed.select([2, 0]))
    assert_same(packed[index], packed.select([2, 0]))
    assert packed.resolve(index).tolist() == [2, 0]


@pytest.mark.parametrize("kind", [torch.tensor, np.array, list])
def test_mask(packed, kind):
    mask = [True, False, False, True, False, False, True]
    assert_same(packed.select(kind(mask)), packed.select([0, 3, 6]))
    assert packed.select(kind([False] * 7)).num_graphs == 0


@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        (torch.tensor([True, False]), GraphPEValueError, "mask over 7 graphs has 7 entries, got 2"),
        ([7], GraphPEValueError, "no graph 7"),
        ([0, -8], GraphPEValueError, "no graph -8"),
        (torch.tensor([1.0]), GraphPETypeError, "of integers or bools, got float32"),
        (torch.tensor([[1]]), GraphPETypeError, "1-dimensional"),
        ("x", GraphPETypeError, "got str"),
        (None, GraphPETypeError, "got NoneType"),
        ({0, 1}, GraphPETypeError, "got set"),
    ],
)
def test_wrong_index(packed, index, error, message):
    with pytest.raises(error, match=message):
        packed.select(index)


def test_integer_gives_data_with_local_ids(make_graphs, assert_same_data):
    graphs = make_graphs(SIZES, seed=5, pairs=True, weights=True)
    packed = PackedGraphs.from_data_list(graphs)
    for i in range(-len(graphs), len(graphs)):
        assert_same_data(packed[i], graphs[i])
    assert_same_data(packed[np.int64(3)], graphs[3])
    for mine, original in zip(packed, graphs, strict=True):
        assert_same_data(mine, original)
    with pytest.raises(GraphPEValueError, match="no graph 7"):
        packed[7]


def test_selection_copies_and_slice_shares(packed):
    before = packed.node["x"].clone()
    packed.select([0, 1, 2, 3, 4, 5, 6]).node["x"].zero_()
    assert torch.equal(packed.node["x"], before)
    assert packed[1:4].node["x"].data_ptr() == packed.node["x"][3:].data_ptr()


def test_selection_without_values_has_rooms_of_its_own(packed):
    selected = packed.structure().select([1, 2])
    selected.node["new"] = torch.zeros(1)
    assert packed.structure().node == {}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.complex64, torch.bool, torch.int8])
def test_select_keeps_dtype(packed, dtype):
    value = torch.arange(packed.num_nodes).to(dtype)
    selected = packed.with_values(node={"value": value}).select([3, 0]).node["value"]
    assert selected.dtype == dtype
    assert torch.equal(selected, torch.cat([value[4:10], value[:3]]))


def test_select_passes_gradients(packed):
    value = torch.ones(packed.num_nodes, requires_grad=True)
    packed.with_values(node={"value": value}).select([0, 0, 3]).node["value"].sum().backward()
    assert value.grad is not None
    assert value.grad.tolist() == [2.0] * 3 + [0.0] + [1.0] * 6 + [0.0] * 7


def test_not_contiguous_input_is_made_so():
    table = torch.arange(12.0).reshape(2, 6).t()  # [6, 2], columns first
    edges = torch.tensor([[0, 1], [1, 2], [3, 4]]).t()
    packed = PackedGraphs(edges, torch.tensor([0, 3, 6]), torch.tensor([0, 2, 3]), node={"x": table})
    packed = packed.with_values(node={"z": table})
    for key in ("x", "z"):
        assert packed.node[key].is_contiguous()
        assert torch.equal(packed.select([1]).node[key], table[3:])
    assert packed.select([1]).edge_index.tolist() == [[0], [1]]


def test_memory_mapped_storage(packed, tmp_path: Path):
    def mapped(name: str, value: torch.Tensor) -> torch.Tensor:
        np.save(tmp_path / f"{name}.npy", value.numpy())
        return torch.from_numpy(np.load(tmp_path / f"{name}.npy", mmap_mode="r+"))

    on_disk = PackedGraphs(
        mapped("edge_index", packed.edge_index),
        mapped("ptr", packed.ptr),
        mapped("edge_ptr", packed.edge_ptr),
        mapped("weight", packed.edge_weight),
        node={key: mapped(key, value) for key, value in packed.node.items()},
        edge={key: mapped(key, value) for key, value in packed.edge.items()},
        graph={key: mapped(key, value) for key, value in packed.graph.items()},
        pair={key: mapped(key, value) for key, value in packed.pair.items()},
        objects=packed.objects,
    )
    # Nothing was read into memory on the way: a change of the tensor is a change of the file.
    on_disk.node["x"][0, 0] = 123.0
    assert np.load(tmp_path / "x.npy")[0, 0] == 123.0
    on_disk.node["x"][0, 0] = packed.node["x"][0, 0]
    assert_same(on_disk.select([5, 3, 3]), packed.select([5, 3, 3]))


def test_unaligned_storage(packed):
    raw = packed.node["x"].numpy().tobytes()
    x = np.frombuffer(bytearray(b"-" + raw), dtype=np.float64, offset=1).reshape(-1, 3)
    unaligned = packed.with_values(node={"x": torch.from_numpy(x)})
    assert torch.equal(unaligned.select([3, 0]).node["x"], packed.select([3, 0]).node["x"])


def test_with_values_adds_and_replaces(packed):
    out = packed.with_values(
        node={"x": torch.zeros(17), "pe": torch.ones(17, 2)},
        edge={"kind": torch.ones(packed.num_edges)},
        graph={"extra": torch.arange(7)},
        pair={"spd": torch.ones(67)},
    )
    assert set(out.node) == {"x", "mask", "pe"}
    assert out.node["x"].shape == (17,)
    assert packed.node["x"].shape == (17, 3)
    assert (set(out.edge), set(out.graph), set(out.pair)) == ({"edge_attr", "kind"}, {"y", "extra"}, {"rrwp", "spd"})
    assert out.select([6]).graph["extra"].tolist() == [6]


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"node": {"pe": torch.zeros(16, 2)}}, GraphPEValueError, r"node value 'pe' must be \[17, ...\], got"),
        ({"node": {"pe": torch.tensor(1.0)}}, GraphPEValueError, r"must be \[17"),
        ({"graph": {"z": torch.zeros(17)}}, GraphPEValueError, r"graph value 'z' must be \[7"),
        ({"pair": {"z": torch.zeros(17)}}, GraphPEValueError, r"pair value 'z' must be \[67"),
        ({"edge": {"z": torch.zeros(0)}}, GraphPEValueError, "edge value 'z'"),
        ({"node": {"z": [1.0] * 17}}, GraphPETypeError, "must be a tensor, got list"),
        ({"node": {"y": torch.zeros(17)}}, GraphPEValueError, "'y' is used in node and in graph"),
        ({"node": {"name": torch.zeros(17)}}, GraphPEValueError, "'name' is used in node and in objects"),
        ({"node": {"ptr": torch.zeros(17)}}, GraphPEValueError, "reserved"),
        ({"node": {"_x": torch.zeros(17)}}, GraphPEValueError, "reserved"),
        ({"node": {"node_index": torch.zeros(17)}}, GraphPEValueError, "contains 'index' or 'batch'"),
        ({"node": {"z": torch.zeros(17, device="meta")}}, GraphPEValueError, "is on meta, the graphs on cpu"),
    ],
)
def test_with_values_rejects(packed, values, error, message):
    with pytest.raises(error, match=message):
        packed.with_values(**values)


def test_with_edges_keeps_everything_else(packed):
    reverse = packed.with_edges(packed.edge_index.flip(0), packed.edge_ptr, {"kind": packed.edge["edge_attr"][:, 0]})
    assert torch.equal(reverse.edge_index, packed.edge_index.flip(0))
    assert reverse.edge_weight is None
    assert set(reverse.edge) == {"kind"}
    assert (reverse.node, reverse.graph, reverse.pair, reverse.objects) == (
        packed.node,
        packed.graph,
        packed.pair,
        packed.objects,
    )
    empty = packed.with_edges(torch.zeros(2, 0, dtype=torch.long), torch.zeros(8, dtype=torch.long))
    assert empty.select([3]).num_edges == 0
    with pytest.raises(GraphPEValueError, match="leaves its graph"):
        packed.with_edges(torch.tensor([[0], [5]]), torch.tensor([0, 1, 1, 1, 1, 1, 1, 1]))


def test_structure_keeps_edges_and_weights_only(packed):
    structure = packed.structure()
    assert torch.equal(structure.edge_index, packed.edge_index)
    assert torch.equal(structure.edge_weight, packed.edge_weight)
    assert not any((structure.node, structure.edge, structure.graph, structure.pair, structure.objects))
    assert packed.node


def test_no_graph_at_all():
    none = PackedGraphs(torch.zeros(2, 0, dtype=torch.long), torch.zeros(1, dtype=torch.long), torch.zeros(1).long())
    assert (len(none), none.num_nodes, none.max_size, none.buckets(), none.to_data_list()) == (0, 0, 0, [], [])
    assert none.select([]).num_graphs == none[:].num_graphs == 0
    with pytest.raises(GraphPEValueError, match="no graph 0"):
        none.select([0])


def test_copies_and_pickles(packed):
    assert packed.batch is not None  # fill a cache
    assert_same(pickle.loads(pickle.dumps(packed)), packed)
    assert_same(copy.deepcopy(packed), packed)


def test_device_moves_know_sizes_without_asking_the_device(packed):
    # The meta device holds no numbers: whatever asks it for one fails.
    moved = packed.to("meta")
    assert moved.device.type == "meta"
    selected = moved.select([3, 0, 3])
    assert (selected.num_graphs, selected.num_nodes, selected.max_size) == (3, 15, 6)
    assert selected.node["x"].shape == (15, 3)
    assert selected.pair["rrwp"].shape == (81, 2)
    batch = selected.to_batch()
    assert batch.x.device.type == batch.batch.device.type == batch.ptr.device.type == "meta"
    assert batch.max_size == 6
    assert [each.num_nodes for each in moved.to_batches([3, 4])] == [4, 13]
    assert moved.with_values(node={"z": torch.zeros(17, device="meta")})[2:4].num_nodes == 7
    assert packed.to("cpu") is packed


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_selection_equals_cpu_selection(packed):
    ids = [3, 0, 6, 3]
    assert_same(packed.to("cuda").select(ids).to("cpu"), packed.select(ids))
    assert_same(packed.pin_memory().to("cuda", non_blocking=True)[1:5].to("cpu"), packed[1:5])
