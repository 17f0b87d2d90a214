from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from graphpe.benchmarks.tasks.molecules import pcqm4mv2
from graphpe.benchmarks.tasks.molecules.pcqm4mv2 import PCQM4Mv2
from graphpe.errors import GraphPERuntimeError

pytest.importorskip("rdkit")

SMILES = ("C", "CO", "C#N", "CC(=O)O", "c1ccccc1", "CCO", "CNC", "OC=O", "CC", "CCN", "CC#N", "CF", "C1CC1", "NCC=O")


def write(root: Path, smiles: tuple[str, ...] = SMILES) -> np.ndarray:
    folder = root / "pcqm4m-v2"
    (folder / "raw").mkdir(parents=True)
    count = len(smiles)
    gaps = np.random.default_rng().uniform(3, 9, count).round(4)
    known = [str(gap) for gap in gaps[: count - 3]] + [""] * 3
    rows = "".join(f"{i},{text},{gap}\n" for i, (text, gap) in enumerate(zip(smiles, known, strict=True)))
    (folder / "raw" / "data.csv.gz").write_bytes(gzip.compress(f"idx,smiles,homolumogap\n{rows}".encode()))
    cuts = np.split(np.arange(count), [count - 6, count - 3, count - 2])
    torch.save(dict(zip(("train", "valid", "test-dev", "test-challenge"), cuts, strict=True)), folder / "split_dict.pt")
    (folder / "RELEASE_v1.txt").touch()
    return gaps


def load(root: Path, **options: object):
    task = PCQM4Mv2(root=str(root), download=False)
    return task.load(cache=root / "cache", **{"progress": False, "workers": 1, **options})  # type: ignore[arg-type]


def test_files_in_the_layout_of_ogb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ogb.lsc.pcqm4mv2 import PCQM4Mv2Evaluator
    from ogb.utils import smiles2graph

    monkeypatch.setattr(pcqm4mv2, "KEPT_GRAPHS", 5)
    monkeypatch.setattr("graphpe.storage.shards.KEPT_GRAPHS", 5)
    gaps = write(tmp_path)
    for _ in range(2):  # made, then opened
        data = load(tmp_path)
        for index, text in enumerate(SMILES):
            graph, found = smiles2graph(text), data.graphs[index]
            assert torch.equal(found.edge_index, torch.from_numpy(graph["edge_index"]))
            assert torch.equal(found.x, torch.from_numpy(graph["node_feat"]))
            assert torch.equal(found.edge_attr, torch.from_numpy(graph["edge_feat"]))
        np.testing.assert_allclose(data.graphs.graph["y"][:11].flatten(), gaps[:11].astype(np.float32))
    assert data.graphs.graph["y"][11:].isnan().all()
    assert data.split["test"].tolist() == [8, 9, 10]
    assert sorted(torch.cat([data.split["train"], data.split["valid"]]).tolist()) == list(range(8))
    assert len(data.split["valid"]) == 1
    guess = torch.randn(3, 1)
    official = PCQM4Mv2Evaluator().eval(
        {"y_true": data.graphs.graph["y"][data.split["test"]].flatten(), "y_pred": guess.flatten()}
    )
    assert data.evaluate(guess, data.split["test"]) == pytest.approx(official["mae"], rel=1e-6)
    assert sorted(path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()) == [
        "graphs.safetensors",
        "manifest.json",
    ]


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(GraphPERuntimeError, match="PCQM4Mv2 is not in"):
        load(tmp_path)
    write(tmp_path, (*SMILES[:-1], "no molecule"))
    with pytest.raises(GraphPERuntimeError, match=r"data.csv.gz, line 15: 'no molecule' is no SMILES"):
        load(tmp_path)
    folder = tmp_path / "pcqm4m-v2"
    table = folder / "raw" / "data.csv.gz"
    table.write_bytes(table.read_bytes()[:60])
    with pytest.raises(GraphPERuntimeError, match=r"data.csv.gz cannot be read"):
        load(tmp_path)
    table.write_bytes(gzip.compress(b"idx,smiles\n0,C\n"))
    with pytest.raises(GraphPERuntimeError, match="has no column 'homolumogap'"):
        load(tmp_path)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    rows = "".join(f"{i},C,1.0\n" for i in range(8))
    table.write_bytes(gzip.compress(f"idx,smiles,homolumogap\n{rows}".encode()))
    with pytest.raises(GraphPERuntimeError, match="is no split of the 8 molecules"):
        load(tmp_path)
    (folder / "split_dict.pt").unlink()
    with pytest.raises(GraphPERuntimeError, match=r"split_dict.pt is not in"):
        load(tmp_path)
