"""Training steps: as they are, captured as one graph of kernels, compiled; against the published forms."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch
from torch_geometric.nn import GINEConv, GPSConv

from graphpe.benchmarks.calls.build import build_encodings, build_model
from graphpe.benchmarks.measure.gpu.run import Record, Run
from graphpe.benchmarks.measure.inputs.graphs import molecules
from graphpe.benchmarks.measure.peers.grit import Grit
from graphpe.benchmarks.tasks.graph_level import GraphAdapter
from graphpe.benchmarks.training.batch_transform import BatchTransform
from graphpe.graphs.loader import PackedLoader
from graphpe.models.batches.real_rows import real_rows_of
from graphpe.models.layers.inputs import CategoricalNodes

RRWP = "RelativeRandomWalkPE(walk_length=21)"
LAP = "LaplacianPE(k=8)"
MODELS: dict[str, tuple[str, list[str]]] = {
    "GRIT": ("GRIT(width=64, layers=10, heads=8)", [RRWP]),
    "GPS": ("GPS(width=64, layers=10, heads=4, local='GINE')", [LAP]),
    "RelationalTransformer": ("RelationalTransformer(width=64, layers=6, heads=8)", [RRWP]),
    "GraphTransformer": ("GraphTransformer(width=64, layers=10, heads=8)", [LAP]),
}
_SMALL = {name: (text.replace("layers=10", "layers=2").replace("layers=6", "layers=2"), e)
          for name, (text, e) in MODELS.items()}  # fmt: skip
_CATEGORIES = ((128,) * 9, (16,) * 3)  # of real molecules and of random ones


def adapter() -> GraphAdapter:
    """The adapter of a number of each molecule."""
    return GraphAdapter(*_CATEGORIES, 1, "absolute")


class Trainer:
    """A model with its optimizer, and steps on one batch.

    Args:
        run: The run.
        model: The model, on the CPU.
        batch: The batch, on the device.
        loss: The loss of the model on the batch.
    """

    def __init__(self, run: Run, model: nn.Module, batch: Any, loss: Callable[[nn.Module, Any], Tensor]) -> None:
        self.run, self.batch, self.loss = run, batch, loss
        self.model = run.place(model)
        on_cuda = run.device.type == "cuda"
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4, fused=on_cuda, capturable=on_cuda)

    def step(self) -> None:
        """Forward, backward, optimizer."""
        self.optimizer.zero_grad(set_to_none=True)
        self.loss(self.model, self.batch).backward()
        self.optimizer.step()

    def step_on(self, batch: Batch) -> tuple[Tensor]:
        """A step on another batch, padded or not, and its loss, which is not read.

        Args:
            batch: The batch.
        """
        self.optimizer.zero_grad(set_to_none=True)
        with real_rows_of(batch):
            loss = self.loss(self.model, batch)
        loss.backward()
        self.optimizer.step()
        return (loss.detach(),)

    def measure(self) -> Record:
        """Milliseconds of a step and GB at its peak."""
        milliseconds = 1e3 * self.run.seconds(self.step, repeats=20)
        return {"ms": milliseconds, "GB": self.run.peak(self.step)}

    def captured(self) -> Record:
        """The same step as one CUDA graph: what remains when the host has nothing to say."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self.step()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.cuda.graph(graph):
            self.loss(self.model, self.batch).backward()
            self.optimizer.step()
        return {"ms": 1e3 * self.run.seconds(graph.replay, repeats=20)}


def ours(run: Run, name: str, size: int) -> Trainer:
    """One of our models on a batch of molecules.

    Args:
        run: The run.
        name: The model.
        size: Graphs of the batch.
    """
    text, calls = (_SMALL if run.small else MODELS)[name]
    encodings = build_encodings(calls)
    torch.manual_seed(0)
    model = build_model(text, adapter(), encodings)
    batch = batch_of(run, calls, size)
    return Trainer(run, model, batch, lambda model, batch: adapter().loss(model(batch), batch))


def batch_of(run: Run, calls: list[str], size: int) -> Batch:
    """A batch of molecules with encodings, on the device."""
    _, graphs = molecules(size, run.data, np.random.default_rng(0))
    graphs = graphs.with_values(graph={"y": torch.randn(len(graphs), 1)})
    transform = BatchTransform(build_encodings(calls), adapter())
    (batch,) = PackedLoader(graphs, len(graphs), transform=transform, device=run.device)
    return batch


def published_grit(run: Run, size: int) -> Trainer:
    """GRIT over an edge list of all pairs with a scattered softmax, as released."""
    batch = batch_of(run, [RRWP], size)
    degree = (
        torch.zeros(batch.num_nodes)
        .to(run.device)
        .index_add(0, batch.edge_index[1], torch.ones(batch.edge_index.shape[1]).to(run.device))
    )
    sizes = batch.ptr.diff()
    first = (sizes.square().cumsum(0) - sizes.square()).index_select(0, batch.batch)
    local = torch.arange(batch.num_nodes).to(run.device) - batch.ptr.index_select(0, batch.batch)
    diagonal = first + local * (sizes.index_select(0, batch.batch) + 1)
    torch.manual_seed(0)
    model = Grit(21, width=64, heads=8, layers=2 if run.small else 10)

    def loss(model: nn.Module, batch: Any) -> Tensor:
        out = model(batch.x[:, 0], batch.rrwp, diagonal, batch.ptr, degree)
        return (out.unsqueeze(1) - batch.y).abs().mean()

    return Trainer(run, model, batch, loss)


