from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.transforms import AddRandomWalkPE

from graphpe import transforms as T
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.pair_blocks import diagonal_rows
from graphpe.transforms.random_walk_pe import RandomWalkPE
from graphpe.transforms.relative_random_walk_pe import RelativeRandomWalkPE
from graphpe.walks import loops


def test_rows_are_queries():
    # Node 0 leads to 1 and 2; both lead back. From 0 a step reaches either with 1/2, and from either it reaches 0.
    star = Data(edge_index=torch.tensor([[0, 0, 1, 2], [1, 2, 0, 0]]), num_nodes=3)
    out = RelativeRandomWalkPE(2)(star)
    assert out.rrwp.dtype == torch.float32
    values = out.rrwp.view(3, 3, 2)
    assert torch.equal(values[:, :, 0], torch.eye(3))
    assert values[0, :, 1].tolist() == [0, 0.5, 0.5]
    assert values[:, 0, 1].tolist() == [0, 1, 1]


def test_weights_and_both_ways(random_graph):
    for seed in range(20):
        data = random_graph(seed, weighted=True)
        n = data.num_nodes
        a = torch.zeros(n, n, dtype=torch.float64).index_put(tuple(data.edge_index), data.edge_weight, accumulate=True)
        a = torch.maximum(a, a.T)
        m = a / a.sum(1, keepdim=True).clamp(min=1e-300)
        expected = torch.stack([torch.linalg.matrix_power(m, k) for k in range(5)], dim=-1)
        actual = RelativeRandomWalkPE(5, undirected=True)(data).rrwp
        torch.testing.assert_close(actual, expected.view(-1, 5).float(), atol=1e-6, rtol=0)


def test_nodes_may_be_numbered_otherwise(random_graph):
    data = random_graph(3, weighted=True)
    n = data.num_nodes
    order = torch.from_numpy(np.random.default_rng(0).permutation(n))
    moved = Data(edge_index=order[data.edge_index], edge_weight=data.edge_weight, num_nodes=n)
    before, after = (RelativeRandomWalkPE(7)(each).rrwp.view(n, n, 7) for each in (data, moved))
    torch.testing.assert_close(after[order][:, order], before, atol=1e-6, rtol=1e-6)


def test_diagonal_is_pygs_encoding(random_graph):
    data = random_graph(8, undirected=True)
    packed = PackedGraphs.from_data(data)
    diagonal = RelativeRandomWalkPE(9)(packed).pair["rrwp"][diagonal_rows(packed)]
    torch.testing.assert_close(diagonal[:, 1:], AddRandomWalkPE(8)(data).random_walk_pe, atol=1e-6, rtol=1e-5)


def test_work_is_shared(random_graph, monkeypatch):
    data = random_graph(5)
    encodings = [
        RelativeRandomWalkPE(4),
        RelativeRandomWalkPE(9, attr_name="long_walks"),
        RandomWalkPE(3),
        RandomWalkPE(8, attr_name="long_returns"),
    ]
    alone = [encoding(data)[encoding.attr_name] for encoding in encodings]
    calls = []
    for name in ("powers", "returns"):
        loop = getattr(loops, name)
        monkeypatch.setattr(loops, name, lambda *args, loop=loop, name=name: (calls.append(name), loop(*args))[1])
    out = T.Compose(encodings)(data)
    assert sorted(calls) == ["powers", "returns"]
    for encoding, expected in zip(encodings, alone, strict=True):
        assert torch.equal(out[encoding.attr_name], expected)


def test_parameters():
    transform = RelativeRandomWalkPE(21, undirected=True)
    assert repr(transform) == "RelativeRandomWalkPE(walk_length=21, undirected=True, attr_name='rrwp')"
    assert transform.columns == 21
    assert (transform.keys, transform.pair_keys) == ([], ["rrwp"])
    with pytest.raises(GraphPEValueError, match="walk_length must be from 1"):
        RelativeRandomWalkPE(0)
    with pytest.raises(GraphPETypeError, match="undirected must be True or False"):
        RelativeRandomWalkPE(3, undirected=1)
    with pytest.raises(GraphPEValueError, match="contains 'index'"):
        RelativeRandomWalkPE(3, attr_name="rrwp_index")
