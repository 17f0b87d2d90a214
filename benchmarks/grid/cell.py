"""One cell of a grid: a training run in a folder of its own, and what became of it.

cell.json    what the cell is: task, encoding, model and seed as the grid names them, and the options of its run
run/         the run folder, as `graphpe train` writes it
log.txt      what the run printed
error.txt    one line, if the run failed
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from graphpe.benchmarks.training.config import Log, TrainConfig
from graphpe.benchmarks.training.distributed.forking import begin_process
from graphpe.benchmarks.training.run_folder import RunFolder
from graphpe.errors import GraphPEError, GraphPERuntimeError
from graphpe.files.atomic import remove_leftovers, write_atomically
from graphpe.files.locking import locked
from graphpe.files.reading import read_json, read_text

Status = Literal["new", "started", "failed", "damaged", "done"]

_NEW = {"sizes": "", "perturb": "none", "rewire": 0}
"""Options that cells had not always, and their values then: such cells keep their names."""

_GRACE = 60.0  # seconds in which the process of a grid that was killed saves its state


@dataclass(frozen=True)
class Cell:
    """A cell of a grid.

    Attributes:
        folder: Its folder.
        task: The task as the grid names it.
        encoding: The column as the grid names it.
        model: The model as the grid names it.
        config: The options of its run, resolved.
        options: Those that vary in its column and model, with their values here.
        draws: Of how many random settings this is one; 0 for what was listed.
    """

    folder: Path
    task: str
    encoding: str
    model: str
    config: TrainConfig
    options: dict[str, Any] = field(default_factory=dict)
    draws: int = 0

    @classmethod
    def of(
        cls,
        root: Path,
        task: str,
        encoding: str,
        model: str,
        config: TrainConfig,
        *,
        options: dict[str, Any] | None = None,
        draws: int = 0,
    ) -> Cell:
        """A cell below `root`, in a folder that is named after what it is: equal options, equal folder."""
        shown = {name: value for name, value in config.as_dict().items() if name != "init" or value is not None}
        for name, without in _NEW.items():
            if shown[name] == without:
                del shown[name]
        content = json.dumps(shown, sort_keys=True)
        if "@" in encoding + model:  # the folder's name may not tell them from the same without
            content += f"{encoding}\n{model}"
        digest = hashlib.blake2b(content.encode(), digest_size=4).hexdigest()
        readable = [re.sub(r"[^\w.=]+", "-", text).strip("-")[:40] for text in (task, encoding, model)]
        folder = root / "cells" / f"{'--'.join(readable)}--{config.seed}--{digest}"
        return cls(folder, task, encoding, model, config, options or {}, draws)

    @classmethod
    def open(cls, folder: Path) -> Cell:
        """The cell whose folder this is.

        Raises:
            GraphPERuntimeError: If `cell.json` cannot be read.
        """
        try:
            content = read_json(folder / "cell.json")
            config = TrainConfig(**content["config"])
            names = content["task"], content["encoding"], content["model"]
            if not all(isinstance(name, str) for name in names):
                raise TypeError("its names are no texts")
            return cls(folder, *names, config, dict(content.get("options", {})), int(content.get("draws", 0)))
        except (ValueError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise GraphPERuntimeError(f"{folder / 'cell.json'} is damaged, or no cell of a grid ({reason})") from None

    @property
    def drawn(self) -> bool:
        """Whether it is of a random search."""
        return self.draws > 0 and bool(self.options)

    @property
    def run(self) -> Path:
        """The folder of its run."""
        return self.folder / "run"

    @property
    def status(self) -> Status:
        """Whether it is done, failed, or was started; damaged where it is done, but its result cannot be read."""
        if (self.run / "summary.json").is_file():
            return "done" if self._readable() else "damaged"
        if (self.folder / "error.txt").is_file():
            return "failed"
        return "started" if self.folder.is_dir() else "new"

    @property
    def error(self) -> str:
        """What its process said when it failed."""
        return " ".join(read_text(self.folder / "error.txt").split())

    def summary(self) -> dict[str, Any]:
        """The summary of its run, once it is done.

        Raises:
            GraphPERuntimeError: It is not there, or damaged.
        """
        summary = RunFolder(self.run).read_summary()
        if summary is None:
            raise GraphPERuntimeError(f"{self.run} holds no summary.json: the cell is not done")
        return summary

    def _readable(self) -> bool:
        try:
            self.summary()
        except GraphPERuntimeError:
            return False
        return True

    def write(self) -> None:
        """Make the folder, and forget an earlier failure."""
        self.folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(self.folder)
        (self.folder / "error.txt").unlink(missing_ok=True)
        names = {"task": self.task, "encoding": self.encoding, "model": self.model}
        chosen = {"options": self.options, "draws": self.draws}
        content = {**names, **chosen, "config": self.config.as_dict()}
        write_atomically(self.folder / "cell.json", json.dumps(content, indent=2) + "\n")

    def mend(self) -> None:
        """Write what it is again, where that was damaged after it was done."""
        try:
            known = Cell.open(self.folder) == self
        except GraphPERuntimeError:
            known = False
        if not known:
            self.write()

    def fail(self, reason: str) -> None:
        """Note why it failed."""
        write_atomically(self.folder / "error.txt", " ".join(reason.split()) + "\n")


def run_cell(folder: Path, device: str | None = None, cache: Path | None = None, log: Log = "none") -> None:
    """Run a cell, or go on with it, in this process, which should be its own; never raises for a cell that fails.

    It ends, with its state saved, when the process that started it does. Ctrl-C in the terminal is for that one alone.

    Args:
        folder: Its folder.
        device: Numbers of the GPUs that it sees, as `CUDA_VISIBLE_DEVICES`; None to leave them.
        cache: Folder for data worth keeping; None means the user's cache folder.
        log: Where its epochs are logged beside its files.
    """
    begin_process()
    cell = Cell.open(folder)
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    os.environ["OMP_NUM_THREADS"] = str(cell.config.threads)
    with (
        open(folder / "log.txt", "a", encoding="utf-8") as output,
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(output),
    ):
        try:
            with locked(folder, "another process is at it; wait for it, or stop it", wait=_GRACE):
                _train(cell, cache, log)
        except GraphPEError as error:
            if not hasattr(error, "exit_code"):  # interrupted, not failed: it goes on another time
                cell.fail(str(error))
        except Exception as error:  # whatever a cell does, the others go on
            traceback.print_exc(file=output)
            cell.fail(f"{type(error).__name__}: {error} (see {folder / 'log.txt'})")
        finally:
            sys.stdout.flush()


def _train(cell: Cell, cache: Path | None, log: Log) -> None:
    from graphpe.benchmarks.training.experiment import run_experiment

    resume = None
    if (cell.run / "config.yaml").is_file():
        resume = RunFolder.open(cell.run)
    elif cell.run.exists():  # killed before there was anything to go on with
        shutil.rmtree(cell.run)
    run_experiment(cell.config, run_path=cell.run, resume=resume, progress=False, workers=1, cache=cache, log=log)
