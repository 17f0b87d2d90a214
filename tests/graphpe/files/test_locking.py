from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from graphpe.errors import GraphPERuntimeError
from graphpe.files.locking import locked


def test_one_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path, "busy"), pytest.raises(GraphPERuntimeError, match="busy"), locked(tmp_path, "busy"):
        pass
    with locked(tmp_path, "busy"):
        pass


def test_the_next_waits(tmp_path: Path) -> None:
    inside = threading.Event()
    said = []

    def hold() -> None:
        with locked(tmp_path, "busy"):
            inside.set()
            time.sleep(0.3)
            said.append("held")

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait()
    with locked(tmp_path, "busy", wait=30):
        said.append("next")
    thread.join()
    assert said == ["held", "next"]


def test_a_killed_process_lets_go(tmp_path: Path) -> None:
    code = "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], 0), 2); print(flush=True); sys.stdin.read()"
    other = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout is not None
    other.stdout.readline()
    with pytest.raises(GraphPERuntimeError, match="busy"), locked(tmp_path, "busy"):
        pass
    other.kill()
    other.wait()
    with locked(tmp_path, "busy"):
        pass
