from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch
from torch_geometric.data import Data, InMemoryDataset

from graphpe.benchmarks.tasks.user.torch_file import load_graphs
from graphpe.errors import GraphPERuntimeError


def graphs() -> list[Data]:
    return [Data(x=torch.rand(n, 2), edge_index=torch.randint(n, (2, n)), name=f"é{n}") for n in (3, 1, 4)]


@pytest.mark.parametrize("wrap", [list, tuple])
def test_graphs_come_back(tmp_path: Path, wrap) -> None:
    expected = graphs()
    torch.save(wrap(expected), tmp_path / "graphs.pt")
    found = load_graphs(tmp_path / "graphs.pt").to_data_list()
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
        with pytest.raises(GraphPERuntimeError, match=r"cannot be read with weights_only=True \(") as error:
            load_graphs(Path(name))
        assert "\n" not in str(error.value)
    assert not Path("executed").exists()
    with pytest.raises(GraphPERuntimeError, match=r"\(it holds posix.mkdir\)"):
        load_graphs(Path("torch.pt"))


def test_what_datasets_of_pyg_save(tmp_path: Path) -> None:
    expected = graphs()
    InMemoryDataset.save(expected, str(tmp_path / "several.pt"))
    InMemoryDataset.save(expected[:1], str(tmp_path / "one.pt"))
    torch.save(InMemoryDataset.collate(expected), tmp_path / "old.pt")
    for name, count in (("several.pt", 3), ("one.pt", 1), ("old.pt", 3)):
        found = load_graphs(tmp_path / name).to_data_list()
        assert [graph.name for graph in found] == [graph.name for graph in expected[:count]]
        for a, b in zip(found, expected, strict=False):
            assert torch.equal(a.x, b.x)
            assert torch.equal(a.edge_index, b.edge_index)


def test_what_holds_no_graphs(tmp_path: Path) -> None:
    with pytest.raises(GraphPERuntimeError, match="No such file"):
        load_graphs(tmp_path / "none.pt")
    with pytest.raises(GraphPERuntimeError, match="Is a directory"):
        load_graphs(tmp_path)
    (tmp_path / "empty.pt").write_bytes(b"")
    with pytest.raises(GraphPERuntimeError, match="cannot be read with"):
        load_graphs(tmp_path / "empty.pt")
    torch.save({"a": torch.zeros(2)}, tmp_path / "dict.pt")
    with pytest.raises(GraphPERuntimeError, match="holds dict: expected a list of PyG Data"):
        load_graphs(tmp_path / "dict.pt")
