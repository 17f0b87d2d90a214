"""Memory of datasets that do not fit in it: made into a store, opened, and read once in random order.

    python -m graphpe.benchmarks.measure.inputs.stores ppa --share 1 --folder /scratch/ppa
    python -m graphpe.benchmarks.measure.inputs.stores code2 --functions 100000 --folder /scratch/code2

Files are written in OGB's layout, with sizes as published, by repeating a block of random graphs (gzip files may be
joined), or the functions of the standard library with other texts in each copy. Then a process of its own loads the
task twice, and reads every graph of the training part in random order in batches of 32, as training does. Its memory is
asked for 20 times a second: all that is resident, pages of mapped files included, and what is its own alone.
"""

from __future__ import annotations

import ast
import gzip
import json
import multiprocessing
import resource
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from graphpe.benchmarks.measure.harness import Report, command, ending, parser

NODES, EDGES, GRAPHS, BLOCK = 243, 2266, 158_100, 1_581
"""Of ogbg-ppa, and the graphs that are repeated."""


def main(argv: Sequence[str] | None = None) -> None:
    """Write the files unless they are there, measure, print the table, and write it where `--out` says."""
    known = parser(__doc__, repeats=None, threads=None, seed=None, data=None)
    known.add_argument("what", choices=("ppa", "code2"))
    known.add_argument("--folder", type=Path, required=True, help="folder of the files and of the store")
    known.add_argument("--share", type=float, default=0.1, help="part of ogbg-ppa's size")
    known.add_argument("--functions", type=int, default=100_000)
    known.add_argument("--encode", action="store_true", help="whether the default encodings are computed, too")
    known.add_argument("--workers", type=int, default=2)
    options = known.parse_args(argv)
    root = options.folder / "dataset"
    if not root.exists():
        if options.what == "ppa":
            write_ppa(root / "ogbg_ppa", round(GRAPHS * options.share / BLOCK))
        else:
            write_code2(options.folder, options.functions)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        ran = command("inputs.stores", argv)
        pool.submit(_measure, options.what, options.folder, options.workers, options.encode, options.out, ran).result()


