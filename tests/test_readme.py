"""The README's code is run, not only read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[1] / "README.md"
PYTHON_BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


def test_there_are_examples() -> None:
    assert PYTHON_BLOCKS


@pytest.mark.parametrize("block", PYTHON_BLOCKS, ids=lambda block: block.split("\n")[0][:50])
def test_an_example_runs(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(block, str(README), "exec"), {"__name__": "readme"})


def test_both_commands_name_the_torch_version_first() -> None:
    commands = re.findall(r"<!-- command: (\w+) -->\n+```bash\n(.*?)```", README.read_text(), re.DOTALL)
    assert {name for name, _ in commands} == {"train", "test"}
    for _, command in commands:
        assert re.search(r"pip install (-\w+ )*torch==2\.13\.0 ", command)


def test_the_first_screen_has_no_dead_link() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README.read_text()):
        assert (README.parent / target).exists(), target
