from __future__ import annotations

import torch

from graphpe.compiled.jit import everything_compiled
from graphpe.compiled.standing_back import standing_back, stands_back
from graphpe.models.attention.threads import compiled_runs, enough_pairs


def test_compiled_passes_stand_back_inside_only() -> None:
    rows = torch.zeros(10_000, 8)
    assert compiled_runs(rows)
    with standing_back(), standing_back():
        assert stands_back()
        assert not compiled_runs(rows)
        with everything_compiled():
            assert not enough_pairs(1)
    assert not stands_back()
    assert compiled_runs(rows)
