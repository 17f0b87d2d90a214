from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch_geometric.data import Batch, Data

from graphpe import models as M
from graphpe import transforms as T
from graphpe.errors import GraphPEError
from graphpe.models.attention.biases.randomized_hops import RandomizedHops
from graphpe.models.attention.pairs import all_pairs
from graphpe.models.batches.nodes import node_to_graph


def hops_of(count: int, most: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The hops 0 ... `most` of each of `count` graphs, and their graphs."""
    return torch.arange(most + 1.0).repeat(count)[:, None], torch.arange(count).repeat_interleave(most + 1)


def test_training_draws_sorted_samples_evenly() -> None:
    count, length, most = 30_000, 5, 3
    value, graph = hops_of(count, most)
    found = RandomizedHops(length)(value, graph, count).view(count, most + 1)
    assert bool((found[:, 0] == 0).all())
    assert bool((found.diff(dim=1) > 0).all())
    assert bool((found == found.round()).all())
    assert (int(found.min()), int(found.max())) == (0, length)
    sets = list(itertools.combinations(range(1, length + 1), most))
    counts = [int((found[:, 1:] == torch.tensor(each)).all(1).sum()) for each in sets]
    assert sum(counts) == count
    share = 1 / len(sets)
    for each in counts:  # within six standard deviations
        assert abs(each - count * share) < 6 * math.sqrt(count * share * (1 - share))
    # Evaluation is the mean of training, and depends on nothing random.
    module = RandomizedHops(length).eval()
    mean = module(*hops_of(1, most), 1).flatten()
    assert torch.allclose(mean, torch.arange(4.0) * (length + 1) / (most + 1))
    assert bool(((found.mean(0) - mean).abs() < 6 * length / math.sqrt(count)).all())


def test_as_long_as_the_longest_path_it_is_the_identity() -> None:
    value, graph = hops_of(4, 6)
    for module in (RandomizedHops(6), RandomizedHops(6).eval()):
        assert torch.allclose(module(value, graph, 4), value)
        # Further ones count as the length; between hops it is a line.
        assert torch.allclose(module(value * 2, graph, 4), (value * 2).clamp(max=6))
        assert torch.allclose(module(value / 6 * 5.5, graph, 4), value / 6 * 5.5)


def test_each_graph_has_its_own_map() -> None:
    hops = torch.tensor([0.0, 1, 2, 3, 0, 1, 0, 0.5, 1])[:, None]
    graph = torch.tensor([0, 0, 0, 0, 1, 1, 2, 2, 2])
    torch.manual_seed(0)
    module = RandomizedHops(64)
    found = module(hops, graph, 4).flatten()  # the last graph has no distance
    assert found[4] == found[6] == 0
    assert len({*found[1:4].tolist(), float(found[5]), float(found[8])}) == 5
    assert found[7] == found[8] / 2
    again = module(hops, graph, 4).flatten()
    assert not torch.equal(found, again)
    torch.manual_seed(0)
    assert torch.equal(module(hops, graph, 4).flatten(), found)
    mean = module.eval()(hops, graph, 4).flatten()
    assert mean[[3, 5]].tolist() == [3 * 65 / 4, 65 / 2]


@pytest.mark.parametrize("head", ["table", "t5", "alibi", "kerple_log", "fire", "gaussian"])
def test_biases_read_the_mapped_distances(head: str) -> None:
    """On a path, as on a sequence: the bias of the mapped distances, with what is no path as it was."""
    path, apart = torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]]), torch.tensor([[0, 1], [1, 0]])
    graphs = [Data(edge_index=path, num_nodes=4), Data(edge_index=apart, num_nodes=3)]
    batch = Batch.from_data_list([T.ShortestPathPE()(graph) for graph in graphs])
    pairs = all_pairs(node_to_graph(batch), batch.edge_index)
    bias = M.PairBias("shortest_path", 2, head=head, randomized=100)  # type: ignore[arg-type]
    plain = M.PairBias("shortest_path", 2, head=head, size=bias.size)  # type: ignore[arg-type]
    if head == "table":
        assert bias.size == 101
    for weight in bias.parameters():
        torch.nn.init.normal_(weight)
    plain.load_state_dict(bias.state_dict())
    torch.manual_seed(3)
    found = bias(batch, pairs).add
    value = batch.shortest_path.float()
    graph = torch.tensor([0] * 16 + [1] * 9)
    torch.manual_seed(3)
    mapped = RandomizedHops(100)(value.clamp(min=0), graph, 2)
    batch.shortest_path = torch.where(value >= 0, mapped, value)
    assert torch.allclose(found, plain(batch, pairs).add)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head": "mlp"}, "randomized=8 is for one distance of each pair: leave it 0 with head 'mlp'"),
        ({"head": "kernel"}, "with head 'kernel'"),
        ({"head": "alibi", "factored": True}, "with head 'alibi', factored=True"),
    ],
)
def test_heads_without_a_distance_of_pairs(options: dict, message: str) -> None:
    with pytest.raises(GraphPEError, match=message):
        M.PairBias("shortest_path", 2, randomized=8, **options)
    with pytest.raises(GraphPEError, match="randomized must be from 0"):
        M.PairBias("shortest_path", 2, randomized=-1)
