from __future__ import annotations

import base64
import gzip
import json
import re
import tomllib
from collections.abc import Callable
from dataclasses import replace
from fnmatch import fnmatch
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from graphpe.benchmarks.cli.main import main
from graphpe.benchmarks.grid.cell import Cell
from graphpe.benchmarks.grid.report import write_report
from graphpe.benchmarks.grid.reports.page import entries, page
from graphpe.benchmarks.grid.reports.page.document import Table, read_blocks
from graphpe.benchmarks.grid.reports.page.page import write_page
from graphpe.benchmarks.grid.results import SizeScore, combine, read_run

VOID = {"meta", "input", "img", "br", "wbr", "link", "hr"}
LOADS = ("src", "srcset", "poster", "action", "formaction", "background", "data")


class Page(HTMLParser):
    """A page, taken apart: it fails where an element is closed that was not opened last."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.data: dict[str, Any] = {}
        self._inside: dict[str, str | None] = {}
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = dict(attrs)
        self.elements.append((tag, self._inside))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script" and self._inside.get("type") == "application/json":
            self.data = json.loads(data)
        elif "td" in self.open or "th" in self.open:
            self.tables[-1][-1][-1] += data

    def of(self, **wanted: str) -> list[dict[str, str | None]]:
        return [has for _, has in self.elements if all(has.get(key) == value for key, value in wanted.items())]


def draw_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures as files of three bytes: their drawing has tests of its own."""

    def draw(*arguments: Any) -> None:
        for path in arguments[-1]:
            path.write_bytes(b"png")

    for name in ("draw_heat_map", "draw_cost", "draw_curves", "draw_losses"):
        monkeypatch.setattr(f"graphpe.benchmarks.grid.report.{name}", draw)


@pytest.fixture(autouse=True)
def quick_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    draw_quickly(monkeypatch)


@pytest.fixture(scope="module")
def small_page(small_grid: Path) -> tuple[str, Page]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        draw_quickly(monkeypatch)
        return made(small_grid)


def made(root: Path, *arguments: str) -> tuple[str, Page]:
    assert main(["report", str(root), "--html", *arguments]) == 0
    text = (root / "report" / "report.html").read_text()
    return text, Page(text)


def check_alone(found: Page, text: str) -> None:
    """It loads nothing, and no element has a handler of its own."""
    for tag, has in found.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        for name, value in has.items():
            assert not name.startswith("on"), (tag, name)
            if name in LOADS:
                assert str(value).startswith("data:"), (tag, name)
            if name == "href":
                assert re.match(r"#(task|over)-\d+$|data:application/gzip|(runs|effects|sizes)\.csv$", str(value)), (
                    value
                )
    style = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    assert not re.search(r"@import|url\(", style[0])
    outside = re.sub(r"http://www\.w3\.org/2000/svg", "", text)
    assert not re.search(r"https?://", outside)
    assert "default-src 'none'" in text


def test_the_page_has_all_that_the_report_has_and_loads_nothing(small_grid: Path, small_page: tuple[str, Page]) -> None:
    text, found = small_page
    check_alone(found, text)
    blocks = read_blocks((small_grid / "report" / "report.md").read_text())
    tables = [[list(block.columns), *map(list, block.rows)] for block in blocks if isinstance(block, Table)]
    assert len(tables) >= 4
    heats = [table for table in found.tables if table[0][0] == ""]
    answers = [table for table in tables if table[0][0].startswith("relative gain by")]
    assert len(answers) == 2  # what helps which model, and on which task: first
    assert [table for table in found.tables if table not in heats] == [
        *answers,
        *(table for table in tables if table not in answers),
    ]
    assert len(heats) == 2
    of_cells = [table for table in tables if "valid" in table[0]]
    for heat, table in zip(heats, of_cells, strict=True):
        shown = {(row[0], model): text for row in heat[1:] for model, text in zip(heat[0][1:], row[1:], strict=True)}
        own = [row for row in table[1:] if not row[1].endswith("‡")]  # the constant is no cell
        assert len(shown) == len(own)
        for row in own:
            encoding, model = (re.sub(r"\(\)", "", name) for name in row[:2])
            assert shown[encoding, model].replace("*", "") == row[2].replace(" ", "", 1).replace(" ± ", "± ")
    assert "<code>graphpe grid <span>--tasks</span> bridges path-length</code>" in text


