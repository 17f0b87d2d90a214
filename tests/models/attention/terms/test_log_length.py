from __future__ import annotations

import math

import pytest
import torch

import graphpe.models as M
from graphpe.errors import GraphPEValueError


def test_is_scalable_softmax_on_a_sequence(make_path, sequence) -> None:
    positions = M.LogLength(2, 8)
    given = sequence(make_path(9), positions=[positions])
    z = given.q @ given.k.transpose(1, 2) / 2
    given.expect(positions.scale.view(2, 1, 1) * math.log(9) * z)


def test_one_key_and_extra_nodes(batch) -> None:
    """Every graph has its own n; with a virtual node one more. A graph of one node is as without."""
    for virtual, more in ((False, 0), (True, 1)):
        torch.manual_seed(0)
        options = {"width": 16, "layers": 1, "heads": 4, "virtual_node": virtual, "readout": "mean"}
        plain = M.Graphormer(**options, node_encoder=M.LinearNodes(16, 16)).double().eval()
        for data in batch.to_data_list():
            if not data.num_nodes:
                continue
            n = data.num_nodes + more
            positions = M.LogLength(4, 16, scale=2.0, learned=False).double()
            assert not positions.scale.requires_grad
            plain.positions = torch.nn.ModuleList()
            hand = plain.layers[0].attention.query_key
            with torch.no_grad():
                hand.weight[:16].mul_(2 * math.log(n))
                hand.bias[:16].mul_(2 * math.log(n))
                expected = plain(data)
                if n > 1:
                    hand.weight[:16].div_(2 * math.log(n))
                    hand.bias[:16].div_(2 * math.log(n))
                plain.positions = torch.nn.ModuleList([positions])
                torch.testing.assert_close(plain(data), expected)


def test_bad_arguments() -> None:
    with pytest.raises(GraphPEValueError, match="scale must be positive"):
        M.LogLength(2, 8, scale=0.0)
    with pytest.raises(GraphPEValueError, match="this one is linear"):
        M.GPS(width=8, heads=2, attention="linear", node_encoder=M.LinearNodes(8, 8), positions=[M.LogLength(2, 8)])
