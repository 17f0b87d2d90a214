"""Every architecture with every encoding, and every encoder: a short training, without NaN."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import nn

from graphpe.benchmarks.calls.build import (
    build_encodings,
    build_model,
    encoding_classes,
    model_classes,
    split_encodings,
    takes_pairs,
)
from graphpe.benchmarks.calls.encoders import LEARNED
from graphpe.benchmarks.calls.kinds import reads_of
from graphpe.benchmarks.calls.parts import encoder_classes
from graphpe.benchmarks.tasks.graph_level import GraphAdapter
from graphpe.benchmarks.training.batch_transform import BatchTransform, encode_graphs
from graphpe.errors import GraphPEValueError
from graphpe.graphs.loader import PackedLoader
from graphpe.graphs.packed import PackedGraphs
from graphpe.transforms.base import SpectralEncoding

ADAPTER = GraphAdapter((6, 3), (4,), 2, "squared")
SIZES = [7, 1, 12, 3, 9, 2, 5, 8, 6, 10, 4, 11]
SMALL = {"width": 8, "layers": 2, "heads": 2}

# What an encoding needs beside its defaults.
ARGUMENTS = {
    "CyclePE": "max_length=5",
    "DiffusionPE": "k=4",
    "EdgePathPE": "max_distance=3, num_types=4",
    "HeatKernelPE": "times=[1.0, 2.0]",
    "HomomorphismPE": "patterns='Connected(4)'",
    "MotifPE": "motifs='Connected(4)'",
    "HopFeatures": "hops=3",  # NAGphormer's own number
    "WeisfeilerLehmanPE": "iterations=2, num_colours=32",
    "ShortestPathPE": "max_distance=4",
}


def random_graphs() -> PackedGraphs:
    """Molecule-like graphs, a single node and a pair among them."""
    rng = np.random.default_rng()
    sources, targets, counts, start = [], [], [], 0
    for n in SIZES:
        tail, head = np.triu_indices(n, 1)
        kept = (rng.random(len(tail)) < 3 / n) | (head == tail + 1)
        sources += [tail[kept] + start, head[kept] + start]
        targets += [head[kept] + start, tail[kept] + start]
        counts.append(2 * int(kept.sum()))
        start += n
    edges = np.stack([np.concatenate(sources), np.concatenate(targets)])
    nodes, arcs = sum(SIZES), edges.shape[1]
    return PackedGraphs(
        edge_index=torch.from_numpy(edges),
        ptr=torch.tensor([0, *SIZES]).cumsum(0),
        edge_ptr=torch.tensor([0, *counts]).cumsum(0),
        node={"x": torch.stack([torch.randint(0, 6, (nodes,)), torch.randint(0, 3, (nodes,))], 1)},
        edge={"edge_attr": torch.randint(0, 4, (arcs, 1))},
        graph={"y": torch.randn(len(SIZES), 2)},
    )


def model_text(name: str) -> str:
    known = inspect.signature(model_classes()[name]).parameters
    return f"{name}({', '.join(f'{key}={value}' for key, value in SMALL.items() if key in known)})"


def encoding_text(name: str) -> str:
    if name in ARGUMENTS:
        return f"{name}({ARGUMENTS[name]})"
    first, *_ = inspect.signature(encoding_classes()[name]).parameters.values()
    return f"{name}(4)" if first.default is inspect.Parameter.empty else f"{name}()"


def train(model: str, encodings: list[str], precision: torch.dtype, **options: str) -> nn.Module:
    """One epoch of three batches; fails where a loss or a weight is not a number."""
    built = build_encodings(encodings)
    of_nodes, of_pairs = split_encodings(built)
    graphs = encode_graphs(random_graphs(), of_nodes, progress=False)
    module = build_model(model, ADAPTER, built, **options)
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3)
    for batch in PackedLoader(graphs, 4, shuffle=True, transform=BatchTransform(of_pairs, ADAPTER)):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == torch.bfloat16):
            output = module(batch)
        loss = ADAPTER.loss(output, batch)
        assert torch.isfinite(loss), (model, encodings, precision)
        loss.backward()
        optimizer.step()
    assert all(bool(torch.isfinite(weight).all()) for weight in module.parameters()), (model, encodings, precision)
    return module


NAMES = sorted(set(encoding_classes()) - {"GPSEPE", "PretrainedPE"})  # which need weights


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("model", sorted(model_classes()))
def test_every_model_trains(model: str, precision: torch.dtype) -> None:
    pairs = ["RelativeRandomWalkPE(4)", "ShortestPathPE(4)"] if takes_pairs(model_classes()[model]) else []
    train(model_text(model), ["LaplacianPE(4)", "MagneticLaplacianPE(3)", "RandomWalkPE(4)", *pairs], precision)


@pytest.mark.slow
@pytest.mark.parametrize("precision", [torch.float32, pytest.param(torch.bfloat16, marks=pytest.mark.slow)], ids=str)
@pytest.mark.parametrize("encoding", NAMES)
@pytest.mark.parametrize("model", sorted(model_classes()))
def test_every_model_trains_with_every_encoding(model: str, encoding: str, precision: torch.dtype) -> None:
    (built,) = build_encodings([encoding_text(encoding)])
    if built.pair_keys and not takes_pairs(model_classes()[model]):
        with pytest.raises(GraphPEValueError, match="takes no encoding of pairs"):
            build_model(model_text(model), ADAPTER, [built])
        return
    if model == "Specformer" and not isinstance(built, SpectralEncoding):
        with pytest.raises(GraphPEValueError, match="filters along eigenvectors, and no encoding here has any"):
            build_model(model_text(model), ADAPTER, [built])
        return
    train(model_text(model), [encoding_text(encoding)], precision)


# What is read by an encoder of each kind.
READ = {
    "eigenvectors": ("LaplacianPE(4)", "MagneticLaplacianPE(3)", "MagneticLaplacianPE(3, potentials=2)"),
    "real values": ("SpectralCoordinates(3)", "RandomWalkPE(4)"),
    "tree paths": ("TreePathPE(4)",),
}


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("encoder", sorted(encoder_classes()))
def test_every_encoder_trains(encoder: str, precision: torch.dtype) -> None:
    reads = str(reads_of(encoder_classes()[encoder]))
    if reads == LEARNED:
        train("GraphTransformer(width=8, layers=2, heads=2)", [f"{encoder}()"], precision)
        return
    for encoding in READ[reads]:
        train("GraphTransformer(width=8, layers=2, heads=2)", [encoding], precision, encoder=encoder)


def compare_in_other_precisions(model: str, encodings: list[str], dtype: torch.dtype, **options: str) -> None:
    """Output and gradient of a model whose parameters and PyTorch's default are `dtype`, against float32."""
    built = build_encodings(encodings)
    of_nodes, of_pairs = split_encodings(built)
    graphs = encode_graphs(random_graphs(), of_nodes, progress=False)
    exact = build_model(model, ADAPTER, built, **options)
    with torch.no_grad():
        for parameter in exact.parameters():
            if not parameter.any():  # what starts at zero would hide what comes before it
                parameter.uniform_(-0.3, 0.3)
        for parameter in exact.parameters():
            parameter.copy_(parameter.to(dtype))
    exact.encodings.eval()  # type: ignore[union-attr]  # they draw no signs or phases then
    other = copy.deepcopy(exact).to(dtype)
    (batch,) = PackedLoader(graphs, len(SIZES), transform=BatchTransform(of_pairs, ADAPTER))
    found = []
    for module, default in ((exact, torch.float32), (other, dtype)):
        with default_dtype(default):  # as in Lightning's forward
            output = module(batch)
        ADAPTER.loss(output, batch).backward()
        gradients = [p.grad.double().flatten() for p in module.parameters() if p.grad is not None]
        found.append((output.double(), torch.cat(gradients)))
    assert output.dtype == dtype
    (output, gradient), (other_output, other_gradient) = found
    # GRIT's signed root has a slope of up to 500 near 0, where rounding is magnified as much.
    tolerance = 0.3 if "GRIT" in model else {torch.bfloat16: 0.2, torch.float16: 0.05, torch.float64: 1e-4}[dtype]
    assert (other_output - output).norm() < tolerance * output.norm(), model
    # Of a gradient the direction: in half precision some ReLUs turn on or off.
    assert torch.isfinite(other_gradient).all()
    assert torch.cosine_similarity(other_gradient, gradient, 0) > 1 - tolerance, model


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


