from __future__ import annotations

import pytest

from graphpe.benchmarks import warmup
from graphpe.benchmarks.calls.build import encoding_classes
from graphpe.compiled.jit import Loop
from graphpe.eigen.batched import eight_at_once as interleaved
from graphpe.eigen.batched import sparse as shift_invert
from graphpe.models.attention.grit import kernels as grit_kernels
from graphpe.models.attention.relational import kernels as relational_kernels


def test_every_call_is_of_an_encoding() -> None:
    assert set(warmup._CALLS) <= set(encoding_classes())


@pytest.mark.slow
def test_what_is_slow_to_compile_is_compiled() -> None:
    warmup.warmup()
    for function in (
        interleaved.solve_groups,
        shift_invert.extend,
        grit_kernels.backward_rows,
        relational_kernels.backward_rows,
    ):
        assert isinstance(function, Loop)
        assert function.overloads, function
