"""What all tests share: real datasets where they are, published values, and the seed of everything random."""

from __future__ import annotations

import os
import random
import shutil
import sysconfig
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graphpe.compiled.jit import everything_compiled

torch.set_num_threads(1)
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # kernels for GPUs run in Triton's interpreter; it has to know when imported

SEED = pytest.StashKey[int]()
_default_rng = np.random.default_rng


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=None, help="seed of random tests (default: drawn; printed)")
    parser.addoption("--attacks", type=float, default=1.0, help="factor of how many attacks pytest -m attack tries")
    parser.addoption("--figures", type=Path, default=None, help="page whose table of attacks is to be written")


def pytest_configure(config: pytest.Config) -> None:
    given = config.getoption("--seed")
    # pytest-xdist's workers take the seed of the process that starts them.
    drawn = getattr(config, "workerinput", {}).get("seed", random.SystemRandom().randrange(10**6))
    config.stash[SEED] = drawn if given is None else given


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["seed"] = node.config.stash[SEED]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    terminalreporter.write_line(f"random tests: --seed {config.stash[SEED]}")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Numbers of each test's own, from the seed and its name: whatever ran before, they are the same."""
    name = zlib.crc32(item.nodeid.encode())
    of_torch, of_numpy, of_python, of_generators = (
        int(number) for number in np.random.SeedSequence([item.config.stash[SEED], name]).generate_state(4)
    )
    torch.manual_seed(of_torch)
    np.random.seed(of_numpy)  # noqa: NPY002 (what networkx and PyG draw from)
    random.seed(of_python)
    seeds = np.random.SeedSequence(of_generators)

    def default_rng(seed: Any = None) -> np.random.Generator:
        return _default_rng(seeds.spawn(1)[0] if seed is None else seed)

    np.random.default_rng = default_rng


@pytest.fixture(scope="session", autouse=True)
def compiled_code() -> Iterator[None]:
    """Tests are about compiled code, on small graphs, too; `test_first_call.py`: what runs until it is there."""
    with everything_compiled():
        yield


def _find_shared_data() -> Path | None:
    """The folder of real datasets: `GRAPHPE_DATA`, or `shared/data` beside the checkout."""
    named = os.environ.get("GRAPHPE_DATA")
    for folder in [Path(named)] if named else [Path(__file__).resolve().parents[2] / "shared" / "data"]:
        if folder.is_dir():
            return folder
    return None


@pytest.fixture(scope="session")
def shared_data() -> Path:
    folder = _find_shared_data()
    if folder is None:
        pytest.skip("real datasets are not here: set GRAPHPE_DATA to a folder that holds them")
    return folder


@pytest.fixture(scope="session")
def golden() -> Path:
    """Values computed by the published code; what they are is in the README beside them."""
    return Path(__file__).parent / "golden"


FEWER = {
    "train": ["--epochs", "1", "--max-steps", "2", "--batch-size", "4", "--accelerator", "cpu", "--workers", "1"],
    "pretrain": ["--epochs", "1", "--max-steps", "2", "--batch-size", "4", "--accelerator", "cpu", "--workers", "1"],
    "grid": ["--epochs", "1", "--seeds", "1", "--batch-size", "8", "--accelerator", "cpu", "--quiet"],
}
"""What is added to the commands of README and documentation; the last of two equal options counts."""

LIBRARY = ["json", "textwrap.py", "string.py", "shlex.py", "calendar.py", "heapq.py", "fractions.py", "queue.py"]


@pytest.fixture(scope="session")
def copy_modules(tmp_path_factory: pytest.TempPathFactory) -> Callable[[list[str]], Path]:
    """`copy_modules(names)`: a new folder with these modules of Python's library."""

    def copied(names: list[str]) -> Path:
        folder = tmp_path_factory.mktemp("source")
        whole = Path(sysconfig.get_paths()["stdlib"])
        for name in names:
            copy = shutil.copytree if (whole / name).is_dir() else shutil.copy
            copy(whole / name, folder / name)
        return folder

    return copied


@pytest.fixture(scope="session")
def library(copy_modules: Callable[[list[str]], Path]) -> Path:
    """Some modules of this Python's library, for commands that would read all of it."""
    return copy_modules(LIBRARY)


@pytest.fixture(scope="session")
def fewer(library: Path) -> Callable[[list[str]], list[str]]:
    """The words of a `graphpe` command with few steps, and the library in the place of the whole one."""

    def smaller(words: list[str]) -> list[str]:
        words = [word.replace("~", os.environ["HOME"], 1) if word.startswith("~") else word for word in words]
        command = words[0]
        if command == "show" and "--data" not in words:
            return [*words, "--data", f"python-source(root={str(library)!r})"]
        if command in ("train", "pretrain") and "--resume" in words:
            return words
        own = len(words) > 1 and not words[1].startswith("-")
        whole = not (own or {"--root", "--task"} & set(words)) or any("python-source" in word for word in words)
        if command in ("train", "pretrain") and whole and not any("root=" in word for word in words):
            words = [*words, "--root", str(library)]
        return [*words, *FEWER.get(command, [])]

    return smaller
