"""The models of a grid and the same models by hand, out of OGB's encoders and PyG's layers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from graphpe.benchmarks.calls.build import build_model
from graphpe.benchmarks.measure.by_hand import MODELS, HandWritten, Outcome, main, table
from graphpe.benchmarks.tasks.graph_level import GraphAdapter
from graphpe.files.ogb import molecule_categories

NAMES = {
    "head.hidden.0.": "out.0.",
    "head.hidden.1.": "out.2.",
    "head.out.": "out.4.",
    "layers.": "convs.",
    "layer.conv.": "",
    "local.conv.": "conv.",
    "local_norm.": "norm1.module.",
    "attention_norm.": "norm2.module.",
    "attention.out.": "attn.out_proj.",
    "feed_forward.expand.": "mlp.0.",
    "feed_forward.contract.": "mlp.3.",
}
"""What stands in the library's names of weights, and what in those of the model by hand."""


def by_hand(weights: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The library's weights under the names of the model by hand."""
    atoms, bonds = molecule_categories()
    out: dict[str, Tensor] = {}
    for key, value in weights.items():
        if key == "node_encoder.table.embedding.weight":
            tables = value.split(list(atoms))
            out |= {f"atoms.atom_embedding_list.{place}.weight": rows for place, rows in enumerate(tables)}
        elif key == "edge_encoder.table.embedding.weight":
            tables = value.split(list(bonds))
            out |= {f"bonds.bond_embedding_list.{place}.weight": rows for place, rows in enumerate(tables)}
        elif ".query_key." in key:
            layer, kind = key.split(".")[1], key.rsplit(".")[-1]
            parts = [value, weights[key.replace("query_key", "value")]]
            out[f"convs.{layer}.attn.in_proj_{kind}"] = torch.cat(parts)
        elif ".attention.value." not in key:
            for mine, theirs in NAMES.items():
                key = key.replace(mine, theirs)
            if ".norm." in key:
                key = key.replace(".norm.", ".norm3.module.") if name == "GPS" else key.replace("convs", "norms")
                key = key if name == "GPS" else key.replace(".norm.", ".")
            out[key] = value
    return out


@pytest.mark.parametrize("text", MODELS)
def test_equal_weights_give_equal_outputs_and_equal_steps(text: str) -> None:
    atoms, bonds = (torch.tensor(sizes) for sizes in molecule_categories())
    graphs = []
    for n in range(1, 13):
        edges = torch.randint(n, (2, 2 * (n - 1)))
        x, bond = ((torch.rand(rows, len(sizes)) * sizes).long() for rows, sizes in ((n, atoms), (2 * (n - 1), bonds)))
        graphs.append(Data(x=x, edge_index=edges, edge_attr=bond, y=torch.randn(1, 1)))
    batch = Batch.from_data_list(graphs)
    name = text.split("(")[0]
    adapter = GraphAdapter(molecule_categories()[0], molecule_categories()[1], 1, "squared")
    model, hand = build_model(text, adapter, []), HandWritten(name)
    hand.load_state_dict(by_hand(model.state_dict(), name))
    for _ in range(2):  # the second with the weights of one step, and running statistics that differ from the first
        for each in (model, hand):
            each.train()
            optimizer = torch.optim.SGD(each.parameters(), 0.1)
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(each(batch), batch.y).backward()
            optimizer.step()
        assert torch.allclose(model(batch), hand(batch), atol=1e-4)
        model.eval()
        hand.eval()
        assert torch.allclose(model(batch), hand(batch), atol=1e-4)


def test_the_table_by_hand() -> None:
    hand = [Outcome(test, 2.0) for test in (1.0, 1.2, 1.4)]
    cell = [Outcome(test, 0.5) for test in (1.1, 1.3, 1.5)]
    row = table({"GINE()": (hand, cell)})[-1]
    # Welch with equal variances 0.04: t = 0.1 / sqrt(0.04 * 2 / 3), 4 degrees of freedom, t(0.975) = 2.776.
    assert row == "| `GINE()` | 1.2000 ± 0.2000 | 1.3000 ± 0.2000 | +0.1000 ± 0.4534 | 0.57 | 2.0 | 0.5 | 4.00x |"


def test_both_sides_run(write_molecules: Callable[..., object], tmp_path: Path) -> None:
    write_molecules(tmp_path / "data" / "ogbg_molesol", 80, [[float(i % 5)] for i in range(80)])
    options = ["--root", str(tmp_path / "data"), "--seeds", "2", "--epochs", "2", "--out", str(tmp_path / "out.md")]
    assert main(options) == 0
    text = (tmp_path / "out.md").read_text()
    assert text.count("\n| `G") == len(MODELS)
    assert "nan" not in text
