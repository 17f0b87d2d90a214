from __future__ import annotations

import torch
from torch_geometric.data import Batch

from graphpe.benchmarks.pretraining.ends import HIDDEN, EncodingHead, RandomNodes, normal_numbers
from tests.benchmarks.pretraining.conftest import random_graphs


def test_numbers_are_normal_and_functions_of_counter_and_seed() -> None:
    counter = torch.arange(20_000)
    one, other = normal_numbers(counter, 0), normal_numbers(counter, 1)
    assert torch.equal(one, normal_numbers(counter, 0))
    for numbers in (one, other, normal_numbers(counter, 2**64 - 1)):
        ordered = numbers.double().sort().values
        level = (torch.arange(20_000) + 0.5) / 20_000
        assert float((torch.special.ndtr(ordered) - level).abs().max()) < 0.012  # Kolmogorov and Smirnov, fixed numbers
    assert abs(float(torch.corrcoef(torch.stack([one, other]))[0, 1])) < 0.03
    assert abs(float(torch.corrcoef(torch.stack([one[1:], one[:-1]]))[0, 1])) < 0.03


def test_random_features_are_drawn_in_training_alone() -> None:
    data_list = random_graphs(4, 7)
    nodes, batch = RandomNodes(8), Batch.from_data_list(data_list)
    torch.manual_seed(1)
    first = nodes(batch)
    assert not torch.equal(first, nodes(batch))
    torch.manual_seed(1)
    assert torch.equal(first, nodes(batch))
    nodes.eval()
    whole = nodes(batch)
    torch.testing.assert_close(whole, torch.cat([nodes(each) for each in data_list]))
    nodes.seed = 1
    assert not torch.allclose(whole, nodes(batch))


def test_heads_tell_both_ends_of_a_pair_apart() -> None:
    parts = EncodingHead(6, 0, 3)(torch.randn(4, 6))
    assert parts.nodes.shape == (4, 0)
    assert parts.ends is not None
    left, right, weight, bias = parts.ends
    assert left.shape == right.shape == (4, HIDDEN)
    assert not torch.allclose(left, right)
    assert not weight.is_leaf  # DistributedDataParallel takes a parameter that is an output for unused
    assert (weight.shape, bias.shape) == ((3, HIDDEN), (3,))
    assert EncodingHead(6, 2, 0)(torch.randn(4, 6)).ends is None
