"""Circular fingerprints with gradient-boosted trees on the sets of molecules that are at hand, and the constant.

python -m graphpe.benchmarks.measure.fingerprints --sets molbace molesol peptides-func
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from graphpe.benchmarks.calls.build import build_task
from graphpe.benchmarks.measure.harness import Report, command, ending, parser
from graphpe.benchmarks.measure.inputs.graphs import data_folder
from graphpe.benchmarks.tasks.molecules.fingerprints import fingerprint_baseline

SETS = ("molesol", "molfreesolv", "mollipo", "molbace", "molhiv", "peptides-func")


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write it where `--out` says."""
    known = parser(__doc__, seed=None)
    known.add_argument("--sets", nargs="+", default=list(SETS))
    options = known.parse_args(argv)
    report = Report(options.out)
    report.say("| set | metric | constant, test | fingerprints, valid | fingerprints, test | s of CPU |")
    report.say("|---|---|---|---|---|---|")
    for name in options.sets:
        folder = "peptides-functional" if name == "peptides-func" else f"ogbg_{name}"
        with tempfile.TemporaryDirectory() as place:
            root = Path(place)
            shutil.copytree(data_folder(options.data) / folder, root / folder)
            data = build_task(f"{name}(root={str(root)!r}, download=False)").load(cache=root, progress=False)
            start = time.process_time()
            found = fingerprint_baseline(data, cache=root)  # type: ignore[arg-type]
            seconds = time.process_time() - start
            constant, _ = data.constant_baseline(data.split["test"])
            report.say(
                f"| {name} | {data.metric} | {constant:.4f} | {found.valid:.4f} | {found.test:.4f} | {seconds:.0f} |"
            )
    about = "Counts of Morgan fragments of radius 2 in 2,048 columns; scikit-learn's defaults, nothing tuned."
    report.say(*ending(about, command("fingerprints", argv), "rdkit", "scikit-learn"))


if __name__ == "__main__":
    main()
