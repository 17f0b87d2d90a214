from __future__ import annotations

import importlib
import sys
import textwrap
from pathlib import Path

import numba
import numpy as np
import pytest
import torch

from graphpe import transforms as T
from graphpe.errors import GraphPERuntimeError, GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.storage.workers import (
    Shards,
    encode_shard,
    encode_shards,
    for_shard,
    one_thread,
)

CPU = torch.device("cpu")

# An encoding that other processes can import, and that does what files tell it to.
ODD = '''
import os, signal, time
from pathlib import Path
import torch
from graphpe.errors import GraphPEValueError

class Odd:
    """Node degrees; before that, what the file `order` says, in the shard that holds `marked` nodes in a graph."""
    keys, graph_keys, pair_keys = ["odd"], [], []

    def __init__(self, folder, marked):
        self.folder, self.marked = folder, marked

    def __repr__(self):
        return "Odd()"

    def __call__(self, graphs):
        order = Path(self.folder) / "order"
        if order.exists() and self.marked in graphs.sizes.tolist():
            text = order.read_text()
            if text == "die once":
                order.unlink()
            if text.startswith("die"):
                os.kill(os.getpid(), signal.SIGKILL)
            if text == "refuse":
                raise GraphPEValueError("no such graph, please")
            if text == "break":
                raise ZeroDivisionError("a bug in an encoding")
        return graphs.with_values(node={"odd": torch.bincount(graphs.edge_index[0], minlength=graphs.num_nodes)})
'''


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "odd_encoding.py").write_text(textwrap.dedent(ODD))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "odd_encoding", raising=False)
    return importlib.import_module("odd_encoding").Odd(str(tmp_path), marked=37)


@pytest.fixture(scope="module")
def graphs(make_graphs) -> PackedGraphs:
    sizes = np.random.default_rng(0).integers(0, 15, 24).tolist()
    sizes[13] = 37
    return PackedGraphs.from_data_list(make_graphs(sizes, seed=4, weights=True))


def shards_of(graphs: PackedGraphs, transform) -> Shards:
    return Shards(graphs, [0, 6, 12, 18, 24], transform, CPU)


def run(shards: Shards, **options) -> dict[int, dict[str, torch.Tensor]]:
    return dict(encode_shards(shards, [0, 1, 2, 3], **{"engine": "local", "progress": lambda count: None, **options}))


def assert_same(a: dict, b: dict) -> None:
    assert a.keys() == b.keys()
    for shard in a:
        assert a[shard].keys() == b[shard].keys()
        for key in a[shard]:
            assert a[shard][key].dtype == b[shard][key].dtype
            assert torch.equal(a[shard][key], b[shard][key]), (shard, key)


@pytest.mark.slow
def test_processes_give_the_same_bits(graphs: PackedGraphs) -> None:
    transform = T.Compose([T.LaplacianPE(3), T.MagneticLaplacianPE(2), T.RandomWalkPE(4)])
    shards = shards_of(graphs, transform)
    seen: list[int] = []
    here = run(shards, workers=0)
    transform(graphs)  # draws random signs, which must not matter
    assert_same(run(shards, workers=2, progress=seen.append), here)
    assert sorted(seen) == [6, 6, 6, 6]


def test_a_shard_depends_on_its_number_and_nothing_else(graphs: PackedGraphs) -> None:
    transform = T.LaplacianPE(3)
    first = encode_shard(graphs, transform, 5, CPU)["node.laplacian_eigenvector_pe"]
    transform(graphs)
    assert torch.equal(encode_shard(graphs, transform, 5, CPU)["node.laplacian_eigenvector_pe"], first)
    other = encode_shard(graphs, transform, 6, CPU)["node.laplacian_eigenvector_pe"]
    assert not torch.equal(other, first)
    assert torch.equal(other.abs(), first.abs())


def test_an_encoding_is_copied_for_each_shard(odd) -> None:
    assert for_shard(odd, 3) is not odd
    encoding = T.Compose([T.LaplacianPE(3), T.RandomWalkPE(3)])
    assert repr(for_shard(encoding, 3)) == repr(encoding)


