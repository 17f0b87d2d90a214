from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

from graphpe.errors import GraphPEValueError
from graphpe.models import EmbeddingEncoding


def test_sums_one_row_of_each_column() -> None:
    encoder = EmbeddingEncoding("degree_pe", columns=2, vocabulary=4, width=5)
    assert not encoder(Data(degree_pe=torch.tensor([[0, 3]]))).any()
    torch.nn.init.normal_(encoder.table.weight)
    tables = encoder.table.weight.view(2, 4, 5)
    out = encoder(Data(degree_pe=torch.tensor([[0, 3], [2, 2]])))
    torch.testing.assert_close(out, torch.stack([tables[0, 0] + tables[1, 3], tables[0, 2] + tables[1, 2]]))


def test_errors() -> None:
    encoder = EmbeddingEncoding("degree_pe", columns=2, vocabulary=4, width=5)
    with pytest.raises(GraphPEValueError, match=r"holds torch\.float32, not integers: use LinearEncoding"):
        encoder(Data(degree_pe=torch.zeros(3, 2)))
    with pytest.raises(GraphPEValueError, match=r"shape \[3, 1\].*2 columns"):
        encoder(Data(degree_pe=torch.zeros(3, 1, dtype=torch.long)))
    with pytest.raises(GraphPEValueError, match="must be from 1 on"):
        EmbeddingEncoding("degree_pe", columns=2, vocabulary=0, width=5)
