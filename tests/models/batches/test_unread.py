from __future__ import annotations

import pickle
import warnings

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data

from graphpe import models as M
from graphpe import transforms as T

SIZES = {"width": 8, "layers": 1}


@pytest.fixture
def batch() -> Batch:
    graphs = [Data(x=torch.randint(3, (n, 1)), edge_index=torch.randint(n, (2, 2 * n))) for n in (4, 6)]
    pairs = [T.RelativeRandomWalkPE(3), T.ShortestPathPE(max_distance=4), T.RandomWalkPE(5)]
    return T.Compose(pairs)(Batch.from_data_list(graphs))


def told(model: nn.Module, batch: Batch) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model(batch)
    return [str(each.message) for each in caught if "was built without" in str(each.message)]


def test_grit_without_the_rrwp_of_its_batch(batch: Batch) -> None:
    model = M.GRIT(**SIZES, heads=2, node_encoder=M.CategoricalNodes(8, 3))
    of_nodes, of_pairs = told(model, batch)
    assert of_nodes.startswith("GRIT was built without encodings and does not read the batch's random_walk_pe: give")
    assert "does not read the batch's rrwp, shortest_path: give pair_encodings=[...] with PairLinear" in of_pairs
    assert told(model, batch) == []  # once
    assert told(pickle.loads(pickle.dumps(model)), batch) == []
    bare = Batch.from_data_list([Data(x=each.x, edge_index=each.edge_index) for each in batch.to_data_list()])
    assert told(M.GRIT(**SIZES, heads=2, node_encoder=M.CategoricalNodes(8, 3)), bare) == []


@pytest.mark.parametrize("name", ["GRIT", "RelationalTransformer", "Graphormer", "GPS", "SAT"])
def test_a_model_that_reads_one_encoding_of_pairs_says_nothing_of_others(name: str, batch: Batch) -> None:
    bare = {"node_encoder": M.CategoricalNodes(8, 3)}
    node = bare | {"encodings": [M.LinearEncoding("random_walk_pe", 5, 8)]}
    features = name in ("GRIT", "RelationalTransformer")
    reader = M.PairLinear("rrwp", 3, 8) if features else M.PairBias("shortest_path", 2, head="alibi")
    build = getattr(M, name)
    assert told(build(**SIZES, heads=2, **bare, pair_encodings=[reader]), batch) == []
    (message,) = told(build(**SIZES, heads=2, **node), batch)
    assert message.startswith(f"{name} was built without pair_encodings")
    assert ("PairLinear" if features else "PairBias") in message


@pytest.mark.parametrize("name", ["GraphTransformer", "Exphormer", "GINE", "GCN", "GatedGCN"])
def test_encodings_of_nodes(name: str, batch: Batch) -> None:
    (message,) = told(getattr(M, name)(**SIZES, node_encoder=M.CategoricalNodes(8, 3)), batch)
    assert message.startswith(f"{name} was built without encodings and does not read the batch's random_walk_pe: ")
    reading = [M.LinearEncoding("random_walk_pe", 5, 8)]
    assert told(getattr(M, name)(**SIZES, node_encoder=M.CategoricalNodes(8, 3), encodings=reading), batch) == []


def test_what_rotary_attention_reads_is_read(batch: Batch) -> None:
    batch = T.SpectralCoordinates(3)(batch)
    del batch.random_walk_pe, batch.rrwp, batch.shortest_path
    options = {**SIZES, "heads": 2, "node_encoder": M.CategoricalNodes(8, 3)}
    assert told(M.GPS(**options, attention="rotary", rotary_channels=3), batch) == []
    assert len(told(M.GPS(**options), batch)) == 1


class OwnNodes(nn.Module):
    """A user's module, which reads an encoding without a word about it."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 8)

    def forward(self, batch: Batch) -> torch.Tensor:
        return self.linear(batch.random_walk_pe)


def test_modules_of_the_users_own_may_read_anything(batch: Batch) -> None:
    assert told(M.GINE(**SIZES, node_encoder=OwnNodes()), batch) == []
