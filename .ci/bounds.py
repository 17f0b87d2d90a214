"""Compare `.ci/oldest.txt` with the lower bounds of pyproject.toml: each is the oldest version of its bound."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def bounds() -> dict[str, str]:
    content = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    return dict(re.fullmatch(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)", each).groups() for each in content)  # type: ignore[union-attr]


def pins() -> dict[str, str]:
    lines = (ROOT / ".ci" / "oldest.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def wrong() -> list[str]:
    given, found = bounds(), pins()
    return [
        f"{name}>={bound} in pyproject.toml, but {found.get(name)} in .ci/oldest.txt"
        for name, bound in given.items()
        if name != "torch" and not f"{found.get(name)}.".startswith(f"{bound}.")
    ]


if __name__ == "__main__":
    sys.exit("\n".join(wrong()) or 0)
