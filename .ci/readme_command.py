"""Print a command block of the README: the one under the HTML comment `<!-- command: NAME -->`."""

from __future__ import annotations

import re
import sys
from pathlib import Path


def readme_command(name: str) -> str:
    text = (Path(__file__).parent.parent / "README.md").read_text()
    match = re.search(rf"<!-- command: {re.escape(name)} -->\n+```bash\n(.*?)```", text, re.DOTALL)
    if match is None:
        raise SystemExit(f"README.md has no bash block under <!-- command: {name} -->")
    return match.group(1).strip()


if __name__ == "__main__":
    print(readme_command(sys.argv[1]))
