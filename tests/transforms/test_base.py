from __future__ import annotations

import ast
import copy
import pickle
import re

import numpy as np
import pytest
import torch
from torch_geometric import EdgeIndex
from torch_geometric.data import Batch, Data, InMemoryDataset
from torch_geometric.loader import DataLoader
from torch_geometric.transforms import ToSparseTensor

from graphpe import transforms as T
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.transforms import base


def all_keys(transform) -> list[str]:
    return transform.keys + transform.graph_keys + transform.pair_keys


@pytest.fixture
def graphs(random_graph):
    return [random_graph(seed, weighted=True) for seed in range(40, 52)]


def test_batch_is_the_batch_of_single_graphs(make_transform, graphs):
    whole = make_transform()(Batch.from_data_list(graphs))
    one = make_transform()
    expected = Batch.from_data_list([one(graph) for graph in graphs])
    assert set(whole.keys()) == set(expected.keys())
    for key in expected.keys():
        assert whole[key].dtype == expected[key].dtype
        torch.testing.assert_close(whole[key], expected[key], rtol=1e-6, atol=1e-7)
    for key in all_keys(one):
        assert torch.equal(whole._slice_dict[key], expected._slice_dict[key]), key
        assert torch.equal(whole._inc_dict[key], expected._inc_dict[key]), key


def test_batch_comes_apart_again(make_transform, graphs):
    batch = make_transform()(Batch.from_data_list(graphs))
    one = make_transform()
    for got, graph in zip(batch.to_data_list(), graphs, strict=True):
        expected = one(graph)
        assert set(got.keys()) == set(expected.keys())
        for key in expected.keys():
            torch.testing.assert_close(got[key], expected[key], rtol=1e-6, atol=1e-7)
    rebatched = Batch.from_data_list(batch.to_data_list()[::-1])
    for key in make_transform().graph_keys:
        assert torch.equal(rebatched[key], batch[key].flip(0))


def test_packed_graphs_hold_the_same_values(make_transform, graphs):
    transform = make_transform()
    packed = transform(PackedGraphs.from_data_list(graphs))
    batch = make_transform()(Batch.from_data_list(graphs))
    assert isinstance(packed, PackedGraphs)
    for key in transform.keys:
        assert torch.equal(packed.node[key], batch[key])
    for key in transform.graph_keys:
        assert torch.equal(packed.graph[key], batch[key])
    for key in transform.pair_keys:
        assert torch.equal(packed.pair[key], batch[key])
    assert set(packed.pair) == set(transform.pair_keys)
    assert set(packed.node) == {"x", *transform.keys}
    assert set(packed.graph) == {"y", *transform.graph_keys}


def test_a_list_gives_what_each_graph_gets_alone(make_transform, graphs):
    one = make_transform()
    expected = [one(graph) for graph in graphs]
    before = [set(graph.keys()) for graph in graphs]
    for items in (graphs, tuple(graphs)):
        got = make_transform()(items)
        assert isinstance(got, list)
        assert [set(graph.keys()) for graph in graphs] == before
        for out, graph, single in zip(got, graphs, expected, strict=True):
            assert out is not graph
            assert set(out.keys()) == set(single.keys())
            for key in all_keys(one):
                torch.testing.assert_close(out[key], single[key], rtol=1e-6, atol=1e-7)
                assert out[key].untyped_storage().nbytes() == out[key].nbytes  # not a view of all graphs' values


