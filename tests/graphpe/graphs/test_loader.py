from __future__ import annotations

import itertools
import json
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing._internal.distributed.fake_pg import FakeStore
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader

import graphpe.graphs.loader
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.loader import PackedLoader
from graphpe.graphs.packed import PackedGraphs


@pytest.fixture
def graphs(make_graphs):
    sizes = np.random.default_rng(0).integers(0, 9, 23).tolist()
    return make_graphs(sizes, seed=2, pairs=True, weights=True)


@pytest.fixture
def packed(graphs):
    return PackedGraphs.from_data_list(graphs).with_values(graph={"number": torch.arange(23)})


@pytest.mark.parametrize("batch_size", [1, 5, 23, 40])
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("together", [0, 30, 10**6])
def test_batches_are_those_of_pyg(graphs, monkeypatch, batch_size, drop_last, together):
    monkeypatch.setattr(graphpe.graphs.loader, "_NODES_TOGETHER", together)
    loader = PackedLoader(PackedGraphs.from_data_list(graphs), batch_size, drop_last=drop_last)
    expected = DataLoader(graphs, batch_size, drop_last=drop_last)
    assert len(loader) == len(expected)
    for mine, theirs in itertools.zip_longest(loader, expected):
        assert set(mine.keys()) == {*theirs.keys(), "max_size", "num_pairs"}
        for key in theirs.keys():
            if isinstance(theirs[key], torch.Tensor):
                assert torch.equal(mine[key], theirs[key]), key
            else:
                assert mine[key] == theirs[key], key
        assert mine.num_graphs == theirs.num_graphs
        assert mine.max_size == int(theirs.ptr.diff().max())


