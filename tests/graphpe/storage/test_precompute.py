from __future__ import annotations

import contextlib
import importlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from numba.np.ufunc import parallel
from torch_geometric.data import Batch, Data, InMemoryDataset

import graphpe
from graphpe import transforms as T
from graphpe.errors import GraphPEError, GraphPERuntimeError, GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.storage.precompute import shard_bounds
from graphpe.transforms.base import PairEncoding
from graphpe.transforms.values import Values

TRANSFORM = T.Compose([T.LaplacianPE(3), T.RandomWalkPE(4)])  # with random signs


class Squares(PairEncoding):
    """The product of the pair's node ids."""

    def __init__(self, attr_name: str = "relative_product") -> None:
        self.attr_name = attr_name

    def encode(self, plan) -> Values:
        blocks = [torch.outer(torch.arange(n), torch.arange(n)).reshape(-1, 1) for n in plan.graphs.sizes.tolist()]
        return Values(pair={self.attr_name: torch.cat([torch.zeros(0, 1), *blocks]).float()})


@pytest.fixture(scope="module")
def data(make_graphs) -> list[Data]:
    sizes = np.random.default_rng(5).integers(0, 20, 200).tolist()
    return make_graphs([0, 6, 1, *sizes], seed=9)


def encode(data, root: Path, transform=TRANSFORM, **options) -> graphpe.EncodedDataset:
    return graphpe.precompute(data, transform, root, **{"shard_graphs": 8, "progress": False, **options})


def files(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.iterdir()}


