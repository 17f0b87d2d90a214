from __future__ import annotations

import os
import signal

import pytest

from graphpe.benchmarks.training.interrupt import Interrupted, stop_on_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_becomes_a_request(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stop_on_signals() as stop:
        assert stop.signal_number == 0
        os.kill(os.getpid(), number)
        assert stop.signal_number == number
    assert signal.getsignal(number) is before


def test_the_second_ctrl_c_acts_at_once(request: pytest.FixtureRequest) -> None:
    # A shell starts background jobs with SIGINT ignored; there, "as usual" would be to ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    with stop_on_signals():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_exit_codes_are_those_of_the_shell() -> None:
    assert Interrupted("", signal.SIGINT).exit_code == 130
    assert Interrupted("", signal.SIGTERM).exit_code == 143
