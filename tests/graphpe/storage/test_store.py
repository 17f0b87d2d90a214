from __future__ import annotations

import json
import os
import pickle
import resource
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from graphpe.errors import GraphPERuntimeError
from graphpe.files.atomic import write_atomically
from graphpe.files.locking import locked
from graphpe.graphs.packed import PackedGraphs
from graphpe.storage.format import Texts, graph_columns, shard_rows, take_rows
from graphpe.storage.manifest import Manifest
from graphpe.storage.store import DATA, JOURNAL, MANIFEST, PART, Store, StoreWriter, _map_file, read_manifest, writing

BOUNDS = [0, 3, 6, 7]


@pytest.fixture(scope="module")
def graphs(make_graphs) -> PackedGraphs:
    return PackedGraphs.from_data_list(make_graphs([4, 0, 9, 1, 2, 7, 3], seed=2, pairs=True, weights=True))


@pytest.fixture(scope="module")
def columns(graphs):
    return graph_columns(graphs, Texts(graphs))


@pytest.fixture(scope="module")
def manifest(graphs, columns) -> Manifest:
    rows = shard_rows(graphs, Texts(graphs), BOUNDS)
    return Manifest("1.0", "Nothing()", "cpu", 3, "f", sorted(graphs.objects), list(columns), rows, {})


def commit(writer: StoreWriter, columns, shards) -> None:
    for shard in shards:
        rows = writer.manifest.rows
        writer.commit(shard, {column.name: take_rows(column, value, rows, shard) for column, value in columns.items()})


def write(root: Path, manifest: Manifest, columns, shards=range(3)) -> None:
    with writing(root), StoreWriter(root, manifest) as writer:
        commit(writer, columns, shards)
        if not writer.missing:
            writer.finish()


def files(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.iterdir()}


@pytest.fixture
def root(tmp_path: Path, manifest, columns) -> Path:
    write(tmp_path / "store", manifest, columns)
    return tmp_path / "store"


def test_graphs_come_back(root: Path, graphs: PackedGraphs, assert_same_data) -> None:
    assert set(files(root)) == {DATA, MANIFEST}
    store = Store(root)
    store.verify()
    assert store.packed.num_pairs == graphs.num_pairs
    for found, expected in zip(store.packed.to_data_list(), graphs.to_data_list(), strict=True):
        assert_same_data(found, expected)
    assert_same_data(store.packed[4], graphs[4])


def test_order_of_shards_and_interruptions_leave_no_trace(tmp_path: Path, root: Path, manifest, columns) -> None:
    write(tmp_path / "other", manifest, columns, [2])
    write(tmp_path / "other", manifest, columns, [0])
    with StoreWriter(tmp_path / "other", manifest) as writer:
        assert writer.missing == [1]
    write(tmp_path / "other", manifest, columns, [1])
    assert files(tmp_path / "other") == files(root)


@pytest.mark.parametrize("cut", [1, 30, 200])
def test_a_line_of_the_journal_that_was_cut_off(tmp_path: Path, root: Path, manifest, columns, cut: int) -> None:
    other = tmp_path / "other"
    write(other, manifest, columns, [0, 1])
    journal = (other / JOURNAL).read_bytes()
    (other / JOURNAL).write_bytes(journal[:-cut])
    with StoreWriter(other, manifest) as writer:
        assert writer.missing == ([2] if cut == 1 else [1, 2])
        commit(writer, columns, writer.missing)
        writer.finish()
    assert files(other) == files(root)


def test_a_byte_that_changed_while_it_was_unfinished_is_written_again(
    tmp_path: Path, root: Path, manifest, columns
) -> None:
    other = tmp_path / "other"
    write(other, manifest, columns, [0, 1])
    flip(other / PART, manifest.layout().begin["node.x"] + 2)
    with StoreWriter(other, manifest) as writer:
        assert writer.missing == [0, 2]
        commit(writer, columns, writer.missing)
        writer.finish()
    assert files(other) == files(root)


def test_killed_before_the_manifest_was_written(tmp_path: Path, root: Path, manifest, columns) -> None:
    other = tmp_path / "other"
    write(other, manifest, columns, [0, 1])
    with StoreWriter(other, manifest) as writer:
        commit(writer, columns, [2])
    os.replace(other / PART, other / DATA)
    (other / f".{MANIFEST}.abc.part").write_text("half")
    with pytest.raises(GraphPERuntimeError, match="not finished"):
        Store(other)
    write(other, manifest, columns, [])
    assert files(other) == files(root)


@pytest.mark.parametrize("lost", [PART, JOURNAL])
def test_a_lost_file_of_an_unfinished_folder(tmp_path: Path, root: Path, manifest, columns, lost: str) -> None:
    other = tmp_path / "other"
    write(other, manifest, columns, [0, 1])
    (other / lost).unlink()
    write(other, manifest, columns)
    assert files(other) == files(root)


