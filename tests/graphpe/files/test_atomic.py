from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from graphpe.files.atomic import leftovers, remove_leftovers, user_cache, write_atomically


def test_content_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_atomically(path, "old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.txt"]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    previous = os.umask(0o027)
    try:
        write_atomically(tmp_path / "file", b"")
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_a_missing_folder_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "none" / "file", b"")


def test_a_failed_write_keeps_the_old_content(tmp_path: Path) -> None:
    # A file-size limit makes the kernel refuse the write halfway, as a full disk does.
    path = tmp_path / "file"
    path.write_bytes(b"old")
    code = (
        "import resource, signal, sys; from pathlib import Path; from graphpe.files.atomic import write_atomically\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: write_atomically(Path(sys.argv[1]), b'x' * 100_000)\n"
        "except OSError: sys.exit(7)"
    )
    assert hasattr(resource, "RLIMIT_FSIZE")
    assert hasattr(signal, "SIGXFSZ")
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 7
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has a variable of its own for it")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache() == tmp_path / "graphpe"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_cache() == tmp_path / ".cache" / "graphpe"


def test_what_a_kill_leaves_is_removed_and_what_is_being_written_stays(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    left = tmp_path / ".file.abc_def1.part"
    theirs = [tmp_path / ".notes.part", tmp_path / "file.abc.part"]
    for path in (left, *theirs):
        path.write_text("half")
    code = (
        "import os, sys, time; from pathlib import Path; from graphpe.files.atomic import write_atomically\n"
        "def slow(handle): print(flush=True); time.sleep(60)\n"
        "os.fsync = slow; write_atomically(Path(sys.argv[1]), 'new')"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "file")], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        remove_leftovers(tmp_path)
        (written,) = leftovers(tmp_path)
        assert written != left
        writer.kill()
    remove_leftovers(tmp_path)
    assert set(tmp_path.iterdir()) == set(theirs)
