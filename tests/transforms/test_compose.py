from __future__ import annotations

import pickle

import pytest
import torch
import torch_geometric.transforms as pyg
from torch_geometric.data import Batch

from graphpe import transforms as T
from graphpe.distances import shortest_paths as distances
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.spectra import laplacian_eigenpairs as spectral
from graphpe.spectra import resistance
from graphpe.structure import adjacency
from graphpe.structure import reachability as order
from graphpe.walks import loops


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


NODE_ENCODINGS = [
    lambda: T.LaplacianPE(3),
    lambda: T.LaplacianPE(6, normalization="rw", attr_name="rw_pe"),
    lambda: T.LaplacianPE(4, normalization="comb", attr_name="comb_pe"),
    lambda: T.SpectralCoordinates(2),
    lambda: T.MagneticLaplacianPE(3),
    lambda: T.MagneticLaplacianPE(5, sign="none", attr_name="more_pe"),
    lambda: T.HeatKernelPE([0.5]),
    lambda: T.HeatKernelPE([1.0, 2.0], normalization="rw", attr_name="rw_heat"),
    lambda: T.DiffusionPE(4),
    lambda: T.ElectrostaticPE(),
    lambda: T.RandomWalkPE(5),
    lambda: T.RandomWalkPE(9, attr_name="longer"),
    lambda: T.DirectedRandomWalkPE(2),
    lambda: T.DegreePE(),
    lambda: T.DepthPE(),
    lambda: T.DepthPE(path="shortest", attr_name="short"),
]
PAIR_ENCODINGS = [
    lambda: T.RelativeRandomWalkPE(4),
    lambda: T.RelativeRandomWalkPE(7, attr_name="longer_rrwp"),
    lambda: T.DirectedRandomWalkPE(3, level="pair", attr_name="directed"),
    lambda: T.ShortestPathPE(),
    lambda: T.ShortestPathPE(2, attr_name="near"),
    lambda: T.ResistancePE(),
    lambda: T.CommuteTimePE(),
    lambda: T.DiffusionPE(level="pair", attr_name="kernel"),
    lambda: T.ReachabilityPE(),
]


@pytest.mark.parametrize("form", ["batch", "packed"])
def test_shared_work_gives_what_each_alone_gives(form, random_graph):
    graphs = [random_graph(seed, weighted=True) for seed in range(60, 72)]
    given = Batch.from_data_list(graphs) if form == "batch" else PackedGraphs.from_data_list(graphs)
    makes = NODE_ENCODINGS + PAIR_ENCODINGS
    together = T.Compose([make() for make in makes])(given)
    for make in makes:
        alone = make()
        expected = alone(given)
        for level, keys in (("node", alone.keys), ("graph", alone.graph_keys), ("pair", alone.pair_keys)):
            for key in keys:
                ours, other = (
                    (together[key], expected[key])
                    if form == "batch"
                    else (getattr(together, level)[key], getattr(expected, level)[key])
                )
                if key == getattr(alone, "attr_name", None) and hasattr(alone, "sign"):
                    # Another decomposition may turn eigenvectors: what counts is the sum over each eigenspace, of which
                    # weights drawn at random leave single columns, up to a sign or phase.
                    ours, other = ours.abs(), other.abs()
                torch.testing.assert_close(
                    ours, other, atol=2e-4, rtol=1e-3, msg=lambda text, key=key: f"{key}: {text}"
                )


def count_calls(monkeypatch, module, name) -> list:
    calls: list = []
    real = getattr(module, name)
    monkeypatch.setattr(module, name, lambda *a, **kw: calls.append(1) or real(*a, **kw))
    return calls


def test_each_decomposition_is_made_once(random_graph, monkeypatch):
    packed = PackedGraphs.from_data_list([random_graph(seed) for seed in range(8)])
    lowest = count_calls(monkeypatch, spectral, "lowest_eigenpairs")
    whole = count_calls(monkeypatch, spectral, "all_eigenpairs")
    adjacencies = count_calls(monkeypatch, adjacency, "structure_of")

    T.Compose([make() for make in NODE_ENCODINGS[:3]])(packed)
    assert (len(lowest), len(whole)) == (2, 0)  # sym, which serves rw, and comb
    lowest.clear()
    T.Compose([T.LaplacianPE(3), T.HeatKernelPE([1.0], level="pair"), T.DiffusionPE(2)])(packed)
    assert (len(lowest), len(whole)) == (0, 1)  # all of the spectrum serves those who want some of it
    whole.clear()
    T.Compose([T.LaplacianPE(3, normalization="comb"), T.SpectralCoordinates(5)])(packed)
    assert (len(lowest), len(whole)) == (1, 0)
    lowest.clear()
    adjacencies.clear()
    T.Compose([make() for make in NODE_ENCODINGS + PAIR_ENCODINGS])(packed)
    assert len(whole) == 1  # sym, in full for the kernel of pairs
    assert len(lowest) == 2  # comb, and the Magnetic Laplacian of the frustrated graphs, for both that ask for it
    assert len(adjacencies) == 1


def test_walks_distances_and_resistances_are_computed_once(random_graph, monkeypatch):
    packed = PackedGraphs.from_data_list([random_graph(seed) for seed in range(8)])
    powers = count_calls(monkeypatch, loops, "powers")
    returns = count_calls(monkeypatch, loops, "returns")
    searches = count_calls(monkeypatch, distances, "_hops")
    eliminations = count_calls(monkeypatch, resistance, "_resistances")
    components = count_calls(monkeypatch, order, "_tarjan")
    T.Compose([make() for make in NODE_ENCODINGS + PAIR_ENCODINGS])(packed)
    assert len(powers) == 2  # forward, which RRWP shares with the directed walks, and reverse
    assert [len(each) for each in (searches, eliminations, components)] == [1, 1, 1]
    assert len(returns) == 1  # along the edges; the heat kernels take theirs from the spectrum, which is there
    undirected = PackedGraphs.from_data_list([random_graph(seed, undirected=True) for seed in range(8)])
    returns.clear()
    T.Compose([T.RandomWalkPE(5), T.HeatKernelPE([0.5]), T.RandomWalkPE(9, attr_name="longer")])(undirected)
    assert len(returns) == 1


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
