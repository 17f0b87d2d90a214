from __future__ import annotations

import csv
import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from graphpe.benchmarks.tasks import Molbace, Molesol, Molfreesolv, SmilesTable
from graphpe.benchmarks.tasks.molecules import fingerprints
from graphpe.benchmarks.tasks.molecules.fingerprints import counts_of_fragments, fingerprint_baseline
from graphpe.errors import GraphPERuntimeError
from graphpe.files.ogb import evaluator

pytest.importorskip("rdkit")

PARTS = ("CCO", "c1ccccc1", "CC(=O)N", "C1CCNC1", "FC(F)F", "CS", "CCl", "OCC", "C#N", "CC(C)C")


def write_table(path: Path, columns: dict[str, list[object]], count: int = 100) -> Path:
    rng = np.random.default_rng(3)
    texts = [".".join(rng.choice(PARTS, 3)) + "." + "C" * (1 + number % 50) for number in range(count)]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["smiles", *columns], *zip(texts, *columns.values(), strict=True)])
    return path


def by_hand(texts: list[str], y: np.ndarray, train: np.ndarray, asked: np.ndarray, *, classes: bool) -> np.ndarray:
    """Without what makes it fast: rdkit's older function, all columns."""
    from rdkit.Chem import DataStructs, MolFromSmiles
    from rdkit.Chem.AllChem import GetHashedMorganFingerprint
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    x = np.zeros((len(texts), 2048))
    for row, text in enumerate(texts):
        DataStructs.ConvertToNumpyArray(GetHashedMorganFingerprint(MolFromSmiles(text), 2, 2048), x[row])
    kind = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    model = kind(max_iter=fingerprints.ROUNDS, random_state=0, early_stopping=False).fit(x[train], y[train])
    return model.predict_proba(x[asked])[:, 1] if classes else model.predict(x[asked])


def check_against_a_script(shared_data: Path, tmp_path: Path, task: type, metric: str) -> None:
    folder = f"ogbg_{task.name}"  # type: ignore[attr-defined]
    shutil.copytree(shared_data / folder, tmp_path / folder)
    data = task(root=str(tmp_path), download=False).load(progress=False)
    found = fingerprint_baseline(data, cache=tmp_path / "cache")
    with gzip.open(tmp_path / folder / "mapping" / "mol.csv.gz", "rt") as file:
        texts = [row["smiles"] for row in csv.DictReader(file)]
    y = data.graphs.graph["y"].numpy()
    train, test = (data.split[part].numpy() for part in ("train", "test"))
    guess = by_hand(texts, y[:, 0], train, test, classes=metric == "rocauc")
    official = evaluator(f"ogbg-{task.name}").eval({"y_true": y[test], "y_pred": guess[:, None]})  # type: ignore[attr-defined]
    assert found.test == pytest.approx(official[metric], rel=1e-4)
    assert data.constant_baseline(data.split["test"])[0] != found.test


def test_the_figure_is_that_of_a_script(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "ROUNDS", 5)
    check_against_a_script(shared_data, tmp_path, Molfreesolv, "rmse")


@pytest.mark.slow  # a hundred rounds over two thousand columns
@pytest.mark.parametrize(("task", "metric"), [(Molesol, "rmse"), (Molbace, "rocauc")])
def test_larger_sets_give_what_a_script_gives(shared_data: Path, tmp_path: Path, task: type, metric: str) -> None:
    check_against_a_script(shared_data, tmp_path, task, metric)


def test_labels_classes_and_numbers_of_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rdkit.Chem import MolFromSmiles

    rng = np.random.default_rng(3)
    texts = [".".join(rng.choice(PARTS, 3)) for _ in range(100)]
    nitrogen = [sum(atom.GetSymbol() == "N" for atom in MolFromSmiles(text).GetAtoms()) for text in texts]
    targets: dict[str, list[object]] = {
        "number": [3.5 * n + 1 for n in nitrogen],
        "label": ["" if i % 9 == 0 else int(n > 0) for i, n in enumerate(nitrogen)],
        "kind": [("none", "one", "more")[min(n, 2)] for n in nitrogen],
    }
    table = write_table(tmp_path / "molecules.csv", targets, len(nitrogen))
    monkeypatch.setattr(fingerprints, "ROUNDS", 20)
    for name in targets:
        task = SmilesTable(path=str(table), targets=(name,), split="random")
        data = task.load(workers=1, cache=tmp_path / "cache", progress=False)
        found = fingerprint_baseline(data, cache=tmp_path / "cache")
        constant, _ = data.constant_baseline(data.split["test"])
        assert (found.test > constant) if data.maximize else (found.test < constant)


def test_it_is_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = write_table(tmp_path / "molecules.csv", {"y": [float(i % 7) for i in range(40)]}, 40)
    data = SmilesTable(path=str(table), targets=("y",)).load(workers=1, cache=tmp_path, progress=False)
    found = fingerprint_baseline(data, cache=tmp_path)
    (kept,) = (tmp_path / "fingerprints").iterdir()
    assert json.loads(kept.read_text()) == found._asdict()
    monkeypatch.setattr(fingerprints, "counts_of_fragments", lambda _: pytest.fail("computed again"))
    assert fingerprint_baseline(data, cache=tmp_path) == found
    monkeypatch.undo()
    kept.write_text("{")
    assert fingerprint_baseline(data, cache=tmp_path) == found


def test_what_would_take_long_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = write_table(tmp_path / "molecules.csv", {"y": [float(i % 7) for i in range(40)]}, 40)
    data = SmilesTable(path=str(table), targets=("y",)).load(workers=1, cache=tmp_path, progress=False)
    monkeypatch.setattr(fingerprints, "MOST_SECONDS", 0.0)
    with pytest.raises(GraphPERuntimeError, match=r"they would take about .* \(\d+ molecules, 7 forests\)"):
        fingerprint_baseline(data, cache=tmp_path / "other")
    data.smiles = None
    with pytest.raises(GraphPERuntimeError, match="no SMILES"):
        fingerprint_baseline(data, cache=tmp_path)


def test_molecules_that_rdkit_refuses_are_read_as_they_are_written() -> None:
    counts = counts_of_fragments(["O=C1O[Al]23(OC1=O)(OC(=O)C(=O)O2)OC(=O)C(=O)O3", "", "C"])
    assert counts.shape == (3, 2048)
    assert counts[0].sum() > 20
    assert counts[1].sum() == 0
    assert counts[2].sum() == 1
    assert torch.from_numpy(counts).dtype == torch.uint8
