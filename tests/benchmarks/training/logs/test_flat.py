from __future__ import annotations

import csv
import io

from graphpe.benchmarks.training.logs.flat import flat, metrics_csv


def test_levels_become_names_and_what_is_not_known_is_left_out() -> None:
    record = {"epoch": 1, "valid_loss": float("nan"), "valid_by_target": {"a": 0.5, "b": None}, "seconds": {"load": 1}}
    row = flat(record)
    assert list(row) == ["epoch", "valid_loss", "valid_by_target/a", "seconds/load"]
    rows = list(csv.DictReader(io.StringIO(metrics_csv([record, {"epoch": 2, "learning_rate": 0.1}]))))
    assert [each["epoch"] for each in rows] == ["1", "2"]
    assert rows[0]["valid_loss"] == "nan"
    assert (rows[0]["learning_rate"], rows[1]["learning_rate"]) == ("", "0.1")
