from __future__ import annotations

import math

import pytest
import torch

import graphpe.models as M
from graphpe.errors import GraphPEValueError
from graphpe.models.attention.pairs import all_pairs
from graphpe.models.batches.nodes import node_to_graph


@pytest.mark.parametrize("size", [3, 40])
def test_is_cope_on_a_sequence(make_path, sequence, size: int) -> None:
    terms = M.PathCounts(2, 8, size=size, directed=True)
    given = sequence(make_path(11), [terms])
    q, hidden = given.q / 2, given.offset > 0
    content = q @ given.k.transpose(1, 2)
    count = torch.sigmoid(content).masked_fill(hidden, 0).flip(-1).cumsum(-1).flip(-1).clamp(max=size - 1)
    low, high, part = count.floor().long(), count.ceil().long(), count - count.floor()
    term = q @ terms.vectors.t()
    logit = content + term.gather(2, high) * part + term.gather(2, low) * (1 - part)
    given.expect(logit.masked_fill(hidden, -torch.inf))


def test_is_cable_on_a_sequence(make_path, sequence) -> None:
    terms = M.PathDecays(2, 8, directed=True)
    given = sequence(make_path(11), [terms])
    key = given.k.transpose(0, 1).flatten(1)
    passed = torch.nn.functional.softplus(terms.gate(key)).cumsum(0).t()
    bias = passed.unsqueeze(1) - passed.unsqueeze(2)  # -(c_(j+1) + ... + c_i)
    logit = given.q @ given.k.transpose(1, 2) / 2 + bias
    given.expect(logit.masked_fill(given.offset > 0, -torch.inf))


@pytest.mark.parametrize("paths", ["shortest", "tree"])
def test_undirected_a_sequence_is_counted_both_ways(make_path, sequence, paths: str) -> None:
    terms = M.PathDecays(2, 8, paths=paths)
    given = sequence(make_path(8), [terms])
    length = torch.nn.functional.softplus(terms.gate(given.k.transpose(0, 1).flatten(1))).t()
    passed = length.cumsum(1)
    back = passed.unsqueeze(1) - passed.unsqueeze(2)
    forth = back.transpose(1, 2) + length.unsqueeze(1) - length.unsqueeze(2)  # i to j - 1
    given.expect(given.q @ given.k.transpose(1, 2) / 2 + torch.where(given.offset > 0, -(-forth).abs(), back))


def test_pairs_without_a_path_have_a_number_of_their_own(batch) -> None:
    members = node_to_graph(batch)
    pairs = all_pairs(members, batch.edge_index)
    query, key = torch.randn(2, batch.num_nodes, 16)
    for terms in (M.PathCounts(4, 16), M.PathDecays(4, 16)):
        torch.nn.init.normal_(terms.apart)
        joined = terms.prepare(batch, pairs, members)
        add = terms(query, key, joined).add
        apart = ~joined.paths.joined.squeeze(1)
        assert bool(apart.any())
        assert torch.equal(add[apart], terms.apart.expand(int(apart.sum()), -1))
    assert float(M.PathDecays(4, 16).apart[0].detach()) == pytest.approx(-16 * math.log(2))


def test_bad_arguments() -> None:
    with pytest.raises(GraphPEValueError, match="trees are walked both ways"):
        M.PathDecays(2, 8, paths="tree", directed=True)
    with pytest.raises(GraphPEValueError, match="paths must be one of"):
        M.PathCounts(2, 8, paths="longest")
    with pytest.raises(GraphPEValueError, match="size must be from 2 on"):
        M.PathCounts(2, 8, size=1)
