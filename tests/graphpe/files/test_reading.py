from __future__ import annotations

import os
from pathlib import Path

import pytest

from graphpe.errors import GraphPERuntimeError
from graphpe.files.reading import check_folder_of_files, read_json, read_text


def test_what_is_no_json_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    for content, message in (
        (b"[" * 100_000, "nested too deep"),
        (b'{"a":' * 100_000, "nested too deep"),
        (b"{", "cannot be read as JSON"),
        (b"9" * 5_000, "cannot be read as JSON"),
        ("é".encode("latin1"), "no text in UTF-8"),
        ('"é"'.encode("utf-16"), "no text in UTF-8"),
    ):
        path.write_bytes(content)
        with pytest.raises(GraphPERuntimeError, match=message) as caught:
            read_json(path)
        assert "\n" not in str(caught.value)
    path.write_bytes('\ufeff{"é": [1, null]}'.encode())
    assert read_json(path) == {"é": [1, None]}


def test_pipes_and_devices_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    check_folder_of_files(tmp_path)
    os.mkfifo(tmp_path / "inside" / "pipe")
    for path, message in (
        (tmp_path / "inside" / "pipe", "is a pipe"),
        (Path("/dev/zero"), "is a device"),
        (tmp_path, "Is a directory"),
        (tmp_path / "none", "No such file"),
        (tmp_path / "a\0b", "null byte"),
    ):
        with pytest.raises(GraphPERuntimeError, match=message):
            read_text(path)
    with pytest.raises(GraphPERuntimeError, match="is a pipe"):
        check_folder_of_files(tmp_path)
