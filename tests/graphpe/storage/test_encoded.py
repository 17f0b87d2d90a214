from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.data import Data, Dataset
from torch_geometric.loader import DataLoader

import graphpe
from graphpe import transforms as T
from graphpe.errors import GraphPERuntimeError
from graphpe.graphs.packed import PackedGraphs

TRANSFORM = T.Compose([T.LaplacianPE(3, sign="canonical"), T.RandomWalkPE(4)])


@pytest.fixture(scope="module")
def data(make_graphs) -> list[Data]:
    sizes = np.random.default_rng(1).integers(0, 9, 30).tolist()
    graphs = make_graphs([5, 0, 1, *sizes], seed=6, weights=True)
    for i, graph in enumerate(graphs):
        graph.name = f"Gräph {i} 图 🧪"
    return graphs


@pytest.fixture(scope="module")
def root(data: list[Data], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("encoded") / "root"
    graphpe.precompute(data, TRANSFORM, root, shard_graphs=8, progress=False)
    return root


@pytest.fixture
def dataset(root: Path) -> graphpe.EncodedDataset:
    return graphpe.EncodedDataset(root)


def test_every_graph_is_the_original_with_the_encoding(dataset, data: list[Data], assert_same_data) -> None:
    assert len(dataset) == len(data)
    expected = TRANSFORM(PackedGraphs.from_data_list(data)).to_data_list()
    for i, graph in enumerate(expected):
        assert set(dataset[i].keys()) == set(graph.keys())
        for key in data[i].keys():
            if torch.is_tensor(data[i][key]):
                assert torch.equal(dataset[i][key], data[i][key])
            else:
                assert dataset[i][key] == data[i][key]
        assert dataset[i].name == f"Gräph {i} 图 🧪"
        for key in TRANSFORM.keys + TRANSFORM.graph_keys:
            torch.testing.assert_close(dataset[i][key], graph[key])
    assert_same_data(dataset[-1], dataset[len(data) - 1])
    with pytest.raises(IndexError):
        dataset[len(data)]


def test_it_is_a_pyg_dataset(dataset) -> None:
    assert isinstance(dataset, Dataset)
    assert dataset.num_node_features == 3
    assert [graph.num_nodes for graph in dataset] == dataset.packed.sizes.tolist()
    assert dataset.encodings == repr(TRANSFORM)
    assert repr(dataset) == f"EncodedDataset({len(dataset)}, encodings={repr(TRANSFORM)!r})"


@pytest.mark.parametrize(
    "index",
    [slice(3, 9), slice(None, None, -2), [4, 4, -1], torch.tensor([7, 0]), np.array([2, 3]), torch.arange(33) % 2 == 0],
    ids=["slice", "backwards", "repeats", "tensor", "array", "mask"],
)
def test_a_subset(dataset, index, assert_same_data) -> None:
    numbers = torch.arange(len(dataset)).numpy()[index.numpy() if torch.is_tensor(index) else index].tolist()
    subset = dataset[index]
    assert isinstance(subset, graphpe.EncodedDataset)
    assert len(subset) == len(subset.packed) == len(numbers)
    for i, number in enumerate(numbers):
        assert_same_data(subset[i], dataset[number])
        assert_same_data(subset.packed[i], dataset[number])
    assert [graph.name for graph in subset] == [dataset[number].name for number in numbers]
    assert len(dataset[torch.zeros(len(dataset), dtype=torch.bool)].packed) == 0


@pytest.mark.parametrize("workers", [0, 2])
def test_in_a_data_loader(dataset, workers: int) -> None:
    seen: list[str] = []
    for batch in DataLoader(dataset, batch_size=10, num_workers=workers):
        assert batch.laplacian_eigenvector_pe.shape == (batch.num_nodes, 3)
        seen += batch.name
    assert seen == dataset.packed.objects["name"][:]


def test_in_a_packed_loader(dataset, data: list[Data]) -> None:
    loader = graphpe.PackedLoader(dataset.packed, batch_size=10, shuffle=True)
    seen = [name for batch in loader for name in batch.name]
    assert sorted(seen) == sorted(graph.name for graph in data)


def test_a_transform_on_the_fly(root: Path) -> None:
    dataset = graphpe.EncodedDataset(root, transform=T.DegreePE())
    key = T.DegreePE().attr_name
    assert key in dataset[0]
    assert key in dataset[3:][1]
    assert key not in dataset.get(0)


def test_a_pickle_holds_no_graphs(dataset, assert_same_data) -> None:
    subset = dataset[5:20]
    content = pickle.dumps(subset)
    assert len(content) < 2000
    assert_same_data(pickle.loads(content)[3], subset[3])


def test_values_are_mapped_and_not_read(dataset) -> None:
    pointer = dataset.packed.node["x"].untyped_storage().data_ptr()
    assert dataset[4].x.untyped_storage().data_ptr() == pointer
    assert dataset.packed.graph["y"].untyped_storage().data_ptr() == pointer


def test_only_the_shards_that_are_asked_for_are_verified(root: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    dataset = graphpe.EncodedDataset(copy)
    layout = dataset._store.layout
    column = next(column for column in layout.columns if column.name == "node.x")
    place = layout.ranges(column, 2)[0][0]
    content = bytearray((copy / "graphs.safetensors").read_bytes())
    content[place] ^= 1
    (copy / "graphs.safetensors").write_bytes(content)

    dataset = graphpe.EncodedDataset(copy)
    assert dataset[0].num_nodes == 5
    assert len(dataset[:16].packed) == 16
    for read in (lambda: dataset[17], lambda: dataset.packed, lambda: dataset[10:20].packed, lambda: list(dataset)):
        with pytest.raises(GraphPERuntimeError, match=r"damaged in shard 2 \(graphs 16 to 23\), key 'x'"):
            read()
    with pytest.raises(GraphPERuntimeError, match="damaged in shard 2"):
        graphpe.EncodedDataset(copy, verify=True)
    with pytest.raises(GraphPERuntimeError, match="damaged in shard 2"):
        list(DataLoader(graphpe.EncodedDataset(copy), batch_size=4))


def test_a_user_may_change_what_he_got(root: Path, dataset) -> None:
    dataset[0].x.fill_(7)
    assert not (graphpe.EncodedDataset(root, verify=True)[0].x == 7).any()


def test_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(GraphPERuntimeError, match="there is no encoded dataset at"):
        graphpe.EncodedDataset(tmp_path / "nowhere")