def test_cells_know_what_they_are_and_their_command(small_page: tuple[str, Page]) -> None:
    _, found = small_page
    cells = [has for tag, has in found.elements if tag == "button" and "data-cell" in has]
    assert len(cells) == 12
    for has in cells:
        title = str(has["title"]).splitlines()
        assert str(has["data-command"]).startswith("graphpe train --task ")
        assert title[1].startswith("test F1 0.")
        assert title[2] == "n = 3 (seeds 0, 1, 2)"
        assert title[0].startswith("none") or title[3].startswith("p against none ")
    kinds = [str(has.get("class")) for tag, has in found.elements if tag == "td" and "style" in has]
    assert sum("best" in kind for kind in kinds) == 4
    assert sum("gain" in kind for kind in kinds) >= 2
    heat = next(table for table in found.tables if table[0][0] == "")
    assert heat[2][1].startswith("0.7000*")


def test_the_answer_and_the_curves(small_page: tuple[str, Page]) -> None:
    text, found = small_page
    assert "<b>LaplacianPE(k=4) with SPE</b> is best in GINE(width=8) (0.7000 ± 0.0000 against 0.5023 without)" in text
    assert re.search(r"\d of 4 differences from <i>none</i> (is|are) significant after Holm", text)
    sections = found.data["sections"]
    assert [len(section["cells"]) for section in sections] == [6, 6]
    runs = sections[0]["cells"][0]["runs"]
    assert [run["seed"] for run in runs] == [0, 1, 2]
    assert runs[0]["epoch"] == [1, 2, 3, 4]
    assert runs[0]["epoch"][runs[0]["best"]] == 3
    assert runs[0]["train"] == [1, 0.5, 0.3333, 0.25]


def test_raw_numbers_are_within_the_page(small_grid: Path, small_page: tuple[str, Page]) -> None:
    text, _ = small_page
    packed = re.findall(r'<a download="runs.csv.gz" href="data:application/gzip;base64,([^"]+)"', text)
    assert gzip.decompress(base64.b64decode(packed[0])) == (small_grid / "report" / "runs.csv").read_bytes()


EVIL = "</script><script>alert(1)</script>"


def test_names_are_text_and_nothing_else(tmp_path: Path, cell: Callable[..., Cell]) -> None:
    root = tmp_path / "grid"
    for encoding in ("none", f'Own(name="{EVIL}|\n\n## x")', "<img src=x onerror=alert(1)>"):
        for seed in (0, 1):
            cell(root, encoding, f"GINE('{EVIL}')", seed, 0.5 + seed / 10, task=f"bridges('{EVIL}')")
    failed = cell(root, "DegreePE()", f"GINE('{EVIL}')", test=None, task=f"bridges('{EVIL}')")
    failed.fail(f"it is {EVIL}")
    (root / "command.txt").write_text(f"graphpe grid {EVIL}\n")
    text, found = made(root)
    check_alone(found, text)
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert [tag for tag, _ in found.elements].count("script") == 2
    assert any(EVIL in name for cell in found.data["sections"][0]["cells"] for name in (cell["row"], cell["setup"]))


