from __future__ import annotations

import math
from pathlib import Path

import pytest

from graphpe.benchmarks.training.state import TrainState
from graphpe.errors import GraphPERuntimeError


def test_a_state_is_read_back() -> None:
    state = TrainState(epoch=3, best_metric=0.5, cpu_seconds=1.5)
    assert TrainState.of(state.as_dict(), Path("last.pt")) == state


def test_older_checkpoints_do_not_know_processor_seconds() -> None:
    values = TrainState(epoch=3, step=7).as_dict()
    del values["cpu_seconds"]
    state = TrainState.of(values, Path("last.pt"))
    assert math.isnan(state.cpu_seconds)
    assert (state.epoch, state.step) == (3, 7)
    state.start_epoch()
    assert state.cpu_seconds == 0
    with pytest.raises(GraphPERuntimeError, match="does not say where its run is"):
        TrainState.of({**values, "other": 1}, Path("last.pt"))