@pytest.fixture(scope="module")
def root(data: list[Data], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("precompute") / "root"
    encode(data, root)
    return root


def encode_with_a_lock_of_its_own(data: list[Data], root: Path) -> None:
    # numba's lock is shared by forked processes: one that is killed while it has it would keep it from all others.
    parallel._backend_init_process_lock = threading.RLock()
    encode(data, root)


def test_killed_at_random_moments_it_ends_in_the_same_bytes(data: list[Data], root: Path, tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    durations = []  # their least is waited for: of one that is slow by chance, most kills would come too late
    for name in ("whole", "again", "once_more"):
        start = time.perf_counter()
        whole = fork.Process(target=encode_with_a_lock_of_its_own, args=(data, tmp_path / name))
        whole.start()
        whole.join()
        durations.append(time.perf_counter() - start)
        assert files(tmp_path / name) == files(root)

    chance = random.Random(time.time_ns())
    other, killed, unfinished = tmp_path / "killed", 0, 0
    for _ in range(25):
        process = fork.Process(target=encode_with_a_lock_of_its_own, args=(data, other))
        process.start()
        time.sleep(chance.uniform(0, min(durations)))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        killed += process.exitcode == -signal.SIGKILL
        if not (other / "manifest.json").exists():
            unfinished += 1
            with pytest.raises(GraphPERuntimeError, match=r"not finished|no encoded dataset"):
                graphpe.EncodedDataset(other)
            continue
        # Finished: once more, from the beginning.
        assert files(other).items() >= files(root).items()
        for path in other.iterdir():
            path.unlink()
    assert killed > 5
    assert unfinished > 5
    encode(data, other)
    assert files(other) == files(root)


def test_another_process_finishes_it_meanwhile(
    data: list[Data], root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = importlib.import_module("graphpe.storage.precompute")

    @contextlib.contextmanager
    def late(path: Path):
        shutil.copytree(root, path)
        yield

    monkeypatch.setattr(module, "writing", late)
    encode(data, tmp_path / "other", progress=True)
    assert "holds this encoding already" in capsys.readouterr().out
    assert files(tmp_path / "other") == files(root)


def test_a_folder_of_somebody_else_is_refused_before_anything_is_said(
    data: list[Data], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("theirs")
    with pytest.raises(GraphPERuntimeError, match=r"holds notes.txt, which graphpe did not write"):
        encode(data, tmp_path, progress=True)
    assert capsys.readouterr().out == ""


def test_going_on_encodes_only_what_is_missing(data: list[Data], root: Path, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    class Counting(T.Compose):
        left = 5
        graphs = 0

        def __call__(self, graphs):
            type(self).left -= 1
            if type(self).left < 0:
                raise KeyboardInterrupt
            type(self).graphs += len(graphs)
            return super().__call__(graphs)

        def with_stream(self, number):
            return Counting(super().with_stream(number).transforms)

        def __repr__(self) -> str:
            return repr(TRANSFORM)

    other = tmp_path / "other"
    with pytest.raises(KeyboardInterrupt):
        encode(data, other, Counting(TRANSFORM.transforms))
    Counting.left, Counting.graphs = 10**6, 0
    with pytest.raises(GraphPERuntimeError, match=r"not finished \(\d+ of 26 shards\)") as error:
        graphpe.EncodedDataset(other)
    done = int(str(error.value).split("finished (")[1].split()[0])
    assert done > 0
    encode(data, other, Counting(TRANSFORM.transforms))
    assert Counting.graphs == len(data) - 8 * done + 1  # and one graph to learn shapes from
    assert files(other) == files(root)


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_processes_write_the_same_bytes(data: list[Data], root: Path, tmp_path: Path, workers: int) -> None:
    encode(data, tmp_path / "other", workers=workers)
    assert files(tmp_path / "other") == files(root)


def test_values_equal_the_transform_applied_directly(data: list[Data], tmp_path: Path) -> None:
    transform = T.Compose([T.LaplacianPE(3, sign="canonical"), T.RandomWalkPE(4), Squares()])
    packed = encode(data, tmp_path, transform).packed
    direct = transform(PackedGraphs.from_data_list(data))
    for level in ("node", "edge", "graph", "pair"):
        assert getattr(packed, level).keys() == getattr(direct, level).keys()
        for key, value in getattr(direct, level).items():
            torch.testing.assert_close(getattr(packed, level)[key], value, equal_nan=True)
    assert {key: list(values) for key, values in packed.objects.items()} == direct.objects


def test_random_signs_are_signs_of_the_direct_values(data: list[Data], root: Path) -> None:
    key = "laplacian_eigenvector_pe"
    stored = graphpe.EncodedDataset(root).packed.node[key]
    direct = T.LaplacianPE(3)(PackedGraphs.from_data_list(data)).node[key]
    assert not torch.equal(stored, direct)
    small = PackedGraphs.from_data_list(data).sizes.repeat_interleave(PackedGraphs.from_data_list(data).sizes) == 2
    torch.testing.assert_close(stored[small].abs(), direct[small].abs())


def test_a_finished_one_is_opened_again(data: list[Data], root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in root.iterdir()}
    assert len(encode(data, root, progress=True)) == len(data)
    assert "holds this encoding already: 203 graphs" in capsys.readouterr().out
    assert {path.name: path.stat().st_mtime_ns for path in root.iterdir()} == before


def changed_feature(data: list[Data]) -> list[Data]:
    other = data[50].clone()
    other.x[0, 0] += 1
    return [*data[:50], other, *data[51:]]


def changed_edge(data: list[Data]) -> list[Data]:
    place = next(i for i, graph in enumerate(data) if graph.num_edges and graph.num_nodes > 1)
    other = data[place].clone()
    other.edge_index[0, 0] = (other.edge_index[0, 0] + 1) % other.num_nodes
    return [*data[:place], other, *data[place + 1 :]]


def changed_name(data: list[Data]) -> list[Data]:
    other = data[50].clone()
    other.name = "another"
    return [*data[:50], other, *data[51:]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"transform": T.Compose([T.LaplacianPE(3, seed=1), T.RandomWalkPE(4)])}, "transform"),
        ({"transform": T.Compose([T.LaplacianPE(3), T.RandomWalkPE(5)])}, "transform"),
        ({"shard_graphs": 9}, "shard_graphs 8, not 9"),
        ({"data": changed_feature}, "dataset"),
        ({"data": changed_edge}, "dataset"),
        ({"data": changed_name}, "dataset"),
        ({"data": lambda data: data[:-1]}, "dataset"),
        ({"data": lambda data: data[::-1]}, "dataset"),
    ],
)
def test_a_change_is_named(data: list[Data], root: Path, tmp_path: Path, change: dict, said: str) -> None:
    change = dict(change)
    other = change.pop("data", lambda data: data)(data)
    before = files(root)
    with pytest.raises(GraphPERuntimeError, match=said) as error:
        encode(other, root, **change)
    assert "\n" not in str(error.value)
    assert files(root) == before


@pytest.mark.parametrize("finished", [True, False])
def test_another_version_is_named(
    data: list[Data], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished: bool
) -> None:
    from importlib import import_module

    module = import_module("graphpe.storage.precompute")
    with monkeypatch.context() as context:
        context.setattr(module, "version", lambda name: "0.0.7")
        if not finished:
            context.setattr(module.StoreWriter, "finish", lambda self: None)
            with pytest.raises(GraphPERuntimeError):
                encode(data[:20], tmp_path)
        else:
            encode(data[:20], tmp_path)
    with pytest.raises(GraphPERuntimeError, match=r"was encoded with the version of graphpe 0.0.7, not "):
        encode(data[:20], tmp_path)


def test_pair_encodings_above_the_limit_are_refused_before_anything(data: list[Data], tmp_path: Path) -> None:
    pairs = sum(graph.num_nodes**2 for graph in data)
    with pytest.raises(
        GraphPEValueError, match=rf"{pairs:,} pairs .* of 4 bytes: more than pair_limit={4 * pairs - 1}"
    ):
        encode(data, tmp_path / "root", Squares(), pair_limit=4 * pairs - 1)
    assert not (tmp_path / "root").exists()
    dataset = encode(data, tmp_path / "root", Squares(), pair_limit=4 * pairs)
    assert dataset[1].relative_product.reshape(6, 6)[2].tolist() == [0, 2, 4, 6, 8, 10]
    loader = graphpe.PackedLoader(dataset.packed, batch_size=50)
    assert sum(len(batch.relative_product) for batch in loader) == pairs


def test_shards_with_many_pairs_hold_fewer_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import import_module

    pair_ptr = np.array([0, 10, 20, 120, 121, 122, 123])
    monkeypatch.setattr(import_module("graphpe.storage.precompute"), "SHARD_PAIR_BYTES", 100)
    assert shard_bounds(pair_ptr, 3, 0) == [0, 3, 6]
    assert shard_bounds(pair_ptr, 3, 1) == [0, 2, 3, 6]
    assert shard_bounds(pair_ptr, 3, 5) == [0, 2, 3, 6]
    assert shard_bounds(pair_ptr, 3, 10) == [0, 1, 2, 3, 6]
    assert shard_bounds(pair_ptr[:1], 3, 10) == [0]


def test_estimates_come_first(data: list[Data], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    encode(data, tmp_path / "root", progress=True)
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    nodes = sum(graph.num_nodes for graph in data)
    assert lines[0].startswith(f"203 graphs, {nodes:,} nodes, ")
    assert any(f"random_walk_pe [{nodes}, 4] float32" in line for line in lines)
    assert "graphs/s each on a random sample" in lines[-2]
    assert lines[-1].startswith("encoded 203 graphs in ")
    assert "graphs/s)" in lines[-1]
    assert lines[-1].endswith(str(tmp_path / "root"))
    encode(data, tmp_path / "quiet")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "transform", [TRANSFORM, Squares(), T.MagneticLaplacianPE(2, sign="none")], ids=["node", "pair", "complex"]
)
@pytest.mark.parametrize("sizes", [[], [0], [0, 0, 0], [1]])
def test_nothing_to_encode(make_graphs, tmp_path: Path, transform, sizes: list[int], assert_same_data) -> None:
    graphs = PackedGraphs.from_data_list(make_graphs(sizes, seed=0))
    dataset = encode(graphs, tmp_path, transform)
    assert len(dataset) == len(sizes)
    assert len(encode(graphs, tmp_path, transform)) == len(sizes)
    for found, expected in zip(dataset, transform(graphs), strict=True):
        assert_same_data(found, expected)
    for level, keys in (("node", transform.keys), ("graph", transform.graph_keys), ("pair", transform.pair_keys)):
        for key in keys:
            expected = getattr(transform(graphs), level)[key]
            found = getattr(dataset.packed, level)[key]
            assert (found.shape, found.dtype) == (expected.shape, expected.dtype)


class Stored(InMemoryDataset):
    def __init__(self, data: list[Data]) -> None:
        super().__init__()
        self.data, self.slices = self.collate(data)


def test_every_kind_of_dataset(data: list[Data], root: Path, tmp_path: Path) -> None:
    packed = PackedGraphs.from_data_list(data)
    for i, dataset in enumerate((packed, tuple(data), graphpe.EncodedDataset(root), Stored(data)[5:])):
        encoded = encode(dataset, tmp_path / str(i), T.DegreePE())
        assert len(encoded) == len(dataset)
        offset = len(data) - len(dataset)
        for key in data[0].keys():
            found, expected = encoded[3][key], data[offset + 3][key]
            assert torch.equal(found, expected) if torch.is_tensor(expected) else found == expected


def test_an_encoding_takes_the_place_of_an_old_value(data: list[Data], tmp_path: Path) -> None:
    encoded = encode(encode(data, tmp_path / "a", T.RandomWalkPE(4)), tmp_path / "b", T.RandomWalkPE(2))
    assert encoded.packed.node["random_walk_pe"].shape[1] == 2


@pytest.mark.parametrize(
    ("dataset", "kind", "text"),
    [
        (Data(num_nodes=3), GraphPETypeError, "dataset is one graph"),
        (Batch.from_data_list([Data(num_nodes=3)]), GraphPETypeError, "dataset is one graph"),
        (7, GraphPETypeError, "got int"),
        (None, GraphPETypeError, "got NoneType"),
        (["a", "b"], GraphPETypeError, "graph 0 must be a torch_geometric Data"),
        ([Data(num_nodes=1, thing=(1, 2))], GraphPEValueError, "'thing' of graph 0"),
    ],
)
def test_what_is_no_dataset(dataset, kind: type, text: str, tmp_path: Path) -> None:
    with pytest.raises(kind, match=text) as error:
        encode(dataset, tmp_path / "root")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"workers": -1}, GraphPEValueError, "workers must be from 0 on, got -1"),
        ({"workers": 1.5}, GraphPETypeError, "workers must be an integer, got 1.5"),
        ({"shard_graphs": 0}, GraphPEValueError, "shard_graphs must be from 1 on"),
        ({"pair_limit": -1}, GraphPEValueError, "pair_limit must be from 0 on"),
        ({"engine": "dask"}, GraphPEValueError, "engine must be one of 'local', 'ray', got 'dask'"),
        ({"device": "tpu"}, GraphPEValueError, "device must be 'cpu' or 'cuda', got 'tpu'"),
        ({"transform": len}, GraphPETypeError, "expected an encoding such as"),
        ({"transform": T.Compose([T.LaplacianPE(2), len])}, GraphPETypeError, "takes no PackedGraphs"),
    ],
)
def test_a_wrong_option(data: list[Data], tmp_path: Path, options: dict, kind: type, text: str) -> None:
    with pytest.raises(kind, match=text):
        encode(data, tmp_path / "root", **options)