def test_cells_that_failed_run_or_were_skipped(tmp_path: Path, cell: Callable[..., Cell]) -> None:
    root = tmp_path / "grid"
    cell(root, "none", test=0.5)
    cell(root, "none", "GPS(width=8)", test=0.5)
    cell(root, "DegreePE()", test=0.4)
    cell(root, "DegreePE()", seed=1, test=None)
    cell(root, "SVDPE(k=2)", test=None).fail("out of memory")
    cell(root, "SVDPE(k=2)", "GPS(width=8)", test=None)
    reason = "skipped bridges(train=20), DegreePE(), GPS(width=8): it cannot be"
    (root / "skipped.txt").write_text(f"{reason}\n")
    text, found = made(root)
    heat = found.tables[0]
    shown = {row[0]: dict(zip(heat[0][1:], row[1:], strict=True)) for row in heat[1:]}
    assert shown["DegreePE"] == {"GINE(width=8)": "0.4000", "GPS(width=8)": "–"}
    assert shown["SVDPE(k=2)"] == {"GINE(width=8)": "failed", "GPS(width=8)": "not finished"}
    assert found.of(title=reason)
    assert "<li>skipped bridges" in text
    assert "<li>failed bridges" in text
    assert "3 of 6 finished, 1 failed, 2 not finished" in text
    assert any("seed 0 failed: out of memory" in str(has.get("title")) for _, has in found.elements)


def test_one_cell(tmp_path: Path, cell: Callable[..., Cell]) -> None:
    cell(tmp_path / "grid", "DegreePE()")
    text, found = made(tmp_path / "grid")
    assert "One column, <b>DegreePE()</b>: GINE(width=8) (0.5000); nothing is tested" in text
    assert len(found.data["sections"][0]["cells"]) == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_what_is_not_finite_is_named_and_has_no_colour(tmp_path: Path, cell: Callable[..., Cell], value: float) -> None:
    for seed in (0, 1):
        cell(tmp_path / "grid", "none", seed=seed, test=0.5)
        cell(tmp_path / "grid", "DegreePE()", seed=seed, test=value)
    _, found = made(tmp_path / "grid")
    shown = dict(found.tables[0][1:])
    assert shown["none"] == "0.5000± 0.0000"
    assert shown["DegreePE"] == ("1e+300*± 0" if value == 1e300 else "not finite")


def test_several_grids_and_old_folders(tmp_path: Path, cell: Callable[..., Cell]) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    cell(here, "none")
    old = cell(there, "DegreePE()")
    (old.run / "metrics.jsonl").unlink()
    content = json.loads((old.folder / "cell.json").read_text())
    for name in ("options", "draws"):
        del content[name]
    for name in ("sizes", "perturb", "rewire", "accumulate"):
        del content["config"][name]
    (old.folder / "cell.json").write_text(json.dumps(content))
    assert main(["report", str(here), str(there), "--out", str(tmp_path / "out"), "--html"]) == 0
    found = Page((tmp_path / "out" / "report.html").read_text())
    assert [len(cell["runs"]) for cell in found.data["sections"][0]["cells"]] == [1, 0]


def test_parts_behind_the_tasks_have_sections_of_their_own(tmp_path: Path, cell: Callable[..., Cell]) -> None:
    one = cell(tmp_path / "grid")
    made(tmp_path / "grid")
    report = tmp_path / "grid" / "report"
    more = "\n## Ranks & more\n\n| encoding | rank |\n|---|---|\n| none | 1.5 |\n\nWords.\n\n- a note\n"
    (report / "report.md").write_text((report / "report.md").read_text() + more)
    text = write_page(report, combine([read_run(one)], []), [one]).read_text()
    found = Page(text)
    assert [has["id"] for tag, has in found.elements if tag == "section"] == ["task-1", "over-1", "about"]
    assert found.tables[-1] == [["encoding", "rank"], ["none", "1.5"]]
    assert "<li>a note</li>" in text
    assert '<a href="#over-1">Ranks &amp; more</a>' in text


def test_sizes(tmp_path: Path, cell: Callable[..., Cell]) -> None:
    for seed in (0, 1):
        cell(tmp_path / "grid", "none", seed=seed, test=0.5, sizes=(0.5, 0.4 + seed / 10, float("nan")))
    text, found = made(tmp_path / "grid")
    sizes = found.data["sections"][0]["sizes"]
    assert [each["mean"] for each in sizes["bins"]] == [6, 12, 24]
    assert sizes["curves"][0]["means"] == [0.5, 0.45, None]
    assert 'download="sizes.csv.gz"' in text
    assert "data:image/png;base64," in text  # what larger graphs cost


