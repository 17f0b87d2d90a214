"""Ctrl-C during one long call: Python hears of it when the call returns, the user at once."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SHORT = 0.5  # seconds in which most calls return


@contextmanager
def heard_at_once(program: str) -> Iterator[None]:
    """Tell the user that Ctrl-C or SIGTERM was heard, and let a second one end the process, whatever it is doing.

    Signals are served between two instructions of Python, so that one call into compiled code can delay them. A thread
    sees them at once. It only speaks, and ends the process, where the main thread has not done so in half a second.
    Files are written atomically: to end at any moment does no harm.

    Args:
        program: What the line begins with.
    """
    if threading.current_thread() is not threading.main_thread():  # only there are signals served
        yield
        return
    read, write = os.pipe()
    os.set_blocking(write, False)
    before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    thread = threading.Thread(target=_watch, args=(read, program), daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(write)
        thread.join()
        os.close(read)


def _watch(read: int, program: str) -> None:
    heard = 0
    while data := os.read(read, 1):  # empty once the other end is closed
        if data[0] not in (signal.SIGINT, signal.SIGTERM):
            continue
        heard += 1
        if _ended_soon(read):
            continue
        if heard > 1:
            os._exit(128 + data[0])
        print(
            f"{program}: stopping as soon as what is being computed is done; Ctrl-C again ends it at once",
            file=sys.stderr,
            flush=True,
        )


def _ended_soon(read: int) -> bool:
    """Whether the command ends within half a second, or another signal comes."""
    ready, _, _ = select.select([read], [], [], _SHORT)
    return bool(ready)
