"""A layer's last steps through the kernels: values, gradients and statistics of the modules in float64."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.models.attention.grit.reference import Dropped
from graphpe.models.batches.real_rows import REAL, real_rows_of
from graphpe.models.layers.gpu import residual
from graphpe.models.layers.gpu.few_rows import MOST_ROWS
from graphpe.models.layers.normalization import Norm, build_norm

from ...attention.gpu.conftest import DEVICE, check_gradients, error, moved

_KINDS = [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)]

Run = Callable[[list[Tensor], nn.ModuleDict], Tensor]


def _modules(width: int, hidden: int, kind: torch.dtype, norm: Norm = "batch") -> nn.ModuleDict:
    parts = {
        "norm": build_norm(norm, width),
        "expand": nn.Linear(width, hidden),
        "contract": nn.Linear(hidden, width),
    }
    modules = nn.ModuleDict(parts).to(DEVICE, kind)
    for parameter in modules["norm"].parameters():
        nn.init.normal_(parameter)
    return modules


def _add(rows: list[Tensor], parts: nn.ModuleDict) -> Tensor:
    return residual.add_and_norm(parts["norm"], rows[0], rows[1], parts["contract"], other=rows[2])


def _feed_forward(rows: list[Tensor], parts: nn.ModuleDict) -> Tensor:
    return residual.feed_forward_and_norm(parts["norm"], rows[0], parts["expand"], parts["contract"])


def _scaled(rows: list[Tensor], parts: nn.ModuleDict) -> Tensor:
    factor = torch.arange(1, len(rows[0]) + 1, device=DEVICE).view(-1, 1) / len(rows[0])
    return residual.add_and_norm(
        parts["norm"], rows[0], rows[1], parts["contract"], other=rows[2], factor=factor.to(rows[0].dtype)
    )


def _gelu(rows: list[Tensor], parts: nn.ModuleDict) -> Tensor:
    return residual.feed_forward_and_norm(parts["norm"], rows[0], parts["expand"], parts["contract"], activation="gelu")


def _map(rows: list[Tensor], parts: nn.ModuleDict) -> Tensor:
    out, x = residual.map_and_norm(parts["norm"], rows[0], rows[2], parts["expand"], parts["contract"])
    return out + x * x


def _dropping_add(rows: list[Tensor], parts: nn.ModuleDict) -> Tensor:
    return residual.add_and_norm(parts["norm"], rows[0], rows[1], parts["contract"], 0.3, rows[2])


def _dropping_feed_forward(rows: list[Tensor], parts: nn.ModuleDict) -> Tensor:
    modules = parts["norm"], rows[0], parts["expand"], parts["contract"]
    return residual.feed_forward_and_norm(*modules, inner_dropout=0.2, dropout=0.3)


def _dropping_map(rows: list[Tensor], parts: nn.ModuleDict) -> Tensor:
    out, x = residual.map_and_norm(parts["norm"], rows[0], rows[2], parts["expand"], parts["contract"], 0.3)
    return out + x * x


def _convolution(rows: list[Tensor], parts: nn.ModuleDict) -> Tensor:
    return residual.norm_and_add(parts["norm"], rows[0], rows[2], activation="relu")


def _plain_convolution(rows: list[Tensor], parts: nn.ModuleDict) -> Tensor:
    return residual.norm_and_add(parts["norm"], rows[0], None)


def _dropping_convolution(rows: list[Tensor], parts: nn.ModuleDict) -> Tensor:
    return residual.norm_and_add(parts["norm"], rows[0], rows[2], activation="relu", dropout=0.3)


_LAUNCHED: dict[Run, list[str]] = {
    _add: ["_forward", "_backward", "_products"],
    _scaled: ["_forward", "_backward", "_products"],
    _feed_forward: ["_forward", "_forward", "_backward", "_backward", "_products"],
    _map: ["_forward", "_forward", "_backward", "_backward", "_products"],
    _gelu: ["_forward", "_forward", "_backward", "_backward", "_products"],
    _convolution: ["_forward", "_backward"],
    _plain_convolution: ["_forward", "_backward"],
}
_ONE_INPUT = (_feed_forward, _gelu, _dropping_feed_forward)


def _compare(
    run: Run, shape: tuple[int, int, int], kind: torch.dtype, least: float, real: int = 0, norm: Norm = "batch"
) -> None:
    """Raise unless the kernels give float64's results; of `real` real rows where that is a number."""
    rows, width, hidden = shape
    parts = _modules(width, hidden, kind, norm)
    exactly = deepcopy(parts).double()
    shapes = [(rows, width), (rows, hidden), (rows, width)][: 1 if run in _ONE_INPUT else 3]
    given = [torch.randn(shape, device=DEVICE).to(kind).requires_grad_() for shape in shapes]
    exact = [x.detach().double().requires_grad_() for x in given]
    upstream = torch.randn(rows, width, device=DEVICE).to(kind)
    batch = Data()
    if real:
        mask = (torch.arange(rows, device=DEVICE) < real).float()
        batch[REAL["node"]] = mask
        upstream *= mask.unsqueeze(1).to(kind)  # nothing asks for what is not real
    with real_rows_of(batch):
        found = run(given, parts)
        found.backward(upstream)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(residual, "has_kernels", lambda device: False)
            expected = run(exact, exactly)
            expected.backward(upstream.double())

            def again(x: list[Tensor]) -> list[Tensor]:
                asked = torch.autograd.grad(run(x, deepcopy(exactly)), x, upstream.double(), allow_unused=True)
                return [y for y in asked if y is not None]

            unsure = moved(again, exact)
    assert found.dtype == kind
    assert error(found, expected) < least
    parameters, references = list(parts.parameters()), list(exactly.parameters())
    asked = [(x, y) for x, y in zip(parameters, references, strict=True) if y.grad is not None]
    given, exact = ([x for x, y in zip(side, exact, strict=True) if y.grad is not None] for side in (given, exact))
    several = 4 if kind == torch.bfloat16 else 1  # products of rounded numbers, one after the other
    check_gradients(given, exact, least * several, unsure)
    check_gradients([x for x, _ in asked], [y for _, y in asked], least * several, [sum(unsure)] * len(asked))
    for name, buffer in exactly["norm"].named_buffers():
        moved_to, buffer = parts["norm"].get_buffer(name).double(), buffer.double()
        assert float((moved_to - buffer).norm()) < least * (float(buffer.norm()) + 0.1)  # a mean may vanish


