from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from graphpe.benchmarks.tasks.links.planetoid import PlanetoidLinks
from graphpe.errors import GraphPEValueError


@pytest.mark.parametrize(("name", "nodes", "links"), [("Cora", 2708, 5278), ("CiteSeer", 3327, 4552)])
def test_the_real_sets(shared_data: Path, tmp_path: Path, name: str, nodes: int, links: int) -> None:
    shutil.copytree(shared_data / "planetoid" / name, tmp_path / name)
    one, same, other = (
        PlanetoidLinks(name, root=str(tmp_path), seed=seed, download=False).load(progress=False) for seed in (1, 1, 2)
    )
    assert one.graphs.num_nodes == nodes
    valid, test = int(0.05 * links), int(0.1 * links)
    assert {part: len(ids) for part, ids in one.split.items()} == {
        "train": links - valid - test, "valid": 2 * valid, "test": 2 * test,
    }  # fmt: skip
    assert one.graphs.num_edges == 2 * (links - valid - test)
    assert one.fingerprint == same.fingerprint != other.fingerprint
    held = one.pairs[:, torch.cat([one.split["valid"], one.split["test"]])].long()
    codes = held[0] * nodes + held[1]
    edges = one.graphs.edge_index[0] * nodes + one.graphs.edge_index[1]
    assert not torch.isin(codes, edges).any()


def test_arguments() -> None:
    for bad, message in (
        ({"name": "Karate"}, "name must be one of"),
        ({"valid": 0.0}, "valid must be a share above 0"),
        ({"valid": 0.5, "test": 0.5}, "leave no links for training"),
        ({"disjoint": 1.0}, "disjoint must be a share from 0 to below 1"),
        ({"score": "cosine"}, "score must be one of 'dot', 'hadamard'"),
    ):
        with pytest.raises(GraphPEValueError, match=message):
            PlanetoidLinks(**bad)  # type: ignore[arg-type]
    assert PlanetoidLinks("cora").name == "Cora"
