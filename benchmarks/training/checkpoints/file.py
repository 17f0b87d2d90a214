"""Checkpoints: everything a run needs to go on, in one file that loads with `torch.load(weights_only=True)`."""

from __future__ import annotations

import io
import zipfile
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from graphpe.benchmarks.training.config import TrainConfig
from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.files.atomic import write_atomically
from graphpe.files.reading import check_file

FORMAT: Final = 2


def digest(content: Any) -> str:
    """A digest of tensors, numbers, strings, and dictionaries and lists of them."""
    found = blake2b(digest_size=16)
    _digest_into(found, content)
    return found.hexdigest()


def _digest_into(found: Any, content: Any) -> None:
    if isinstance(content, Tensor):
        value = content.detach().cpu().contiguous()
        found.update(f"{value.dtype}{list(value.shape)}".encode())
        found.update(value.flatten().view(torch.uint8).numpy().data)
    elif isinstance(content, dict):
        found.update(f"{{{len(content)}".encode())
        for key, value in content.items():
            found.update(f"{key!r}:".encode())
            _digest_into(found, value)
    elif isinstance(content, list | tuple):
        found.update(f"[{len(content)}".encode())
        for value in content:
            _digest_into(found, value)
    else:
        found.update(f"{content!r},".encode())


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint atomically: where it fails, the one that was there stays.

    Args:
        path: The file.
        content: Tensors, numbers, strings, and dictionaries and lists of them.

    Raises:
        GraphPERuntimeError: If the file cannot be written (a full disk, no permission).
    """
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, "digest": digest(content), **content}, buffer)
    try:
        write_atomically(path, buffer.getbuffer())
    except OSError as error:
        kept = f"; the one saved before is still in {path}" if path.exists() else ""
        raise GraphPERuntimeError(
            f"could not save a checkpoint of {buffer.tell() / 1e6:.1f} MB: {error.strerror or error}{kept}; "
            f"free space or mend the folder {path.parent}, then resume"
        ) from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU. Nothing in the file is executed.

    Raises:
        GraphPERuntimeError: If the file is missing, damaged or of another format.
    """
    if not path.exists():
        raise GraphPERuntimeError(f"no checkpoint {path}: the run saved none, or the folder is not a run")
    check_file(path)
    try:
        with zipfile.ZipFile(path) as archive:  # torch.load itself does not look at the checksums
            if damaged := archive.testzip():
                raise zipfile.BadZipFile(f"checksum of {damaged}")
        saved = torch.load(path, map_location="cpu", weights_only=True)
        if isinstance(saved, dict) and saved.pop("format", None) == FORMAT:
            # The directory of the archive has no checksum: a flipped bit there may lead to other bytes.
            if saved.pop("digest", None) != digest(saved):
                raise ValueError("its content is not what was saved")
            return saved
    except MemoryError:
        raise
    except Exception as error:  # a damaged file fails in many ways: zip, pickle, end of file
        reason = " ".join(str(error).split())[:100]
        raise GraphPERuntimeError(
            f"checkpoint {path} is damaged ({type(error).__name__}: {reason}); put back a copy, or start a new run"
        ) from None
    raise GraphPERuntimeError(f"{path} is not a checkpoint of format {FORMAT}; start a new run with this version")


def check_same_run(content: dict[str, Any], description: str, config: TrainConfig, path: Path) -> None:
    """Refuse a checkpoint of another model, or of other options than the run's.

    Raises:
        GraphPERuntimeError: The checkpoint was made by a model that describes itself otherwise, or `config.yaml` is
            not what it was.
    """
    described = content.get("description")
    if described != description:
        raise GraphPERuntimeError(f"{path} holds {described}, not {description}; start a new run for another model")
    try:
        made_with = TrainConfig(**content["config"])
    except (KeyError, TypeError, GraphPEValueError):
        raise GraphPERuntimeError(f"{path} does not hold the options of its run; start a new run") from None
    for name, (now, then) in config.differences(made_with.as_dict()).items():
        raise GraphPERuntimeError(
            f"{path} was made with {name}={then!r}, but config.yaml beside it says {name}={now!r}: put that back, or "
            "start a new run"
        )


def load_weights(model: nn.Module, content: dict[str, Any], path: Path) -> None:
    """Load the weights of a checkpoint.

    Raises:
        GraphPERuntimeError: They are another model's.
    """
    try:
        model.load_state_dict(content["model"])
    except (KeyError, RuntimeError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise GraphPERuntimeError(f"the weights in {path} are another model's ({reason}); start a new run") from None


def load_optimizer(optimizer: torch.optim.Optimizer, content: dict[str, Any], path: Path) -> None:
    """Load the optimizer's state of a checkpoint.

    Raises:
        GraphPERuntimeError: It is another model's.
    """
    wrong = f"the optimizer's state in {path} is another model's ({{}}); start a new run"
    try:
        optimizer.load_state_dict(content["optimizer"])
    except (KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise GraphPERuntimeError(wrong.format(" ".join(str(error).split())[:200])) from None
    for weight, moments in optimizer.state.items():  # `load_state_dict` compares numbers of weights, not their shapes
        for name, value in moments.items():
            if name != "step" and isinstance(value, Tensor) and value.shape != weight.shape:
                raise GraphPERuntimeError(wrong.format(f"{name} {list(value.shape)} of a weight {list(weight.shape)}"))
