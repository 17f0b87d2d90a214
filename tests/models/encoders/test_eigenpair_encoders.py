"""What every encoder of eigenpairs keeps to, and which symmetries each one has."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data

from graphpe.errors import GraphPEError, GraphPEValueError
from graphpe.models.encoders import (
    SPE,
    BasisNet,
    EigenvectorDeepSet,
    EigenvectorMLP,
    EigenvectorTransformer,
    MagLapNet,
    SignNet,
)

Build = Callable[..., nn.Module]
Changes = dict[str, Callable[[Batch], Batch]]

ENCODERS: list[tuple[type[nn.Module], dict[str, Any]]] = [
    (EigenvectorMLP, {"hidden": 32, "layers": 3}),
    (EigenvectorDeepSet, {"hidden": 32, "post_layers": 2}),
    (EigenvectorTransformer, {"hidden": 8, "heads": 2}),
    (SignNet, {"hidden": 32, "phi": "gin"}),
    (SignNet, {"hidden": 32, "phi": "mlp", "rho": "deepset"}),
    (SPE, {"hidden": 6, "reduction": "pairs"}),
    (SPE, {"hidden": 6, "reduction": "rows"}),
    (BasisNet, {"hidden": 8}),
    (MagLapNet, {"hidden": 3, "heads": 2}),
    (MagLapNet, {"hidden": 3, "phi": "gin", "signnet": False, "attention": False}),
]
KINDS = [(False, 1), (True, 1), (True, 2), (False, 2)]  # (complex, potentials)
EACH = pytest.mark.parametrize("encoder", ENCODERS, ids=lambda encoder: encoder[0].__name__)
Encoder = tuple[type[nn.Module], dict[str, Any]]
Kind = tuple[bool, int]


@pytest.fixture(name="case")
def case_fixture(
    encoder: Encoder, kind: Kind, build: Build, eigen_batch: Callable[..., Batch]
) -> tuple[nn.Module, Batch]:
    arguments = {"complex": kind[0], "potentials": kind[1]}
    return build(encoder[0], **encoder[1], **arguments), eigen_batch(**arguments)


Case = tuple[nn.Module, Batch]


def any_case(test: Callable[..., None]) -> Callable[..., None]:
    kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{'complex' if kind[0] else 'real'}-{kind[1]}")
    return EACH(kinds(test))


@any_case
def test_reordering_the_nodes_reorders_the_result(case: Case) -> None:
    module, batch = case[0].eval(), case[1]
    out, offset = module(batch), 0
    for data in batch.to_data_list():
        order = torch.randperm(data.num_nodes)
        place = torch.empty_like(order)
        place[order] = torch.arange(order.numel())
        data.vectors, data.edge_index = data.vectors[order], place[data.edge_index]
        torch.testing.assert_close(module(data), out[offset : offset + data.num_nodes][order])
        offset += data.num_nodes


@any_case
def test_a_batch_gives_what_its_graphs_give(case: Case) -> None:
    module, batch = case[0].eval(), case[1]
    single = [module(data) for data in batch.to_data_list()]
    torch.testing.assert_close(module(batch), torch.cat(single))
    assert single[4].shape == (0, 5)


@any_case
@pytest.mark.parametrize("training", [False, True])
def test_padding_contributes_nothing(case: Case, training: bool) -> None:
    module, batch = case[0].train(training), case[1]
    mask, outputs = batch.eigenmask, []
    for padding in (0.0, 17.0, float("nan")):
        batch.vectors = torch.where(mask[batch.batch], batch.vectors, padding)
        batch.eigenvalues = torch.where(mask, batch.eigenvalues, padding)
        torch.manual_seed(99)
        outputs.append(module(batch))
    assert bool(outputs[0].isfinite().all())
    assert torch.equal(outputs[0], outputs[1])
    assert torch.equal(outputs[0], outputs[2])


@EACH
def test_a_mask_and_its_absence(encoder: Encoder, build: Build, eigen_batch: Callable[..., Batch]) -> None:
    module, batch = build(encoder[0], **encoder[1]).eval(), eigen_batch([6, 8])
    out = module(batch)
    module.mask_key = None
    torch.testing.assert_close(module(batch), out)
    module.mask_key = "eigenmask"
    batch.eigenmask[0] = False
    assert not torch.allclose(module(batch)[:6], out[:6])
    torch.testing.assert_close(module(batch)[6:], out[6:])


@any_case
def test_training_starts_without_the_encoding_and_reaches_every_weight(
    encoder: Encoder, kind: Kind, eigen_batch: Callable[..., Batch]
) -> None:
    arguments = {"complex": kind[0], "potentials": kind[1]}
    wide = encoder[1] | {"hidden": 64}  # so that not all units of a ReLU are off
    module = encoder[0]("vectors", 4, 5, eigenvalues_key="eigenvalues", mask_key="eigenmask", **arguments, **wide)
    batch = eigen_batch(**arguments)
    assert not bool(module(batch).any())
    optimiser = torch.optim.Adam(module.parameters(), lr=1e-2)
    reached = {name: False for name, _ in module.named_parameters()}
    for _ in range(5):
        optimiser.zero_grad()
        (module(batch) - torch.randn(23, 5)).square().sum().backward()
        for name, parameter in module.named_parameters():
            assert bool(parameter.grad.isfinite().all()), name
            reached[name] |= bool(parameter.grad.any())
        optimiser.step()
    assert all(reached.values()), reached


@EACH
@pytest.mark.parametrize("complex", [False, True])
def test_bfloat16_autocast(encoder: Encoder, complex: bool, build: Build, eigen_batch: Callable[..., Batch]) -> None:
    module = build(encoder[0], **encoder[1], complex=complex).float().eval()
    batch = eigen_batch(complex=complex)
    exact = module(batch)
    module.train()
    with torch.autocast("cpu", torch.bfloat16):
        out = module(batch)
        out.float().square().sum().backward()
    assert bool(out.isfinite().all())
    assert all(bool(p.grad.isfinite().all()) for p in module.parameters())
    module.eval()
    with torch.autocast("cpu", torch.bfloat16):
        error = (module(batch).float() - exact).abs().max()
    assert error < 0.1 * exact.abs().max()


@pytest.mark.slow
@EACH
def test_compiled(encoder: Encoder, build: Build, eigen_batch: Callable[..., Batch]) -> None:
    module, batch = build(encoder[0], **encoder[1], complex=True).eval(), eigen_batch([6, 3], complex=True)
    out, eager = torch.compile(module, backend="aot_eager")(batch), module(batch)
    torch.testing.assert_close(out, eager)
    parameters = list(module.parameters())
    gradients = zip(*(torch.autograd.grad(x.square().sum(), parameters) for x in (out, eager)), strict=True)
    for compiled, expected in gradients:
        torch.testing.assert_close(compiled, expected)


INVARIANT = {"signs": (SignNet, SPE, BasisNet, MagLapNet), "phases": (SPE, BasisNet), "bases": (SPE, BasisNet)}


@any_case
@pytest.mark.parametrize("change", ["signs", "phases", "bases"])
def test_symmetries_of_eigenvectors(case: Case, encoder: Encoder, change: str, changes: Changes) -> None:
    module, batch = case[0].eval(), case[1]
    if change == "phases" and not module.complex:
        pytest.skip("a real vector has no phase")
    out, changed = module(batch), module(changes[change](batch))
    without = encoder[1].get("signnet") is False
    if isinstance(module, INVARIANT[change]) and not without:
        torch.testing.assert_close(changed, out)
        if not isinstance(module, MagLapNet) and not (isinstance(module, SignNet) and module.complex):  # those draw
            torch.testing.assert_close(module.train()(changes[change](batch)), module(batch))
    else:
        assert (changed - out).abs().max() > 1e-6  # in float64


@pytest.mark.parametrize("constructor", [SPE, BasisNet])
@pytest.mark.parametrize("complex", [False, True])
def test_a_taper_removes_an_eigenspace_that_k_cuts(
    constructor: type[nn.Module], complex: bool, build: Build, eigen_batch: Callable[..., Batch]
) -> None:
    outputs: dict[float, list[torch.Tensor]] = {0.0: [], 0.3: []}
    modules = {taper: build(constructor, complex=complex, taper=taper) for taper in outputs}
    modules[0.3].load_state_dict(modules[0.0].state_dict())
    hop = torch.roll(torch.eye(8, dtype=torch.cdouble if complex else torch.double), 1, 0)
    values, vectors = torch.linalg.eigh(2 * torch.eye(8) - hop - hop.mH)  # 0, a, a, b, b, ...
    for _ in range(2):
        batch = eigen_batch([8, 3], complex=complex)
        mix = torch.linalg.qr(torch.randn(2, 2, dtype=vectors.dtype))[0]
        batch.vectors[:8] = torch.cat([vectors[:, :3], (vectors[:, 3:5] @ mix)[:, :1]], dim=1)
        batch.eigenvalues[0] = values[:4]
        for taper, module in modules.items():
            outputs[taper].append(module(batch))
    torch.testing.assert_close(*outputs[0.3])
    assert not torch.allclose(*outputs[0.0])
    torch.testing.assert_close(outputs[0.3][0][8:], outputs[0.0][0][8:])  # 3 nodes: nothing is cut


@pytest.mark.parametrize("change", ["signs", "bases"])
def test_a_test_graph_has_repeated_eigenvalues(
    change: str, eigen_batch: Callable[..., Batch], changes: Changes
) -> None:
    batch = eigen_batch(complex=True, potentials=2)
    assert bool((batch.eigenvalues.diff(dim=2)[:, :, :2].abs() < 1e-12).any())
    assert not torch.allclose(changes[change](batch).vectors, batch.vectors)


@pytest.mark.parametrize("constructor", [EigenvectorDeepSet, EigenvectorTransformer, SPE])
def test_the_order_of_the_pairs_does_not_matter_to_some(
    constructor: type[nn.Module], build: Build, eigen_batch: Callable[..., Batch]
) -> None:
    module, batch = build(constructor).eval(), eigen_batch()
    out = module(batch)
    order = torch.randperm(4)
    for key in ("vectors", "eigenvalues", "eigenmask"):
        batch[key] = batch[key][:, order]
    torch.testing.assert_close(module(batch), out)


@pytest.mark.parametrize("constructor", [EigenvectorMLP, EigenvectorDeepSet, EigenvectorTransformer, MagLapNet])
def test_signs_and_phases_are_drawn_in_training_only(
    constructor: type[nn.Module], build: Build, eigen_batch: Callable[..., Batch]
) -> None:
    batch = eigen_batch([6, 6, 6], complex=True)
    module = build(constructor, complex=True)
    assert not torch.allclose(module(batch), module(batch))
    assert torch.equal(module.eval()(batch), module(batch))
    fixed = build(constructor, complex=True, random_signs=False)
    assert torch.equal(fixed(batch), fixed(batch))


@EACH
def test_a_text_builds_the_encoder_again(encoder: Encoder, build: Build) -> None:
    module = build(encoder[0], **encoder[1])
    call = ast.parse(repr(module), mode="eval").body
    assert isinstance(call, ast.Call)
    assert call.func.id == encoder[0].__name__
    literals = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
    assert encoder[1].items() <= literals.items()
    again = build(encoder[0], **literals)
    assert repr(again) == repr(module)
    assert {n: p.shape for n, p in again.named_parameters()} == {n: p.shape for n, p in module.named_parameters()}


@EACH
def test_errors(encoder: Encoder, build: Build, eigen_batch: Callable[..., Batch]) -> None:
    constructor, arguments = encoder
    name = constructor.__name__
    with pytest.raises(GraphPEValueError, match=rf"build {name} with complex=True"):
        build(constructor, **arguments)(eigen_batch(complex=True))
    with pytest.raises(GraphPEValueError, match=rf"build {name} with complex=False"):
        build(constructor, **arguments, complex=True)(eigen_batch())
    with pytest.raises(GraphPEValueError, match="2 potentials of 4 columns"):
        build(constructor, **arguments, potentials=2)(eigen_batch())
    with pytest.raises(GraphPEValueError, match=r"no `magnetic_eigenvalues`: add T.MagneticLaplacianPE\(k=4\)"):
        build(constructor, **arguments, eigenvalues_key="magnetic_eigenvalues")(eigen_batch())
    batch = eigen_batch()
    batch.eigenvalues = batch.eigenvalues[batch.batch]
    with pytest.raises(GraphPEValueError, match=rf"batch.eigenvalues has 23 rows for 6 graphs: {name} takes one"):
        build(constructor, **arguments)(batch)
    for wrong in ({"hidden": 0}, {"hidden": True}, {"hidden": 2.5}, {"potentials": 0}):
        with pytest.raises(GraphPEError, match=rf"{next(iter(wrong))} must be (an integer|from 1)"):
            build(constructor, **arguments | wrong)


@pytest.mark.parametrize(
    ("constructor", "arguments", "message"),
    [
        (EigenvectorMLP, {"random_signs": 1}, "random_signs must be True or False, got 1"),
        (EigenvectorTransformer, {"hidden": 6}, "hidden must be a multiple of heads (got hidden=6, heads=4)"),
        (EigenvectorTransformer, {"dropout": 1.0}, "dropout must be a number in [0, 1), got 1.0"),
        (SignNet, {"phi": "gcn"}, "phi must be one of 'gin', 'mlp', got 'gcn'"),
        (SignNet, {"rho": 3}, "rho must be one of 'mlp', 'deepset', got 3"),
        (SPE, {"reduction": "sum"}, "reduction must be one of 'pairs', 'rows', got 'sum'"),
        (SPE, {"taper": float("nan")}, "taper must be finite, got nan"),
        (BasisNet, {"tolerance": -1.0}, "tolerance must be from 0 on, got -1.0"),
        (MagLapNet, {"phi": None}, "phi must be one of 'gin', 'mlp', got None"),
    ],
)
def test_values_of_options_are_checked(
    constructor: type[nn.Module], arguments: dict[str, Any], message: str, build: Build
) -> None:
    with pytest.raises(GraphPEError, match=re.escape(message)):
        build(constructor, **arguments)


@pytest.mark.parametrize("constructor", [SignNet, MagLapNet])
def test_messages_need_edges(constructor: type[nn.Module], build: Build, eigen_batch: Callable[..., Batch]) -> None:
    graph = eigen_batch([3])[0]
    graph.edge_index = None
    assert isinstance(graph, Data)
    with pytest.raises(GraphPEValueError, match="the batch needs an edge_index, or use phi='mlp'"):
        build(constructor, phi="gin")(graph)
    assert build(constructor, phi="mlp")(graph).shape == (3, 5)
