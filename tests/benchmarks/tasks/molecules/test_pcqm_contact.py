from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas
import pytest
import torch
from torch_geometric.data import Data

import graphpe
from graphpe.benchmarks.cli.main import main
from graphpe.benchmarks.tasks.molecules.pcqm_contact import PCQMContact
from graphpe.benchmarks.training.checkpoints.file import load_checkpoint
from graphpe.benchmarks.training.interrupt import Interrupted
from graphpe.benchmarks.training.loop import Training
from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.files.ogb import molecule_categories

Graph = tuple[torch.Tensor, ...]


def molecule(*, listed: bool = True) -> Graph:
    """A chain of atoms as LRGB's files have them: x, edge_attr, edge_index, edge_label_index, edge_label."""
    n = int(torch.randint(4, 9, ()))
    atoms, bonds = molecule_categories()
    t = torch.arange(n - 1)
    edges = torch.stack([torch.cat([t, t + 1]), torch.cat([t + 1, t])])
    x, edge_attr = (
        torch.stack([torch.randint(0, size, (rows,)) for size in sizes], dim=1)
        for rows, sizes in ((n, atoms), (edges.shape[1], bonds))
    )
    near = torch.triu(torch.rand(n, n) < 0.2, 2)
    near[0, n - 1] = True
    near = near | near.t()
    contacts = near.nonzero().t()
    others = (~near).nonzero().t()[:, ::2] if listed else contacts[:, :0]
    label = torch.cat([torch.ones(contacts.shape[1]), torch.zeros(others.shape[1])]).int()
    return x, edge_attr, edges, torch.cat([contacts, others], dim=1), label


def write(folder: Path, change: Callable[[Graph], Graph] = lambda graph: graph, *, listed: bool = True) -> list[Graph]:
    (folder / "raw").mkdir(parents=True)
    graphs = []
    for part, count in (("train", 6), ("val", 1), ("test", 3)):  # PyG keeps one graph without slices
        made = [molecule(listed=listed) for _ in range(count)]
        made[-1] = change(made[-1])
        torch.save(made, folder / "raw" / f"{part}.pt")
        graphs += made
    return graphs


def test_files_in_the_layout_of_pyg(tmp_path: Path) -> None:
    graphs = write(tmp_path / "pcqm-contact")
    task = PCQMContact(root=str(tmp_path), metric="filtered", download=False)
    for _ in range(2):  # from raw files, then from PyG's processed copy
        data = task.load(progress=False)
        assert {part: len(ids) for part, ids in data.split.items()} == {"train": 6, "valid": 1, "test": 3}
        for index, (x, edge_attr, edges, pairs, label) in enumerate(graphs):
            found = data.graphs.select([index])
            assert torch.equal(found.node["x"], x)
            assert torch.equal(found.edge["edge_attr"], edge_attr)
            assert torch.equal(found.edge_index, edges)
            y = torch.full((len(x), len(x)), -1, dtype=torch.int8)
            y[pairs[0], pairs[1]] = label.to(torch.int8)
            assert torch.equal(found.pair["y"].view(len(x), -1), y)
    assert data.metric == "MRR filtered"
    assert data.fingerprint != PCQMContact(root=str(tmp_path), download=False).load(progress=False).fingerprint


