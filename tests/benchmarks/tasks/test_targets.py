from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from graphpe.benchmarks.tasks.targets import Loss, standardisation, target_loss

ROWS, OUTPUTS = 12, 3


def batch_of(loss: Loss) -> tuple[Tensor, Tensor]:
    output = torch.randn(ROWS, OUTPUTS, requires_grad=True)
    if loss in ("classes", "balanced"):
        return output, torch.randint(0, OUTPUTS, (ROWS, 1))
    return output, torch.randint(0, 2, (ROWS, OUTPUTS)).float() if loss == "binary" else torch.randn(ROWS, OUTPUTS)


def published(loss: Loss, output: Tensor, target: Tensor) -> Tensor:
    """The loss of known targets only, by PyTorch's own reductions."""
    if loss == "binary":
        return functional.binary_cross_entropy_with_logits(output, target)
    if loss in ("absolute", "squared"):
        return (functional.l1_loss if loss == "absolute" else functional.mse_loss)(output, target)
    counts = target.flatten().bincount(minlength=OUTPUTS)
    weight = (1 - counts / counts.sum()) * (counts > 0) if loss == "balanced" else None
    return functional.cross_entropy(output, target.flatten(), weight=weight)


def value_and_slope(loss: Tensor, output: Tensor) -> tuple[Tensor, Tensor]:
    return loss.detach(), torch.autograd.grad(loss, output)[0]


@pytest.mark.parametrize("loss", ["absolute", "squared", "classes", "balanced"])
def test_with_every_target_known_a_loss_is_pytorchs_to_the_bit(loss: Loss) -> None:
    output, target = batch_of(loss)
    value, slope = value_and_slope(target_loss(loss, output, target), output)
    expected_value, expected_slope = value_and_slope(published(loss, output, target), output)
    assert torch.equal(value, expected_value)
    assert torch.equal(slope, expected_slope)


@pytest.mark.parametrize("loss", get_args(Loss))
def test_unknown_targets_are_as_if_left_out(loss: Loss) -> None:
    output, target = batch_of(loss)
    classes = loss in ("classes", "balanced")
    hidden = torch.rand(target.shape) < 0.4
    hidden[0] = True
    hidden[1] = False
    if classes:
        rows = ~hidden.flatten()
        expected = published(loss, output[rows], target[rows])
    else:
        expected = published(loss, output[~hidden], target[~hidden])
    expected_value, expected_slope = value_and_slope(expected, output)
    marks = (
        [target.masked_fill(hidden, -1), target.float().masked_fill(hidden, torch.nan)]
        if classes
        else [target.masked_fill(hidden, torch.nan)]
    )
    if loss == "binary":
        marks.append(target.to(torch.int8).masked_fill(hidden, -1))
    for marked in marks:
        value, slope = value_and_slope(target_loss(loss, output, marked), output)
        torch.testing.assert_close(value, expected_value)
        torch.testing.assert_close(slope, expected_slope)


@pytest.mark.parametrize("loss", get_args(Loss))
def test_a_batch_without_a_known_target_has_no_loss_and_no_slope(loss: Loss) -> None:
    output, target = batch_of(loss)
    unknown = torch.full_like(target, -1) if loss in ("classes", "balanced") else torch.full_like(target, torch.nan)
    value, slope = value_and_slope(target_loss(loss, output, unknown), output)
    assert value == 0
    assert not slope.any()


def test_a_target_that_is_infinite_is_not_hidden() -> None:
    output, target = batch_of("squared")
    target[2, 1] = torch.inf
    assert target_loss("squared", output, target).isinf()


def test_standardisation_is_of_known_values() -> None:
    target = torch.randn(20, 4) * torch.tensor([1.0, 30.0, 1.0, 1.0]) + 5
    target[3:9, 1] = torch.nan
    target[:, 2] = 7.0
    target[:, 3] = torch.nan
    shift, scale = standardisation(target)
    known = torch.cat([target[:3, 1], target[9:, 1]]).double()
    assert shift == pytest.approx((float(target[:, 0].double().mean()), float(known.mean()), 7.0, 0.0), rel=1e-12)
    assert scale == pytest.approx(
        (float(target[:, 0].double().std(correction=0)), float(known.std(correction=0)), 1.0, 1.0), rel=1e-12
    )


@pytest.mark.parametrize("loss", ["classes", "balanced"])
def test_smoothed_labels_are_shares_of_all_classes(loss: Loss) -> None:
    """(1 - s) of the class and s / C of each, by the weights of classes; their mean by those of the targets."""
    output, smoothing = torch.randn(9, 4, dtype=torch.float64), 0.3
    target = torch.randint(0, 4, (9,))
    target[4] = -1
    known = target >= 0
    counts = torch.bincount(target[known], minlength=4)
    weight = (1 - counts / counts.sum()) * (counts > 0) if loss == "balanced" else torch.ones(4)
    weight = weight.double() if bool(weight.sum() > 0) else torch.ones(4, dtype=torch.float64)
    share = functional.one_hot(target.clamp(min=0), 4) * (1 - smoothing) + smoothing / 4
    each = -(share * weight * output.log_softmax(1)).sum(1)
    expected = each[known].sum() / weight[target[known]].sum()
    torch.testing.assert_close(target_loss(loss, output, target, smoothing), expected)
    assert target_loss(loss, output, target, 0.0) == target_loss(loss, output, target)
