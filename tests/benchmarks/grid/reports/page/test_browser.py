"""The page in a browser: what its scripts do, on a page that was opened from a file."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from graphpe.benchmarks.cli.main import main

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
OPTIONS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--window-size=1200,900"),
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no chromium or chrome is installed"),
]


@pytest.fixture(scope="module")
def page(small_grid: Path) -> str:
    assert main(["report", str(small_grid), "--html"]) == 0
    return (small_grid / "report" / "report.html").as_uri()


def drawn(address: str, profile: Path) -> str:
    """The page as it is once its scripts have run."""
    command = [
        str(BROWSER),
        *OPTIONS,
        f"--user-data-dir={profile}",
        "--virtual-time-budget=3000",
        "--dump-dom",
        address,
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def shown_rows(text: str, name: str) -> list[list[str]]:
    """The rows of a table that are not hidden."""
    table = re.search(rf'id="{name}".*?<tbody>(.*?)</tbody>', text, re.DOTALL)
    assert table is not None
    rows = [row for row in re.findall(r"<tr(?![^>]* hidden).*?</tr>", table[1], re.DOTALL)]
    return [[re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<t[dh].*?</t[dh]>", row, re.DOTALL)] for row in rows]


def test_what_stands_in_the_address_is_sorted_filtered_and_drawn(page: str, tmp_path: Path) -> None:
    plain = shown_rows(drawn(page, tmp_path / "one"), "task-1-table-1")
    assert [row[:2] for row in plain[:2]] == [["none", "GINE(width=8)"], ["none", "GPS(width=8)"]]
    asked = "#task-1-table-1.sort=2.descending&task-1-table-1.filter=GINE&task-1.cell=2"
    text = drawn(page + asked, tmp_path / "two")
    rows = shown_rows(text, "task-1-table-1")
    tests = [float(row[2].split(" ± ")[0]) for row in rows]
    assert tests == sorted((float(row[2].split(" ± ")[0]) for row in plain if "GINE" in row[1]), reverse=True)
    assert len(tests) == 3
    assert f"3 of {len(plain)} rows" in text
    assert len(re.findall('<th [^>]*aria-sort="descending"', text)) == 1
    assert text.count("<polyline") > 10
    assert "graphpe train --task" in re.sub(r"<[^>]+>", "", text.split('class="chosen screen"')[1].split("<figure")[0])


class Window:
    """A window of a browser, driven as WebDriver says."""

    def __init__(self, address: str, profile: Path) -> None:
        self._address = address
        chosen = {"args": [*OPTIONS, f"--user-data-dir={profile}"], "binary": BROWSER}
        capabilities = {"alwaysMatch": {"goog:chromeOptions": chosen, "goog:loggingPrefs": {"browser": "ALL"}}}
        self._session = f"/session/{self._ask('/session', {'capabilities': capabilities})['sessionId']}"

    def _ask(self, path: str, body: dict[str, Any] | None = None, method: str | None = None) -> Any:
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._address + path, content, {"Content-Type": "application/json"}, method=method
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, address: str) -> None:
        self._ask(f"{self._session}/url", {"url": address})

    def run(self, script: str, *arguments: Any) -> Any:
        return self._ask(f"{self._session}/execute/sync", {"script": script, "args": list(arguments)})

    def find(self, selector: str) -> str:
        found = self._ask(f"{self._session}/element", {"using": "css selector", "value": selector})
        return str(next(iter(found.values())))

    def click(self, selector: str) -> None:
        self._ask(f"{self._session}/element/{self.find(selector)}/click", {})

    def type(self, selector: str, text: str) -> None:
        self._ask(f"{self._session}/element/{self.find(selector)}/value", {"text": text})

    def errors(self) -> list[str]:
        log = self._ask(f"{self._session}/se/log", {"type": "browser"})
        return [entry["message"] for entry in log if entry["level"] == "SEVERE"]

    def close(self) -> None:
        self._ask(self._session, method="DELETE")


@pytest.fixture
def window(tmp_path: Path) -> Iterator[Window]:
    if DRIVER is None:
        pytest.skip("no chromedriver is installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    driver = subprocess.Popen([DRIVER, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        made = Window(f"http://127.0.0.1:{port}", tmp_path / "profile")
        yield made
        made.close()
    finally:
        driver.terminate()
        driver.wait()


TESTS = """return [...document.querySelectorAll('#task-1-table-1 tbody tr')].filter((row) => !row.hidden)
    .map((row) => Number(row.cells[2].dataset.value))"""
SORT = "return document.querySelectorAll('#task-1-table-1 th')[2].getAttribute('aria-sort')"
HEAD = "#task-1-table-1 thead th:nth-child(3) button"


def test_clicks_and_keys(page: str, window: Window) -> None:
    window.open(page)
    before = window.run(TESTS)
    window.click(HEAD)
    assert window.run(SORT) == "ascending"
    assert window.run(TESTS) == sorted(before)
    window.type(HEAD, "\ue007")  # Enter
    assert window.run(SORT) == "descending"
    assert window.run(TESTS) == sorted(before, reverse=True)
    window.type("#task-1-table-1 input", "gps laplacian")
    assert len(window.run(TESTS)) == 1
    window.click(HEAD)
    assert window.run(SORT) == "none"
    window.run("const field = document.querySelector('#task-1-table-1 input'); field.value = '';"
               "field.dispatchEvent(new Event('input'))")  # fmt: skip
    assert window.run(TESTS) == before

    window.run("window.copied = []; navigator.clipboard.writeText = async (text) => { window.copied.push(text); }")
    window.type('#task-1 .heat [data-cell="2"]', "\ue007")
    command = window.run("return document.querySelector('#task-1 [data-cell=\"2\"]').dataset.command")
    assert window.run("return window.copied") == [command]
    assert window.run("return document.querySelector('#task-1 .chosen code').textContent") == command
    assert window.run("return document.querySelector('#task-1 .curves select').value") == "LaplacianPE(k=4) with SPE"
    assert "n = 3" in window.run("return document.getElementById('tip').textContent")
    assert "task-1.cell=2" in window.run("return location.hash")
    lines = "return document.querySelectorAll('#task-1 .curves polyline').length"
    assert window.run(lines) == 15  # three seeds: train, validation, and their like without an encoding; the metric
    points = "return document.querySelectorAll('#task-1 .against [data-tip]').length"
    assert window.run(points) == 6
    window.run("const cost = document.querySelector('#task-1 .against select'); cost.value = 'parameters';"
               "cost.dispatchEvent(new Event('change'))")  # fmt: skip
    assert window.run(points) == 6
    assert "parameters: 1,0" in window.run("return document.querySelector('#task-1 .against [data-tip]').dataset.tip")
    window.run("URL.createObjectURL = (blob) => { blob.text().then((text) => { window.saved = text; }); return '#'; }")
    window.click("a[download='runs.csv.gz']")
    written = Path(page.removeprefix("file://")).with_name("runs.csv").read_text()
    deadline = time.monotonic() + 30
    while (saved := window.run("return window.saved")) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert saved == written
    requests = window.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert [name for name in requests if not name.startswith("data:")] == []
    assert window.errors() == []
