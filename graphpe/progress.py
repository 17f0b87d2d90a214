"""Progress bars: of tqdm in a terminal, a line now and then where standard error is a file or a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

_SECONDS = 30.0
"""Between two lines in a log."""


class _Log:
    """What tqdm writes to, as lines: no returns of the cursor, no blanks that wipe a bar out."""

    def write(self, text: str) -> None:
        """Write the text as a line, if it is more than blanks."""
        if line := text.strip():
            sys.stderr.write(line + "\n")

    def flush(self) -> None:
        """Pass it on."""
        sys.stderr.flush()


def progress_bar(iterable: Iterable[Any] | None = None, **options: Any) -> tqdm[Any]:
    """`tqdm(iterable, **options)`; where standard error is no terminal, a plain line every 30 seconds instead of a bar.

    Work that takes less leaves nothing in a log.
    """
    terminal = getattr(sys.stderr, "isatty", lambda: False)
    if not options.get("disable") and not terminal():
        options |= {
            "file": _Log(),
            "mininterval": _SECONDS,
            "maxinterval": 2 * _SECONDS,
            "delay": _SECONDS,
            "leave": False,
            "ncols": 0,
        }
    return tqdm(iterable, **options)
