from __future__ import annotations

import io
import os
import pickle
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data, HeteroData, InMemoryDataset

from graphpe.benchmarks.tasks.user.data_file import DataFile
from graphpe.benchmarks.tasks.user.torch_file import load_graphs
from graphpe.errors import GraphPEError, GraphPERuntimeError


def graphs() -> list[Data]:
    return [Data(x=torch.rand(n, 2), edge_index=torch.randint(n, (2, n)), name=f"é{n}") for n in (3, 1, 4)]


@pytest.mark.parametrize("wrap", [list, tuple])
def test_graphs_come_back(tmp_path: Path, wrap) -> None:
    expected = graphs()
    torch.save(wrap(expected), tmp_path / "graphs.pt")
    found = load_graphs(tmp_path / "graphs.pt")[0].to_data_list()
    assert len(found) == 3
    for a, b in zip(found, expected, strict=True):
        assert torch.equal(a.x, b.x)
        assert torch.equal(a.edge_index, b.edge_index)
        assert a.name == b.name


class Evil:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def test_nothing_in_the_file_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save([Evil()], "torch.pt")
    Path("plain.pt").write_bytes(pickle.dumps(Evil()))
    for name in ("torch.pt", "plain.pt"):
        with pytest.raises(GraphPERuntimeError, match=r"holds posix.mkdir|is a plain pickle") as error:
            load_graphs(Path(name))
        assert "\n" not in str(error.value)
    assert not Path("executed").exists()
    with pytest.raises(GraphPERuntimeError, match=r"holds posix.mkdir, which could only be read by executing"):
        load_graphs(Path("torch.pt"))


def test_what_datasets_of_pyg_save(tmp_path: Path) -> None:
    expected = graphs()
    InMemoryDataset.save(expected, str(tmp_path / "several.pt"))
    InMemoryDataset.save(expected[:1], str(tmp_path / "one.pt"))
    torch.save(InMemoryDataset.collate(expected), tmp_path / "old.pt")
    for name, count in (("several.pt", 3), ("one.pt", 1), ("old.pt", 3)):
        found = load_graphs(tmp_path / name)[0].to_data_list()
        assert [graph.name for graph in found] == [graph.name for graph in expected[:count]]
        for a, b in zip(found, expected, strict=False):
            assert torch.equal(a.x, b.x)
            assert torch.equal(a.edge_index, b.edge_index)


def test_what_holds_no_graphs(tmp_path: Path) -> None:
    with pytest.raises(GraphPERuntimeError, match="No such file"):
        load_graphs(tmp_path / "none.pt")
    with pytest.raises(GraphPERuntimeError, match=r"holds no .pt file"):
        load_graphs(tmp_path)
    (tmp_path / "empty.pt").write_bytes(b"")
    with pytest.raises(GraphPERuntimeError, match="it is empty"):
        load_graphs(tmp_path / "empty.pt")
    torch.save({"a": torch.zeros(2)}, tmp_path / "dict.pt")
    with pytest.raises(GraphPERuntimeError, match=r"holds dict .*: expected a list of PyG Data"):
        load_graphs(tmp_path / "dict.pt")


def test_what_has_no_place_is_left_out_and_named(tmp_path: Path) -> None:
    data = graphs()
    for i, graph in enumerate(data):
        graph.fingerprint = torch.rand(64)
        graph.ragged = torch.rand(5 + 3 * i, i + 1)
        graph.path = (1, 2)
        graph.match_index = torch.arange(i)
        graph.words = ["a", "b"]
    torch.save(data, tmp_path / "graphs.pt")
    found, notes = load_graphs(tmp_path / "graphs.pt")
    assert torch.equal(found.graph["fingerprint"], torch.stack([graph.fingerprint for graph in data]))
    assert found.objects == {"name": [graph.name for graph in data], "words": [["a", "b"]] * 3}
    (note,) = notes
    assert all(name in note for name in ("ragged (", "path (", "match_index ("))
    assert "keys=" not in note


