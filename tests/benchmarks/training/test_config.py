from __future__ import annotations

import pytest

from graphpe.benchmarks.training.config import TrainConfig
from graphpe.errors import GraphPEValueError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs is 0; it must be at least 1"),
        ({"batch_size": -3}, "batch_size is -3; it must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0; it must be more than 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"clip": float("inf")}, "clip is inf; it must be finite"),
        ({"patience": -1}, "patience is -1; it must be 0 or more"),
        ({"seed": 2**70}, f"seed is {2**70}; it must be at most"),
        ({"max_nodes": 2**70}, f"max_nodes is {2**70}; it must be at most"),
        ({"threads": 100_000}, "threads is 100000; it must be at most 1024"),
        ({"devices": 2000}, "devices is 2000; it must be at most 1024"),
        ({"epochs": 1.5}, "epochs is 1.5; it must be a whole number"),
        ({"clip": "no"}, "clip is 'no'; it must be a number"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(GraphPEValueError, match=message):
        TrainConfig(**options)  # type: ignore[arg-type]


def test_plain_values_build_the_same_config() -> None:
    config = TrainConfig(encodings=("LaplacianPE(k=8)",), seed=4)
    assert TrainConfig(**config.as_dict()) == config


def test_differences_name_what_is_not_the_same() -> None:
    config = TrainConfig(seed=4)
    assert config.differences({"seed": 5, "epochs": config.epochs, "workers": 3}) == {"seed": (4, 5)}
    assert config.differences(config.as_dict()) == {}
