from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data

from graphpe.errors import GraphPEValueError
from graphpe.models.attention.biases.named_biases import (
    alibi_bias,
    fire_bias,
    graphormer_bias,
    graphormer_gd_bias,
    kerple_bias,
    t5_bias,
    urpe_bias,
)
from graphpe.models.attention.biases.pair_bias import Head, PairBias
from graphpe.models.attention.biases.pair_factors import PairFactors, combine
from graphpe.models.attention.pairs import PairSet, all_pairs, edge_pairs
from graphpe.models.batches.nodes import node_to_graph

HEADS = 4


def path_batch() -> Batch:
    """A path of 4 nodes, a node, two nodes without an edge: hops and resistances, -1 where there is no path."""
    graphs = []
    for size, joined in ((4, True), (1, True), (0, True), (2, False)):
        place = torch.arange(size)
        hops = (place[:, None] - place).abs()
        if not joined:
            hops = torch.where(hops > 0, -1, hops)
        steps = torch.stack([place[:-1], place[1:]]) if joined and size else torch.zeros(2, 0, dtype=torch.long)
        graphs.append(
            Data(
                edge_index=steps,
                num_nodes=size,
                shortest_path=hops.view(-1, 1),
                resistance=torch.where(hops < 0, -1.0, hops * 0.5).view(-1, 1),
                rrwp=torch.rand(size * size, 3),
            )
        )
    return Batch.from_data_list(graphs)


def shaken(module: nn.Module) -> nn.Module:
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module


def both_sets(batch: Data) -> tuple[PairSet, PairSet]:
    members = node_to_graph(batch)
    return all_pairs(members, batch.edge_index), edge_pairs(members, batch.edge_index)


@pytest.mark.parametrize("head", get_args(Head))
@pytest.mark.parametrize("value", [-1.0, math.inf, -math.inf, math.nan, 3e38, 7.0, 1e30])
def test_pairs_without_a_path_have_a_number_of_their_own(head: str, value: float) -> None:
    if head in ("mlp", "path") or (head == "kernel" and value == -1.0):
        return
    batch = path_batch()
    batch.resistance[batch.resistance < 0] = value
    bias = PairBias("resistance", HEADS, head=head, unreachable=7.0)
    if head not in ("alibi",):
        shaken(bias)
    pairs, _ = both_sets(batch)
    factors = bias(batch, pairs)
    assert factors.multiply is None
    assert bool(factors.add.isfinite().all())
    apart = factors.add[[18, 19]]  # pairs (0, 1) and (1, 0) of the last graph
    torch.testing.assert_close(apart, bias.add.apart.expand(2, -1))
    factors.add.square().sum().backward()
    grads = [p.grad for p in bias.parameters() if p.grad is not None]
    assert grads
    assert all(bool(grad.isfinite().all()) for grad in grads)
    assert bool((bias.add.apart.grad != 0).all())


@pytest.mark.parametrize("head", get_args(Head))
def test_a_sparse_set_takes_its_pairs_of_the_complete_one(head: str) -> None:
    batch = path_batch()
    key, channels = ("rrwp", 3) if head in ("mlp", "path") else ("resistance", 1)
    bias = shaken(PairBias(key, HEADS, head=head, channels=channels))
    complete, sparse = both_sets(batch)
    torch.testing.assert_close(bias(batch, sparse).add, sparse.take(bias(batch, complete).add))