@pytest.mark.parametrize("run", [_add, _scaled, _feed_forward, _gelu, _map])
@pytest.mark.parametrize(("kind", "least"), _KINDS)
@pytest.mark.parametrize(
    ("shape", "real", "norm"),
    [
        ((9, 6, 9), 0, "batch"),
        ((9, 1, 3), 0, "batch"),
        ((300, 16, 8), 0, "batch"),
        ((150, 9, 4), 9, "batch"),
        ((30, 9, 4), 0, "layer"),
    ],
)
def test_values_gradients_and_statistics(
    run: Run,
    kind: torch.dtype,
    least: float,
    shape: tuple[int, int, int],
    real: int,
    norm: Norm,
    launched: list[str],
) -> None:
    _compare(run, shape, kind, least, real, norm)
    assert launched == _LAUNCHED[run]


@pytest.mark.parametrize("run", [_convolution, _plain_convolution])
@pytest.mark.parametrize(("kind", "least"), _KINDS)
@pytest.mark.parametrize(("shape", "real"), [((9, 6, 9), 0), ((300, 9, 8), 0), ((150, 9, 4), 9)])
def test_the_last_steps_of_a_convolution(
    run: Run, kind: torch.dtype, least: float, shape: tuple[int, int, int], real: int, launched: list[str]
) -> None:
    _compare(run, shape, kind, least, real)
    assert launched == _LAUNCHED[run]


