"""The documentation's code is run, block by block, in the order of its page.

The Python blocks of a page share one namespace, and they and its `graphpe` commands one empty working folder, the home
of the user and of the cache. Commands train with the few steps of `fewer`, and read some modules in place of the whole
library of this Python. Two marks, which readers see, may stand in the first line of a block:

- `# not run: REASON`: the block needs a download, hours, or another machine.
- `# needs MODULE: HOW`: it is run where the module is installed.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from graphpe.benchmarks.cli.main import main

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = {path.relative_to(DOCS).as_posix(): path for path in sorted(DOCS.rglob("*.md"))}
SLOW = {"tutorials/grid.md"}
"""Pages of more than some seconds: their grids start processes."""

# The commands of this page are those of the README: `tests/benchmarks/cli/test_readme_lines.py` runs them.
ELSEWHERE = {"reference/command_line.md"}


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        language: `python` or `bash`.
        code: Its lines.
        place: Page and line, for messages.
    """

    language: str
    code: str
    place: str

    def reason_to_skip(self) -> str | None:
        """Why it is not run here, if it is not."""
        first = self.code.partition("\n")[0]
        if match := re.fullmatch(r"# not run[^:]*: (.+)", first):
            return match[1]
        if (match := re.fullmatch(r"# needs (\w+): .+", first)) and importlib.util.find_spec(match[1]) is None:
            return f"{match[1]} is not installed"
        return None


def blocks(page: str) -> list[Block]:
    """The Python and bash blocks of a page, in order."""
    text = PAGES[page].read_text()
    found = re.finditer(r"^```(python|bash)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [Block(match[1], match[2], f"{page}:{text[: match.start()].count(chr(10)) + 2}") for match in found]


def commands(block: Block) -> list[list[str]]:
    """The commands of a bash block, as words without `graphpe`."""
    lines = [line for line in block.code.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
    words = [shlex.split(re.sub(r"\s{2,}#.*", "", line)) for line in lines]
    assert all(line[0] == "graphpe" for line in words), f"{block.place}: mark commands of others with '# not run: ...'"
    return [line[1:] for line in words]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_there_are_pages_with_code() -> None:
    assert len([page for page in PAGES if blocks(page)]) > 12
    assert SLOW | ELSEWHERE <= set(PAGES)


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.slow if page in SLOW else ())
        for page in PAGES
        if page not in ELSEWHERE and any(block.reason_to_skip() is None for block in blocks(page))
    ],
)
def test_the_code_of_a_page_runs(
    page: str, folder: Path, fewer: Callable[[list[str]], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, object] = {"__name__": "docs"}
    for block in blocks(page):
        if block.reason_to_skip() is not None:
            continue
        if block.language == "python":
            # Padded, so that an error names the line of the page.
            padding = "\n" * (int(block.place.rpartition(":")[2]) - 1)
            exec(compile(padding + block.code, page, "exec"), names)
        else:
            for words in commands(block):
                status = main(fewer(words))
                assert status == 0, f"{block.place}: graphpe {' '.join(words)}: {capsys.readouterr().err}"


@pytest.mark.slow
@pytest.mark.parametrize("notebook", sorted(DOCS.rglob("*.ipynb")), ids=lambda path: path.name)
def test_the_cells_of_a_notebook_run(notebook: Path, folder: Path) -> None:
    names: dict[str, object] = {"__name__": "notebook"}
    cells = [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]
    assert len(cells) > 5
    for number, cell in enumerate(cells):
        code = "".join(line for line in cell["source"] if not line.startswith("%"))  # what only Jupyter knows
        exec(compile(code, f"{notebook.name}, cell {number}", "exec"), names)


@pytest.mark.parametrize("page", PAGES)
def test_no_link_is_dead(page: str) -> None:
    text = re.sub(r"^```.*?^```$", "", PAGES[page].read_text(), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text):
        path = PAGES[page].parent / target
        assert path.exists() or path.with_suffix(".ipynb").exists(), f"{page}: {target}"


@pytest.mark.parametrize("page", [page for page in PAGES if page != "DESIGN.md"])
def test_a_page_says_what_to_read_next(page: str) -> None:
    assert "**Read next:**" in PAGES[page].read_text()
