"""What the README and its table of encodings say is so; `tests/benchmarks/cli/test_readme_lines.py` runs its code."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

from graphpe.benchmarks.calls.build import encoding_classes

README = Path(__file__).resolve().parents[1] / "README.md"


def test_the_table_of_encodings_shows_calls_that_python_takes() -> None:
    table = (
        (README.parent / "docs" / "encodings.md").read_text().split("| encoding | writes | what |")[1].split("\n\n")[0]
    )
    rows = [line.split(" | ")[0] for line in table.splitlines()[2:]]
    calls = [ast.parse(text, mode="eval").body for row in rows for text in re.findall(r"`(\w+\([^`]*\))`", row)]
    assert {call.func.id for call in calls} == set(encoding_classes())  # type: ignore[attr-defined]
    for call in calls:
        positional = [word.id for word in call.args]  # type: ignore[attr-defined]
        named = [word.arg for word in call.keywords]  # type: ignore[attr-defined]
        parameters = inspect.signature(encoding_classes()[call.func.id]).parameters  # type: ignore[attr-defined]
        free = [name for name, value in parameters.items() if value.kind is value.POSITIONAL_OR_KEYWORD]
        assert positional == free[: len(positional)], ast.unparse(call)
        assert set(named) <= set(parameters), ast.unparse(call)


def test_both_commands_name_the_torch_version_first() -> None:
    commands = re.findall(r"<!-- command: (\w+) -->\n+```bash\n(.*?)```", README.read_text(), re.DOTALL)
    assert {name for name, _ in commands} == {"train", "test"}
    for _, command in commands:
        assert re.search(r"pip install (-\w+ )*torch==2\.13\.0 ", command)


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "tests/golden/README.md"])
def test_no_link_is_dead(name: str) -> None:
    page = README.parent / name
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_files_that_contributing_names_are_there() -> None:
    text = (README.parent / "CONTRIBUTING.md").read_text()
    named = re.findall(r"`((?:[a-z_]+/)+[A-Za-z_]+\.(?:py|md))`", text)
    assert named
    for path in named:
        if "name" not in path.rsplit("/", 1)[-1].lower():  # those stand for a new file
            assert (README.parent / path).exists(), path
