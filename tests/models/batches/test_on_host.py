from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch

from graphpe.benchmarks.measure.pretend.accelerator import pretending, to_host
from graphpe.benchmarks.measure.pretend.tensors import DEVICE
from graphpe.graphs.loader import PackedLoader
from graphpe.graphs.packed import PackedGraphs
from graphpe.models.batches.on_host import count_joined, joined_pairs, structure_on_host


def random_graphs(sizes: list[int], seed: int) -> PackedGraphs:
    rng = np.random.default_rng(seed)
    ptr = np.concatenate([[0], np.cumsum(sizes)])
    parts = [rng.integers(0, n, (2, 3 * n)) + ptr[g] for g, n in enumerate(sizes)]
    edges = torch.from_numpy(np.concatenate(parts, axis=1))
    return PackedGraphs(edges, torch.from_numpy(ptr), torch.from_numpy(3 * ptr))


def test_pairs_are_counted_once_each() -> None:
    for seed, sizes in enumerate([[4, 0, 1, 7, 3], [0], [2], [1, 1, 1], [20]]):
        graphs = random_graphs(sizes, seed)
        pairs = set(map(tuple, graphs.edge_index.T.tolist()))
        assert count_joined(graphs.edge_index.numpy(), sum(sizes)) == (len(pairs), sum(a == b for a, b in pairs))


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("batch_size", [2, 30])  # views of one selection, and selections of their own
def test_batches_on_a_device_tell_their_structure(there: bool, batch_size: int) -> None:
    graphs = random_graphs([4, 0, 1, 7, 3, 5, 2], 0)
    with pretending():
        source = graphs.to(DEVICE) if there else graphs
        batches = list(PackedLoader(source, batch_size, shuffle=True, device=DEVICE))
    for batch in batches:
        known = structure_on_host(batch)
        assert known is not None
        assert known.device.type == "cpu"
        assert torch.equal(known.edge_index, to_host(batch.edge_index))
        assert torch.equal(known.ptr, to_host(batch.ptr))
        pairs = set(map(tuple, known.edge_index.T.tolist()))
        assert joined_pairs(batch) == (len(pairs), sum(a == b for a, b in pairs))


def _put_others(batch: Batch) -> None:
    batch.edge_index = batch.edge_index.flip(0)


def _write(batch: Batch) -> None:
    batch.edge_index[:, 0].fill_(1)


@pytest.mark.parametrize("change", [_put_others, _write])
def test_a_batch_with_other_edges_tells_nothing(change: object) -> None:
    assert callable(change)
    with pretending():
        (batch,) = PackedLoader(random_graphs([4, 3], 0), 2, device=DEVICE)
        assert structure_on_host(batch) is not None
        change(batch)
        assert structure_on_host(batch) is None
    assert structure_on_host(random_graphs([4, 3], 0).to_batch()) is None  # on the CPU nothing is to be told