def test_unfinished_is_said_with_numbers(tmp_path: Path, manifest, columns) -> None:
    write(tmp_path, manifest, columns, [1])
    with pytest.raises(GraphPERuntimeError, match=r"is not finished \(1 of 3 shards\): run the same"):
        Store(tmp_path)


def test_two_writers(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    with writing(tmp_path):
        with pytest.raises(GraphPERuntimeError, match="another process is encoding into"), writing(tmp_path):
            pass
    with writing(tmp_path):
        pass


def test_the_lock_is_held_until_the_dataset_is_complete(
    tmp_path: Path, manifest, columns, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("fcntl")
    steps = []

    def looking(step, *arguments):
        with pytest.raises(GraphPERuntimeError, match="busy"), locked(tmp_path, "busy"):
            pass
        steps.append(step.__name__)
        return step(*arguments)

    monkeypatch.setattr("graphpe.storage.store.os.replace", partial(looking, os.replace))
    monkeypatch.setattr("graphpe.storage.store.write_atomically", partial(looking, write_atomically))
    write(tmp_path, manifest, columns)
    assert steps[-3:] == ["replace", "write_atomically", "replace"]  # the data; the manifest, and what puts it there


def flip(path: Path, place: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 0x10]))


def test_every_flipped_byte_is_noticed(root: Path) -> None:
    size = (root / DATA).stat().st_size
    for place in np.random.default_rng(7).choice(size, 150, replace=False).tolist():
        flip(root / DATA, place)
        with pytest.raises(
            GraphPERuntimeError, match=r"graphs.safetensors is damaged in (its header|shard \d)"
        ) as error:
            Store(root).verify()
        assert "\n" not in str(error.value)
        flip(root / DATA, place)
    Store(root).verify()


def test_the_damaged_shard_and_key_are_named(root: Path, manifest) -> None:
    layout = manifest.layout()
    column = next(column for column in layout.columns if column.name == "node.x")
    flip(root / DATA, layout.ranges(column, 1)[0][0] + 3)
    store = Store(root)
    store.verify([0, 2])
    for _ in range(2):
        with pytest.raises(GraphPERuntimeError, match=r"damaged in shard 1 \(graphs 3 to 5\), key 'x': move"):
            store.verify([1])


@pytest.mark.parametrize("name", ["structure.num_nodes", "structure.num_edges", "objects.sizes"])
def test_sizes_are_checked_when_it_is_opened(root: Path, manifest, name: str) -> None:
    flip(root / DATA, manifest.layout().begin[name] + 1)
    with pytest.raises(GraphPERuntimeError, match="is damaged in shard 0"):
        Store(root)


@pytest.mark.parametrize("change", [-1, -500, 1])
def test_a_file_of_another_size(root: Path, change: int) -> None:
    content = (root / DATA).read_bytes()
    (root / DATA).write_bytes(content[:change] if change < 0 else content + b"0")
    with pytest.raises(GraphPERuntimeError, match=r"has [\d,]+ bytes instead of [\d,]+: move .* away and encode again"):
        Store(root)


def test_a_missing_file(root: Path, tmp_path: Path) -> None:
    (root / DATA).unlink()
    with pytest.raises(GraphPERuntimeError, match=r"graphs.safetensors is missing: move"):
        Store(root)
    with pytest.raises(GraphPERuntimeError, match=r"no encoded dataset at .*: it has no manifest.json"):
        Store(tmp_path)
    with pytest.raises(GraphPERuntimeError, match="it is no folder"):
        Store(tmp_path / "none")


def test_another_content_is_not_continued(tmp_path: Path, manifest, columns) -> None:
    from dataclasses import replace

    write(tmp_path, manifest, columns, [0])
    before = files(tmp_path)
    with pytest.raises(GraphPERuntimeError, match=r"the transform Nothing\(\), not Else\(\): choose another root"):
        StoreWriter(tmp_path, replace(manifest, transform="Else()"))
    assert files(tmp_path) == before


def test_a_pickle_is_the_path_and_what_was_verified(root: Path, manifest) -> None:
    store = Store(root)
    store.verify([1])
    content = pickle.dumps(store)
    assert len(content) < 1000
    copy = pickle.loads(content)
    assert copy._verified.tolist() == [False, True, False]
    assert torch.equal(copy.packed.node["x"], store.packed.node["x"])
    layout = manifest.layout()
    column = next(column for column in layout.columns if column.name == "node.x")
    flip(root / DATA, layout.ranges(column, 1)[0][0])
    os.utime(root / DATA, ns=(1, 1))
    with pytest.raises(GraphPERuntimeError, match="damaged in shard 1"):
        pickle.loads(content).verify()


