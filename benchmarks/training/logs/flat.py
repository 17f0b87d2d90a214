"""The record of an epoch as one row of numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any


def flat(record: Mapping[str, Any]) -> dict[str, float]:
    """A record without its levels: `seconds/load` for the `load` of `seconds`; what is not known is left out."""
    row: dict[str, float] = {}
    for name, value in record.items():
        if isinstance(value, Mapping):
            row |= {f"{name}/{inner}": number for inner, number in value.items() if number is not None}
        elif value is not None:
            row[name] = value
    return row


def metrics_csv(history: Sequence[Mapping[str, Any]]) -> str:
    """The records of all epochs, a row each."""
    rows = [flat(record) for record in history]
    text = io.StringIO()
    table = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue()