def test_cuda_without_a_gpu(data: list[Data], tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(GraphPERuntimeError, match=r"device='cuda', but torch finds no CUDA device here"):
        encode(data, tmp_path / "root", device="cuda")


@pytest.mark.gpu
def test_on_a_gpu(data: list[Data], tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU here")
    transform = T.Compose([T.LaplacianPE(3, sign="canonical"), T.RandomWalkPE(4)])
    here, there = encode(data, tmp_path / "a", transform), encode(data, tmp_path / "b", transform, device="cuda")
    assert not there.packed.node["random_walk_pe"].is_cuda
    torch.testing.assert_close(there.packed.node["random_walk_pe"], here.packed.node["random_walk_pe"])


def test_without_root_the_users_cache_is_used(
    data: list[Data], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = graphpe.precompute(data, T.DegreePE(), progress=False)
    assert Path(first.root).parent == tmp_path / "graphpe" / "encoded"
    assert graphpe.precompute(data, T.DegreePE(), progress=False).root == first.root
    assert graphpe.precompute(data[1:], T.DegreePE(), progress=False).root != first.root
    assert graphpe.precompute(data, T.RandomWalkPE(2), progress=False).root != first.root


def test_the_name_of_an_ogb_dataset(tmp_path: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    shutil.copytree(shared_data / "ogbg_molfreesolv", tmp_path / "dataset" / "ogbg_molfreesolv")
    for path in [tmp_path / "dataset", *(tmp_path / "dataset").rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    monkeypatch.chdir(tmp_path)
    dataset = encode("ogbg-molfreesolv", tmp_path / "root", T.RandomWalkPE(3))
    assert len(dataset) == 642
    assert dataset[0].x.shape[1] == 9
    assert dataset[0].random_walk_pe.shape == (dataset[0].num_nodes, 3)


def test_a_folder_that_cannot_be_written(data: list[Data], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GraphPEError, match="cannot write to") as error:
        encode(data, tmp_path / "file" / "root")
    assert "\n" not in str(error.value)


def test_the_manifest_says_how_it_was_made(data: list[Data], root: Path) -> None:
    content = json.loads((root / "manifest.json").read_text())
    assert content["transform"] == repr(TRANSFORM)
    assert content["library"] == graphpe.__version__
    assert content["shard_graphs"] == 8
    assert content["rows"]["graph"] == [*range(0, 203, 8), 203]
