from __future__ import annotations

import os
from pathlib import Path

import pytest

from graphpe.benchmarks.console.config_file import check_config_files
from graphpe.errors import GraphPERuntimeError


def bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]" for k in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (bomb(9), "unfolds into more than 10,000 values"),
        ("a: &a [1, *a]", "unfolds into more than"),
        ("a: " + "[" * 100_000, "nests deeper than 50"),
        ("a: 1\n" * 100_000, "which is no file of options"),
        ("a: \udce9", "no text in UTF-8"),
        ("smiles,y\nCC,1\n", "is no file of options"),
        ("- 1\n", "is no file of options"),
        ("epochs: 1\nvary: {learning_rate: [1, 2]}", "vary is a mapping, which no option takes"),
    ],
)
def test_what_would_never_end_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "options.yaml"
    path.write_bytes(text.encode(errors="surrogateescape"))
    for arguments in (["--config", str(path)], ["--seed", "1", f"--config={path}"]):
        with pytest.raises(GraphPERuntimeError, match=message):
            check_config_files(arguments)


def test_pipes_and_devices(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, message in ((tmp_path / "pipe", "is a pipe"), (Path("/dev/zero"), "is a device")):
        with pytest.raises(GraphPERuntimeError, match=message):
            check_config_files(["--config", str(path)])


def test_options_pass(tmp_path: Path) -> None:
    path = tmp_path / "options.yaml"
    path.write_text("models: &m [GRIT(), GPS()]\nothers: *m\n")
    check_config_files(["--config", str(path)])
    path.write_text("a: [")  # the parser's own words
    check_config_files(["--config", str(path), "--config", str(tmp_path / "none"), "--config"])
