"""Commands of graphpe as processes of their own, which an attack may kill, limit or start twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        status: Its exit status; minus the signal where one ended it; None where it had to be killed after its time.
        out: What it printed.
        err: What it printed as errors.
    """

    status: int | None
    out: str
    err: str

    @property
    def said(self) -> list[str]:
        """Lines of errors, bars of progress and warnings of libraries aside."""
        return [line for line in self.err.replace("\r", "\n").splitlines() if line.startswith("graphpe ")]

    def one_line(self) -> str:
        """The error, which is one line that graphpe says on purpose."""
        assert self.status is not None, f"it did not end: {self.err[-2000:]}"
        assert self.status > 0, (self.status, self.err[-2000:])
        assert "Traceback" not in self.err + self.out, self.err[-3000:]
        errors = [line for line in self.said if ": error: " in line]
        assert len(errors) == 1, self.err[-2000:]
        return errors[0]

    def success(self) -> str:
        """What it printed, where it ended well."""
        assert self.status == 0, (self.status, self.err[-3000:])
        assert "Traceback" not in self.err + self.out, self.err[-3000:]
        return self.out


class Command:
    """A command that runs."""

    def __init__(self, forks: Forks, process: int, out: Path) -> None:
        self.forks, self.process, self._out = forks, process, out

    def wait(self, seconds: float = 120.0) -> Ended:
        """Wait for its end; where it does not come, kill it."""
        status = self.forks.ask({"wait": {"process": self.process, "seconds": seconds}})
        if status is None:
            self.kill()
            self.forks.ask({"wait": {"process": self.process, "seconds": 60.0}})
        return Ended(status, *self._texts())

    def wait_and_send(self, seconds: float, number: int) -> Ended:
        """Send it a signal after some seconds, and wait for its end."""
        status = self.forks.ask({"wait": {"process": self.process, "seconds": seconds}})
        if status is not None:
            return Ended(status, *self._texts())
        self.kill(number)
        return self.wait()

    def _texts(self) -> list[str]:
        return [Path(f"{self._out}.{name}").read_text(errors="replace") for name in ("out", "err")]

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send it a signal; it is not waited for."""
        os.kill(self.process, number)


class Forks:
    """The process of `forks.py`.

    Args:
        folder: For what commands print.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0
        env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("forks.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
        )

    def ask(self, request: dict[str, Any]) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def start(self, *arguments: object, memory: int = 0, file_size: int = 0, folder: Path | None = None) -> Command:
        """Start a command."""
        self.count += 1
        out = self.folder / str(self.count)
        request = {
            "arguments": [str(argument) for argument in arguments],
            "folder": str(folder or self.folder),
            "out": str(out),
            "memory": memory,
            "file_size": file_size,
        }
        return Command(self, self.ask(request), out)

    def run(self, *arguments: object, seconds: float = 120.0, **limits: Any) -> Ended:
        """Run a command to its end."""
        return self.start(*arguments, **limits).wait(seconds)

    def timed(self, *arguments: object) -> float:
        """Seconds that a command takes which ends well."""
        start = time.monotonic()
        self.run(*arguments).success()
        return time.monotonic() - start

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()