PRECISIONS = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)


@PRECISIONS
@pytest.mark.parametrize("model", sorted(model_classes()))
@pytest.mark.slow
def test_every_model_in_other_precisions(model: str, dtype: torch.dtype) -> None:
    pairs = ["RelativeRandomWalkPE(4)", "ShortestPathPE(4)"] if takes_pairs(model_classes()[model]) else []
    nodes = ["LaplacianPE(4, sign='none')", "MagneticLaplacianPE(3, sign='none')", "RandomWalkPE(4)", "DegreePE(4)"]
    compare_in_other_precisions(model_text(model), [*nodes, *pairs], dtype)


@PRECISIONS
@pytest.mark.parametrize(
    "model",
    [
        "GRIT(width=8, layers=2, heads=2, attention='sparse', checkpoint=True)",
        "RelationalTransformer(width=8, layers=2, heads=2, attention='sparse', global_vector='cat')",
        "RelationalTransformer(width=8, layers=2, heads=2, global_vector='node')",
        "GraphTransformer(width=8, layers=2, heads=2, attention='full', norm='layer')",
        "GPS(width=8, layers=2, heads=2, attention='linear', local='GatedGCN')",
        "GPS(width=8, layers=2, heads=2, attention='tree', local='GAT')",
        "GPS(width=8, layers=2, heads=2, attention='rotary', rotary_channels=3, local='none', norm='layer')",
        "TopologicalTransformer(width=8, layers=2, heads=2, mask='synced', readout='sum')",
    ],
)
@pytest.mark.slow
def test_other_forms_of_models_in_other_precisions(model: str, dtype: torch.dtype) -> None:
    compare_in_other_precisions(model, ["SpectralCoordinates(3, sign='none')"], dtype)


