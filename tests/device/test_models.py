"""Training steps of every architecture, encoder, bias and loss on the pretended accelerator.

They have to end in the CPU's numbers, and must never wait for the device: a step of a few hundred small kernels is
nothing but waiting otherwise.
"""

from __future__ import annotations

import pytest

from graphpe.benchmarks.measure.gpu.cases import FIRST, REST, Case
from graphpe.benchmarks.measure.gpu.step import step
from graphpe.benchmarks.measure.pretend.tensors import DEVICE

from .conftest import Compare

_CASES = [
    *(pytest.param(case, id=case.name) for case in FIRST),
    *(pytest.param(case, id=case.name, marks=pytest.mark.slow) for case in REST),
]


@pytest.mark.parametrize("case", _CASES)
def test_a_step_gives_the_numbers_of_the_cpu_and_never_waits(case: Case, compare: Compare) -> None:
    once = step(case, DEVICE)
    compare(case.name, once)
    assert not once.seen.syncs, once.seen.report()
    assert not once.seen.of("mixing", "no kernel"), once.seen.report()
    assert not once.seen.unknown, once.seen.unknown
    if once.gradient[0] > 1e-3:  # roots near zero amplify rounding
        once = step(case, DEVICE, double=True)
    assert once.output < 1e-4
    assert once.gradient[0] < 1e-3, once.gradient