def test_a_list_is_encoded_in_chunks_in_order(graphs, monkeypatch):
    one = T.LaplacianPE(3)
    expected = [one(graph) for graph in graphs]
    monkeypatch.setattr(base, "CHUNK_GRAPHS", 5)
    monkeypatch.setattr(base, "CHUNK_PAIRS", 3 * max(graph.num_nodes for graph in graphs) ** 2)
    calls = []
    monkeypatch.setattr(
        T.LaplacianPE, "encode", lambda self, plan, do=T.LaplacianPE.encode: calls.append(1) or do(self, plan)
    )
    for out, single in zip(T.LaplacianPE(3)(graphs), expected, strict=True):
        torch.testing.assert_close(out.laplacian_eigenvector_pe, single.laplacian_eigenvector_pe)
    assert 3 <= len(calls) < len(graphs)
    for empty in ([], ()):
        assert T.LaplacianPE(3)(empty) == []
        assert T.EdgePathPE(3, num_types=2)(empty) == []  # which reads values of edges


def test_lists_of_something_else_are_refused(graphs):
    with pytest.raises(GraphPETypeError, match="takes lists of Data, got DataBatch at 1"):
        T.DegreePE()([graphs[0], Batch.from_data_list(graphs)])
    with pytest.raises(GraphPEValueError, match=r"needs edge_index .* graph 1 has \['x'\]"):
        T.DegreePE()([graphs[0], Data(x=torch.zeros(2, 1))])
    with pytest.raises(GraphPETypeError, match="or a list of Data, got generator"):
        T.DegreePE()(graph for graph in graphs)  # which cannot be copied
    with pytest.raises(GraphPETypeError, match="or a list of Data, got generator"):
        T.Compose([T.DegreePE()])(graph for graph in graphs)


def test_shapes_and_types(make_transform, graphs):
    transform = make_transform()
    out = transform(graphs[0])
    n = graphs[0].num_nodes
    assert out.num_nodes == n
    for key in transform.keys:
        assert out[key].shape[0] == n
    for key in transform.pair_keys:
        assert out[key].shape[0] == n * n
    for key in transform.keys + transform.pair_keys:
        assert out[key].dtype in (torch.float32, torch.complex64, torch.int64)
    for key in transform.graph_keys:
        assert out[key].shape[0] == 1
        assert out[key].dtype == (torch.bool if key.endswith("_mask") else torch.float32)
    if not isinstance(transform, T.Compose):
        assert out[transform.attr_name][0].numel() == transform.columns
        if transform.vocabulary is not None:
            values = out[transform.attr_name]
            assert 0 <= values.min()
            assert values.max() < transform.vocabulary


@pytest.mark.parametrize("form", ["data", "batch", "packed"])
def test_input_stays_as_it_is(make_transform, graphs, form):
    given = {
        "data": lambda: graphs[0],
        "batch": lambda: Batch.from_data_list(graphs),
        "packed": lambda: PackedGraphs.from_data_list(graphs),
    }[form]()
    before = copy.deepcopy(given)
    slices, increments = (
        dict(getattr(given, name, {})) for name in ("_slice_dict", "_inc_dict")
    )  # deepcopy shares them
    out = make_transform()(given)
    assert type(out) is type(given)
    if form == "packed":
        assert repr(given) == repr(before)
        assert torch.equal(given.edge_index, before.edge_index)
        assert torch.equal(given.node["x"], before.node["x"])
        return
    assert set(given.keys()) == set(before.keys())
    for key in before.keys():
        assert torch.equal(given[key], before[key])
    if form == "batch":
        assert given._slice_dict.keys() == slices.keys()
        assert given._inc_dict.keys() == increments.keys()
    assert out.x is given.x


def test_repr_is_the_call_that_builds_it(make_transform):
    transform = make_transform()
    text = repr(transform)
    assert "\n" not in text
    again = eval(text, {name: getattr(T, name) for name in T.__all__})
    assert repr(again) == text
    if not isinstance(transform, T.Compose):
        call = ast.parse(text, mode="eval").body
        for keyword in call.keywords:
            ast.literal_eval(keyword.value)


