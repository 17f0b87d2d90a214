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
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from graphpe import models as M
from graphpe import transforms as T
from graphpe.benchmarks.calls.build import encoding_classes, task_classes
from graphpe.benchmarks.cli.main import main

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = {path.relative_to(DOCS).as_posix(): path for path in sorted(DOCS.rglob("*.md"))}
SLOW = {
    f"tutorials/{name}.md" for name in ("directed_graphs", "grid", "large_graph", "links", "molecules", "own_model")
}
"""Pages of more than some seconds."""

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


def load(path: Path) -> ModuleType:
    """A Python file that is in no package, as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def test_every_encoding_has_its_section_picture_and_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = set(encoding_classes())
    sections = PAGES["encodings.md"].read_text()
    assert set(re.findall(r"^### (\w+)$", sections, re.MULTILINE)) == names
    assert {path.stem for path in (DOCS / "pictures").glob("*.png")} == names - {"GPSEPE", "PretrainedPE"}
    assert set(re.findall(r"::: graphpe\.transforms\.(\w+)", PAGES["reference/transforms.md"].read_text())) == set(
        T.__all__
    )
    pictures = load(DOCS / "make" / "pictures.py")
    assert pictures.CALLS.keys() == names - {"GPSEPE", "PretrainedPE"}
    monkeypatch.setattr(pictures, "OUT", tmp_path)
    pictures.main(["DegreePE"])
    assert (tmp_path / "DegreePE.png").stat().st_size > 1000


def test_the_table_of_properties_says_what_the_invariances_say() -> None:
    lines = PAGES["choose.md"].read_text().split("| encoding | direction |")[1].split("\n\n")[0].splitlines()[2:]
    rows = {line.split("`")[1]: [cell.strip() for cell in line.split("|")[2:]] for line in lines}
    assert rows.keys() == encoding_classes().keys()
    cases = load(Path(__file__).parent / "transforms" / "test_invariances.py").CASES
    for name, row in rows.items():
        if name not in ("GPSEPE", "PretrainedPE"):
            assert row[3].startswith("yes") == cases[name].union, name
            assert (row[0] == "no") <= (cases[name].reverse is cases["LaplacianPE"].reverse), name


def members(page: str) -> set[str]:
    """The names whose docstrings a page of the reference shows."""
    return set(re.findall(r"^::: graphpe\.[\w.]+\.(\w+)$", PAGES[f"reference/{page}.md"].read_text(), re.MULTILINE))


def test_every_model_and_task_is_in_the_reference() -> None:
    assert members("models") == set(M.__all__)
    named = set(re.findall(r"`(\w+)`", PAGES["reference/tasks.md"].read_text()))
    assert {name for name in task_classes() if name.lower() not in named} == members("tasks")


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


@pytest.mark.parametrize("page", [page for page in PAGES if page not in ("DESIGN.md", "what_was_tried.md")])
def test_a_page_says_what_to_read_next(page: str) -> None:
    assert "**Read next:**" in PAGES[page].read_text()
