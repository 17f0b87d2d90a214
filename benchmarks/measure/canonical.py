"""How many Laplacian eigenvectors of molecules have a sign, and how many eigenspaces a basis, that the graph decides.

    python -m graphpe.benchmarks.measure.canonical --out benchmarks/results/canonical.md

Reads ogbg-molhiv and ZINC (as PyG's raw files) from the folder of real data. Whole spectra of "sym", without zero
modes.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch_geometric.data import Data

from graphpe import transforms as T
from graphpe.benchmarks.measure.harness import Report, command, ending, parser
from graphpe.benchmarks.measure.inputs.graphs import data_folder, read_molecules
from graphpe.eigen.canonical import BEYOND, maximal_axis_projection
from graphpe.eigen.result import Eigenpairs
from graphpe.graphs.packed import PackedGraphs
from graphpe.spectra.laplacian_eigenpairs import laplacian_eigenpairs
from graphpe.spectra.signs import canonical_factors

CHUNK, COLUMNS = 1000, 8
COUNTS = ("simple", "not by moments", "not by MAP", "repeated", "no basis", "no basis as published")


def zinc(folder: Path) -> PackedGraphs:
    """All three parts of ZINC-12k."""
    from torch_geometric.datasets import ZINC

    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(folder / "zinc12k_like" / "raw", Path(copy) / "raw")
        parts = [ZINC(copy, subset=True, split=split) for split in ("train", "val", "test")]
        return PackedGraphs.from_data_list(
            [Data(edge_index=data.edge_index, num_nodes=data.num_nodes) for part in parts for data in part]
        )


def chunks(graphs: PackedGraphs) -> Iterator[PackedGraphs]:
    """Graphs of about one size together, so that few columns are padding."""
    order = np.argsort(graphs.sizes.numpy(), kind="stable")
    for first in range(0, len(order), CHUNK):
        yield graphs.structure().select(order[first : first + CHUNK])


def eigenspaces(values: np.ndarray) -> Iterator[slice]:
    """Runs of equal eigenvalues."""
    cuts = np.flatnonzero(np.diff(values) > 1e-8 * np.maximum(1, values[1:])) + 1
    yield from (slice(*ends) for ends in zip([0, *cuts], [*cuts, len(values)], strict=True))


def has_published_basis(vectors: np.ndarray) -> bool:
    """Whether the first d groups of equal lengths give d directions: the paper's assumptions, written out."""
    projector, d = vectors @ vectors.T, vectors.shape[1]
    lengths = np.linalg.norm(projector, axis=0).round(7)
    basis: list[np.ndarray] = []
    for length in sorted(set(lengths.tolist()), reverse=True)[:d]:
        part = projector @ (lengths == length)
        for u in basis:
            part = part - (u @ part) * u
        if np.linalg.norm(part) < 1e-6:
            return False
        basis.append(part / np.linalg.norm(part))
    return len(basis) == d


def count(graphs: PackedGraphs) -> Counter[str]:
    """The counts of `COUNTS`, of the whole spectrum of each graph."""
    pairs = laplacian_eigenpairs(graphs, max(graphs.max_size, 1))
    decided = maximal_axis_projection(pairs, graphs.host_ptr, pairs.values.shape[1]).decided.numpy()
    moments = [canonical_factors(sign * pairs.vectors, graphs.batch, graphs.num_graphs).numpy() for sign in (1, -1)]
    vectors, found = pairs.vectors.numpy(), Counter[str]()
    for b, (first, last) in enumerate(zip(graphs.host_ptr[:-1], graphs.host_ptr[1:], strict=True)):
        values = pairs.values[b, pairs.mask[b]].numpy()
        for space in eigenspaces(values) if len(values) else ():
            here = decided[b, space.start]
            if space.stop - space.start == 1:
                column = space.start
                by_moments = moments[0][b, column] != moments[1][b, column]
                found.update({"simple": 1, "not by moments": int(not by_moments), "not by MAP": int(not here)})
            else:
                published = has_published_basis(vectors[first:last, space])
                found.update({"repeated": 1, "no basis": int(not here), "no basis as published": int(not published)})
    return found


def columns(graphs: PackedGraphs, rng: np.random.Generator) -> Counter[str]:
    """Columns of `LaplacianPE(8, sign="map")`: those that are decided, and what changes with the order of nodes."""
    here = _lowest(graphs)
    order = np.concatenate(
        [a + rng.permutation(b - a) for a, b in zip(graphs.host_ptr[:-1], graphs.host_ptr[1:], strict=True)]
    ).astype(np.int64)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    other = PackedGraphs(
        edge_index=torch.from_numpy(place)[graphs.edge_index], ptr=graphs.ptr, edge_ptr=graphs.edge_ptr
    )
    there = _lowest(other)
    one, two = (maximal_axis_projection(pairs, graphs.host_ptr, COLUMNS) for pairs in (here, there))
    difference = (two.vectors - one.vectors[torch.from_numpy(order)]).abs()
    largest = torch.zeros(graphs.num_graphs, COLUMNS, dtype=difference.dtype)
    largest = largest.scatter_reduce(0, graphs.batch[:, None].expand_as(difference), difference, "amax")
    mask = here.mask[:, :COLUMNS]
    whole = (one.decided | ~mask).all(1)
    return Counter({
        "graphs": graphs.num_graphs, "whole": int(whole.sum()), "columns": int(mask.sum()),
        "decided": int(one.decided.sum()), "otherwise": int((one.decided != two.decided).sum()),
        "changed": int((one.decided & (largest > 1e-5)).sum()),
    })  # fmt: skip


