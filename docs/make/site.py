"""What mkdocs does beside its own work: pages from outside `docs/`, and notebooks as pages.

The links of a page are those of the repository, so that they work there, too. On the site, the tables of
`benchmarks/results`, `benchmarks/records.md`, CONTRIBUTING.md and CHANGELOG.md are pages; links to other files of the
repository lead to it.
"""

from __future__ import annotations

import base64
import json
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY = "https://github.com/graphpe/graphpe/blob/main"
PAGES = ("CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/records.md", "benchmarks/results/**/*")
_LINK = re.compile(r"(\]\()(?!https?:|#)([^)#\s]+)")
_FENCE = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and pictures from outside, and the page of each notebook."""
    for pattern in PAGES:
        for path in sorted(ROOT.glob(pattern)):
            if path.is_file():
                name = path.relative_to(ROOT).as_posix()
                files.append(File.generated(config, name, abs_src_path=str(path)))
    for file in list(files):
        if file.src_uri.endswith(".ipynb"):
            stem = file.src_uri.removesuffix(".ipynb")
            text, pictures = notebook_page(json.loads(file.content_string), posixpath.basename(stem))
            files.append(File.generated(config, f"{stem}.md", content=text))
            for name, picture in pictures.items():
                files.append(File.generated(config, f"{posixpath.dirname(stem)}/{name}", content=picture))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links of the repository into links of the site."""
    own = page.file.src_uri
    from_outside = own in PAGES or own.startswith("benchmarks/")
    if from_outside or own == "DESIGN.md":  # pages that teach come first
        page.meta["search"] = {"boost": 0.2}
    folder = posixpath.dirname(own if from_outside else posixpath.join("docs", own))

    def replaced(match: re.Match[str]) -> str:
        path, mark, anchor = match[2].partition("#")
        target = posixpath.normpath(posixpath.join(folder, path))
        on_site = target.removeprefix("docs/")
        if files.get_file_from_path(on_site) is not None:
            return match[1] + posixpath.relpath(on_site, posixpath.dirname(own) or ".") + mark + anchor
        return f"{match[1]}{REPOSITORY}/{target}" if (ROOT / target).exists() else match[0]

    parts = _FENCE.split(markdown)
    return "".join(part if part.startswith("```") else _LINK.sub(replaced, part) for part in parts)


def notebook_page(notebook: dict[str, Any], stem: str) -> tuple[str, dict[str, bytes]]:
    """The cells of a notebook and what they printed and drew, as Markdown and pictures by name."""
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "image/png" in data:
                name = f"{stem}_{len(pictures)}.png"
                pictures[name] = base64.b64decode("".join(data["image/png"]))
                parts.append(f"![What the cell draws]({name})")
            elif text := "".join(output.get("text", data.get("text/plain", ""))).rstrip():
                parts.append(f"```text\n{text}\n```")
    return "\n\n".join([parts[0], f"[Download the notebook]({stem}.ipynb)", *parts[1:], ""]), pictures