def test_where_to_look_is_said(tmp_path: Path) -> None:
    for name, message in (("table.csv", r"give \"SmilesTable\('.*table.csv'\)\""), ("list.json", "give .NetworkxList")):
        (tmp_path / name).write_text("smiles,y\nCCO,1\n")
        with pytest.raises(GraphPERuntimeError, match=message):
            load_graphs(tmp_path / name)
    (tmp_path / "root" / "MUTAG" / "processed").mkdir(parents=True)
    with pytest.raises(GraphPERuntimeError, match="but MUTAG: give that folder"):
        load_graphs(tmp_path / "root")
    torch.save([HeteroData()], tmp_path / "hetero.pt")
    with pytest.raises(GraphPERuntimeError, match=r"holds .*storage.BaseStorage|to_homogeneous"):
        load_graphs(tmp_path / "hetero.pt")


def damaged(content: bytes, rng: random.Random) -> bytes:
    """A file cut off, with flipped bits, or with other bytes inside."""
    changed, kind = bytearray(content), rng.randrange(4)
    if kind == 0:
        return bytes(changed[: rng.randrange(len(changed))])
    if kind == 1:
        start = rng.randrange(len(changed))
        changed[start : start + rng.randrange(60)] = rng.randbytes(rng.randrange(60))
        return bytes(changed)
    for _ in range(rng.choice((1, 1, 4))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    if kind == 2:
        return bytes(changed)
    packed = io.BytesIO()  # the same to the pickle in it, with right checksums
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(packed, "w") as new:
        for name in old.namelist():
            inside = bytearray(old.read(name))
            if name.endswith("data.pkl"):
                inside[rng.randrange(len(inside))] ^= 1 << rng.randrange(8)
            new.writestr(name, bytes(inside))
    return packed.getvalue()


def test_no_file_gives_a_traceback_or_other_graphs(tmp_path: Path) -> None:
    """Files that were damaged, are texts, or hold something else: graphs, or one line."""
    rng = random.Random(torch.initial_seed() % 2**32)
    expected = graphs()
    sources = []
    for content in (expected, Batch.from_data_list(expected), InMemoryDataset.collate(expected)):
        torch.save(content, tmp_path / "source.pt")
        sources.append((tmp_path / "source.pt").read_bytes())
    files = [damaged(source, rng) for source in sources for _ in range(100)]
    files += [
        b"",
        b"smiles,y\nCCO,1\n",
        b"{}",
        b"PK\x03\x04",
        b"\x80",
        b"cos\nsystem\n(S'true'\ntR.",
        rng.randbytes(99),
    ]
    for other in (
        None, 1, "x", {}, [], [1], (1, None), ({}, {}), (Data(), {}), {1}, [[expected]], np.zeros(3), torch.zeros(3),
        (Data(x=torch.zeros(3, 1)), {"x": torch.tensor([0, 5, 3])}), [Data(x=torch.tensor(3.0))], [Data(num_nodes="a")],
        [Data(edge_index="a")], [Data(edge_index=torch.zeros(2, 2))], [Data(x=[[1], [2, 3]], num_nodes=2)],
        [Data(x=torch.nested.nested_tensor([torch.zeros(1), torch.zeros(2)]))], [Data(num_nodes=2**63 - 1)],
        [Data(x=torch.empty(2, 1, device="meta"), num_nodes=2)],
    ):  # fmt: skip
        torch.save(other, tmp_path / "source.pt")
        files.append((tmp_path / "source.pt").read_bytes())
    path, lines = tmp_path / "file.pt", []
    for content in files:
        path.write_bytes(content)
        for read in (load_graphs, lambda path: DataFile(path=str(path), target="name").load()):
            try:
                read(path)
            except GraphPEError as error:
                lines.append(str(error))
    assert len(lines) > 300
    assert not any("\n" in line for line in lines)
