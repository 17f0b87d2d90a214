"""Sections of a Markdown file that several scripts write, each its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from graphpe.benchmarks.measure.harness import ending
from graphpe.files.atomic import write_atomically


def write_section(path: Path | None, title: str, lines: Sequence[str], command: str) -> None:
    """Print a section; and write it to the file where one is given, in the place of an older one of that title."""
    section = "\n".join([f"## {title}", "", *lines, *ending("", command), ""])
    print(section)
    if path is None:
        return
    text = path.read_text(encoding="utf-8") if path.exists() else "# Experiments with tree fields\n"
    older = re.compile(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    match = older.search(text)
    if match is None:
        text = f"{text.rstrip()}\n\n{section}"
    else:
        text = text[: match.start()] + (section + "\n" if match.end() < len(text) else section) + text[match.end() :]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text)
