"""Every command of the README and of `docs/reference/command_line.md` is run as it stands there, on small data.

What is put in a line's place, and nothing else:

- The folders that the README names are laid out as the downloads would be, with a few small random graphs, below an
  empty working folder; `~` and the user's cache are below it too.
- Where a line would read the whole library of this Python, it reads some modules of it, and `graphpe train` and
  `graphpe grid` take few steps (the fixture `fewer`).
- Of the two lines that set up an environment, `.ci/run` runs the whole; here, what follows the set-up.
- Scripts that measure (`python -m graphpe.benchmarks...`) take minutes to hours: their options are read, no more.

Lines that need an extra are skipped where it is not installed. A line that goes on with what another one wrote runs
that one first.
"""

from __future__ import annotations

import ast
import gzip
import importlib.util
import json
import re
import runpy
import shlex
import shutil
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from pathlib import Path

import networkx as nx
import pytest
import torch
from torch_geometric.data import Data

from graphpe.benchmarks.cli.main import main
from graphpe.benchmarks.expressivity.sets import DATASETS
from graphpe.benchmarks.tasks import PythonSource
from graphpe.benchmarks.tasks.code.export import export_ogb

ROOT = Path(__file__).resolve().parents[3]
README = "\n".join((ROOT / name).read_text() for name in ("README.md", "docs/reference/command_line.md"))
PAGES = "\n".join([README, *(path.read_text() for path in sorted((ROOT / "docs").rglob("*.md")))])
SET_UP = "pip install torch"
NEEDS = {
    "graphpe show --data encoded": "graphpe encode --data ogbg-molhiv",
    "graphpe report": "graphpe grid",
    "graphpe train --task zinc --root dataset/zinc --encodings": "graphpe pretrain graphs.pt",
    "graphpe train --resume": "graphpe train --task \"python-source(graph='ast')\"",
    "graphpe predict script.py": "graphpe train --task \"python-source(graph='ast')\"",
    "graphpe predict molecules.csv": 'graphpe train --task "SmilesTable(',
    "graphpe runs": "graphpe train --task \"python-source(graph='ast')\"",
}
"""What a line goes on with: the line that wrote it, by their beginnings."""

EXTRAS = {"--engine ray": "ray", "clrs(": "clrs", "molecules.csv": "rdkit"}
"""Modules of the extras that a line needs."""

SLOW = tuple(
    f"graphpe {command}"
    for command in (
        "warmup",
        "bench",
        "encode",
        "show --data encoded",
        "grid",
        "report",
        "expressivity",
        "train --task code2",
    )
)
"""Lines that take more than some seconds even so: processes of their own, or a dozen encodings."""


def bash_lines() -> list[str]:
    """The commands in the README's bash blocks, without comments, each on one line."""
    blocks = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    joined = "".join(blocks).replace("\\\n", " ")
    lines = [re.sub(r"\s{2,}#.*", "", line).strip() for line in joined.splitlines()]
    return [line.rsplit("&& ", 1)[-1] if SET_UP in line else line for line in lines if line]


