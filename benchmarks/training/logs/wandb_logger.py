"""Weights & Biases as one of Fabric's loggers."""

from __future__ import annotations

import json
import os
import secrets
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_fabric.loggers.logger import Logger

from graphpe.errors import GraphPERuntimeError
from graphpe.files.atomic import write_atomically

_FILE = "wandb.json"
_WITHOUT_ACCOUNT = ("offline", "dryrun", "disabled")


def check_account() -> None:
    """Check that W&B knows whose runs they are; it would ask, and wait.

    Raises:
        GraphPERuntimeError: It does not.
    """
    import wandb  # of the extra `log`

    if os.environ.get("WANDB_MODE") not in _WITHOUT_ACCOUNT and not wandb.login(prompt=False, verify=False):
        raise GraphPERuntimeError(
            "--log wandb knows no account here: give `wandb login` first, or set WANDB_MODE=offline and send the run "
            "later with `wandb sync`"
        )


class WandbLogger(Logger):
    """The run of W&B that belongs to a run folder: the same one after a resume.

    `wandb.json` in the folder has its id and how many epochs it was given; the project is `WANDB_PROJECT` or "graphpe".

    Args:
        run: The folder of the run.

    Raises:
        GraphPERuntimeError: W&B cannot begin it.
    """

    def __init__(self, run: Path) -> None:
        import wandb  # of the extra `log`

        super().__init__()
        self._file = run / _FILE
        self._id, self.epochs = self._read()
        cell = run.name == "run"  # of a grid: its folder has the name
        try:
            self._run = wandb.init(
                id=self._id,
                resume="allow",
                name=run.parent.name if cell else run.name,
                project=os.environ.get("WANDB_PROJECT", "graphpe"),
                dir=str(run),
                settings=wandb.Settings(console="off", silent=True),
            )
        except (wandb.Error, OSError) as error:
            reason = " ".join(str(error).split())[:200]
            raise GraphPERuntimeError(
                f"W&B cannot begin the run ({reason}): set WANDB_MODE=offline, or resume with --log none"
            ) from None

    @property
    def name(self) -> str:
        """What it is."""
        return "wandb"

    @property
    def version(self) -> str:
        """The id of the run at W&B."""
        return self._id

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Numbers of an epoch; those of the test go where W&B shows what came out of a run."""
        if any(name.startswith("test_") for name in metrics):
            self._run.summary.update({**metrics, "best_epoch": step})
            return
        self._run.log(metrics, step=step)
        self.epochs = max(self.epochs, step or 0)
        write_atomically(self._file, json.dumps({"id": self._id, "epochs": self.epochs}) + "\n")

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """The options of the run."""
        self._run.config.update(dict(params) if isinstance(params, Mapping) else vars(params), allow_val_change=True)

    def finalize(self, status: str) -> None:
        """End the run."""
        self._run.finish(exit_code=0 if status == "success" else 1)

    def _read(self) -> tuple[str, int]:
        try:
            content = json.loads(self._file.read_text(encoding="utf-8"))
            return str(content["id"]), int(content["epochs"])
        except FileNotFoundError:
            return secrets.token_hex(4), 0
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise GraphPERuntimeError(f"cannot read {self._file} ({reason}): remove it for a new run at W&B") from None
