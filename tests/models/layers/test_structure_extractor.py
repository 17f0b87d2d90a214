from __future__ import annotations

import pytest
import torch
from torch import nn

from graphpe.models.layers.structure_extractor import Neighbourhood, StructureExtractor

WIDTH = 6


def around(edge_index: torch.Tensor, nodes: int) -> Neighbourhood:
    counts = [torch.bincount(end, minlength=nodes).clamp(min=1).double().reciprocal().unsqueeze(1)
              for end in (edge_index[1], edge_index[0])]  # fmt: skip
    return Neighbourhood(edge_index, *counts)


@pytest.mark.parametrize("edges", [True, False])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_is_its_equations(bidirectional: bool, edges: bool) -> None:
    nodes = 6
    edge_index = torch.randint(0, nodes - 1, (2, 9))  # parallel edges, and a node without any
    x, edge = torch.randn(nodes, WIDTH).double(), torch.randn(9, WIDTH).double()
    extractor = StructureExtractor(WIDTH, 2, bidirectional=bidirectional, edges=edges).double()
    h = extractor.narrow(x)
    seen = [x]
    for hop in extractor.hops:
        parts = [h]
        for start, end in ((0, 1), (1, 0)) if bidirectional else ((0, 1),):
            rows = []
            for i in range(nodes):
                mine = [n for n in range(9) if edge_index[end, n] == i]
                messages = [h[edge_index[start, n]] for n in mine]
                if edges:
                    messages = [
                        (m + extractor.edge_map(edge[n])).clamp(min=0) for m, n in zip(messages, mine, strict=True)
                    ]
                rows.append(torch.stack(messages).mean(0) if mine else torch.zeros(WIDTH // 2).double())
            parts.append(torch.stack(rows))
        h = hop(torch.cat(parts, 1)).clamp(min=0)
        seen.append(h)
    found = extractor(x, edge if edges else None, around(edge_index, nodes))
    torch.testing.assert_close(found, extractor.out(torch.cat(seen, 1)))


def test_reversing_edges_swaps_the_two_directions() -> None:
    edge_index = torch.randint(0, 5, (2, 8))
    x = torch.randn(5, WIDTH).double()
    one = StructureExtractor(WIDTH, 1, bidirectional=True, edges=False).double()
    other = StructureExtractor(WIDTH, 1, bidirectional=True, edges=False).double()
    other.load_state_dict(one.state_dict())
    own, entering, leaving = one.hops[0].weight.detach().split(WIDTH // 2, 1)
    other.hops[0].weight = nn.Parameter(torch.cat([own, leaving, entering], 1))
    torch.testing.assert_close(one(x, None, around(edge_index, 5)), other(x, None, around(edge_index.flip(0), 5)))