def test_repr_shows_every_parameter():
    assert repr(T.LaplacianPE(8)) == (
        "LaplacianPE(k=8, normalization='sym', sign='random', scaling='L2', drop_zero_modes=True, certificate=False, "
        "seed=0, attr_name='laplacian_eigenvector_pe')"
    )
    assert repr(T.MagneticLaplacianPE(np.int64(3), q=1)) == (
        "MagneticLaplacianPE(k=3, q=1.0, relative_q=True, potentials=1, normalization='sym', phases='pairs', "
        "sign='random', certificate=False, seed=0, attr_name='magnetic_eigenvector_pe')"
    )
    assert repr(T.RandomWalkPE(16)) == (
        "RandomWalkPE(walk_length=16, undirected=False, estimate=None, seed=0, attr_name='random_walk_pe')"
    )


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_copies_continue_where_the_original_is(make_transform, graphs, duplicate):
    transform = make_transform()
    transform(graphs[0])
    twin = duplicate(transform)
    assert repr(twin) == repr(transform)
    mine, theirs = transform(graphs[1]), twin(graphs[1])
    for key in all_keys(transform):
        assert torch.equal(mine[key], theirs[key])


def test_global_generators_are_left_alone(make_transform, graphs):
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    make_transform()(Batch.from_data_list(graphs))
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002


class Tiny(InMemoryDataset):
    """Three graphs on disk."""

    def __init__(self, root, graphs, transform=None, pre_transform=None):
        self.graphs = graphs
        super().__init__(root, transform, pre_transform)
        self.load(self.processed_paths[0])

    @property
    def processed_file_names(self):
        return ["data.pt"]

    def process(self):
        done = [graph if self.pre_transform is None else self.pre_transform(graph) for graph in self.graphs]
        self.save(done, self.processed_paths[0])


def test_in_memory_dataset(make_transform, graphs, tmp_path):
    stored = Tiny(tmp_path / "a", graphs, pre_transform=make_transform())
    live = Tiny(tmp_path / "b", graphs, transform=make_transform())
    one = make_transform()
    for kept, fresh, graph in zip(stored, live, graphs, strict=True):
        expected = one(graph)
        for key in all_keys(one):
            assert torch.equal(kept[key], expected[key])
            assert torch.equal(fresh[key], expected[key])
    batch = next(iter(DataLoader(stored, batch_size=5)))
    for key in one.keys:
        assert batch[key].shape[0] == batch.num_nodes
    for key in one.graph_keys:
        assert batch[key].shape[0] == 5
    for key in one.pair_keys:
        assert batch[key].shape[0] == sum(int(n) ** 2 for n in batch.ptr.diff())


@pytest.mark.parametrize("num_workers", [0, 2])
def test_signs_differ_between_epochs_and_workers(tmp_path, num_workers):
    # One graph many times, so that only the signs can differ.
    path = Data(x=torch.zeros(5, 1), edge_index=torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]]))
    dataset = Tiny(tmp_path, [path] * 8, transform=T.LaplacianPE(4))
    torch.manual_seed(4)
    loader = DataLoader(dataset, batch_size=4, num_workers=num_workers)
    epochs = [torch.cat([batch.laplacian_eigenvector_pe for batch in loader]) for _ in range(2)]
    assert not torch.equal(epochs[0], epochs[1])
    for epoch in epochs:
        first, second = epoch.view(2, 4, 5, 4)  # the two batches, which are of two workers
        assert not torch.equal(first, second)
        torch.testing.assert_close(first.abs(), second.abs())
    torch.manual_seed(4)
    again = DataLoader(dataset, batch_size=4, num_workers=num_workers)
    if num_workers:  # the workers' seeds come from torch's
        assert torch.equal(torch.cat([batch.laplacian_eigenvector_pe for batch in again]), epochs[0])


@pytest.mark.parametrize("make", [lambda **kw: T.LaplacianPE(4, **kw), lambda **kw: T.MagneticLaplacianPE(4, **kw)])
def test_seeds(make, graphs):
    def run(transform):
        return torch.cat([transform(graph)[transform.attr_name] for graph in graphs])

    assert torch.equal(run(make(seed=3)), run(make(seed=3)))
    assert not torch.equal(run(make(seed=3)), run(make(seed=4)))
    transform = make(seed=3)
    assert not torch.equal(run(transform), run(transform))
    fixed = make(seed=3, sign="canonical")
    assert torch.equal(run(fixed), run(fixed))


