"""What every model of molecules has to beat: circular fingerprints and gradient-boosted trees.

Counts of Morgan fragments up to radius 2, hashed to 2,048 columns, and scikit-learn's histogram gradient boosting with
its defaults (100 rounds, 31 leaves, rate 0.1), a forest for each target, nothing tuned. On Peptides-func and several
of OGB's molecule sets that is better than most graph transformers (Adamczyk et al. 2025).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from graphpe.benchmarks.tasks.graph_level import GraphTargets
from graphpe.benchmarks.tasks.molecules.smiles import require_rdkit
from graphpe.benchmarks.tasks.targets import is_known
from graphpe.errors import GraphPERuntimeError
from graphpe.files.atomic import user_cache, write_atomically
from graphpe.files.reading import read_bytes
from graphpe.limits import format_seconds

RADIUS, COLUMNS, ROUNDS = 2, 2_048, 100

LEAF = 20
"""Molecules of a leaf at least: scikit-learn's default. A fragment that fewer have can never be split by."""

MOST_SECONDS = 600.0
"""What this may take, estimated: more is left out, and said."""

_A_COLUMN, _A_CELL, _A_ROW = 5e-5, 1.5e-8, 4e-4
"""Seconds of a round for each column, and for each of its rows; and for a molecule's fingerprint; measured on one core.

About half of the columns are frequent enough to count.
"""

_VERSION = 1


class Fingerprints(NamedTuple):
    """The metric of fingerprints with boosted trees.

    Attributes:
        valid: On the validation part.
        test: On the test part.
    """

    valid: float
    test: float


def fingerprint_baseline(
    data: GraphTargets, *, cache: Path | None, say: Callable[[str], object] | None = None
) -> Fingerprints:
    """Fit on the training part, and score; computed once for the same data.

    Args:
        data: A task's data, with SMILES.
        cache: Folder in which the result is kept; None means the user's cache folder.
        say: Told what it is about to do, where that is not done yet; None for nobody.

    Raises:
        GraphPERuntimeError: There are no SMILES or no rdkit, or it would take too long; the message says so.
    """
    if data.smiles is None:
        raise GraphPERuntimeError("the data has no SMILES")
    require_rdkit()
    import rdkit
    import sklearn

    about = f"{_VERSION} {data.fingerprint} rdkit {rdkit.__version__} scikit-learn {sklearn.__version__}"
    folder = cache or user_cache()
    name = hashlib.blake2b(about.encode(), digest_size=12).hexdigest()
    path = None if folder is None else folder / "fingerprints" / f"{name}.json"
    if path is not None and path.exists():
        try:
            return Fingerprints(**json.loads(read_bytes(path)))
        except (ValueError, TypeError, GraphPERuntimeError):  # damaged: computed again
            pass
    found = _computed(data, data.smiles(), say or (lambda _: None))
    if path is not None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, json.dumps(found._asdict()))
        except OSError:  # a cache that cannot be written is none
            pass
    return found


def counts_of_fragments(smiles: Sequence[str]) -> NDArray[np.uint8]:
    """Counts of each molecule's fragments, hashed, `[molecules, 2048]`; 255 stands for as many or more.

    OGB's sets hold molecules whose valences rdkit refuses: those are read as they are written. What is no molecule at
    all has no fragments.

    Args:
        smiles: The molecules.
    """
    from rdkit import Chem, rdBase
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

    generator = GetMorganGenerator(radius=RADIUS, fpSize=COLUMNS)
    found = np.zeros((len(smiles), COLUMNS), dtype=np.uint8)
    with rdBase.BlockLogs():
        for row, text in enumerate(smiles):
            molecule = Chem.MolFromSmiles(text)
            if molecule is None and (molecule := Chem.MolFromSmiles(text, sanitize=False)) is not None:
                molecule.UpdatePropertyCache(strict=False)
                steps = Chem.SanitizeFlags.SANITIZE_ALL ^ Chem.SanitizeFlags.SANITIZE_PROPERTIES
                Chem.SanitizeMol(molecule, steps, catchErrors=True)
            if molecule is not None:
                found[row] = np.minimum(generator.GetCountFingerprintAsNumPy(molecule), 255)
    return found


def _computed(data: GraphTargets, smiles: Sequence[str], say: Callable[[str], object]) -> Fingerprints:
    count = len(data.graphs)
    if len(smiles) != count:
        raise GraphPERuntimeError(f"there are {len(smiles)} SMILES of {count} molecules")
    target = data.target_rows(data.answers(torch.arange(count)))
    rows = len(data.split["train"])
    forests = data.adapter.targets
    seconds = _A_ROW * count + (_A_COLUMN + _A_CELL * rows) * ROUNDS * (COLUMNS / 2) * forests
    if seconds > MOST_SECONDS:
        raise GraphPERuntimeError(f"they would take {format_seconds(seconds)} ({rows:,} molecules, {forests} forests)")
    say(f"fitting boosted trees to fingerprints, once for this data: {format_seconds(seconds)}")
    counts = counts_of_fragments(smiles)
    train = data.split["train"].numpy()
    there = counts[train] > 0
    frequent = (there.sum(axis=0) >= LEAF) & ((~there).sum(axis=0) >= 1)
    columns = counts[:, frequent].astype(np.float32)
    asked = torch.cat([data.split[part] for part in ("valid", "test")])
    guess = _predictions(data, columns, target, train, asked.numpy())
    cut = len(data.split["valid"])
    return Fingerprints(data.evaluate(guess[:cut], data.split["valid"]), data.evaluate(guess[cut:], data.split["test"]))


def _predictions(
    data: GraphTargets, columns: NDArray[np.float32], target: torch.Tensor, train: NDArray[Any], asked: NDArray[Any]
) -> torch.Tensor:
    """What a model would predict, `[asked, targets]`."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    loss = data.adapter.loss_name
    found = torch.zeros(len(asked), data.adapter.targets)
    for number in range(target.shape[1]):
        of_train = target[:, number][torch.from_numpy(train)]
        known = is_known(of_train).numpy()
        x, y = columns[train[known]], of_train.numpy()[known]
        if loss in ("binary", "classes", "balanced"):
            classes = np.unique(y).astype(int)
            if len(classes) < 2 or not x.shape[1]:  # the constant
                if loss != "binary" and len(classes):
                    values, counts = np.unique(y, return_counts=True)
                    found[:, int(values[counts.argmax()])] = 1.0
                continue
            weight = "balanced" if loss == "balanced" else None
            model = HistGradientBoostingClassifier(
                max_iter=ROUNDS, random_state=0, early_stopping=False, class_weight=weight
            )
            model.fit(x, y.astype(int))
            if loss == "binary":
                found[:, number] = torch.from_numpy(model.decision_function(columns[asked]))
            else:
                found[:] = -torch.inf
                chances = model.predict_proba(columns[asked]).clip(1e-30)
                found[:, classes] = torch.from_numpy(np.log(chances)).float()
        else:
            centre = np.median(y) if loss == "absolute" else y.mean()
            if not x.shape[1]:
                found[:, number] = float(centre)
                continue
            error = "absolute_error" if loss == "absolute" else "squared_error"
            model = HistGradientBoostingRegressor(max_iter=ROUNDS, random_state=0, early_stopping=False, loss=error)
            found[:, number] = torch.from_numpy(model.fit(x, y).predict(columns[asked]))
    return found
