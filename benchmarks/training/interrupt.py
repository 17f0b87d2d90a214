"""Stopping between two steps when the user or the scheduler asks for it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from graphpe.errors import GraphPERuntimeError


class Interrupted(GraphPERuntimeError):
    """A run stopped because it was asked to; its state was saved."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal_number
        self.exit_code = 128 + signal_number

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.signal_number)


@dataclass
class StopRequest:
    """Set by a signal, read between steps."""

    signal_number: int = 0


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turn the first SIGINT or SIGTERM into a request; a second one acts as usual, at once."""
    request = StopRequest()
    previous: dict[int, Any] = {}

    def remember(number: int, frame: FrameType | None) -> None:
        request.signal_number = number
        for each, handler in previous.items():
            signal.signal(each, handler)

    for number in (signal.SIGINT, signal.SIGTERM):
        previous[number] = signal.signal(number, remember)
    try:
        yield request
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)