@PRECISIONS
@pytest.mark.parametrize("encoder", sorted(encoder_classes()))
@pytest.mark.slow
def test_every_encoder_in_other_precisions(encoder: str, dtype: torch.dtype) -> None:
    reads = str(reads_of(encoder_classes()[encoder]))
    if reads == LEARNED:
        compare_in_other_precisions("GraphTransformer(width=8, layers=1, heads=2)", [f"{encoder}()"], dtype)
        return
    for encoding in READ[reads]:
        if "Magnetic" in encoding or "Laplacian" in encoding:
            encoding = f"{encoding[:-1]}, sign='none')"
        compare_in_other_precisions("GraphTransformer(width=8, layers=1, heads=2)", [encoding], dtype, encoder=encoder)


BIASES = ["table", "t5", "alibi", "kerple_log", "kerple_power", "fire", "gaussian", "mlp"]


@pytest.mark.parametrize("head", BIASES)
def test_every_bias_trains(head: str) -> None:
    for encoding in ("ShortestPathPE(4)", "ResistancePE()"):
        train(model_text("Graphormer"), [encoding], torch.float32, bias=f"PairBias(head={head!r})")


@PRECISIONS
@pytest.mark.parametrize("head", BIASES)
@pytest.mark.slow
def test_every_bias_in_other_precisions(head: str, dtype: torch.dtype) -> None:
    for encoding in ("ShortestPathPE(4)", "CommuteTimePE()"):
        compare_in_other_precisions(model_text("Graphormer"), [encoding], dtype, bias=f"PairBias(head={head!r})")


@pytest.mark.parametrize("name", sorted(model_classes()))
def test_no_start_is_dead(name: str) -> None:
    """At the seeds of a grid: outputs differ between graphs, no layer of the head is dead, and gradients pass it."""
    of = {"NAGphormer": "HopFeatures", "Specformer": "LaplacianPE"}
    encodings = build_encodings([encoding_text(of.get(name, "RandomWalkPE"))])
    graphs = encode_graphs(random_graphs(), encodings, progress=False)
    batch = BatchTransform([], ADAPTER)(graphs).to_batch()
    for seed in range(10):
        torch.manual_seed(seed)
        model = build_model(model_text(name), ADAPTER, encodings)
        units: list[torch.Tensor] = []
        for layer in model.head.hidden:  # type: ignore[union-attr]
            layer.register_forward_hook(lambda module, inputs, output, into=units: into.append(output))
        output = model(batch)
        assert float(output.detach().std(0).min()) > 0, seed
        assert units
        assert all(bool((each > 0).any()) for each in units), seed
        ADAPTER.loss(output, batch).backward()
        weights = [parameter for parameter in model.parameters() if parameter.dim() > 1]
        moved = [each for each in weights if each.grad is not None and float(each.grad.abs().max()) > 0]
        assert len(moved) > len(weights) / 2, seed
