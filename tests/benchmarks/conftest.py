from __future__ import annotations

import shutil
import sysconfig
from pathlib import Path

import pytest

MODULES = [
    "json",
    "textwrap.py",
    "string.py",
    "shlex.py",
    "calendar.py",
    "heapq.py",
    "fractions.py",
    "queue.py",
    "sched.py",
]


@pytest.fixture(scope="session")
def source_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small tree of real Python source: some modules of the standard library."""
    root = tmp_path_factory.mktemp("source")
    library = Path(sysconfig.get_paths()["stdlib"])
    for name in MODULES:
        copy = shutil.copytree if (library / name).is_dir() else shutil.copy
        copy(library / name, root / name)
    return root


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder that the tests of one session share, and nobody else."""
    return tmp_path_factory.mktemp("cache")
