"""Encodings of many molecules: on the device, with transfers both ways, and on the host."""

from __future__ import annotations

from functools import partial

import numpy as np

from graphpe import transforms as T
from graphpe.benchmarks.measure.gpu.run import Record, Run
from graphpe.benchmarks.measure.inputs.graphs import molecules
from graphpe.graphs.packed import PackedGraphs
from graphpe.transforms.base import Encoding

_MOLECULES, _SOME = 41_127, 4_096


def time_encodings(run: Run) -> None:
    """`LaplacianPE(8)` of as many molecules as ogbg-molhiv has, and RRWP of a part of them."""
    source, graphs = molecules(60 if run.small else _MOLECULES, run.data, np.random.default_rng(0))
    some = graphs.select(slice(0, _SOME))
    for encoding, of in ((T.LaplacianPE(8), graphs), (T.RandomWalkPE(16), graphs), (T.RelativeRandomWalkPE(16), some)):
        what = f"{encoding!r}, {len(of):,} molecules ({source})"
        run.add(f"{what}, on the device", partial(_on_device, run, encoding, of))
        run.add(f"{what}, from host to host", partial(_from_host, run, encoding, of))
        run.add(f"{what}, on the host", partial(_on_host, run, encoding, of))


def _on_host(run: Run, encoding: Encoding, graphs: PackedGraphs) -> Record:
    return {"seconds": run.seconds(lambda: encoding(graphs))}


def _on_device(run: Run, encoding: Encoding, graphs: PackedGraphs) -> Record:
    there = graphs.to(run.device)
    return {"seconds": run.seconds(lambda: encoding(there))}


def _from_host(run: Run, encoding: Encoding, graphs: PackedGraphs) -> Record:
    return {"seconds": run.seconds(lambda: encoding(graphs.to(run.device)).to("cpu"))}
