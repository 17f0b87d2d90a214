from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch_geometric.datasets import QM9 as Published

from graphpe.benchmarks.tasks.pyg.qm9 import QM9
from graphpe.errors import GraphPERuntimeError, GraphPEValueError

Chem = pytest.importorskip("rdkit.Chem")

SMILES = ("C", "CO", "C#N", "C=O", "CC", "C1CC1", "CCO", "CNC", "OC=O", "N", "O", "CCN", "CC#N", "CF")


def write(root: Path) -> torch.Tensor:
    """Molecules in the layout of QM9's download: places, a table, those that are left out (the second)."""
    from rdkit.Chem import AllChem

    (root / "raw").mkdir(parents=True)
    with Chem.SDWriter(str(root / "raw" / "gdb9.sdf")) as file:
        for number, text in enumerate(SMILES):
            molecule = Chem.AddHs(Chem.MolFromSmiles(text))
            AllChem.Compute2DCoords(molecule)
            molecule.SetProp("_Name", f"gdb_{number + 1}")
            file.write(molecule)
    target = torch.rand(len(SMILES), 19)
    rows = (f"gdb_{i}," + ",".join(f"{value:.6f}" for value in row) for i, row in enumerate(target.tolist()))
    head = "mol_id," + ",".join(f"t{i}" for i in range(19))
    (root / "raw" / "gdb9.sdf.csv").write_text("\n".join([head, *rows]) + "\n")
    (root / "raw" / "uncharacterized.txt").write_text("line\n" * 9 + "    2  gdb_2  x\n" + "end\n")
    return target


def test_files_in_the_layout_of_qm9(tmp_path: Path) -> None:
    write(tmp_path)
    parts = []
    for target, column in (("mu", 0), ("gap", 4), ("c", 18)):
        task = QM9(target=target, root=str(tmp_path), download=False)  # type: ignore[arg-type]
        data = task.load(progress=False)
        dataset = Published(str(tmp_path))
        assert len(data.graphs) == len(dataset) == len(SMILES) - 1
        for index, molecule in enumerate(dataset):
            found = data.graphs[index]
            assert torch.equal(found.edge_index, molecule.edge_index)
            torch.testing.assert_close(found.x, molecule.x)
            torch.testing.assert_close(found.edge_attr, molecule.edge_attr.float())
            torch.testing.assert_close(found.y.flatten(), molecule.y[:, column])
        parts.append(data.split)
        assert sorted(torch.cat(list(data.split.values())).tolist()) == list(range(13))
        assert len(data.split["train"]) == 13 * 110_000 // 130_831
        known = data.graphs.graph["y"][data.split["train"]].double()
        assert data.adapter.shift == pytest.approx((float(known.mean()),))
    assert all(torch.equal(parts[0][name], parts[1][name]) for name in parts[0])


def test_bad_input(tmp_path: Path) -> None:
    with pytest.raises(GraphPEValueError, match="target must be one of"):
        QM9(target="energy")  # type: ignore[arg-type]
    with pytest.raises(GraphPERuntimeError, match="QM9 is not in"):
        QM9(root=str(tmp_path), download=False).load(progress=False)