def test_train_resume_and_predict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs = write(tmp_path / "pcqm-contact")
    given = ["train", "--task", "pcqm-contact", "--root", str(tmp_path), "--model", "GPS(width=8, layers=1, heads=2)"]
    given += [
        "--encodings",
        "RandomWalkPE(walk_length=3)",
        "--batch-size",
        "2",
        "--warmup-steps",
        "1",
        "--accelerator",
        "cpu",
    ]
    given += ["--epochs", "2", "--run"]
    assert main([*given, str(tmp_path / "straight")]) == 0
    printed = capsys.readouterr().out
    for line in ("MRR raw ", "Hits@1 filtered ", "MRR extended filtered "):
        assert f"\n{line}" in printed
    step, made = Training._step, [0]

    def stopped(self: Training, batch: Any) -> Any:
        made[0] += 1
        if made[0] == 5:
            self.save()
            raise Interrupted("stopped", 2)
        return step(self, batch)

    monkeypatch.setattr(Training, "_step", stopped)
    assert main([*given, str(tmp_path / "stopped")]) != 0
    monkeypatch.setattr(Training, "_step", step)
    assert main(["train", "--resume", str(tmp_path / "stopped")]) == 0
    one, two = (load_checkpoint(tmp_path / name / "best.pt")["model"] for name in ("straight", "stopped"))
    assert all(torch.equal(one[key], two[key]) for key in one)
    one, two = (pandas.read_csv(tmp_path / name / "test_predictions.csv") for name in ("straight", "stopped"))
    assert one.equals(two)
    assert len(one) == sum(int(label.sum()) for *_, label in graphs[-3:])

    asked = [Data(x=x, edge_attr=edge_attr, edge_index=edges) for x, edge_attr, edges, *_ in graphs[-3:]]
    torch.save(asked, tmp_path / "new.pt")
    found = graphpe.load_run(tmp_path / "straight").predict(tmp_path / "new.pt")
    assert len(found) == sum(data.num_nodes**2 for data in asked)
    of_pair = found.set_index(["graph", "source", "target"])["probability_link"]
    for graph, source, target, chance in one[["graph", "source", "target", "probability_link"]].itertuples(index=False):
        assert of_pair[graph - 7, source, target] == pytest.approx(chance, abs=1e-5)


def replaced(pairs: list[list[int]], label: list[int]) -> Callable[[Graph], Graph]:
    return lambda graph: (*graph[:3], torch.tensor(pairs, dtype=torch.long).view(2, -1), torch.tensor(label))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (replaced([[0], [99]], [1]), r"train.pt: graph 5 has \d nodes, and edge_label_index asks for \[0, 99\]"),
        (replaced([[0], [-1]], [1]), r"asks for \[0, -1\]"),
        (replaced([[0], [2]], [2]), r"graph 5 has label 2 for \[0, 2\]: expected 1 for contacts of two nodes"),
        (replaced([[1], [1]], [1]), r"has label 1 for \[1, 1\]: expected 1 for contacts of two nodes"),
        (replaced([[0, 0], [2, 2]], [1, 0]), r"graph 5 lists \[0, 2\] with label 0 and with label 1"),
        (replaced([[0, 1], [2, 3]], [1]), r"must have edge_label_index \[2, pairs\] and edge_label \[pairs\]"),
        (lambda graph: (graph[0][:, :3], *graph[1:]), "cannot be read|does not hold OGB's features"),
    ],
)
def test_bad_graphs(tmp_path: Path, change: Callable[[Graph], Graph], message: str) -> None:
    write(tmp_path / "pcqm-contact", change)
    with pytest.raises(GraphPERuntimeError, match=message) as caught:
        PCQMContact(root=str(tmp_path), download=False).load(progress=False)
    assert "\n" not in str(caught.value)


def test_bad_files_and_arguments(tmp_path: Path) -> None:
    with pytest.raises(GraphPERuntimeError, match="pcqm-contact is not in"):
        PCQMContact(root=str(tmp_path), download=False).load(progress=False)
    write(tmp_path / "pcqm-contact", listed=False)
    PCQMContact(root=str(tmp_path), download=False).load(progress=False)
    with pytest.raises(GraphPERuntimeError, match="lists no pair with label 0 for training: use negatives='drawn'"):
        PCQMContact(root=str(tmp_path), negatives="listed", download=False).load(progress=False)
    with pytest.raises(GraphPEValueError, match="metric must be one of 'raw', 'filtered', 'extended filtered'"):
        PCQMContact(metric="mrr")  # type: ignore[arg-type]
    with pytest.raises(GraphPEValueError, match="negatives must be one of 'drawn', 'listed'"):
        PCQMContact(negatives="none")  # type: ignore[arg-type]


def test_no_contacts_in_a_part(tmp_path: Path) -> None:
    write(tmp_path / "pcqm-contact", replaced([[], []], []))
    with pytest.raises(GraphPERuntimeError, match="the valid part of the split has no contacts"):
        PCQMContact(root=str(tmp_path), download=False).load(progress=False)
