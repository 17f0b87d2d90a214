from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

from graphpe.errors import GraphPEValueError
from graphpe.models.encoders.hop_tokens import HopTokens


def test_one_map_of_all_hops() -> None:
    data = Data(hop_features=torch.randn(5, 6))
    encoder = HopTokens("hop_features", hops=1, channels=3, width=4)
    expected = [encoder.linear(data.hop_features[:, part]) for part in (slice(0, 3), slice(3, 6))]
    torch.testing.assert_close(encoder(data), torch.stack(expected, dim=1))


def test_columns_are_those_of_the_hops() -> None:
    with pytest.raises(GraphPEValueError, match="was built for 6 columns"):
        HopTokens("hop_features", hops=1, channels=3, width=4)(Data(hop_features=torch.randn(5, 8)))
