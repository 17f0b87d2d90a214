"""Cells on Ray, on a cluster of this machine."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from graphpe.benchmarks.grid.cell import Cell
from graphpe.benchmarks.grid.cells import grid_cells
from graphpe.benchmarks.grid.config import GridConfig
from graphpe.benchmarks.grid.engine import run_cells_on_ray
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.errors import GraphPERuntimeError


def make_cells(root: Path, write_molecules: Callable[..., object], **options: object) -> list[Cell]:
    write_molecules(root / "data" / "ogbg_molesol", 32, [[float(i % 5)] for i in range(32)])
    grid = GridConfig(
        tasks=("molesol(root='data')",), encodings=("none",), models=("GINE(width=8, layers=1)",), seeds=2
    )
    common = TrainConfig(batch_size=8, warmup_steps=1, patience=0, accelerator="cpu", **options)  # type: ignore[arg-type]
    cells = list(grid_cells(grid, common, root / "grid", workers=1, cache=None, progress=False))
    return [cell for cell in cells if isinstance(cell, Cell)]


def workers() -> list[int]:
    """Processes below this one in which Ray runs a cell."""
    parents, found = {}, []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if (folder / "cmdline").read_bytes().startswith(b"ray::_run_in"):
                found.append(int(folder.name))
        except (OSError, ValueError):  # it has ended
            continue

    def below(number: int) -> bool:
        return number == os.getpid() or (number in parents and below(parents[number]))

    return [number for number in found if below(number)]


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
def test_a_worker_of_ray_is_killed_and_its_cell_goes_on(
    write_molecules: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed (pip install 'graphpe[ray]')")
    monkeypatch.chdir(tmp_path)  # the task's folder is named relative to it
    long, short = make_cells(tmp_path, write_molecules, epochs=150)
    short = replace(short, config=replace(short.config, epochs=1))
    ended: list[tuple[str, str]] = []

    def kill() -> None:
        while not (long.run / "last.pt").exists():
            time.sleep(0.01)
        for number in workers():
            os.kill(number, signal.SIGKILL)

    ray.init(num_cpus=1, log_to_driver=False, include_dashboard=False)
    try:
        killer = threading.Thread(target=kill)
        killer.start()
        run_cells_on_ray(
            [long, short],
            jobs=2,
            gpus=0,
            cache=None,
            done=lambda cell: ended.append((cell.folder.name, cell.status)),
        )
        killer.join()
        assert ended == [(long.folder.name, "failed"), (short.folder.name, "done")]
        assert "its process died" in long.error
        made = len((long.run / "metrics.jsonl").read_text().splitlines())
        assert 1 <= made < 150
        run_cells_on_ray([long], jobs=1, gpus=0, cache=None, done=lambda cell: None)
        assert long.status == "done"
        assert not (long.folder / "error.txt").exists()
        assert len((long.run / "metrics.jsonl").read_text().splitlines()) == 150
        many = replace(long, config=replace(long.config, threads=64))
        with pytest.raises(GraphPERuntimeError, match="a cell takes 64 CPU, but no node of the Ray cluster"):
            run_cells_on_ray([many], jobs=1, gpus=0, cache=None, done=lambda cell: None)
        with pytest.raises(GraphPERuntimeError, match="GPU"):
            run_cells_on_ray([long], jobs=1, gpus=1, cache=None, done=lambda cell: None)
    finally:
        ray.shutdown()


def test_without_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(GraphPERuntimeError, match=r"pip install 'graphpe\[ray\]'"):
        run_cells_on_ray([], jobs=1, gpus=0, cache=None, done=lambda cell: None)
