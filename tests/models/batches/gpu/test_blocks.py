"""Nodes in blocks by the kernel: as without it."""

from __future__ import annotations

import pytest
import torch

from graphpe.models.attention.gpu import ragged

from ...attention.gpu.conftest import members_of


@pytest.mark.parametrize("sizes", [[1], [3, 1, 40], [0, 2, 0, 33, 0], [16, 17, 15, 32], [5] * 300, [70] * 5, [5000, 1]])
def test_are_those_without_the_kernel(sizes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    members = members_of(sizes)
    expected = ragged.ragged_nodes(members)
    monkeypatch.setattr(ragged, "has_kernels", lambda device: True)
    found = ragged.ragged_nodes(members)
    assert (found.size, found.blocks) == (expected.size, expected.blocks)
    for name in ("graph", "first", "pair_ptr"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name


def test_no_graph_and_none_with_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ragged, "has_kernels", lambda device: True)
    assert ragged.ragged_nodes(members_of([])).blocks == 0
    empty = ragged.ragged_nodes(members_of([0, 0]))
    assert empty.blocks == 0
    assert empty.first.tolist() == empty.pair_ptr.tolist() == [0, 0, 0]
