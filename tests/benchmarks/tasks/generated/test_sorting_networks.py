from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch

from graphpe.benchmarks.calls.build import build_task
from graphpe.benchmarks.tasks.by_size import load_task
from graphpe.benchmarks.tasks.generated.sorting_generator import Networks, generate_networks, sorting
from graphpe.benchmarks.tasks.generated.sorting_networks import SortingNetworks, network_graphs, samples
from graphpe.errors import GraphPEError

SMALL = {"train": 6, "valid": 4, "test": 5, "train_wires": (3, 5), "valid_wires": (6, 6), "test_wires": (7, 8)}


def operators(networks: Networks, index: int) -> list[tuple[int, int]]:
    rows = slice(networks.ptr[index], networks.ptr[index + 1])
    return list(zip(networks.first[rows].tolist(), networks.second[rows].tolist(), strict=True))


def sorts(pairs: list[tuple[int, int]], wires: int) -> bool:
    """Run the network on every vector of zeros and ones, as it is defined."""
    values = (np.arange(2**wires)[:, None] >> np.arange(wires)) & 1
    for i, j in pairs:
        low, high = np.minimum(values[:, i], values[:, j]), np.maximum(values[:, i], values[:, j])
        values[:, i], values[:, j] = low, high
    return bool((np.diff(values, axis=1) >= 0).all())


def test_generated_networks_sort_and_need_their_last_operator() -> None:
    networks = generate_networks(40, (2, 8), seed=3)
    assert set(networks.wires.tolist()) == set(range(2, 9))
    for index, wires in enumerate(networks.wires.tolist()):
        pairs = operators(networks, index)
        assert all(0 <= i < j < wires for i, j in pairs)
        assert all(a != b for a, b in pairwise(pairs))
        assert sorts(pairs, wires)
        assert not sorts(pairs[:-1], wires)


def test_the_check_of_networks_agrees_with_running_them() -> None:
    rng = np.random.default_rng()
    wires = rng.integers(2, 6, 300)
    lengths = rng.integers(1, 12, 300)
    pairs = [np.sort(rng.permutation(n)[:2]) for n, length in zip(wires, lengths, strict=True) for _ in range(length)]
    first, second = np.array(pairs, dtype=np.int8).T
    networks = Networks(wires, np.concatenate([[0], np.cumsum(lengths)]), first, second)
    forward = [sorts(operators(networks, m), n) for m, n in enumerate(wires.tolist())]
    backward = [sorts(operators(networks, m)[::-1], n) for m, n in enumerate(wires.tolist())]
    assert sorting(networks).tolist() == forward
    assert sorting(networks, reverse=True, workers=2).tolist() == backward
    assert 0 < sum(forward) < 300
    assert forward != backward


def test_published_lengths() -> None:
    networks = generate_networks(300, (7, 7), seed=0)
    assert np.diff(networks.ptr).mean() == pytest.approx(36, abs=1.5)


def test_a_network_depends_on_seed_and_number_only() -> None:
    many, few = generate_networks(450, (3, 6), seed=5, workers=2), generate_networks(3, (3, 6), seed=5)
    for index in range(3):
        assert operators(many, index) == operators(few, index)
    other = generate_networks(3, (3, 6), seed=6)
    assert any(operators(other, index) != operators(few, index) for index in range(3))


def test_graphs_are_the_wiring() -> None:
    networks = generate_networks(20, (3, 6), seed=1)
    graphs = network_graphs(networks, order=True)
    for index, wires in enumerate(networks.wires.tolist()):
        expected = nx.MultiDiGraph()
        last: dict[int, int] = {}
        pairs = operators(networks, index)
        expected.add_nodes_from(range(len(pairs)))
        for place, pair in enumerate(pairs):
            for wire in pair:
                if wire in last:
                    expected.add_edge(last[wire], place)
                last[wire] = place
        data = graphs[index]
        assert sorted(data.edge_index.t().tolist()) == sorted(map(list, expected.edges()))
        assert data.edge_index.shape[1] == 2 * len(pairs) - wires
        assert nx.is_directed_acyclic_graph(nx.DiGraph(expected))
        assert data.x.tolist() == [[*pair, place] for place, pair in enumerate(pairs)]