@settings(deadline=None, max_examples=40)
@given(
    count=st.integers(0, 40),
    batch_size=st.integers(1, 12),
    shuffle=st.booleans(),
    drop_last=st.booleans(),
    bucket=st.booleans(),
    seed=st.integers(0, 2**63),
    epoch=st.integers(0, 1000),
)
def test_an_epoch_sees_each_graph_once(make_graphs, count, batch_size, shuffle, drop_last, bucket, seed, epoch):
    sizes = np.random.default_rng(count).integers(0, 4, count).tolist()
    packed = PackedGraphs.from_data_list(make_graphs(sizes, 0))
    loader = PackedLoader(packed, batch_size, shuffle=shuffle, seed=seed, drop_last=drop_last, bucket_by_size=bucket)
    batches = loader.batch_indices(epoch)
    assert len(batches) == len(loader)
    seen = [i for batch in batches for i in batch.tolist()]
    assert len(set(seen)) == len(seen)
    assert set(seen) <= set(range(count))
    assert len(seen) == (count // batch_size * batch_size if drop_last else count)
    assert sorted(map(len, batches), reverse=True)[:-1] == [batch_size] * max(len(batches) - 1, 0)
    if not shuffle:
        kept = range(len(seen))
        assert seen == (sorted(kept, key=lambda i: sizes[i]) if bucket else list(kept))


@pytest.mark.parametrize("bucket", [False, True])
def test_order_is_a_pure_function_of_seed_and_epoch(packed, bucket):
    def order(seed: int, epoch: int) -> list[list[int]]:
        loader = PackedLoader(packed, 4, shuffle=True, seed=seed, bucket_by_size=bucket)
        return [batch.tolist() for batch in loader.batch_indices(epoch)]

    torch.manual_seed(0)
    first = order(3, 5)
    torch.rand(7)
    np.random.default_rng().random(3)
    assert order(3, 5) == first
    loader = PackedLoader(packed, 4, shuffle=True, seed=3, bucket_by_size=bucket)
    for _ in loader:
        pass
    assert [batch.tolist() for batch in loader.batch_indices(5)] == first
    different = [first, order(3, 6), order(4, 5), order(5, 3)]
    assert all(a != b for a, b in itertools.combinations(different, 2))


def numbers(loader):
    return [batch.number.tolist() for batch in loader]


def test_each_pass_is_the_next_epoch(packed):
    loader = PackedLoader(packed, 4, shuffle=True, seed=1)
    orders = [[batch.tolist() for batch in loader.batch_indices(epoch)] for epoch in range(12)]
    assert [numbers(loader) for _ in range(3)] == orders[:3]
    assert loader.epoch == 3
    for batch in loader:
        assert batch.number.tolist() == orders[3][0]
        break
    iter(loader)  # a pass begins with its first batch: this is none
    assert numbers(loader) == orders[4]
    loader.set_epoch(9)
    assert [numbers(loader) for _ in range(2)] == orders[9:11]
    loader.set_epoch(0)
    assert numbers(loader) == orders[0]
    assert next(loader.batches(7)).number.tolist() == orders[7][0]
    assert loader.epoch == 1
    loader.set_epoch(5)
    assert [(a.number.tolist(), b.number.tolist()) for a, b in zip(loader, loader, strict=True)] == [
        *zip(orders[5], orders[6], strict=True)
    ]
    assert numbers(PackedLoader(packed, 4)) == numbers(PackedLoader(packed, 4))


@pytest.mark.parametrize("taken", range(14))
@pytest.mark.parametrize("read_on", [False, True])
def test_a_saved_state_goes_on_with_the_batches_that_were_left(packed, taken, read_on):
    """Also where the reader asks for as many batches as there are, and not whether there is another."""
    options = {"batch_size": 4, "shuffle": True, "seed": 1}
    loader = PackedLoader(packed, **options)
    expected = [ids.tolist() for epoch in range(4) for ids in loader.batch_indices(epoch)]
    seen, batches = [], iter(loader)
    for i in range(taken):
        if i % 6 == 0 and i > 0:
            assert not read_on or next(batches, None) is None
            batches = iter(loader)
        seen.append(next(batches).number.tolist())
    resumed = PackedLoader(packed, **options)
    resumed.load_state_dict(json.loads(json.dumps(loader.state_dict())))
    assert len(resumed) == 6
    rest = [number for _ in range(4 - taken // 6) for number in numbers(resumed)]
    assert seen + rest == expected


def test_a_state_of_another_loader_is_refused(packed):
    state = PackedLoader(packed, 4, shuffle=True).state_dict()
    message = r"a loader with loader=PackedLoader\(23 graphs, batch_size=4.*set_epoch"
    with pytest.raises(GraphPEValueError, match=message):
        PackedLoader(packed, 5, shuffle=True).load_state_dict(state)
    with pytest.raises(GraphPEValueError, match="a loader with graphs="):
        PackedLoader(packed, 4, shuffle=True, indices=list(reversed(range(23)))).load_state_dict(state)
    for bad in (None, 5):
        with pytest.raises(GraphPETypeError, match="the state must be what state_dict gave, got"):
            PackedLoader(packed, 4).load_state_dict(bad)  # type: ignore[arg-type]
    with pytest.raises(GraphPEValueError, match="a loader with loader=None"):
        PackedLoader(packed, 4).load_state_dict({})
    with pytest.raises(GraphPEValueError, match="step must be from 0"):
        PackedLoader(packed, 4, shuffle=True).load_state_dict(state | {"step": -1})


@contextmanager
def process(rank: int, world_size: int):
    """This process as one of several of `torch.distributed`, the others imagined."""
    torch.distributed.init_process_group("fake", rank=rank, world_size=world_size, store=FakeStore())
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize("world_size", [2, 3, 4, 9])
@pytest.mark.parametrize("options", [{}, {"drop_last": True}, {"max_nodes": 20}], ids=str)
def test_processes_share_the_batches(packed, world_size, options):
    alone = PackedLoader(packed, 4, shuffle=True, seed=1, **options)
    loader = PackedLoader(packed, 4, shuffle=True, seed=1, **options)  # built before there are several processes
    for epoch in range(2):
        shares = []
        for rank in range(world_size):
            with process(rank, world_size):
                loader.set_epoch(epoch)
                length, share = len(loader), numbers(loader)
                assert len(share) == length
                shares.append(share)
        whole = [ids.tolist() for ids in alone.batch_indices(epoch)]
        rounds = len(whole) // world_size if options.get("drop_last") else -(-len(whole) // world_size)
        assert {len(share) for share in shares} == {rounds}
        dealt = [batch for each in zip(*shares, strict=True) for batch in each]
        assert dealt == [whole[i % len(whole)] for i in range(rounds * world_size)]


def test_what_is_not_shuffled_goes_to_every_process(packed):
    with process(1, 2):
        assert numbers(PackedLoader(packed, 6)) == [list(range(i, min(i + 6, 23))) for i in (0, 6, 12, 18)]
        assert numbers(PackedLoader(packed, 6, distributed=True)) == [list(range(6, 12)), list(range(18, 23))]
        shuffled = PackedLoader(packed, 6, shuffle=True, distributed=False)
        assert numbers(shuffled) == [ids.tolist() for ids in shuffled.batch_indices(0)]
        assert numbers(PackedLoader(packed, 6, shuffle=True, indices=[])) == []
        state = PackedLoader(packed, 6, shuffle=True).state_dict()
    with pytest.raises(GraphPEValueError, match="a loader with world_size=2, not 1"):
        PackedLoader(packed, 6, shuffle=True).load_state_dict(state)


@pytest.mark.parametrize("together", [0, 30, 10**6])
def test_an_interrupted_epoch_goes_on_with_equal_batches(packed, monkeypatch, together):
    loader = PackedLoader(packed, 3, shuffle=True, seed=1)
    whole = list(loader.batches(2))
    monkeypatch.setattr(graphpe.graphs.loader, "_NODES_TOGETHER", together)
    for rest, expected in (
        (loader.batches(2, start=4), whole[4:]),
        (loader.batches(2, start=1, stride=3), whole[1::3]),
        (loader.batches(2, start=100), []),
    ):
        for mine, other in itertools.zip_longest(rest, expected):
            assert all(torch.equal(mine[key], other[key]) for key in ("x", "edge_index", "batch", "ptr", "number"))


def test_indices_choose_graphs(packed):
    ids = [20, 3, 3, -1]
    loader = PackedLoader(packed, 2, indices=ids)
    assert [batch.number.tolist() for batch in loader] == [[20, 3], [3, 22]]
    mask = torch.zeros(23, dtype=torch.bool)
    mask[[4, 7]] = True
    assert [batch.number.tolist() for batch in PackedLoader(packed, 2, indices=mask)] == [[4, 7]]
    assert len(PackedLoader(packed, 2, indices=[])) == 0
    assert list(PackedLoader(packed, 2, indices=[], shuffle=True, bucket_by_size=True)) == []


def test_indices_are_the_loaders_own(packed):
    ids = torch.tensor([5, 6])
    loader = PackedLoader(packed, 2, indices=ids)
    ids[0] = 0
    loader.batch_indices(0)[0][1] = 0
    assert loader.batch_indices(0)[0].tolist() == [5, 6]


def test_buckets_pad_less_and_keep_shuffling():
    sizes = np.random.default_rng(0).integers(1, 100, 5000)
    ptr = torch.from_numpy(np.cumsum([0, *sizes]))
    packed = PackedGraphs(torch.zeros(2, 0, dtype=torch.long), ptr, torch.zeros_like(ptr))

    def padding(bucket: bool) -> float:
        batches = PackedLoader(packed, 32, shuffle=True, bucket_by_size=bucket).batch_indices(0)
        return sum(len(batch) * sizes[batch].max() for batch in batches) / sizes.sum()

    assert padding(False) > 1.8
    assert padding(True) < 1.1


def test_buckets_keep_shuffling():
    sizes = np.arange(500)  # all different: sorting them would make the same batches each time
    ptr = torch.from_numpy(np.cumsum([0, *sizes]))
    packed = PackedGraphs(torch.zeros(2, 0, dtype=torch.long), ptr, torch.zeros_like(ptr))
    loader = PackedLoader(packed, 3, shuffle=True, bucket_by_size=True)
    largest = np.array([int(sizes[batch].max()) for batch in loader.batch_indices(0)])
    assert 0.35 < (np.diff(largest) > 0).mean() < 0.65  # batches are in no order of size
    first, second = ({frozenset(batch.tolist()) for batch in loader.batch_indices(epoch)} for epoch in (0, 1))
    assert len(first & second) < 0.2 * len(first)  # and other graphs meet in each epoch


def test_drop_last_does_not_favour_small_graphs():
    sizes = np.arange(35)
    ptr = torch.from_numpy(np.cumsum([0, *sizes]))
    packed = PackedGraphs(torch.zeros(2, 0, dtype=torch.long), ptr, torch.zeros_like(ptr))
    loader = PackedLoader(packed, 16, shuffle=True, drop_last=True, bucket_by_size=True)
    dropped = [set(range(35)) - {i for b in loader.batch_indices(epoch) for i in b.tolist()} for epoch in range(40)]
    assert all(len(each) == 3 for each in dropped)
    assert 12 < np.mean([i for each in dropped for i in each]) < 22  # 17 if any graph is as likely, 33 if the largest


def test_repr(packed):
    assert repr(PackedLoader(packed, 4, shuffle=True, seed=2)) == (
        "PackedLoader(23 graphs, batch_size=4, shuffle=True, seed=2, drop_last=False, max_nodes=None, "
        "max_pairs=None, bucket_by_size=False, distributed=True)"
    )


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"batch_size": 0}, GraphPEValueError, "batch_size must be from 1 to .*, got 0"),
        ({"batch_size": 2.0}, GraphPETypeError, "batch_size must be an integer, got 2.0"),
        ({"batch_size": True}, GraphPETypeError, "batch_size must be an integer, got True"),
        ({"max_pairs": 0}, GraphPEValueError, "max_pairs must be from 1 to .*, got 0"),
        ({"max_nodes": 5, "drop_last": True}, GraphPEValueError, "drop_last has no meaning with max_nodes"),
        ({"seed": -1}, GraphPEValueError, "seed must be from 0"),
        ({"seed": None}, GraphPETypeError, "seed must be an integer"),
        ({"indices": [23]}, GraphPEValueError, "no graph 23"),
        ({"indices": torch.ones(5, dtype=torch.bool)}, GraphPEValueError, "mask over 23 graphs"),
        ({"batch_size": 2**70}, GraphPEValueError, "batch_size must be from 1 to"),
        ({"transform": 5}, GraphPETypeError, "transform must be a function of PackedGraphs, got 5"),
        ({"device": "nope"}, GraphPEValueError, "device must be one of torch, such as 'cpu' or 'cuda:0', got 'nope'"),
        ({"device": 3.5}, GraphPEValueError, "device must be one of torch, .* got 3.5"),
        ({"distributed": 2}, GraphPETypeError, "distributed must be True or False, got 2"),
        ({"graphs": []}, GraphPETypeError, r"must be a PackedGraphs, got list: use PackedGraphs.from_dataset"),
    ],
)
def test_wrong_arguments(packed, arguments, error, message):
    with pytest.raises(error, match=message):
        PackedLoader(**{"graphs": packed, "batch_size": 4} | arguments)


