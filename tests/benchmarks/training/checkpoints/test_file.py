from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from graphpe.benchmarks.training.checkpoints.file import load_checkpoint, save_checkpoint
from graphpe.errors import GraphPERuntimeError


def _content() -> dict[str, object]:
    return {"model": {"weight": torch.randn(40, 30)}, "state": {"epoch": 3, "history": [{"loss": 0.5}]}}


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    content = _content()
    save_checkpoint(tmp_path / "last.pt", content)
    loaded = load_checkpoint(tmp_path / "last.pt")
    assert torch.equal(loaded["model"]["weight"], content["model"]["weight"])
    assert loaded["state"] == content["state"]


def test_it_loads_with_weights_only(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "best.pt", _content())
    assert torch.load(tmp_path / "best.pt", weights_only=True)["state"]["epoch"] == 3


def test_a_missing_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(GraphPERuntimeError, match="no checkpoint"):
        load_checkpoint(tmp_path / "last.pt")


def test_a_truncated_checkpoint(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "last.pt", _content())
    whole = (tmp_path / "last.pt").read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        (tmp_path / "last.pt").write_bytes(whole[:length])
        with pytest.raises(GraphPERuntimeError, match="is damaged"):
            load_checkpoint(tmp_path / "last.pt")


def test_a_flipped_bit_is_never_loaded_silently(tmp_path: Path) -> None:
    content = _content()
    path = tmp_path / "last.pt"
    save_checkpoint(path, content)
    whole, found = path.read_bytes(), 0
    for _ in range(60):
        damaged = bytearray(whole)
        damaged[random.randrange(len(damaged))] ^= 1 << random.randrange(8)
        path.write_bytes(bytes(damaged))
        try:
            loaded = load_checkpoint(path)
        except GraphPERuntimeError:
            found += 1
        else:  # the bit was in the padding between entries
            assert torch.equal(loaded["model"]["weight"], content["model"]["weight"])
            assert loaded["state"] == content["state"]
    assert found > 30


def test_another_format_is_refused(tmp_path: Path) -> None:
    torch.save({"weights": torch.zeros(1)}, tmp_path / "foreign.pt")
    with pytest.raises(GraphPERuntimeError, match="not a checkpoint of format"):
        load_checkpoint(tmp_path / "foreign.pt")


def test_nothing_in_a_checkpoint_is_executed(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (exec, (f"open({str(tmp_path / 'owned')!r}, 'w')",))

    torch.save({"format": 1, "x": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(GraphPERuntimeError, match="is damaged"):
        load_checkpoint(tmp_path / "evil.pt")
    assert not (tmp_path / "owned").exists()


def test_a_full_disk_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, _content())
    before = path.read_bytes()
    code = f"""
import resource, signal, sys
from pathlib import Path
import torch
from graphpe.benchmarks.training.checkpoints.file import save_checkpoint
from graphpe.errors import GraphPEError
signal.signal(signal.{signal.SIGXFSZ.name}, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
try:
    save_checkpoint(Path(sys.argv[1]), {{"model": torch.zeros(100_000)}})
except GraphPEError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True)
    assert "could not save a checkpoint" in done.stdout
    assert "the one saved before is still in" in done.stdout
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["last.pt"]
