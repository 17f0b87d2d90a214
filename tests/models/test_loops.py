"""Models and loader in the loops of others: plain PyTorch with PyG's loader, Lightning in one process and in two."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn.functional import mse_loss
from torch_geometric.loader import DataLoader

import graphpe
from graphpe import PackedGraphs, PackedLoader
from graphpe import transforms as T

USER = '''
"""What a user writes: data, a model, and a LightningModule around it."""

import sys

import torch
from torch.nn.functional import mse_loss
from torch_geometric.data import Data

from graphpe import PackedGraphs, PackedLoader
from graphpe import models as M
from graphpe import transforms as T


def graphs(count=32):
    generator = torch.Generator().manual_seed(0)
    return [
        Data(x=torch.rand(n, 3, generator=generator), edge_index=torch.randint(n, (2, 2 * n), generator=generator),
             y=torch.tensor([n / count]))
        for n in range(4, 4 + count)
    ]


def build():
    torch.manual_seed(0)
    return M.GPS(
        width=16, layers=1, node_encoder=M.LinearNodes(3, 16), encodings=[M.LinearEncoding("random_walk_pe", 4, 16)],
        readout="sum", head=M.MLPReadout(16, 1),
    )


def lightning_fit(devices, root):
    import lightning

    class Regression(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model, self.seen = build(), []

        def training_step(self, batch, _):
            self.seen += (batch.y * 32).round().long().flatten().tolist()
            loss = mse_loss(self.model(batch).flatten(), batch.y)
            self.log("loss", loss, batch_size=batch.num_graphs)
            return loss

        def validation_step(self, batch, _):
            error = (self.model(batch).flatten() - batch.y).abs().mean()
            self.log("error", error, batch_size=batch.num_graphs, sync_dist=True)

        def on_train_end(self):
            torch.save({"seen": self.seen, "weights": self.model.state_dict()}, f"{root}/{self.global_rank}.pt")

        def configure_optimizers(self):
            return torch.optim.AdamW(self.parameters(), lr=1e-2)

    packed = T.RandomWalkPE(4)(PackedGraphs.from_data_list(graphs()))
    train = PackedLoader(packed, batch_size=4, shuffle=True, seed=0, indices=torch.arange(24))
    valid = PackedLoader(packed, batch_size=4, indices=torch.arange(24, 32))
    options = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    several = dict(devices=devices, strategy="ddp", use_distributed_sampler=False) if devices > 1 else dict(devices=1)
    trainer = lightning.Trainer(max_epochs=1, accelerator="cpu", **several, **options)
    trainer.fit(Regression(), train, valid)
    assert torch.isfinite(trainer.callback_metrics["error"])


if __name__ == "__main__":
    lightning_fit(int(sys.argv[1]), sys.argv[2])
'''

needs_lightning = pytest.mark.skipif(
    importlib.util.find_spec("lightning") is None, reason="Lightning is not installed: pip install lightning"
)


@pytest.fixture
def user(tmp_path: Path) -> dict[str, object]:
    (tmp_path / "user.py").write_text(USER)
    names: dict[str, object] = {"__name__": "user"}
    exec(compile(USER, "user.py", "exec"), names)
    return names


def test_the_same_loss_with_pyg_s_loader_and_with_ours(user: dict) -> None:
    data = user["graphs"]()
    ours = PackedLoader(T.RandomWalkPE(4)(PackedGraphs.from_data_list(data)), batch_size=8)
    losses = []
    for loader in (ours, DataLoader(T.RandomWalkPE(4)(data), batch_size=8)):
        model = user["build"]()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        losses.append([])
        for _ in range(3):
            for batch in loader:
                loss = mse_loss(model(batch).flatten(), batch.y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses[-1].append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert sum(losses[0][-4:]) < sum(losses[0][:4])


def fit(tmp_path: Path, devices: int) -> list[dict]:
    path = os.pathsep.join([str(Path(graphpe.__file__).parents[1]), *sys.path[1:]])
    environment = os.environ | {"PYTHONPATH": path}
    subprocess.run([sys.executable, "user.py", str(devices), "."], check=True, cwd=tmp_path, env=environment)
    return [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(devices)]


@needs_lightning
def test_lightning_in_one_process(user: dict, tmp_path: Path) -> None:
    (result,) = fit(tmp_path, 1)
    assert sorted(result["seen"]) == list(range(4, 28))


@needs_lightning
@pytest.mark.slow
def test_lightning_in_two_processes(user: dict, tmp_path: Path) -> None:
    first, second = fit(tmp_path, 2)
    assert sorted(first["seen"] + second["seen"]) == list(range(4, 28))
    for name, value in first["weights"].items():
        if "running" not in name:
            assert torch.equal(value, second["weights"][name]), name