@pytest.mark.parametrize("make", [lambda **kw: T.LaplacianPE(2, **kw), lambda **kw: T.MagneticLaplacianPE(2, **kw)])
def test_names(make, graphs):
    transform = make(attr_name="mine")
    assert (transform.keys, transform.graph_keys) == (["mine"], ["mine_eigenvalues", "mine_mask"])
    assert (transform.eigenvalues_name, transform.mask_name) == ("mine_eigenvalues", "mine_mask")
    out = transform(graphs[0])
    assert out.mine.shape[1] == out.mine_eigenvalues.shape[1] == out.mine_mask.shape[1] == 2


def test_default_names():
    transform = T.LaplacianPE(2)
    assert transform.keys == ["laplacian_eigenvector_pe"]
    assert transform.graph_keys == ["laplacian_eigenvalues", "laplacian_mask"]
    transform = T.MagneticLaplacianPE(2)
    assert transform.keys == ["magnetic_eigenvector_pe"]
    assert transform.graph_keys == ["magnetic_eigenvalues", "magnetic_mask"]
    assert (T.RandomWalkPE(2).keys, T.RandomWalkPE(2).graph_keys) == (["random_walk_pe"], [])


def test_batch_without_slices(make_transform, graphs):
    # Some code builds a Batch by hand; it cannot come apart, but it can be encoded.
    full = Batch.from_data_list(graphs)
    bare = Batch(batch=full.batch, edge_index=full.edge_index, edge_weight=full.edge_weight, x=full.x)
    out, expected = make_transform()(bare), make_transform()(full)
    for key in all_keys(make_transform()):
        assert torch.equal(out[key], expected[key])


def test_batch_with_edges_out_of_order(make_transform, graphs):
    batch = Batch.from_data_list(graphs)
    expected = make_transform()(batch)
    order = torch.randperm(batch.num_edges)
    batch.edge_index, batch.edge_weight = batch.edge_index[:, order], batch.edge_weight[order]
    out = make_transform()(batch)
    assert torch.equal(out.edge_index, batch.edge_index)
    for key in all_keys(make_transform()):
        torch.testing.assert_close(out[key], expected[key], rtol=1e-5, atol=1e-6)