@pytest.mark.parametrize("head", get_args(Head))
def test_a_batch_gives_what_its_graphs_give(head: str) -> None:
    batch = path_batch()
    key, channels = ("rrwp", 3) if head in ("mlp", "path") else ("shortest_path", 1)
    bias = shaken(PairBias(key, HEADS, head=head, channels=channels))
    single = torch.cat([bias(data, both_sets(data)[0]).add for data in batch.to_data_list()])
    torch.testing.assert_close(bias(batch, both_sets(batch)[0]).add, single, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("head", ["table", "t5", "fire", "gaussian"])
def test_modes(head: str) -> None:
    batch = path_batch()
    pairs, _ = both_sets(batch)
    both = PairBias("shortest_path", HEADS, head=head, mode="both")
    start = both(batch, pairs)
    assert torch.equal(start.add, torch.zeros(21, HEADS))
    assert torch.equal(start.multiply, torch.ones(21, HEADS))
    shaken(both)
    add, multiply = (PairBias("shortest_path", HEADS, head=head, mode=mode) for mode in ("add", "multiply"))
    add.add.load_state_dict(both.add.state_dict())
    multiply.multiply.load_state_dict(both.multiply.state_dict())
    factors = both(batch, pairs)
    torch.testing.assert_close(factors.add, add(batch, pairs).add)
    torch.testing.assert_close(factors.multiply, multiply(batch, pairs).multiply)
    assert add(batch, pairs).multiply is None
    assert multiply(batch, pairs).add is None
    same = PairBias("shortest_path", HEADS, head=head)
    same.add.load_state_dict(both.multiply.state_dict())
    torch.testing.assert_close(factors.multiply, 1 + same(batch, pairs).add)  # not the same function as that added


def test_fire_normalises_by_the_eccentricity_of_the_query() -> None:
    batch = path_batch()
    bias = shaken(PairBias("shortest_path", HEADS, head="fire"))
    with torch.no_grad():
        bias.add.function.raw_threshold.fill_(-20.0)  # L = 0: always the eccentricity
    out = bias(batch, both_sets(batch)[0]).add[:16].view(4, 4, HEADS)
    c = math.log1p(math.exp(float(bias.add.function.raw_rate.detach())))
    for i, far in enumerate([3, 2, 2, 3]):
        for j in range(4):
            x = torch.tensor([[math.log(c * abs(i - j) + 1) / math.log(c * far + 1)]])
            torch.testing.assert_close(out[i, j], bias.add.function.mlp(x)[0], rtol=1e-4, atol=1e-5)


def test_named_biases_are_their_formulas() -> None:
    batch = path_batch()
    pairs, _ = both_sets(batch)
    hops = batch.shortest_path.squeeze(1)
    near = hops >= 0
    for bias in (graphormer_bias(HEADS, 2), t5_bias(HEADS), alibi_bias(HEADS), kerple_bias(HEADS, "shortest_path"),
                 kerple_bias(HEADS, kind="power"), fire_bias(HEADS)):  # fmt: skip
        factors = shaken(bias)(batch, pairs) if "alibi" not in bias.head else bias(batch, pairs)
        assert factors.multiply is None
        assert factors.add.shape == (21, HEADS)
    alibi = alibi_bias(HEADS)(batch, pairs).add[near]
    slopes = torch.tensor([2.0 ** (-8 * h / HEADS) for h in range(1, HEADS + 1)])
    torch.testing.assert_close(alibi, -hops[near].unsqueeze(1) * slopes)
    spatial = shaken(graphormer_bias(HEADS, 2))
    table, apart = spatial.add.function.table.weight, spatial.add.apart
    rows = torch.cat([table, apart.unsqueeze(0)])
    # The path's ends are 3 apart: what ShortestPathPE(2) would write as 3, and what stands for no path.
    torch.testing.assert_close(spatial(batch, pairs).add, rows[torch.where(near & (hops <= 2), hops, 3)])
    urpe = urpe_bias(HEADS, 3)(batch, pairs)
    assert urpe.add is None
    assert torch.equal(urpe.multiply, torch.ones(21, HEADS))


def test_graphormer_gd_has_both_functions_of_both_distances() -> None:
    batch = path_batch()
    pairs, _ = both_sets(batch)
    biases = [shaken(bias) for bias in graphormer_gd_bias(HEADS, 3)]
    factors = combine(bias(batch, pairs) for bias in biases)
    parts = [bias(batch, pairs) for bias in biases]
    torch.testing.assert_close(factors.add, parts[0].add + parts[1].add)
    torch.testing.assert_close(factors.multiply, parts[0].multiply * parts[1].multiply)


def test_combine_of_nothing() -> None:
    nothing = combine([])
    assert nothing.add is None
    assert nothing.multiply is None
    only = combine([PairFactors(multiply=torch.ones(1, 1))])
    assert only.add is None
    assert only.multiply is not None


def test_a_prior_is_a_generalised_gaussian_of_the_distance() -> None:
    """On a path graph D is |i - j|: BAM's prior over the place of j, normalised over a sequence."""
    batch = path_batch().to_data_list()[0]
    bias = shaken(PairBias("shortest_path", 2, head="prior"))
    head = bias.add.function
    add = bias(batch, both_sets(batch)[0]).add.view(4, 4, 2)
    rate, power = torch.nn.functional.softplus(head.raw_rate), 2 * torch.sigmoid(head.raw_power)
    for h in range(2):
        for i in range(4):
            prior = [
                math.exp(-float((rate[h] * abs(abs(i - j) - float(head.location[h]))) ** power[h])) for j in range(4)
            ]
            expected = torch.tensor(prior) / sum(prior)
            torch.testing.assert_close(torch.softmax(add[i, :, h], 0), expected, atol=1e-5, rtol=1e-4)
    with torch.no_grad():  # a location that is a distance has gradients, too
        head.location.fill_(1.0)
        head.raw_power.fill_(-1.0)
    bias(batch, both_sets(batch)[0]).add.sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in head.parameters())


def test_a_missing_encoding_names_the_transform() -> None:
    batch = path_batch()
    del batch.resistance
    pairs, _ = both_sets(batch)
    with pytest.raises(GraphPEValueError, match=r"add T.ResistancePE\(\) to the transforms"):
        kerple_bias(HEADS)(batch, pairs)
    with pytest.raises(GraphPEValueError, match="built for 2 columns"):
        PairBias("rrwp", HEADS, head="mlp", channels=2)(batch, pairs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head": "sine"}, "head must be one of 'table'"),
        ({"mode": "divide"}, "mode must be one of 'add'"),
        ({"channels": 3}, "head 'table' takes one distance"),
        ({"head": "alibi", "mode": "both"}, "head 'alibi' is a function of logits"),
        ({"head": "alibi", "size": 3}, "size=3 is not one that head 'alibi' can have"),
        ({"size": 0}, "size must be from 1 on"),
        ({"head": "t5", "size": 32, "max_distance": 16}, "max_distance must be greater than half of size"),
        ({"heads": 0}, "heads must be from 1 on"),
    ],
)
def test_bad_arguments(options: dict[str, object], message: str) -> None:
    with pytest.raises(GraphPEValueError, match=message):
        PairBias("resistance", **{"heads": HEADS, **options})


def test_bad_arguments_of_named_biases() -> None:
    with pytest.raises(GraphPEValueError, match="kind must be"):
        kerple_bias(2, kind="cubic")
