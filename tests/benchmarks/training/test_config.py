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
    ],
)
def test_impossible_options_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(GraphPEValueError, match=message):
        TrainConfig(**options)  # type: ignore[arg-type]


def test_plain_values_build_the_same_config() -> None:
    config = TrainConfig(encodings=("LaplacianPE(k=8)",), seed=4)
    assert TrainConfig(**config.as_dict()) == config


def test_differences_name_what_is_not_the_same() -> None:
    config = TrainConfig(seed=4)
    assert config.differences({"seed": 5, "epochs": config.epochs, "workers": 3}) == {"seed": (4, 5)}
    assert config.differences(config.as_dict()) == {}
