"""Everything that can be said of one GPU in eight minutes.

    python -m graphpe.benchmarks.measure.gpu --out gpu
    python -m graphpe.benchmarks.measure.gpu --device pretend --small --budget 1800 --out rehearsal

Sections come in the order of their worth, each with its own time limit; results are written as they come (OUT.json,
OUT.md), and what there was no time for is named. Without a GPU it ends with exit code 1; the rehearsals, `--device
pretend` (the way through the code that a GPU takes) and `--device cpu`, say nothing about speed.
"""

from __future__ import annotations

import argparse
import platform
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from graphpe.benchmarks.measure.gpu.correctness import check_encodings, check_models, check_solvers
from graphpe.benchmarks.measure.gpu.eigensolvers import time_dense, time_iterative
from graphpe.benchmarks.measure.gpu.encodings import time_encodings
from graphpe.benchmarks.measure.gpu.kernels import check_kernels
from graphpe.benchmarks.measure.gpu.loading import time_epoch, time_loaders
from graphpe.benchmarks.measure.gpu.run import Record, Run
from graphpe.benchmarks.measure.gpu.steps import profile_step, time_compiled, time_steps
from graphpe.benchmarks.measure.pretend.accelerator import pretending
from graphpe.benchmarks.measure.pretend.direct_solver import pretending_cudss
from graphpe.benchmarks.measure.pretend.tensors import DEVICE, NAME

SECTIONS: list[tuple[str, Callable[[Run], None], float]] = [
    ("kernels against the CPU", check_kernels, 45),
    ("models against the CPU", check_models, 50),
    ("encodings against the CPU", check_encodings, 20),
    ("training steps", time_steps, 70),
    ("one step by kernels", profile_step, 10),
    ("loaders", time_loaders, 15),
    ("an epoch", time_epoch, 25),
    ("encodings of molecules", time_encodings, 20),
    ("solvers against the CPU", check_solvers, 20),
    ("eigensolvers", time_iterative, 150),
    ("dense eigensolvers", time_dense, 15),
    ("compiled steps", time_compiled, 25),
]
_BUDGET = 465.0
"""Seconds: the limits of the sections together. Of another budget each has its share."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the sections; 0, or 1 without a device or where a check failed."""
    options = _parser().parse_args(argv)
    if options.device == "cuda" and not torch.cuda.is_available():
        print(
            "no CUDA device here: run this on a machine with a GPU, or with --device pretend --small", file=sys.stderr
        )
        return 1
    device = DEVICE if options.device == NAME else torch.device(options.device)
    warnings.simplefilter("ignore")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    run = Run(
        device,
        options.out,
        describe(device),
        small=options.small,
        data=options.data,
        budget=options.budget,
        limit=options.limit,
    )
    chosen = [each for each in SECTIONS if not options.sections or any(word in each[0] for word in options.sections)]
    pretended = device == DEVICE
    with pretending() if pretended else nullcontext(), pretending_cudss() if pretended else nullcontext():
        for name, function, seconds in chosen:
            run.section(name, function, seconds * options.budget / _BUDGET)
    wrong = [record["what"] for record in run.records if not record.get("right", True)]
    for what in wrong:
        print(f"wrong: {what}", file=sys.stderr)
    return 1 if wrong else 0


def _parser() -> argparse.ArgumentParser:
    out = argparse.ArgumentParser(
        prog="python -m graphpe.benchmarks.measure.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    out.add_argument("--device", default="cuda", choices=["cuda", "cpu", NAME], help="what is measured")
    out.add_argument("--small", action="store_true", help="small sizes, for a rehearsal")
    out.add_argument("--sections", nargs="+", default=[], help="only sections whose name holds one of these")
    out.add_argument("--data", type=Path, help="folder with ogbg_molhiv (otherwise random molecules)")
    out.add_argument(
        "--budget", type=float, default=_BUDGET, help="seconds for everything, of which sections have shares"
    )
    out.add_argument("--limit", type=float, default=8, help="seconds for one call of CuPy or SciPy")
    out.add_argument("--out", type=Path, default=Path("gpu"), help="write OUT.json and OUT.md")
    return out


def describe(device: torch.device) -> Record:
    """What it runs on."""
    chip = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type} of {platform.machine()}"
    out: Record = {"device": chip, "date": str(date.today()), "Python": platform.python_version()}
    peers = ("cupy-cuda13x", "cupy-cuda12x", "nvmath-python")
    for name in ("torch", "torch_geometric", "triton", "scipy", "numba", *peers):
        try:
            out[name] = version(name)
        except PackageNotFoundError:
            continue
    return out


if __name__ == "__main__":
    sys.exit(main())
