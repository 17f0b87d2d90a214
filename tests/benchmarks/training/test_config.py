from __future__ import annotations

import numpy as np
import pytest

from graphpe.benchmarks.training.config import TrainConfig
from graphpe.errors import GraphPETypeError, GraphPEValueError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs must be from 1 to .*, got 0"),
        ({"batch_size": -3}, "batch_size must be from 1 to .*, got -3"),
        ({"learning_rate": 0.0}, "learning_rate must be positive, got 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate must be finite, got nan"),
        ({"clip": float("inf")}, "clip must be finite, got inf"),
        ({"weight_decay": -0.1}, "weight_decay must be from 0 on, got -0.1"),
        ({"patience": -1}, "patience must be from 0 to .*, got -1"),
        ({"seed": 2**70}, f"seed must be from 0 to {2**63 - 1}, got {2**70}"),
        ({"max_nodes": 2**70}, f"max_nodes must be from 0 to {2**63 - 1}, got {2**70}"),
        ({"threads": 100_000}, "threads must be from 1 to 1024, got 100000"),
        ({"devices": 2000}, "devices must be from 1 to 1024, got 2000"),
        ({"precision": "8"}, "precision must be one of '32-true', .*, got '8'"),
        ({"accelerator": "cudda"}, "accelerator must be one of 'auto', .*, got 'cudda'"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(GraphPEValueError, match=message):
        TrainConfig(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 1.5}, "epochs must be an integer, got 1.5"),
        ({"batch_size": True}, "batch_size must be an integer, got True"),
        ({"clip": "no"}, "clip must be a number, got 'no'"),
    ],
)
def test_options_of_a_wrong_type_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(GraphPETypeError, match=message):
        TrainConfig(**options)  # type: ignore[arg-type]


def test_numbers_are_stored_as_pythons() -> None:
    config = TrainConfig(epochs=np.int64(3), learning_rate=np.float32(0.5), clip=2)  # type: ignore[arg-type]
    assert [type(value) for value in (config.epochs, config.learning_rate, config.clip)] == [int, float, float]
    assert config == TrainConfig(epochs=3, learning_rate=0.5, clip=2.0)


def test_plain_values_build_the_same_config() -> None:
    config = TrainConfig(encodings=("LaplacianPE(k=8)",), seed=4)
    assert TrainConfig(**config.as_dict()) == config


def test_differences_name_what_is_not_the_same() -> None:
    config = TrainConfig(seed=4)
    assert config.differences({"seed": 5, "epochs": config.epochs, "workers": 3}) == {"seed": (4, 5)}
    assert config.differences(config.as_dict()) == {}