def test_wrong_inputs(make_transform):
    transform = make_transform()
    with pytest.raises(GraphPEValueError, match=r"needs edge_index \[2, num_edges\]; this graph has \['x'\]"):
        transform(Data(x=torch.zeros(3, 1)))
    with pytest.raises(GraphPEValueError, match="edge_weight holds -1"):
        transform(Data(edge_index=torch.tensor([[0], [1]]), edge_weight=torch.tensor([-1.0]), num_nodes=2))
    pair = torch.tensor([[0], [1]])
    weighted = [Data(edge_index=pair, edge_weight=torch.tensor([w]), num_nodes=2) for w in (1.0, 1.0, -1.0)]
    with pytest.raises(GraphPEValueError, match=r"^graph 2: edge_weight holds -1.0 at edge 0: "):
        transform(weighted)
    with pytest.raises(GraphPEValueError, match=r"in graph 0 but not in graph 1: give every graph weights"):
        transform([weighted[0], Data(edge_index=pair, num_nodes=2)])
    with pytest.raises(GraphPEValueError, match="edge_index holds node 5"):
        transform(Data(edge_index=torch.tensor([[0], [5]]), num_nodes=2))
    if not isinstance(transform, T.Compose):
        with pytest.raises(GraphPETypeError, match="takes a Data, a Batch, a PackedGraphs or a list of Data, got str"):
            transform("graph")


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize("weighted", [False, True])
def test_edges_in_another_form(make_transform, random_graph, weighted):
    graphs = [random_graph(seed, undirected=seed % 2 == 0) for seed in range(60, 66)]
    for graph in graphs:  # a matrix holds no parallel edges
        edges = graph.edge_index.unique(dim=1).flip(1).contiguous()
        graph.edge_index = edges
        graph.edge_attr = torch.zeros(edges.shape[1], 1)
        if weighted:
            graph.edge_weight = 0.5 + (edges[0] * 7 % 11 + edges[1]).double()
    expected = make_transform()(graphs)
    layouts = [torch.sparse_csr, torch.sparse_coo]
    forms = [
        [ToSparseTensor(attr="edge_weight", layout=layouts[i % 2])(graph.clone()) for i, graph in enumerate(graphs)],
        [graph.clone() for graph in graphs],
    ]
    for graph in forms[1]:
        graph.edge_index = EdgeIndex(graph.edge_index, sparse_size=(graph.num_nodes, graph.num_nodes))
    assert all("edge_index" not in graph for graph in forms[0])
    same = [form[0].to_dict() for form in forms]
    for form in forms:
        listed, one = make_transform()(form), make_transform()
        alone = [one(graph) for graph in form]
        for got in (listed, alone, make_transform()(PackedGraphs.from_data_list(form)).to_data_list()):
            for graph, other in zip(got, expected, strict=True):
                for key in all_keys(one):
                    torch.testing.assert_close(graph[key], other[key], rtol=1e-5, atol=1e-6)
    assert [form[0].to_dict().keys() for form in forms] == [content.keys() for content in same]
    csr = [ToSparseTensor(attr="edge_weight", layout=torch.sparse_csr)(graph.clone()) for graph in graphs]
    batch = make_transform()(Batch.from_data_list(csr))
    for key in all_keys(one):
        whole = torch.cat([graph[key] for graph in expected])
        torch.testing.assert_close(batch[key], whole, rtol=1e-5, atol=1e-6)


def test_an_adjacency_that_is_none():
    with pytest.raises(GraphPETypeError, match="adj_t must be a sparse matrix, got Tensor: give edges as edge_index"):
        T.DegreePE()(Data(x=torch.zeros(3, 1), adj_t=torch.eye(3)))
    only = Data(adj_t=torch.eye(3).to_sparse_csr())
    assert T.DegreePE()(only).degree_pe.tolist() == [[1, 1]] * 3


COUNTS = [
    lambda k: T.LaplacianPE(k),
    lambda k: T.MagneticLaplacianPE(k),
    lambda k: T.RandomWalkPE(k),
    lambda k: T.SVDPE(k),
    lambda k: T.SpectralCoordinates(k),
    lambda k: T.WeisfeilerLehmanPE(k),
]