def test_wrong_epoch(packed):
    loader = PackedLoader(packed, 4)
    with pytest.raises(GraphPEValueError, match="epoch must be from 0 on, got -1"):
        loader.set_epoch(-1)
    with pytest.raises(GraphPETypeError, match="epoch"):
        loader.batch_indices(0.5)


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.lists(st.integers(0, 9), max_size=30),
    batch_size=st.integers(1, 8),
    max_nodes=st.none() | st.integers(1, 30),
    max_pairs=st.none() | st.integers(1, 200),
    bucket=st.booleans(),
)
def test_limits_of_nodes_and_pairs(sizes, batch_size, max_nodes, max_pairs, bucket):
    """No batch passes a limit unless it is one graph, none could take the next graph too, and no graph is lost."""
    ptr = torch.from_numpy(np.cumsum([0, *sizes]))
    packed = PackedGraphs(torch.zeros(2, 0, dtype=torch.long), ptr, torch.zeros_like(ptr))
    limits = {"max_nodes": max_nodes, "max_pairs": max_pairs}
    loader = PackedLoader(packed, batch_size, shuffle=not bucket, bucket_by_size=bucket, **limits)
    batches = loader.batch_indices(3)
    assert sorted(i for ids in batches for i in ids.tolist()) == list(range(len(sizes)))

    def fits(graphs):
        nodes, pairs = sum(graphs), sum(n * n for n in graphs)
        return len(graphs) <= batch_size and nodes <= (max_nodes or nodes) and pairs <= (max_pairs or pairs)

    found = [[sizes[i] for i in ids.tolist()] for ids in batches]
    assert all(fits(batch) or len(batch) == 1 for batch in found)
    assert not any(fits([*batch, following[0]]) for batch, following in itertools.pairwise(found))
    loader.set_epoch(3)
    assert len(loader) == len(batches) == sum(1 for _ in loader)


def test_transform_is_applied_to_each_batch_on_its_device():
    from graphpe import transforms as T

    graphs = PackedGraphs.from_data_list(
        [Data(x=torch.rand(n, 2), edge_index=torch.randint(n, (2, 2 * n))) for n in range(1, 9)]
    )
    encoding = T.DegreePE()
    loader = PackedLoader(graphs, 3, shuffle=True, transform=encoding, device="cpu")
    plain = PackedLoader(graphs, 3, shuffle=True)
    for batch, bare in zip(loader, plain, strict=True):
        assert torch.equal(batch.x, bare.x)
        assert torch.equal(batch.degree_pe, encoding(bare).degree_pe)
    assert "degree_pe" not in graphs.node
    meta = PackedLoader(graphs, 3, device="meta")
    assert all(batch.x.device.type == "meta" for batch in meta)