def test_what_validation_chose_has_sections_of_its_own(tmp_path: Path, cell: Callable[..., Cell]) -> None:
    root = tmp_path / "grid"
    for encoding in ("none", "DegreePE()"):
        for rate in (0.1, 0.2):
            made_cell = cell(root, encoding, learning_rate=rate, test=rate)
            chosen = replace(made_cell, options={"learning_rate": rate}, draws=2)
            chosen.write()
    text, found = made(root)
    assert "<h2>bridges, tuned</h2>" in text
    assert "Budget: 2 settings" in text
    assert all(len(cell["runs"]) == 1 for cell in found.data["sections"][0]["cells"])


def test_a_large_grid_is_a_page_of_some_megabytes(
    tmp_path: Path, cell: Callable[..., Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    """12 columns, 6 models, 5 seeds and 300 epochs, so that 6 such tasks are below 5 MB."""
    one = read_run(cell(tmp_path, "none"))
    sizes = tuple(SizeScore(f"{8 << n}", 8 << n, 6.0 * 2**n, 50, 0.123456789, 0.3) for n in range(5))
    runs = [
        replace(one, encoding=encoding, model=f"Model{model}(layers=3)", seed=seed, sizes=sizes,
                test=0.5 + len(encoding) * (seed + 1) * (model + 2) % 97 / 701)
        for encoding in ["none", *(f"ShortestPathPE() as PairBias(head='fire', randomized={n})" for n in range(11))]
        for model in range(6)
        for seed in range(5)
    ]  # fmt: skip
    record = {"train_loss": 1.23456, "valid_loss": 2.34567, "valid_F1": 0.123456}
    curve = entries.curve([{"epoch": epoch, **record} for epoch in range(1, 301)], "F1", True)
    monkeypatch.setattr(page, "curves", lambda *_: [{"seed": seed, **curve} for seed in range(5)])
    combinations = combine(runs, [])
    write_report(combinations, tmp_path)
    size = write_page(tmp_path, combinations, []).stat().st_size
    once = sum(path.stat().st_size for path in Path(page.__file__).parent.iterdir() if path.suffix in (".css", ".js"))
    commands, pictures = 72 * 600, 130_000  # that its cells and its task would have
    assert 200_000 < size
    assert 6 * (size - once + commands + pictures) + once < 5_000_000


def test_templates_are_in_the_wheel() -> None:
    project = Path(page.__file__).resolve().parents[4] / "pyproject.toml"
    patterns = tomllib.loads(project.read_text())["tool"]["setuptools"]["package-data"]["*"]
    beside = [path.name for path in Path(page.__file__).parent.iterdir() if path.suffix in (".html", ".css", ".js")]
    assert len(beside) == 5
    assert all(any(fnmatch(name, pattern) for pattern in patterns) for name in beside)


def test_p_values_are_those_of_the_report(small_grid: Path, small_page: tuple[str, Page]) -> None:
    _, found = small_page
    titles = [str(has["title"]) for tag, has in found.elements if tag == "button" and "data-cell" in has]
    blocks = read_blocks((small_grid / "report" / "report.md").read_text())
    tables = [block for block in blocks if isinstance(block, Table) and "valid" in block.columns]
    rows = [row for table in tables for row in table.rows if not row[1].endswith("‡")]  # the constant is no cell
    assert len(rows) == len(titles) == 12
    for row, title in zip(rows, titles, strict=True):
        p_value = row[tables[0].columns.index("p against none")]
        line = f"p against none {p_value if p_value.startswith('<') else f'= {p_value}'} (Holm)"
        assert title.startswith(f"{row[0]}, {row[1]}\n")
        assert (line in title.splitlines()) == bool(p_value)
        assert ("p against" in title) == bool(p_value)