def test_samples_have_true_labels() -> None:
    networks = generate_networks(25, (2, 4), seed=2)
    everything, labels = samples(networks, sorting(networks, reverse=True))
    assert len(everything) == 75
    assert labels.tolist() == [sorts(operators(everything, m), n) for m, n in enumerate(everything.wires.tolist())]
    assert operators(everything, 50) == operators(networks, 0)[::-1]


def test_the_task(tmp_path: Path) -> None:
    task = SortingNetworks(**SMALL)
    assert build_task(repr(task)) == task
    data = task.load(cache=tmp_path, progress=False)
    again = task.load(cache=tmp_path, progress=False)
    assert again.fingerprint == data.fingerprint
    assert any("taken from" in note for note in again.notes)
    assert {part: len(ids) for part, ids in data.split.items()} == {"train": 12, "valid": 12, "test": 15}
    y = data.graphs.graph["y"].flatten()
    assert float(y[data.split["train"]].double().mean()) == 0.5
    assert int(data.graphs.node["x"].max()) <= 7
    right = torch.nn.functional.one_hot(y, 2).float()[data.split["test"]]
    assert data.evaluate(right, data.split["test"]) == 1
    assert data.evaluate(-right, data.split["test"]) == 0
    assert data.constant_baseline(data.split["train"])[0] == 0.5
    assert task.adapter(data.adapter.state()) == data.adapter
    assert data.adapter.node_encoder(8)(data.graphs.to_batch()).shape == (data.graphs.num_nodes, 8)
    for file in (tmp_path / "sorting-networks").iterdir():
        file.write_bytes(file.read_bytes()[:-3])
    damaged = task.load(cache=tmp_path, progress=False)
    assert damaged.fingerprint == data.fingerprint
    assert any("generated again" in note for note in damaged.notes)
    assert SortingNetworks(**SMALL, seed=7).load(cache=tmp_path, progress=False).fingerprint != data.fingerprint


def test_sizes_are_wires(tmp_path: Path) -> None:
    task = SortingNetworks(**SMALL)
    data = load_task(task, "4 | 5 6-7", cache=tmp_path, progress=False)
    assert {part: len(ids) for part, ids in data.split.items()} == {
        "train": 12, "valid": 12, "test": 15, "5": 15, "6-7": 15
    }  # fmt: skip
    x = data.graphs.node["x"]
    for part, wires in {"train": 4, "valid": 4, "test": 4, "5": 5, "6-7": 7}.items():
        rows = torch.cat([x[data.graphs.ptr[b] : data.graphs.ptr[b + 1]] for b in data.split[part].tolist()])
        assert int(rows.max()) < wires
    assert data.mean_sizes["5"] == 5
    assert 6 <= data.mean_sizes["6-7"] <= 7
    assert task.load(cache=tmp_path, progress=False).mean_sizes == {}
    with pytest.raises(GraphPEError, match="wires must be from 2 to 20"):
        load_task(task, "10 | 11-21", cache=tmp_path, progress=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("train=0", "train must be from 1"),
        ("test_wires=(9, 8)", "test_wires must be from 2 to 20 and in order"),
        ("train_wires=(2, 40)", "train_wires must be from 2 to 20"),
        ("valid_wires=12", "valid_wires must be two integers"),
        ("order=1", "order must be True or False"),
        ("seed=-1", "seed must be from 0"),
    ],
)
def test_bad_arguments(arguments: str, message: str) -> None:
    with pytest.raises(GraphPEError, match=message):
        build_task(f"sorting-networks({arguments})")
