"""The folder of one run: config, metrics, checkpoints, summary. Everything in it is written atomically.

config.yaml     the resolved options; `graphpe train --config` takes it
task.json       what the task's model ends need to predict (vocabularies), and the fingerprint of the data
metrics.jsonl   one line an epoch
last.pt         the newest state, to resume from
best.pt         the weights of the best validation epoch
summary.json    the result, once the run has finished
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from graphpe.benchmarks.training.config import TrainConfig
from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.storage.files import write_atomically


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
            else:
                if path.is_dir() and any(path.iterdir()):
                    raise GraphPEValueError(
                        f"{path} already holds files: resume that run with `--resume {path}`, or name another folder"
                    )
                path.mkdir(parents=True, exist_ok=True)
            probe = path / ".writable"
            write_atomically(probe, b"")
            probe.unlink()
        except OSError as error:
            raise GraphPERuntimeError(
                f"cannot write the run folder {path}: {error.strerror or error}; name a writable one with --run"
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
            raise GraphPEValueError(
                f"{path} is not a run folder: it has no config.yaml; give the folder of a `graphpe train`"
            )
        return run

    @classmethod
    def latest(cls, parent: Path = Path("runs")) -> RunFolder:
        """The run below `parent` whose best checkpoint is newest.

        Raises:
            GraphPEValueError: If there is none.
        """
        best = [path for path in parent.glob("*/best.pt") if (path.parent / "config.yaml").is_file()]
        if not best:
            raise GraphPEValueError(
                f"no trained run in {parent.resolve()}: train one with `graphpe train`, or name one with --run"
            )
        return cls(max(best, key=lambda path: path.stat().st_mtime).parent)

    @property
    def config_file(self) -> Path:
        return self.path / "config.yaml"

    @property
    def last(self) -> Path:
        """The checkpoint to resume from."""
        return self.path / "last.pt"

    @property
    def best(self) -> Path:
        """The weights of the best validation epoch."""
        return self.path / "best.pt"

    def discard_if_empty(self) -> None:
        """Remove a folder that a failed start left without files."""
        if self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()

    def write_config(self, config: TrainConfig) -> None:
        """Save the resolved options."""
        self._write("config.yaml", yaml.safe_dump(config.as_dict(), sort_keys=False))

    def read_config(self) -> TrainConfig:
        """The options the run was made with.

        Raises:
            GraphPERuntimeError: If the file is damaged.
        """
        try:
            return TrainConfig(**yaml.safe_load(self.config_file.read_text()))
        except (OSError, yaml.YAMLError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise GraphPERuntimeError(f"cannot read {self.config_file}: {reason}; start a new run") from None

    def write_task(self, state: dict[str, Any], fingerprint: str) -> None:
        """Save what the task's model ends are built from, and which data it was."""
        self._write("task.json", json.dumps({"fingerprint": fingerprint, "state": state}))

    def read_task(self) -> tuple[dict[str, Any], str]:
        """The state of the task's model ends, and the fingerprint of its data.

        Raises:
            GraphPERuntimeError: If the file is missing or damaged.
        """
        try:
            content = json.loads((self.path / "task.json").read_text())
            return content["state"], content["fingerprint"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise GraphPERuntimeError(f"cannot read {self.path / 'task.json'}: {error}; start a new run") from None

    def write_metrics(self, history: Sequence[dict[str, Any]]) -> None:
        """Save the record of every epoch. Rewritten whole, so that a resumed run holds no epoch twice."""
        self._write("metrics.jsonl", "".join(json.dumps(record) + "\n" for record in history))

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Save the result of a finished run."""
        self._write("summary.json", json.dumps(summary, indent=2) + "\n")

    def read_summary(self) -> dict[str, Any] | None:
        """The result, or None while the run has not finished."""
        path = self.path / "summary.json"
        return json.loads(path.read_text()) if path.is_file() else None

    def _write(self, name: str, content: str) -> None:
        try:
            write_atomically(self.path / name, content)
        except OSError as error:
            raise GraphPERuntimeError(
                f"could not write {self.path / name}: {error.strerror or error}; free space or mend the folder, then "
                f"resume with `graphpe train --resume {self.path}`"
            ) from error
