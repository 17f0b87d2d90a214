"""The folder of one run: config, metrics, checkpoints, summary. Everything in it is written atomically.

config.yaml     the resolved options; `graphpe train --config` takes it
task.json       what the task's adapter is built from (vocabularies), and the fingerprint of the data
metrics.jsonl   one line an epoch; metrics.csv the same as a table
last.pt         the newest state, to resume from
best.pt         the weights of the best validation epoch
summary.json    the result, once the run has finished
test_predictions.csv    of the best weights, beside what was to be predicted (.csv.gz where it is large)

The first two and the last carry a checksum of what they say; checkpoints have one of their own, and hold the options.
One process works in a folder at a time: it holds its lock.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from shlex import quote
from typing import Any

import yaml

from graphpe.benchmarks.console.config_file import read_options
from graphpe.benchmarks.runs.frame_file import write_frame
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.benchmarks.training.logs.flat import metrics_csv
from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.files.atomic import leftovers, remove_leftovers, write_atomically
from graphpe.files.locking import locked
from graphpe.files.reading import read_text

_MANY_CELLS = 1_000_000
_PROBE = ".writable"
_CHECKSUM = "# checksum "
_NUMBERS = ("valid", "test", "constant_valid", "constant_test")
"""Numbers of a summary that may not be finite; JSON has null for those."""


@dataclass(frozen=True)
class RunFolder:
    """Paths and files of one run."""

    path: Path

    @classmethod
    def create(cls, path: Path | None, name: str) -> RunFolder:
        """Make a new run folder.

        Args:
            path: Where; None means the next free `runs/<name>-001`.
            name: What the run is of, for the default path.

        Raises:
            GraphPEValueError: If the folder already holds something.
            GraphPERuntimeError: If it cannot be made or written.
        """
        try:
            if path is None:
                path = cls._next_free(Path("runs"), name)
            path.mkdir(parents=True, exist_ok=True)
            cls(path).check_unused()
            probe = path / _PROBE
            write_atomically(probe, b"")
            probe.unlink(missing_ok=True)
        except OSError as error:
            shown = path or Path("runs").absolute()
            raise GraphPERuntimeError(
                f"cannot write the run folder {shown}: {error.strerror or error}; name a writable one with --run"
            ) from None
        return cls(path)

    @staticmethod
    def _next_free(parent: Path, name: str) -> Path:
        parent.mkdir(parents=True, exist_ok=True)
        for number in range(1, 1_000_000):
            path = parent / f"{name}-{number:03d}"
            try:
                path.mkdir()  # fails where another process took the number
            except FileExistsError:
                continue
            return path
        raise GraphPERuntimeError(f"no free run number in {parent}; name a folder with --run")

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """An existing run.

        Raises:
            GraphPEValueError: If there is none at `path`.
        """
        run = cls(path)
        if not run.config_file.is_file():
            started = (path / "task.json").is_file()
            raise GraphPEValueError(
                f"{path} holds a run that ended before it began: start it again with `--run {path}`"
                if started
                else f"{path} is not a run folder: it has no config.yaml; give the folder of a `graphpe train`"
            )
        return run

    @classmethod
    def trained(cls, parent: Path = Path("runs")) -> list[RunFolder]:
        """The runs below `parent` that have weights, the newest first."""
        best = [path for path in parent.glob("*/best.pt") if (path.parent / "config.yaml").is_file()]
        return [cls(path.parent) for path in sorted(best, key=lambda path: path.stat().st_mtime, reverse=True)]

    @property
    def config_file(self) -> Path:
        """The file of the resolved options."""
        return self.path / "config.yaml"

    @property
    def last(self) -> Path:
        """The checkpoint to resume from."""
        return self.path / "last.pt"

    @property
    def best(self) -> Path:
        """The weights of the best validation epoch."""
        return self.path / "best.pt"

    def check_unused(self) -> None:
        """Refuse a folder that holds something; what a start that failed may have left there is nothing.

        Raises:
            GraphPEValueError: It holds something.
        """
        held = {entry.name for entry in self.path.iterdir()} - {path.name for path in leftovers(self.path)}
        if held - {"task.json", _PROBE}:
            instead = (
                f"resume that run with `--resume {quote(str(self.path))}`, or name"
                if self.config_file.is_file()
                else "name"
            )
            raise GraphPEValueError(f"{self.path} already holds files: {instead} another folder")

    @contextmanager
    def at_work(self, *, new: bool) -> Iterator[int | None]:
        """Hold the folder's lock: for one process at a time. Files that a kill left half-written are removed.

        Args:
            new: Whether the run begins: where nothing comes of it, the folder is removed again.

        Yields:
            The lock, to hand to a process that may outlive this one.

        Raises:
            GraphPEValueError: It was to be new, but another process has begun a run there.
            GraphPERuntimeError: Another process is at work there.
        """
        busy = f"another process is at work in {self.path}: wait for it, stop it, or name another folder"
        try:
            with locked(self.path, busy) as lock:
                if new:
                    self.check_unused()
                remove_leftovers(self.path)
                try:
                    yield lock
                finally:
                    if new and self.path.is_dir() and not any(self.path.iterdir()):
                        self.path.rmdir()
        except FileNotFoundError as error:
            raise GraphPERuntimeError(f"{error.filename or self.path} was removed by another process") from None

    def write_config(self, config: TrainConfig) -> None:
        """Save the resolved options."""
        text = yaml.safe_dump(config.as_dict(), sort_keys=False)
        self._write("config.yaml", f"{text}{_CHECKSUM}{_checksum(text)}\n")

    def withdraw(self) -> None:
        """Take back what makes the folder a run, if nothing was saved: there is nothing to go on with."""
        if not self.last.exists():
            self.config_file.unlink(missing_ok=True)
            (self.path / "task.json").unlink(missing_ok=True)

    def read_config(self) -> TrainConfig:
        """The options the run was made with.

        Raises:
            GraphPERuntimeError: If the file is damaged, or was edited.
        """
        try:
            text, _, checksum = read_options(self.config_file).partition(_CHECKSUM)
            if checksum.strip() != _checksum(text):
                raise ValueError("it is damaged, or was changed after its run began")
            return TrainConfig(**yaml.safe_load(text))
        except (yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
            reason = " ".join(str(error).split())[:200]
            raise GraphPERuntimeError(
                f"cannot read {self.config_file}: {reason}; put it back as it was, or start a new run"
            ) from None

    def write_task(self, state: dict[str, Any], fingerprint: str) -> None:
        """Save what the task's adapter is built from, and which data it was."""
        self._write_json("task.json", {"fingerprint": fingerprint, "state": state})

    def read_task(self) -> tuple[dict[str, Any], str]:
        """The state of the task's adapter, and the fingerprint of its data.

        Raises:
            GraphPERuntimeError: If the file is missing or damaged.
        """
        content = self._read_json("task.json", ("state", "fingerprint"), "start a new run")
        return content["state"], content["fingerprint"]

    def write_metrics(self, history: Sequence[dict[str, Any]]) -> None:
        """Save the record of every epoch. Rewritten whole, so that a resumed run holds no epoch twice."""
        self._write("metrics.jsonl", "".join(json.dumps(_finite(record)) + "\n" for record in history))
        self._write("metrics.csv", metrics_csv(history))

    def read_metrics(self) -> list[dict[str, Any]]:
        """The record of every epoch so far; empty before the first.

        Raises:
            GraphPERuntimeError: The file is damaged.
        """
        path = self.path / "metrics.jsonl"
        try:
            return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            raise GraphPERuntimeError(f"cannot read {path}: {' '.join(str(error).split())[:200]}") from None

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Save the result of a finished run."""
        self._write_json("summary.json", _finite(summary))

    def write_test_predictions(self, frame: Any) -> None:
        """Save a table of predictions for the test part."""
        name = "test_predictions.csv.gz" if frame.size > _MANY_CELLS else "test_predictions.csv"
        write_frame(frame, self.path / name)

    def read_summary(self) -> dict[str, Any] | None:
        """The result, or None while the run has not finished; `run` is where it is now.

        Raises:
            GraphPERuntimeError: If the file is damaged.
        """
        if not (self.path / "summary.json").exists():
            return None
        advice = "remove it, and `graphpe train --resume` evaluates again"
        summary = self._read_json("summary.json", _OF_A_SUMMARY, advice)
        return summary | {name: math.nan for name in _NUMBERS if summary[name] is None} | {"run": str(self.path)}

    def _write_json(self, name: str, content: Mapping[str, Any]) -> None:
        text = json.dumps(content, sort_keys=True)
        self._write(name, json.dumps({**content, "checksum": _checksum(text)}, indent=2) + "\n")

    def _read_json(self, name: str, keys: Sequence[str], advice: str) -> dict[str, Any]:
        path = self.path / name
        try:
            content = json.loads(read_text(path))
            if missing := [key for key in (*keys, "checksum") if key not in content]:
                raise ValueError(f"it has no {missing[0]}")
            if content.pop("checksum") != _checksum(json.dumps(content, sort_keys=True)):
                raise ValueError("its content is not what was written")
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            reason = " ".join(str(error).split())[:200]
            raise GraphPERuntimeError(f"cannot read {path}: {reason}; {advice}") from None
        except GraphPERuntimeError as error:
            raise GraphPERuntimeError(f"{error}; {advice}") from None
        return content

    def _write(self, name: str, content: str) -> None:
        try:
            write_atomically(self.path / name, content)
        except OSError as error:
            again = f"resume with `graphpe train --resume {quote(str(self.path))}`"
            raise GraphPERuntimeError(
                f"could not write {self.path / name}: {error.strerror or error}; free space or mend the folder, then "
                f"{again if self.config_file.is_file() else 'give the same command again'}"
            ) from error


_OF_A_SUMMARY = (
    *("task", "encodings", "model", "metric", "maximize", "best_epoch", "epochs", "constant_prediction"),
    *("parameters", "seconds_per_epoch", "seconds_before", "peak_bytes", "run"),
    *_NUMBERS,
)


def _checksum(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()


def _finite(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with null for numbers that are not finite, which JSON does not have."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in record.items()
    }