@pytest.mark.parametrize(
    ("run", "norm"),
    [
        *((run, norm) for run in (_dropping_add, _dropping_feed_forward, _dropping_map) for norm in ("batch", "layer")),
        (_dropping_convolution, "batch"),
    ],
)
@pytest.mark.parametrize(("kind", "least"), _KINDS)
def test_dropout(
    run: Run, kind: torch.dtype, least: float, norm: Norm, launched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    masks = {(40, width): torch.rand(40, width, device=DEVICE) < 0.7 for width in (6, 9)}
    monkeypatch.setattr(
        residual, "dropped_of", lambda x, columns, p: Dropped(masks[len(x), columns], 1 / (1 - p)) if p else None
    )
    monkeypatch.setattr(
        residual.functional, "dropout", lambda x, p, training: x * masks[tuple(x.shape)].to(x.dtype) / (1 - p)
    )
    _compare(run, (40, 6, 9), kind, least, norm=norm)
    assert launched


def test_dropout_drops_its_share(launched: list[str]) -> None:
    parts, x = _modules(16, 8, torch.float32), torch.randn(600, 16, device=DEVICE)
    kept = residual.dropped_of(x, 16, 0.3)
    assert kept is not None
    assert 0.65 < float(kept.keep.float().mean()) < 0.75
    first, second = (_dropping_feed_forward([x], parts) for _ in range(2))
    assert not torch.equal(first, second)


def test_results_repeat_and_autocast_keeps_float32_between_products(launched: list[str]) -> None:
    parts, x = _modules(16, 8, torch.float32), torch.randn(40, 16, device=DEVICE, requires_grad=True)
    exact = _feed_forward([x], deepcopy(parts))

    def results() -> list[Tensor]:
        with torch.autocast(DEVICE, torch.bfloat16):
            out = _feed_forward([x], parts)
        assert out.dtype == torch.float32
        return [out, *torch.autograd.grad(out.square().sum(), [x, *parts["expand"].parameters()])]

    first, second = results(), results()
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert first[1].dtype == first[2].dtype == torch.float32
    assert 0 < error(first[0], exact) < 3e-2


def test_what_the_kernels_do_not_do_is_left_to_the_modules(launched: list[str]) -> None:
    parts = _modules(4, 3, torch.float32)

    def rows(number: int) -> list[Tensor]:
        return [torch.randn(number, width, device=DEVICE) for width in (4, 3, 4)]

    _add(rows(1), parts)  # one row has no variance
    _add(rows(MOST_ROWS + 1), parts)
    _add([x.double() for x in rows(5)], deepcopy(parts).double())
    x, hidden, _ = rows(5)
    residual.add_and_norm(nn.Identity(), x, hidden, parts["contract"])
    _feed_forward([x], parts.eval())
    assert not launched


def test_columns_whose_rows_are_alike_are_the_bias() -> None:
    parts, rows = _modules(4, 8, torch.float32), torch.randn(3, 30, 4, device=DEVICE)
    rows[0, :, 1] = 5 + 1e-6 * torch.randn(30, device=DEVICE)
    with torch.no_grad():
        parts["contract"].weight[1] = 0
    x, hidden = rows[0].requires_grad_(), torch.randn(30, 8, device=DEVICE)
    out = residual.add_and_norm(parts["norm"], x, hidden, parts["contract"])
    assert torch.equal(out[:, 1], parts["norm"].bias[1].expand(30))
    upstream = torch.randn(30, 4, device=DEVICE)
    out.backward(upstream)
    centred = parts["norm"].weight * (upstream - upstream.mean(0))  # that of a variance of 1
    torch.testing.assert_close(x.grad[:, 1], centred.detach()[:, 1], rtol=1e-4, atol=1e-5)
    assert float(parts["norm"].weight.grad[1]) == 0
