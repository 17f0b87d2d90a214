"""JSON that is larger than the memory, an entry at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from graphpe.errors import GraphPEValueError

_BLOCK = 2**20
_BLANK = " \t\r\n"
_AFTER = tuple(f"{_BLANK},:]}}")

LONGEST = 2**27
"""Characters of one entry: more are no JSON any more that somebody wrote."""


class JSONStream:
    """A reader that is asked what comes next; values are read whole, lists and objects may be read entry by entry.

    Args:
        read: Gives the next characters of the text, at most as many as it is asked for; none at its end.
    """

    def __init__(self, read: Callable[[int], str]) -> None:
        self._read = read
        self._decoder = json.JSONDecoder(strict=False)
        self._text, self._at, self._before = "", 0, 0

    def peek(self) -> str:
        """The next character that is no blank; "" at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _BLANK:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def value(self) -> Any:
        """The next value, as a whole.

        Raises:
            GraphPEValueError: It is no JSON, or cut off.
        """
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except RecursionError:
                raise self._error("an entry nested too deeply") from None
            except json.JSONDecodeError as error:
                reason = error.msg
            else:
                # A number at the end of what was read may go on: "-3." begins with one.
                if self._text[end : end + 1] in _AFTER or not self._more():
                    self._at = end
                    return value
                continue
            if len(self._text) - self._at > LONGEST:
                raise self._error(f"an entry without an end ({reason})")
            if not self._more():
                raise self._error(f"its end is missing, or it is no JSON ({reason})")

    def elements(self) -> Iterator[None]:
        """Stands before each element of a list in turn, which is then to be read.

        Raises:
            GraphPEValueError: It is no list.
        """
        self._take("[")
        yield from self._entries("]")

    def keys(self) -> Iterator[str]:
        """The keys of an object in turn; the value of each is then to be read.

        Raises:
            GraphPEValueError: It is no object.
        """
        self._take("{")
        for _ in self._entries("}"):
            key = self.value()
            if not isinstance(key, str):
                raise self._error("a key that is no text")
            self._take(":")
            yield key

    def end(self) -> None:
        """Raise if there is more.

        Raises:
            GraphPEValueError: There is.
        """
        if self.peek():
            raise self._error("more than one value")

    def _entries(self, closing: str) -> Iterator[None]:
        if self.peek() == closing:
            self._at += 1
            return
        while True:
            yield
            if self.peek() == closing:
                self._at += 1
                return
            self._take(",")

    def _take(self, expected: str) -> None:
        found = self.peek()
        if found != expected:
            raise self._error(f"{found!r} instead of {expected!r}" if found else "its end is missing")
        self._at += 1

    def _more(self) -> bool:
        """Read on; as much again as is held, so that a long entry is not decoded many times."""
        held = self._text[self._at :]
        new = self._read(max(_BLOCK, len(held)))
        self._before += self._at
        self._text, self._at = held + new, 0
        return bool(new)

    def _error(self, what: str) -> GraphPEValueError:
        return GraphPEValueError(f"{what}, at character {self._before + self._at:,}")