@pytest.mark.slow
def test_a_killed_process_is_named_with_its_shard(graphs: PackedGraphs, odd, tmp_path: Path) -> None:
    (tmp_path / "order").write_text("die")
    done: list[int] = []
    with pytest.raises(GraphPERuntimeError, match=r"shard 2 \(graphs 12 to 17\) died \(killed by signal 9") as error:
        run(shards_of(graphs, odd), workers=1, progress=done.append)
    assert "\n" not in str(error.value)
    assert done == [6, 6]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("order", "kind", "text"),
    [
        ("refuse", GraphPEValueError, r"^shard 2 \(graphs 12 to 17\): no such graph, please$"),
        ("break", GraphPERuntimeError, r"^shard 2 \(graphs 12 to 17\): ZeroDivisionError: a bug in an encoding$"),
    ],
)
def test_an_error_is_named_with_its_shard(
    graphs: PackedGraphs, odd, tmp_path: Path, workers: int, order: str, kind: type, text: str
) -> None:
    if workers and order == "break":
        pytest.skip("one start of a process is enough")
    (tmp_path / "order").write_text(order)
    with pytest.raises(kind, match=text):
        run(shards_of(graphs, odd), workers=workers)


def test_an_interrupt_stays_one_when_compiled_code_makes_another_error_of_it(graphs: PackedGraphs, odd) -> None:
    def interrupted(self, graphs):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise SystemError("returned a result with an exception set") from error

    odd.__class__.__call__ = interrupted
    with pytest.raises(KeyboardInterrupt):
        run(shards_of(graphs, odd), workers=0)


def test_an_encoding_that_does_not_pickle(graphs: PackedGraphs, odd) -> None:
    odd.function = lambda: None
    with pytest.raises(GraphPETypeError, match=r"Odd\(\) cannot be sent to another process .*: use workers=0"):
        run(shards_of(graphs, odd), workers=1)
    assert len(run(shards_of(graphs, odd), workers=0)) == 4


def test_one_thread_is_for_the_block_only() -> None:
    torch.set_num_threads(2)
    try:
        before = numba.get_num_threads()
        with one_thread():
            assert torch.get_num_threads() == 1
            assert numba.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        assert numba.get_num_threads() == before
    finally:
        torch.set_num_threads(1)


def test_without_ray(graphs: PackedGraphs, odd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(GraphPERuntimeError, match=r"pip install 'graphpe\[ray\]'"):
        run(shards_of(graphs, odd), workers=0, engine="ray")


@pytest.fixture(scope="module")
def cluster():
    """A Ray cluster of two nodes on this machine, to which this process is connected."""
    ray = pytest.importorskip("ray", reason="Ray is not installed (pip install 'graphpe[ray]')")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.mark.slow
def test_ray_gives_the_same_bits_on_two_nodes(cluster, graphs: PackedGraphs) -> None:
    import ray

    assert sum(node["Alive"] for node in ray.nodes()) == 2
    shards = shards_of(graphs, T.Compose([T.LaplacianPE(3), T.RandomWalkPE(4)]))
    seen: list[int] = []
    assert_same(run(shards, workers=0, engine="ray", progress=seen.append), run(shards, workers=0))
    assert sum(seen) == 24


@pytest.mark.slow
def test_ray_survives_a_killed_worker(cluster, graphs: PackedGraphs, odd, tmp_path: Path) -> None:
    import ray

    ray.shutdown()
    ray.init(
        address=cluster.address,
        log_to_driver=False,
        logging_level="ERROR",
        runtime_env={"env_vars": {"PYTHONPATH": str(tmp_path)}},
    )
    expected = run(shards_of(graphs, odd), workers=0)
    (tmp_path / "order").write_text("die once")
    assert_same(run(shards_of(graphs, odd), workers=0, engine="ray"), expected)
    assert not (tmp_path / "order").exists()
    (tmp_path / "order").write_text("die")
    with pytest.raises(
        GraphPERuntimeError, match=r"shard 2 \(graphs 12 to 17\) could not be encoded on Ray, 3 retries"
    ):
        run(shards_of(graphs, odd), workers=0, engine="ray")
    (tmp_path / "order").write_text("refuse")
    with pytest.raises(GraphPEValueError, match=r"shard 2 .*: no such graph, please"):
        run(shards_of(graphs, odd), workers=0, engine="ray")
