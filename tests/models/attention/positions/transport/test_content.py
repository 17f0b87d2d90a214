from __future__ import annotations

from itertools import pairwise

import networkx as nx
import pytest
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphpe.models.attention.positions.transport.content import CARoPE, SelectiveRoPE

WIDTH = 16


def carope_steps(positions: CARoPE, x: Tensor) -> Tensor:
    """(1 / (1 + softplus(x w + b)))^c, [n, H, planes]."""
    f = 1 / (1 + torch.log1p(torch.exp(x @ positions.base.weight.T + positions.base.bias)))
    return torch.stack([f**c for c in range(1, 5)], 2)


def selective_steps(positions: SelectiveRoPE, x: Tensor) -> Tensor:
    unit = x / x.norm(dim=1, keepdim=True)
    turn = unit @ positions.angle.weight.T + positions.angle.bias
    return turn.view(len(x), 2, 4) * positions.frequency


CASES = [(CARoPE, carope_steps), (SelectiveRoPE, selective_steps)]


def logits_of(q: Tensor, k: Tensor, between: Tensor) -> Tensor:
    """Re conj(q_i) exp(i between_ij) k_j, [H, n, n], for angles [n, n, H, planes]."""
    zq, zk = (torch.view_as_complex(p.reshape(len(p), 2, 4, 2)) for p in (q, k))
    return torch.einsum("ihc,jhc,ijhc->hij", zq.conj(), zk, torch.exp(1j * between)).real


@pytest.mark.parametrize(("kind", "steps"), CASES)
def test_is_a_running_sum_on_a_directed_path(kind, steps, path, attend, inputs) -> None:
    size = 7
    q, k, v, x = inputs(size, WIDTH)
    positions = kind(WIDTH, 2, tree="edges").double()
    with torch.no_grad():
        for parameter in positions.parameters():
            parameter.add_(torch.randn_like(parameter))
    logits, _ = attend(positions, path(size), q, k, v, x)
    theta = steps(positions, x).cumsum(0)
    torch.testing.assert_close(logits, logits_of(q, k, theta[None] - theta[:, None]))


@pytest.mark.parametrize(("kind", "steps"), CASES)
def test_adds_down_and_subtracts_up_every_path(kind, steps, attend, inputs) -> None:
    edges = torch.tensor([[3, 3, 1, 1, 4], [1, 4, 0, 2, 5]])
    q, k, v, x = inputs(6, WIDTH)
    positions = kind(WIDTH, 2, tree="edges").double()
    logits, _ = attend(positions, Data(edge_index=edges, num_nodes=6), q, k, v, x)
    graph, parent = nx.from_edgelist(edges.T.tolist()), {b: a for a, b in edges.T.tolist()}
    step = steps(positions, x)
    between = torch.zeros(6, 6, 2, 4, dtype=torch.float64)
    for i, ways in nx.all_pairs_shortest_path(graph):
        for j, way in ways.items():
            for a, b in pairwise(way):
                between[i, j] += step[b] if parent.get(b) == a else -step[a]
    torch.testing.assert_close(logits, logits_of(q, k, between))


def test_begin_near_rope_over_the_depth() -> None:
    x = torch.randn(5, WIDTH)
    powers = torch.tensor([10000.0 ** (-c / 4) for c in range(1, 5)])
    torch.testing.assert_close(CARoPE(WIDTH, 2).steps(x * 0)[0, 0], powers)
    selective = SelectiveRoPE(WIDTH, 2)
    with torch.no_grad():
        selective.angle.weight.zero_()
    torch.testing.assert_close(selective.steps(x)[3, 1], powers * 10000.0**0.25)


@pytest.mark.parametrize("kind", [CARoPE, SelectiveRoPE])
def test_angles_are_exact_under_autocast(kind) -> None:
    positions, x = kind(WIDTH, 2), torch.randn(5, WIDTH)
    with torch.autocast("cpu", torch.bfloat16):
        low = positions.steps(x)
    assert torch.equal(low, positions.steps(x))
