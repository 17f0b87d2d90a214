from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch_geometric.utils import to_dense_adj

from graphpe.benchmarks.tasks.molecules.zinc import Zinc
from graphpe.errors import GraphPERuntimeError

WriteZinc = Callable[[Path], dict[str, list[dict[str, torch.Tensor]]]]


@pytest.mark.parametrize("subset", [True, False])
def test_files_in_the_layout_of_pyg(write_zinc: WriteZinc, tmp_path: Path, subset: bool) -> None:
    molecules = [each for part in write_zinc(tmp_path).values() for each in part]
    data = Zinc(root=str(tmp_path), subset=subset, download=False).load(progress=False)
    assert {part: ids.tolist() for part, ids in data.split.items()} == {
        "train": list(range(6)),
        "valid": list(range(6, 9)),
        "test": list(range(9, 13)),
    }
    for index, molecule in enumerate(molecules):
        graph = data.graphs[index]
        assert graph.x.flatten().tolist() == molecule["atom_type"].tolist()
        adjacency = to_dense_adj(graph.edge_index, edge_attr=graph.edge_attr, max_num_nodes=len(graph.x))
        assert torch.equal(adjacency[0, :, :, 0], molecule["bond_type"].long())
        torch.testing.assert_close(data.graphs.graph["y"][index], molecule["logP_SA_cycle_normalized"])
    assert data.evaluate(torch.zeros(4, 1), data.split["test"]) == pytest.approx(
        float(data.graphs.graph["y"][9:].abs().mean())
    )


def test_bad_files(write_zinc: WriteZinc, tmp_path: Path) -> None:
    with pytest.raises(GraphPERuntimeError, match=r"ZINC is not in .*raw .*missing\): put its files there"):
        Zinc(root=str(tmp_path / "none"), download=False).load(progress=False)
    assert not (tmp_path / "none").exists()
    write_zinc(tmp_path)
    (tmp_path / "raw" / "val.pickle").write_bytes(b"no pickle")
    with pytest.raises(GraphPERuntimeError, match=r"val.pickle is damaged or of another kind \(UnpicklingError"):
        Zinc(root=str(tmp_path), download=False).load(progress=False)


@pytest.mark.slow
def test_real_files(shared_data: Path, tmp_path: Path) -> None:
    shutil.copytree(shared_data / "zinc12k_like" / "raw", tmp_path / "raw")
    data = Zinc(root=str(tmp_path), download=False).load(progress=False)
    assert {part: len(ids) for part, ids in data.split.items()} == {"train": 10_000, "valid": 1_000, "test": 1_000}
    assert data.graphs.num_nodes / 12_000 == pytest.approx(23.15, abs=0.05)
