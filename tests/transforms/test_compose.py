from __future__ import annotations

import pickle

import pytest
import torch
import torch_geometric.transforms as pyg
from torch_geometric.data import Batch

from graphpe import transforms as T
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.packed import PackedGraphs


def encodings() -> list:
    return [T.LaplacianPE(3), T.MagneticLaplacianPE(2), T.RandomWalkPE(4)]


@pytest.mark.parametrize("form", [lambda g: g[0], Batch.from_data_list])
@pytest.mark.parametrize(
    "make",
    [
        encodings,
        lambda: [pyg.ToUndirected(), *encodings()],
        lambda: [T.LaplacianPE(3), pyg.AddSelfLoops(), T.RandomWalkPE(4), pyg.Constant(), T.MagneticLaplacianPE(2)],
        lambda: [T.Compose([T.LaplacianPE(3), T.RandomWalkPE(4)]), pyg.ToUndirected(), T.MagneticLaplacianPE(2)],
        lambda: [],
    ],
)
def test_result_is_that_of_pyg(form, make, random_graph):
    graphs = [random_graph(seed, undirected=True) for seed in range(20, 26)]
    for graph in graphs:
        del graph.edge_attr
    given = form(graphs)
    keys = set(given.keys())
    ours, theirs = T.Compose(make())(given), pyg.Compose(make())(given)
    assert set(given.keys()) == keys
    assert set(ours.keys()) == set(theirs.keys())
    for key in theirs.keys():
        assert torch.equal(ours[key], theirs[key]), key
    if isinstance(given, Batch):
        for key in (key for transform in encodings() for key in transform.keys + transform.graph_keys if key in ours):
            assert torch.equal(ours._slice_dict[key], theirs._slice_dict[key])


def test_lists_of_graphs(random_graph):
    graphs = [random_graph(seed) for seed in (1, 2)]
    ours, theirs = T.Compose(encodings())(graphs), pyg.Compose(encodings())(graphs)
    for mine, other in zip(ours, theirs, strict=True):
        assert torch.equal(mine.laplacian_eigenvector_pe, other.laplacian_eigenvector_pe)


def test_graph_is_read_once(random_graph, monkeypatch):
    read = []
    real = PackedGraphs.from_data
    monkeypatch.setattr(PackedGraphs, "from_data", lambda *a, **kw: read.append(1) or real(*a, **kw))
    T.Compose(encodings())(Batch.from_data_list([random_graph(1), random_graph(2)]))
    assert len(read) == 1


def test_encodings_see_what_transforms_before_them_made(random_graph):
    graph = random_graph(9)
    del graph.edge_attr
    reversed_then = T.Compose([T.RandomWalkPE(3), pyg.ToUndirected(), T.RandomWalkPE(3, attr_name="after")])
    out = reversed_then(graph)
    undirected = T.RandomWalkPE(3, undirected=True)(graph).random_walk_pe
    torch.testing.assert_close(out.after, undirected)
    assert not torch.equal(out.random_walk_pe, undirected)


def test_keys_and_nesting():
    transform = T.Compose([T.Compose([T.LaplacianPE(3)]), pyg.ToUndirected(), T.RandomWalkPE(4)])
    assert transform.keys == ["laplacian_eigenvector_pe", "random_walk_pe"]
    assert transform.graph_keys == ["laplacian_eigenvalues", "laplacian_mask"]
    assert repr(transform) == f"Compose([Compose([{T.LaplacianPE(3)!r}]), ToUndirected(), {T.RandomWalkPE(4)!r}])"
    assert repr(pickle.loads(pickle.dumps(transform))) == repr(transform)


def test_packed_graphs(random_graph):
    packed = PackedGraphs.from_data_list([random_graph(seed) for seed in range(5)])
    out = T.Compose([T.LaplacianPE(3), T.Compose([T.RandomWalkPE(4)])])(packed)
    assert torch.equal(out.node["laplacian_eigenvector_pe"], T.LaplacianPE(3)(packed).node["laplacian_eigenvector_pe"])
    assert torch.equal(out.node["random_walk_pe"], T.RandomWalkPE(4)(packed).node["random_walk_pe"])
    with pytest.raises(GraphPETypeError, match=r"ToUndirected\(\) takes no PackedGraphs"):
        T.Compose([pyg.ToUndirected()])(packed)


def test_same_key_twice():
    for second in (T.LaplacianPE(3, normalization="comb"), T.RandomWalkPE(2, attr_name="laplacian_mask")):
        with pytest.raises(GraphPEValueError, match="both write 'laplacian_"):
            T.Compose([T.LaplacianPE(3), second])
    nested = T.Compose([T.RandomWalkPE(2)])
    with pytest.raises(GraphPEValueError, match="both write 'random_walk_pe': give one of them another attr_name"):
        T.Compose([nested, T.RandomWalkPE(3)])
    T.Compose([T.LaplacianPE(3), T.LaplacianPE(3, normalization="comb", attr_name="comb_pe")])


def test_wrong_lists():
    with pytest.raises(GraphPETypeError, match="takes a list of transforms, got LaplacianPE"):
        T.Compose(T.LaplacianPE(3))
    with pytest.raises(GraphPETypeError, match="got 'LaplacianPE' among them"):
        T.Compose(["LaplacianPE"])
    with pytest.raises(GraphPETypeError, match="takes a list of transforms, got 'LaplacianPE'"):
        T.Compose("LaplacianPE")
