from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
import torch
from torch_geometric.data import Data

from graphpe.benchmarks.cli.main import main
from graphpe.benchmarks.tasks.user import edge_list_folder, networkx_list, torch_file
from graphpe.files.once import forget, kept, read_once


def test_a_file_is_read_once_until_it_changes(tmp_path: Path) -> None:
    path, read = tmp_path / "a", []

    def reading(path: Path) -> str:
        read.append(path)
        return path.read_text()

    path.write_text("one")
    assert [kept("text", path, reading) for _ in range(2)] == ["one", "one"]
    assert len(read) == 2  # outside of a block, each time
    with read_once():
        with read_once():
            assert kept("text", path, reading) == "one"
        assert kept("text", path, reading) == "one"
        assert len(read) == 3
        kept("other", path, reading)
        assert len(read) == 4
        path.write_text("two")
        os.utime(path, ns=(1, 1))
        assert kept("text", path, reading) == "two"
        forget()
        assert kept("text", path, reading, last=True) == kept("text", path, reading) == "two"
        assert len(read) == 7
        with pytest.raises(FileNotFoundError):
            kept("text", tmp_path / "b", reading)
    kept("text", path, reading)
    assert len(read) == 9


def counted(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[Path]:
    seen: list[Path] = []
    read: Callable[..., Any] = getattr(module, name)

    def reading(path: Path, *more: Any) -> Any:
        seen.append(path)
        return read(path, *more)

    monkeypatch.setattr(module, name, reading)
    return seen


def graph() -> nx.Graph:
    made = nx.gnp_random_graph(60, 0.1, seed=1)
    for node, values in made.nodes(data=True):
        values |= {"a": float(node % 3), "y": node % 2}
    return made


@pytest.mark.parametrize("kind", ["pyg", "json", "edges"])
def test_training_reads_own_files_once(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "pyg":
        edges = torch.tensor(list(graph().edges)).t()
        path = tmp_path / "graph.pt"
        torch.save(Data(x=torch.rand(60, 2), edge_index=edges, y=torch.arange(60) % 2), path)
        seen = counted(monkeypatch, torch_file, "load_saved")
    elif kind == "json":
        path = tmp_path / "graph.json"
        path.write_text(json.dumps([nx.node_link_data(graph(), edges="edges")]))
        seen = counted(monkeypatch, networkx_list, "read_json")
    else:
        path = tmp_path / "folder"
        (path / "edges").mkdir(parents=True)
        (path / "nodes").mkdir()
        (path / "edges" / "one.csv").write_text("".join(f"{u},{v}\n" for u, v in graph().edges))
        rows = "".join(f"{node},{values['a']},{values['y']}\n" for node, values in graph().nodes(data=True))
        (path / "nodes" / "one.csv").write_text("node,a,y\n" + rows)
        seen = counted(monkeypatch, edge_list_folder, "read_text")
    given = ["--target", "y", "--model", "ClassicGNN(width=4, layers=1)", "--encodings", "none", "--epochs", "1"]
    assert main(["train", str(path), *given, "--accelerator", "cpu", "--run", str(tmp_path / "run")]) == 0
    assert len(seen) == len(set(seen)) == (2 if kind == "edges" else 1)