def inline_commands(program: str, text: str = README) -> list[str]:
    """The commands that sentences name."""
    return sorted(set(re.findall(rf"`({program} [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))))


COMMANDS = [line for line in dict.fromkeys([*bash_lines(), *inline_commands("graphpe")]) if line.split()[0] != "pytest"]


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory,
    library: Path,
    write_molecules: Callable[..., object],
    write_zinc: Callable[..., object],
) -> Iterator[Path]:
    """A working folder with all that the README's lines read."""
    root = tmp_path_factory.mktemp("readme")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("HOME", str(root))
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        shutil.copytree(library, root / "code" / "project")
        for name in ("script.py", "demo.py"):
            shutil.copy(library / "heapq.py", root / name)
        functions = PythonSource(root=str(library), graph="ast+tokens").load(progress=False)
        write_archive(export_ogb(functions, root / "dataset"), library, functions.graphs.objects["where"])
        write_molecules(root / "dataset" / "ogbg_molhiv", 32, [[i % 2] for i in range(32)])
        write_molecules(root / "dataset" / "ogbg_molesol", 32, [[i % 5 / 2] for i in range(32)])
        write_zinc(root / "dataset" / "zinc")
        write_own_data(root)
        yield root


def write_archive(folder: Path, library: Path, places: list[str]) -> None:
    """The source of functions, as OGB's download of ogbg-code2 holds it."""
    texts = []
    for place in places:
        name, line = place.rsplit(":", 1)
        nodes = ast.walk(ast.parse((library / name).read_bytes()))
        functions = (node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
        texts.append([ast.unparse(next(node for node in functions if node.lineno == int(line)))])
    content = {"columns": ["code"], "index": list(range(len(texts))), "data": texts}
    (folder / "mapping" / "graphidx2code.json.gz").write_bytes(gzip.compress(json.dumps(content).encode()))


def write_own_data(root: Path) -> None:
    """A user's files: `graphs.pt`, `graphs/`, `graphs.json`, `molecules.csv`, and sets for `graphpe expressivity`."""
    graphs = [nx.gnp_random_graph(n, 0.5, seed=n, directed=True) for n in range(4, 24)]
    data = [
        Data(
            x=torch.randint(3, (len(graph), 1)),
            edge_index=torch.tensor(list(graph.edges())).t(),
            y=torch.tensor([float(len(graph))]),
        )
        for graph in graphs
    ]
    torch.save(data, root / "graphs.pt")
    (root / "graphs").mkdir()
    for index, graph in enumerate(graphs):
        nx.write_edgelist(graph, root / "graphs" / f"g{index}.txt", data=False)
    labels = "".join(f"g{index},{index / 2}\n" for index in range(len(graphs)))
    (root / "graphs" / "labels.csv").write_text("graph,y\n" + labels)
    for index, graph in enumerate(graphs):
        graph.graph["y"] = index / 2
    (root / "graphs.json").write_text(json.dumps([nx.node_link_data(graph, edges="edges") for graph in graphs]))
    rows = [f"C1{'C' * n}C1O,{n / 3}" for n in range(1, 21)]  # rings, each a scaffold of its own
    (root / "molecules.csv").write_text("\n".join(["smiles,solubility", *rows]) + "\n")
    sets = root / "dataset" / "expressivity"
    sets.mkdir()
    pair = [nx.cycle_graph(6), nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3))]
    for name in set(DATASETS.values()):
        if name.endswith(".g6"):
            graphs = pair * 260 if name == "brec.g6" else pair
            (sets / name).write_bytes(b"".join(nx.to_graph6_bytes(graph, header=False) for graph in graphs))
        else:
            text = [str(len(pair))]
            for graph in pair:
                text += [
                    f"{len(graph)} 0",
                    *(" ".join(map(str, [0, len(graph[node]), *graph[node]])) for node in graph),
                ]
            (sets / name).write_bytes(gzip.compress("\n".join([*text, ""]).encode()))


@pytest.fixture(scope="module")
def run_line(folder: Path, fewer: Callable[[list[str]], list[str]]) -> Callable[[str], int]:
    """Runs a line of the README, after what it goes on with, and returns its exit status."""

    def run(line: str) -> int:
        for beginning, needed in NEEDS.items():
            if line.startswith(beginning):
                assert run(next(each for each in COMMANDS if each.startswith(needed))) == 0
        if "--resume" in line:  # as if it had been killed at its last moment
            Path(shlex.split(line)[-1], "summary.json").unlink()
        return main(fewer(shlex.split(line)[1:]))

    return run


@pytest.mark.parametrize(
    "line", [pytest.param(line, marks=pytest.mark.slow if line.startswith(SLOW) else ()) for line in COMMANDS], ids=str
)
def test_a_line_runs(line: str, run_line: Callable[[str], int], capsys: pytest.CaptureFixture[str]) -> None:
    for part, module in EXTRAS.items():
        if part in line and importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed: pip install the extra that the README names")
    status = run_line(line)
    assert status == 0, capsys.readouterr().err


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_an_example_runs(block: str, folder: Path) -> None:
    exec(compile(block, "README.md", "exec"), {"__name__": "readme"})


class CellsBuilt(Exception):
    """All cells of a grid were built, once each."""


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("graphpe grid")], ids=str)
def test_the_cells_of_a_grid_can_be_built(
    line: str, folder: Path, fewer: Callable[[list[str]], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(cells: list[object], **_: object) -> None:
        raise CellsBuilt(len(cells))

    monkeypatch.setattr("graphpe.benchmarks.grid.engine.run_cells", stop)
    with pytest.raises(CellsBuilt, match=r"^9$"):
        main(fewer([*shlex.split(line)[1:], "--out", "cells"]))


class OptionsRead(Exception):
    """The options of a script were accepted."""


@pytest.mark.parametrize("line", inline_commands("python -m", PAGES))
def test_a_script_takes_the_options_of_the_pages(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = ArgumentParser.parse_args

    def stop(self: ArgumentParser, *args: object, **kwargs: object) -> None:
        read(self, *args, **kwargs)  # type: ignore[call-overload]
        raise OptionsRead

    _, _, module, *options = shlex.split(line)
    monkeypatch.setattr(ArgumentParser, "parse_args", stop)
    monkeypatch.setattr(sys, "argv", [module, *options])
    with pytest.raises(OptionsRead):
        runpy.run_module(module, run_name="__main__")


def test_all_lines_are_commands() -> None:
    assert len(bash_lines()) > 20
    assert {line.split()[0] for line in bash_lines()} == {"graphpe", "pytest"}
    for table in (NEEDS, dict.fromkeys(SLOW), NEEDS.values()):
        for beginning in table:
            assert any(line.startswith(beginning) for line in COMMANDS), beginning