def write_ppa(folder: Path, blocks: int) -> None:
    """Random graphs of ogbg-ppa's sizes in OGB's layout; an edge stands there once and means two.

    Args:
        folder: OGB's folder of the dataset.
        blocks: How often 1,581 graphs are repeated.
    """
    rng = np.random.default_rng(0)
    edges = rng.integers(0, NODES, (BLOCK * EDGES // 2, 2))
    edge_counts = np.full(BLOCK, EDGES // 2)
    features = rng.integers(0, 1000, (len(edges), 7)) / 1000
    labels = rng.integers(0, 37, BLOCK)
    raw = folder / "raw"
    _repeat(raw / "edge.csv.gz", (f"{u},{v}\n" for u, v in edges.tolist()), blocks)
    _repeat(raw / "edge-feat.csv.gz", (",".join(map(str, row)) + "\n" for row in features.tolist()), blocks)
    _repeat(raw / "num-node-list.csv.gz", [f"{NODES}\n"] * BLOCK, blocks)
    _repeat(raw / "num-edge-list.csv.gz", (f"{count}\n" for count in edge_counts.tolist()), blocks)
    _repeat(raw / "graph-label.csv.gz", (f"{label}\n" for label in labels.tolist()), blocks)
    _write_split(folder / "split" / "species", BLOCK * blocks)
    (folder / "RELEASE_v1.txt").touch()


def write_code2(folder: Path, functions: int) -> None:
    """The functions of the standard library in OGB's layout of ogbg-code2, again and again with other texts.

    Args:
        folder: Where OGB's folder is made, in `dataset`.
        functions: How many.
    """
    from graphpe.benchmarks.tasks import PythonSource
    from graphpe.benchmarks.tasks.code.export import export_ogb
    from graphpe.benchmarks.tasks.code.source.files import standard_library

    data = PythonSource(graph="dataflow", mask="definition").load(cache=folder / "parsed", progress=False)
    top, trees, found = standard_library(), {}, []
    for where in data.graphs.objects["where"]:
        name, line = where.rsplit(":", 1)
        if name not in trees:
            nodes = ast.walk(ast.parse((top / name).read_bytes()))
            trees[name] = {n.lineno: n for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
        found.append(trees[name][int(line)])
    copies = -(-functions // len(found))
    made = export_ogb(data, folder / "dataset")
    for path in (made / "raw").iterdir():
        path.write_bytes(path.read_bytes() * copies)
    _write_split(made / "split" / "project", copies * len(found))
    with gzip.open(made / "mapping" / "graphidx2code.json.gz", "wt", compresslevel=1) as file:
        file.write(f'{{"columns":["code"],"index":{json.dumps(list(range(copies * len(found))))},"data":[')
        for number in range(copies * len(found)):
            function = found[number % len(found)]
            for node in ast.walk(function):  # every copy has texts of its own, which the next one lengthens
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    node.value = f"{node.value.split('#')[0]}#{number // len(found)}"
            file.write("," * bool(number) + json.dumps([ast.unparse(function)]))
        file.write("]}")


def _repeat(path: Path, lines: Iterable[str], times: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    block = gzip.compress("".join(lines).encode(), 1)
    with path.open("wb") as file:
        for _ in range(times):
            file.write(block)


def _write_split(folder: Path, count: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng(0).permutation(count)
    for part, ids in zip(("train", "valid", "test"), np.split(order, [count * 9 // 10, count * 19 // 20]), strict=True):
        (folder / f"{part}.csv.gz").write_bytes(gzip.compress("".join(f"{i}\n" for i in sorted(ids.tolist())).encode()))


class _Watch:
    """The most memory that this process had since it was asked last."""

    def __init__(self) -> None:
        self.all = self.own = 0
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            lines = Path("/proc/self/status").read_text().splitlines()
            now = {line.split()[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith("kB")}
            self.all, self.own = max(self.all, now["VmRSS:"]), max(self.own, now["RssAnon:"])
            time.sleep(0.05)

    def timed(self, report: Report, name: str, work: Callable[[], Any]) -> Any:
        """Do something, and say what it took."""
        self.all = self.own = 0
        start = time.perf_counter()
        result = work()
        time.sleep(0.1)
        seconds = time.perf_counter() - start
        report.say(f"| {name} | {seconds:,.0f} | {self.all / 1e9:.2f} | {self.own / 1e9:.2f} |")
        return result


def _measure(what: str, folder: Path, workers: int, encode: bool, out: Path | None, ran: str) -> None:
    """The table, row by row: what is stopped leaves the rows so far."""
    from graphpe.benchmarks.calls.build import build_encodings
    from graphpe.benchmarks.tasks import Code2, Ppa, stored
    from graphpe.benchmarks.training.batch_transform import BatchTransform, encode_stored
    from graphpe.graphs.loader import PackedLoader

    stored.memory_limit = lambda: 2**30  # what is measured small has to take the same way
    root, cache = str(folder / "dataset"), folder / "cache"
    task = Ppa(root=root, download=False) if what == "ppa" else Code2(root=root, download=False)
    watch = _Watch()
    report = Report(out)
    report.say("| | s | resident, GB | its own, GB |", "|---|---|---|---|")
    making = "make the store" if not cache.exists() else "open the store, checksums compared"
    watch.timed(report, making, lambda: task.load(workers=workers, cache=cache))
    data = watch.timed(report, "open it again", lambda: task.load(cache=cache, progress=False))
    graphs, released = data.graphs, [data.store.release]
    if encode:
        encodings = build_encodings(task.default_encodings)
        graphs, release = watch.timed(
            report,
            f"encode with {task.default_encodings[0]}",
            lambda: encode_stored(graphs, encodings, workers=workers, cache=cache, progress=True),
        )
        released.append(release)

    def read() -> None:
        transform = BatchTransform((), data.adapter, release=released)
        for _ in PackedLoader(graphs, 32, shuffle=True, indices=data.split["train"], transform=transform):
            pass

    watch.timed(report, "read the training part once, in random order", read)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    size = (data.store.root / "graphs.safetensors").stat().st_size
    about = (
        f"{len(data.graphs):,} graphs, {data.graphs.num_nodes:,} nodes, {data.graphs.num_edges:,} edges; a store of "
        f"{size / 1e9:.2f} GB; most resident memory of the process {peak / 1e9:.2f} GB."
    )
    report.say(*ending(about, ran))


if __name__ == "__main__":
    main()
