from __future__ import annotations

from graphpe.benchmarks.console.given import values_of


def test_values_stand_behind_the_option_or_an_equals_sign() -> None:
    arguments = ["data", "--config", "a.yaml", "--config=b=c.yaml", "--configs", "d", "--config"]
    assert list(values_of("--config", arguments)) == ["a.yaml", "b=c.yaml"]
    assert list(values_of("--recipe", arguments)) == []
