from __future__ import annotations

import pytest
from torch import nn

from graphpe.arguments import (
    call_text,
    check_bools,
    check_choice,
    check_counts,
    check_heads,
    check_probabilities,
)
from graphpe.errors import GraphPEValueError


def test_good_values_pass() -> None:
    check_counts(a=1, b=2**40)
    check_heads(12, 3)
    check_probabilities(a=0, b=0.999)
    check_bools(a=True, b=False)
    check_choice("a", "x", ("x", "y"))


@pytest.mark.parametrize("value", [0, -1, 1.0, "1", None, True])
def test_counts(value: object) -> None:
    with pytest.raises(GraphPEValueError, match=r"^n must be a positive integer \(got "):
        check_counts(m=1, n=value)


@pytest.mark.parametrize("value", [1, 1.0, -0.1, float("nan"), "0", None, False])
def test_probabilities(value: object) -> None:
    with pytest.raises(GraphPEValueError, match=r"^p must be a number in \[0, 1\) \(got "):
        check_probabilities(p=value)


def test_other_values() -> None:
    with pytest.raises(GraphPEValueError, match=r"^width must be a multiple of heads \(got width=10, heads=3\)$"):
        check_heads(10, 3)
    with pytest.raises(GraphPEValueError, match=r"^b must be True or False \(got 1\)$"):
        check_bools(b=1)
    with pytest.raises(GraphPEValueError, match=r"^c must be one of 'x', 'y' \(got 'z'\)$"):
        check_choice("c", "z", ("x", "y"))


def test_call_text_counts_layers() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers, self.norm = nn.ModuleList([nn.Identity()] * 3), "batch"

    assert call_text(Model(), ("layers", "norm")) == "Model(layers=3, norm='batch')"