@pytest.mark.parametrize("build", COUNTS)
def test_number_of_columns(build):
    for value in (0, -3, 4097, 10**30):
        with pytest.raises(GraphPEValueError, match=rf"must be from 1 to 4096, got {value}"):
            build(value)
    for value in (True, 2.0, "8", None, np.float64(3)):
        with pytest.raises(GraphPETypeError, match="must be an integer, got"):
            build(value)
    assert "=7, " in repr(build(np.int32(7)))


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (
            lambda: T.LaplacianPE(2, normalization="none"),
            GraphPEValueError,
            "normalization must be one of 'comb', 'sym'",
        ),
        (lambda: T.LaplacianPE(2, sign="flip"), GraphPEValueError, "sign must be one of 'random', 'canonical', 'none'"),
        (lambda: T.LaplacianPE(2, seed=-1), GraphPEValueError, "seed must be from 0"),
        (lambda: T.LaplacianPE(2, seed=None), GraphPETypeError, "seed must be an integer, got None"),
        (lambda: T.LaplacianPE(2, drop_zero_modes=1), GraphPETypeError, "drop_zero_modes must be True or False, got 1"),
        (lambda: T.LaplacianPE(2, attr_name=3), GraphPETypeError, "attr_name must be a string, got 3"),
        (lambda: T.LaplacianPE(2, attr_name="edge_pe"), GraphPEValueError, "'edge_pe' contains 'edge'"),
        (lambda: T.LaplacianPE(2, attr_name="index_pe"), GraphPEValueError, "'index_pe' contains 'index'"),
        (lambda: T.LaplacianPE(2, attr_name="pos"), GraphPEValueError, "attr_name 'pos' is not a free name"),
        (lambda: T.LaplacianPE(2, attr_name="two words"), GraphPEValueError, "'two words' is not a free name"),
        (lambda: T.MagneticLaplacianPE(2, q=float("nan")), GraphPEValueError, "q must be finite, got nan"),
        (lambda: T.MagneticLaplacianPE(2, q="0.1"), GraphPETypeError, "q must be a number of turns such as 0.1"),
        (lambda: T.MagneticLaplacianPE(2, q=True), GraphPETypeError, "q must be a number of turns"),
        (lambda: T.MagneticLaplacianPE(2, relative_q="no"), GraphPETypeError, "relative_q must be True or False"),
        (lambda: T.MagneticLaplacianPE(2, normalization="L"), GraphPEValueError, "normalization must be one of"),
        (lambda: T.MagneticLaplacianPE(2, sign=None), GraphPEValueError, "sign must be one of"),
        (lambda: T.RandomWalkPE(2, undirected=None), GraphPETypeError, "undirected must be True or False, got None"),
        (lambda: T.LaplacianPE(2, scaling="L3"), GraphPEValueError, "scaling must be one of 'L2', 'L1', 'abs-max'"),
        (lambda: T.MagneticLaplacianPE(2, potentials=0), GraphPEValueError, "potentials must be from 1 to 4096, got 0"),
        (lambda: T.SVDPE(2, sign="flip"), GraphPEValueError, "sign must be one of"),
        (
            lambda: T.SpectralCoordinates(2, scale="L2"),
            GraphPEValueError,
            "scale must be one of 'resistance', 'commute'",
        ),
        (lambda: T.WeisfeilerLehmanPE(2, num_colours=1), GraphPEValueError, r"num_colours must be from 2 to 2\^31"),
        (lambda: T.CyclePE(2), GraphPEValueError, "max_length must be from 3 to 4096, got 2"),
        (lambda: T.CyclePE(5, kind="paths"), GraphPEValueError, "kind must be one of 'cycles', 'walks', got 'paths'"),
        (lambda: T.RandomWalkPE(2, attr_name="ptr"), GraphPEValueError, "'ptr' is not a free name"),
    ],
)
def test_parameters_are_checked_when_built(build, error, message):
    with pytest.raises(error, match=message):
        build()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_device_is_kept(make_transform, graphs):
    batch = Batch.from_data_list(graphs).to("cuda")
    out, expected = make_transform()(batch), make_transform()(Batch.from_data_list(graphs))
    for key in make_transform().keys + make_transform().graph_keys:
        assert out[key].device.type == "cuda"
        if key not in make_transform().keys or "walk" in key:  # vectors are free within eigenspaces
            torch.testing.assert_close(out[key].cpu(), expected[key], rtol=1e-5, atol=1e-5)
    assert len(out.to_data_list()) == len(graphs)


def test_names_that_mean_something_to_pyg_are_refused(make_transform):
    transform = make_transform()
    if isinstance(transform, T.Compose):
        transform = transform.transforms[0]
    text = repr(transform)
    for name, said in (("y", "'y' is not a free name"), ("a batch", "'a batch' contains 'batch'")):
        with pytest.raises(GraphPEValueError, match=said):
            eval(re.sub(r"attr_name='[^']*'", f"attr_name={name!r}", text), vars(T) | {"array": np.array})
