"""Logging the epochs of a run to TensorBoard or Weights & Biases, each epoch once, also after a kill and a resume.

Loggers are Lightning Fabric's, on the first device alone. What they are given comes from the history that a checkpoint
holds: an epoch that was logged, but not saved before a kill, is trained again and does not stand there twice.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from lightning_fabric.loggers.logger import Logger

from graphpe.arguments import check_choice
from graphpe.benchmarks.training.config import Log, TrainConfig
from graphpe.benchmarks.training.logs.flat import flat
from graphpe.errors import GraphPERuntimeError

_PACKAGES = {"tensorboard": "torch.utils.tensorboard", "wandb": "wandb"}


def check_log(log: str) -> None:
    """Check that there is such a log, and that its package is there.

    Raises:
        GraphPEValueError: It is none of the known ones.
        GraphPERuntimeError: Its package is not installed, or does not know where to send numbers.
    """
    check_choice("log", log, get_args(Log))
    if log == "none":
        return
    try:
        importlib.import_module(_PACKAGES[log])
    except ImportError as error:
        reason = " ".join(str(error).split())[:120]
        raise GraphPERuntimeError(
            f"--log {log} needs the package {log} ({reason}): pip install 'graphpe[log]'"
        ) from None
    if log == "wandb":
        from graphpe.benchmarks.training.logs.wandb_logger import check_account

        check_account()


@dataclass
class EpochLog:
    """The log of one run.

    Attributes:
        log: Which.
        run: The folder of the run.
        config: Its options.
        logger: The logger, from the first epoch on.
        written: Epochs that it has.
    """

    log: Log
    run: Path
    config: TrainConfig
    logger: Logger | None = None
    written: int = field(default=0)

    def write(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Log the epochs that are not there yet."""
        if self.log == "none":
            return
        with _one_line(self.log, self.run):
            if self.logger is None:
                self.logger, self.written = self._open()
                self.logger.log_hyperparams(self.config.as_dict())
            for record in history[self.written :]:
                self.logger.log_metrics({k: v for k, v in flat(record).items() if k != "epoch"}, record["epoch"])
            self.written = max(self.written, len(history))
            self.logger.save()

    def write_test(self, metric: str, value: float, epoch: int) -> None:
        """Log the test metric, at the epoch whose weights it is of."""
        if self.logger is not None:
            with _one_line(self.log, self.run):
                self.logger.log_metrics({f"test_{metric}": value}, epoch)

    def close(self, status: str) -> None:
        """End it: with "success", or what else it was."""
        if self.logger is not None:
            with _one_line(self.log, self.run):
                self.logger.finalize(status)

    def _open(self) -> tuple[Logger, int]:
        if self.log == "wandb":
            from graphpe.benchmarks.training.logs.wandb_logger import WandbLogger

            logger = WandbLogger(self.run)
            return logger, logger.epochs
        from lightning_fabric.loggers.tensorboard import TensorBoardLogger

        # Event files can only grow: those of an earlier process are written anew, from the history.
        for old in (self.run / "tensorboard").glob("events.out.tfevents.*"):
            old.unlink()
        return TensorBoardLogger(self.run, name="tensorboard", version=""), 0


@contextmanager
def logged(log: EpochLog) -> Iterator[EpochLog]:
    """A log that ends with what it is the log of."""
    try:
        yield log
    except BaseException:
        log.close("failed")
        raise
    log.close("success")


@contextmanager
def _one_line(log: str, run: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        reason = error.__cause__ if isinstance(error, ValueError) else error  # Lightning wraps what a writer raises
        if not isinstance(reason, OSError):
            raise
        raise GraphPERuntimeError(
            f"cannot write the log for {log} in {run}: {reason.strerror or reason}; mend that, or use --log none"
        ) from None