class PygGPS(nn.Module):
    """GPS of PyG's own layers: what users run today."""

    def __init__(self, width: int = 64, layers: int = 10, heads: int = 4) -> None:
        super().__init__()
        self.nodes = CategoricalNodes(width, _CATEGORIES[0])
        self.edges = nn.Embedding(64, width)
        self.encoding = nn.Linear(8, width)
        self.layers = nn.ModuleList()
        for _ in range(layers):
            mlp = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
            self.layers.append(GPSConv(width, GINEConv(mlp), heads=heads))
        self.head = nn.Linear(width, 1)

    def forward(self, batch: Any) -> Tensor:
        """One number for each graph, `[B, 1]`."""
        x = self.nodes(batch) + self.encoding(batch.laplacian_eigenvector_pe)
        edge = self.edges(batch.edge_attr[:, 0])
        for layer in self.layers:
            x = layer(x, batch.edge_index, batch.batch, edge_attr=edge)
        graphs = batch.ptr.numel() - 1
        return self.head(x.new_zeros(graphs, x.shape[1]).index_add(0, batch.batch, x))


def pyg_gps(run: Run, size: int) -> Trainer:
    """PyG's GPS on a batch of molecules."""
    torch.manual_seed(0)
    model = PygGPS(layers=2 if run.small else 10)
    return Trainer(run, model, batch_of(run, [LAP], size), lambda model, batch: (model(batch) - batch.y).abs().mean())


def time_steps(run: Run) -> None:
    """Every model on batches of 32 and 256 molecules, as it is and captured, beside the published forms."""
    for size in (4,) if run.small else (32, 256):
        times: dict[str, float] = {}
        sides: dict[str, Callable[[], Trainer]] = {name: partial(ours, run, name, size) for name in MODELS}
        sides["GRIT over an edge list"] = partial(published_grit, run, size)
        sides["GPS of PyG"] = partial(pyg_gps, run, size)
        for name, make in sides.items():
            record = run.add(f"{name}, {size} molecules", partial(_measured, make), needs=3)
            times[name] = record.get("ms", np.nan)
            if name in MODELS and run.device.type == "cuda":
                captured = run.add(f"{name}, {size} molecules, captured", partial(_captured, make), needs=3)
                times[f"{name}, captured"] = captured.get("ms", np.nan)
        for mine, theirs in (("GRIT", "GRIT over an edge list"), ("GPS", "GPS of PyG")):
            for form in (mine, f"{mine}, captured"):
                if form in times:
                    ratio = times[theirs] / times[form]
                    run.add(f"{form} against {theirs}, {size} molecules", partial(dict, times_faster=ratio), needs=0)


def _measured(make: Callable[[], Trainer]) -> Record:
    return make().measure()


def _captured(make: Callable[[], Trainer]) -> Record:
    return make().captured()


def time_compiled(run: Run) -> None:
    """The same steps by torch.compile, whose first step takes long."""
    for name in MODELS:
        if run.device.type != "cuda":
            run.add(name, lambda: {"left_out": "torch.compile is measured on CUDA"})
            continue
        run.add(f"{name}, 32 molecules, compiled", partial(_compiled, run, name), needs=30)


def _compiled(run: Run, name: str) -> Record:
    trainer = ours(run, name, 32)
    trainer.model = torch.compile(trainer.model, dynamic=True)  # type: ignore[assignment]
    return trainer.measure()


def profile_step(run: Run) -> None:
    """The kernels of a step: how many, how long they work, and which take most."""
    for name in MODELS:
        run.add(f"{name}, 32 molecules", partial(_profile, run, name))


def _profile(run: Run, name: str) -> Record:
    if run.device.type != "cuda":
        return {"left_out": "kernels are profiled on CUDA"}
    from torch.profiler import ProfilerActivity, profile

    trainer = ours(run, name, 32)
    for _ in range(3):
        trainer.step()
    run.wait()
    with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as profiler:
        trainer.step()
        run.wait()
    kernels = [event for event in profiler.key_averages() if event.self_device_time_total > 0]
    kernels.sort(key=lambda event: -event.self_device_time_total)
    busy = sum(event.self_device_time_total for event in kernels) / 1e3
    most = "; ".join(f"{e.key[:40]} {e.self_device_time_total / 1e3:.2f} ms x {e.count}" for e in kernels[:4])
    return {"kernels": sum(event.count for event in kernels), "busy_ms": busy, "most": most}