def _lowest(graphs: PackedGraphs) -> Eigenpairs:
    return laplacian_eigenpairs(graphs, COLUMNS + BEYOND)


def table(found: dict[str, tuple[Counter[str], Counter[str]]]) -> list[str]:
    """The counts as Markdown."""

    def share(part: int, of: int) -> str:
        return f"{part:,} ({100 * part / max(of, 1):.2f} %)"

    lines = [
        "| | " + " | ".join(found) + " |",
        "|---" * (len(found) + 1) + "|",
    ]
    rows = {
        "graphs": [f"{low['graphs']:,}" for _, low in found.values()],
        "simple eigenvalues": [f"{whole['simple']:,}" for whole, _ in found.values()],
        "their sign undecided by MAP": [share(c["not by MAP"], c["simple"]) for c, _ in found.values()],
        "... by four moments (`sign='canonical'`)": [
            share(c["not by moments"], c["simple"]) for c, _ in found.values()
        ],
        "repeated eigenvalues": [f"{whole['repeated']:,}" for whole, _ in found.values()],
        "their basis undecided": [share(c["no basis"], c["repeated"]) for c, _ in found.values()],
        "... by the published assumptions": [
            share(c["no basis as published"], c["repeated"]) for c, _ in found.values()
        ],
        f"columns of `LaplacianPE({COLUMNS})`": [f"{low['columns']:,}" for _, low in found.values()],
        "decided": [share(low["decided"], low["columns"]) for _, low in found.values()],
        "graphs with all columns decided": [share(low["whole"], low["graphs"]) for _, low in found.values()],
        "columns decided in one order of the nodes only": [f"{low['otherwise']:,}" for _, low in found.values()],
        "decided columns that differ by more than 1e-5 in another order": [
            f"{low['changed']:,}" for _, low in found.values()
        ],
    }
    return lines + [f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items()]


def times(graphs: PackedGraphs, repeats: int) -> list[str]:
    """Processor time of `LaplacianPE(8)` and what is asked of it beside, in turns, as Markdown."""
    sides = {
        "": T.LaplacianPE(COLUMNS, sign="none"),
        "`sign='canonical'`": T.LaplacianPE(COLUMNS, sign="canonical"),
        "`sign='map'`": T.LaplacianPE(COLUMNS, sign="map"),
        "`certificate=True`": T.LaplacianPE(COLUMNS, sign="none", certificate=True),
    }
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(repeats + 1):
        for name, transform in sides.items():
            start = time.process_time()
            transform(graphs)
            if turn:
                taken[name].append(time.process_time() - start)
    median = {name: 1e6 * statistics.median(each) / len(graphs) for name, each in taken.items()}
    lines = ["", f"| `LaplacianPE({COLUMNS})` with | microseconds a graph | ratio |", "|---|---|---|"]
    return lines + [f"| {name} | {value:.0f} | {value / median['']:.2f} |" for name, value in median.items()]


def main(arguments: Sequence[str] | None = None) -> None:
    """Count, and write the table."""
    options = parser(__doc__, graphs=0, repeats=7, data="ogbg_molhiv and zinc12k_like").parse_args(arguments)
    torch.set_num_threads(1)
    folder, rng = data_folder(options.data), np.random.default_rng(options.seed)
    found = {}
    for name, graphs in (
        ("zinc12k-like", zinc(folder)),
        ("ogbg-molhiv", read_molecules(folder / "ogbg_molhiv" / "raw")),
    ):
        if options.graphs:
            graphs = graphs.select(np.sort(rng.permutation(len(graphs))[: options.graphs]))
        whole, low = Counter[str](), Counter[str]()
        for chunk in chunks(graphs):
            whole.update(count(chunk))
            low.update(columns(chunk, rng))
        found[name] = whole, low
    report = Report(options.out)
    report.say("# Signs and bases that molecules decide", "")
    report.say(
        'Whole spectra of "sym" without zero modes. MAP is `sign="map"` (`graphpe.eigen.canonical`). Where a sign is',
        "undecided by it, the vector has as many entries of each size with one sign as with the other.",
        "",
    )
    about = (
        f"Times are processor time of one thread for {len(graphs):,} molecules of ogbg-molhiv packed, medians of "
        f"{options.repeats} turns."
    )
    report.say(*table(found), *times(graphs.structure(), options.repeats))
    report.say(*ending(about, command("canonical", arguments), threads=1))


if __name__ == "__main__":
    main()