def test_changing_a_tensor_leaves_the_file_alone(root: Path) -> None:
    before = files(root)
    store = Store(root)
    store.packed.node["x"].zero_()
    assert files(root) == before


@pytest.mark.skipif(sys.platform != "linux", reason="files with holes, and how Linux counts memory")
def test_a_file_larger_than_the_memory(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(4 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
        size = file.tell() or os.fstat(file.fileno()).st_size
    content = _map_file(tmp_path / "large")
    assert len(content) == size
    content[-1] = 3
    assert content[-1] == 3
    with (tmp_path / "large").open("rb") as file:
        file.seek(-1, os.SEEK_END)
        assert file.read() == b"\0"


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_resumable(tmp_path: Path, root: Path, manifest, columns) -> None:
    # A limit on the size of files makes the kernel refuse to write, as a full disk does.
    child = tmp_path / "child.py"
    child.write_text(
        "import pickle, resource, signal, sys\n"
        "from pathlib import Path\n"
        "from graphpe.errors import GraphPERuntimeError\n"
        "from graphpe.storage.store import StoreWriter, writing\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "manifest = pickle.loads(Path(sys.argv[1]).read_bytes())\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    with writing(Path(sys.argv[2])): StoreWriter(Path(sys.argv[2]), manifest)\n"
        "except GraphPERuntimeError as error: print(error); sys.exit(7)\n"
    )
    assert hasattr(resource, "RLIMIT_FSIZE")
    assert hasattr(signal, "SIGXFSZ")
    (tmp_path / "manifest").write_bytes(pickle.dumps(manifest))
    other = tmp_path / "other"
    command = [sys.executable, str(child), str(tmp_path / "manifest"), str(other)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 7, done.stderr
    assert "cannot write to" in done.stdout
    assert len(done.stdout.splitlines()) == 1
    write(other, manifest, columns)
    assert files(other) == files(root)


def test_a_disk_that_is_too_small_is_refused(tmp_path: Path, manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    from graphpe.storage import store

    class Usage:
        free = 10

    monkeypatch.setattr(store.shutil, "disk_usage", lambda path: Usage)
    with pytest.raises(GraphPERuntimeError, match=r"will take [\d,]+ bytes, and its disk has 10 free"):
        StoreWriter(tmp_path, manifest)


def test_the_manifest_is_json_with_what_was_asked_for(root: Path) -> None:
    content = json.loads((root / MANIFEST).read_text())
    assert content["transform"] == "Nothing()"
    assert content["rows"]["graph"] == BOUNDS
    assert content["num_graphs"] == 7
    assert {len(digests) for digests in content["digests"].values()} == {3}


def test_a_folder_of_somebody_else_is_left_as_it_is(tmp_path: Path, manifest, columns) -> None:
    for name in (DATA, PART, "notes.txt", JOURNAL, MANIFEST):
        folder = tmp_path / name.replace(".", "_")
        folder.mkdir()
        (folder / name).write_bytes(b'{"theirs": 1}')
        attempt = partial(read_manifest, folder) if name == MANIFEST else partial(write, folder, manifest, columns)
        with pytest.raises(GraphPERuntimeError, match=r"did not write|not graphpe's") as caught:
            attempt()
        assert "delete" not in str(caught.value)
        assert files(folder) == {name: b'{"theirs": 1}'}
    write(tmp_path / "begun", manifest, columns, [0])
    (tmp_path / "begun" / DATA).write_bytes(b"theirs")
    with pytest.raises(GraphPERuntimeError, match="did not write"):
        write(tmp_path / "begun", manifest, columns)
    assert (tmp_path / "begun" / DATA).read_bytes() == b"theirs"


@pytest.mark.parametrize(
    ("column", "row", "value", "message"),
    [
        ("structure.edge_index", 2, 10**9, "leaves its graph of nodes 0 to 3"),
        ("structure.edge_index", 3, -1, "leaves its graph of nodes 0 to 3"),
        ("structure.num_nodes", 0, 10**9, "its graphs have other node rows than its shards"),
        ("structure.num_edges", 0, -5, "its graphs have other edge rows than its shards"),
    ],
)
def test_a_store_with_right_checksums_that_lies(
    tmp_path: Path, manifest, columns, column: str, row: int, value: int, message: str
) -> None:
    changed = {each: (content.clone() if each.name == column else content) for each, content in columns.items()}
    target = next(content for each, content in changed.items() if each.name == column)
    target[(0, row) if target.dim() == 2 else row] = value
    write(tmp_path / "other", manifest, changed)
    with pytest.raises(GraphPERuntimeError, match=message):
        Store(tmp_path / "other").verify()
