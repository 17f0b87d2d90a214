from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

from graphpe.errors import GraphPEValueError
from graphpe.models import LinearEncoding


def test_is_a_linear_map_of_the_key() -> None:
    encoder = LinearEncoding("random_walk_pe", 3, 5)
    torch.nn.init.normal_(encoder.linear.weight)
    value = torch.rand(4, 3, dtype=torch.double)
    out = encoder(Data(random_walk_pe=value))
    torch.testing.assert_close(out, value.float() @ encoder.linear.weight.t() + encoder.linear.bias)


def test_a_missing_key_names_the_transform() -> None:
    with pytest.raises(
        GraphPEValueError, match=r"batch has no `random_walk_pe`: add T.RandomWalkPE\(walk_length=3\) to the transforms"
    ):
        LinearEncoding("random_walk_pe", 3, 5)(Data(num_nodes=2))
    with pytest.raises(GraphPEValueError, match="batch has no `own_pe`: add the transform that writes it"):
        LinearEncoding("own_pe", 3, 5)(Data(num_nodes=2))


def test_wrong_width_and_kind() -> None:
    encoder = LinearEncoding("random_walk_pe", 3, 5)
    torch.nn.init.normal_(encoder.linear.weight)
    with pytest.raises(GraphPEValueError, match=r"shape \[4, 2\].*3 columns"):
        encoder(Data(random_walk_pe=torch.rand(4, 2)))
    with pytest.raises(GraphPEValueError, match="complex"):
        encoder(Data(random_walk_pe=torch.rand(4, 3, dtype=torch.cfloat)))
    with pytest.raises(GraphPEValueError, match="must be from 1 on"):
        LinearEncoding("random_walk_pe", 0, 5)
