"""Terms of pairs, and attention from positions alone, on the pretended accelerator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.data import Data

from graphpe import models as M
from graphpe import transforms as T
from graphpe.benchmarks.measure.pretend.accelerator import move_module, pretending, to_host
from graphpe.benchmarks.measure.pretend.tensors import DEVICE
from graphpe.graphs.loader import PackedLoader
from graphpe.graphs.packed import PackedGraphs

CASES: dict[str, Any] = {
    "relations": lambda: {
        "pair_encodings": [
            M.RelationTerms("shortest_path", 4, 16, size=4, on=("query", "key", "value", "product"), directed=True),
            M.EdgeTerms(4, 16, types=3),
        ]
    },
    "paths": lambda: {"pair_encodings": [M.PathCounts(4, 16, size=4), M.PathDecays(4, 16, directed=True)]},
    "tree": lambda: {"pair_encodings": [M.PathDecays(4, 16, paths="tree")]},
    "directed": lambda: {"pair_encodings": [M.DirectedHeads("shortest_path", 4, 16)]},
    "prior": lambda: {"pair_encodings": [M.PairBias("shortest_path", 4, head="prior")]},
    "positions": lambda: {"positions": [M.PositionalAttention("random_walk_pe", 3, 16), M.LogLength(4, 16)]},
    "aft": lambda: {"attention": "aft", "pair_encodings": [M.PairBias("shortest_path", 4)]},
}


def graphs() -> PackedGraphs:
    rng, out = np.random.default_rng(), []
    for nodes in (1, 6, 11):
        edges = torch.from_numpy(rng.integers(0, nodes, (2, 2 * nodes)))
        types = torch.from_numpy(rng.integers(0, 3, 2 * nodes))
        out.append(Data(x=torch.randn(nodes, 5), edge_index=edges, edge_attr=types))
    return T.Compose([T.ShortestPathPE(undirected=False), T.RandomWalkPE(3)])(PackedGraphs.from_data_list(out))


@pytest.mark.parametrize("name", ["Graphormer", "GPS"])
@pytest.mark.parametrize("case", CASES)
def test_a_step_gives_the_numbers_of_the_cpu_and_never_waits(case: str, name: str) -> None:
    if case == "aft" and name == "Graphormer":
        return  # an attention of GPS
    packed = graphs()

    def build() -> nn.Module:
        torch.manual_seed(0)
        more = {"local": "none", "norm": "layer"} if name == "GPS" else {}
        made = getattr(M, name)(
            width=16, layers=2, heads=4, node_encoder=M.LinearNodes(5, 16), **(more | CASES[case]())
        )
        for parameter in made.parameters():
            if not parameter.detach().any():
                nn.init.normal_(parameter, std=0.3)
        return made

    here, there = build(), move_module(build())
    (batch,) = PackedLoader(packed, len(packed))
    output = here(batch)
    output.square().sum().backward()
    with pretending() as seen:
        (moved,) = PackedLoader(packed, len(packed), device=DEVICE)
        given = there(moved)
        given.square().sum().backward()
    assert not seen.syncs, seen.report()
    assert not seen.of("mixing", "no kernel"), seen.report()
    torch.testing.assert_close(to_host(given), output, atol=1e-4, rtol=1e-4)
    largest = max(float(p.grad.norm()) for p in here.parameters() if p.grad is not None)
    for mine, other in zip(here.parameters(), there.parameters(), strict=True):
        if mine.grad is not None:
            assert float((to_host(other.grad) - mine.grad).norm()) < 1e-3 * largest
