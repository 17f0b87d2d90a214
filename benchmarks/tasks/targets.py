"""What a model learns to predict, whatever it is about: numbers, labels (yes or no) or one class of several.

A target that is not known is NaN, or negative among integers: it has no part in a loss or a metric.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from graphpe.models.layers.gpu.ends.losses import loss_runs, mean_loss

Loss = Literal["binary", "absolute", "squared", "classes", "balanced"]
"""`binary`: cross-entropy of labels 0 and 1. `absolute`, `squared`: error of numbers. `classes`: cross-entropy of one
class; `balanced`: the same with class c weighted by 1 - (its share of the batch), as Dwivedi et al. (2020) do."""


def is_known(target: Tensor) -> Tensor:
    """Which targets are known: neither NaN nor, among integers, negative."""
    return ~target.isnan() if target.is_floating_point() else target >= 0


def target_loss(loss: Loss, output: Tensor, target: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean loss over the targets that are known; 0 where none is.

    Args:
        loss: Its name.
        output: Numbers or logits of labels, `[R, T]`; or logits of classes, `[R, classes]`.
        target: Numbers or labels, `[R, T]`; or class ids, `[R]` or `[R, 1]`.
        label_smoothing: Share of the target that is spread over all classes, as in `torch.nn.CrossEntropyLoss`.
    """
    if loss != "classes" and loss != "balanced" and loss_runs(output, target):
        return mean_loss(loss, output, target)
    known = is_known(target)
    if loss in ("classes", "balanced"):
        return _class_loss(output, target.flatten(), known.flatten(), loss == "balanced", label_smoothing)
    target = target.masked_fill(~known, 0).view(output.shape).to(output.dtype)
    known = known.view(output.shape)
    if loss == "binary":
        each = functional.binary_cross_entropy_with_logits(output, target, reduction="none")
    elif loss == "absolute":
        each = functional.l1_loss(output, target, reduction="none")
    else:
        each = functional.mse_loss(output, target, reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)


def _class_loss(output: Tensor, target: Tensor, known: Tensor, balanced: bool, label_smoothing: float) -> Tensor:
    some = known.any()
    # Unknown classes are left out; a batch of nothing else has the loss of class 0 times 0, which is finite.
    target = target.masked_fill(~known, 0).long().where(known, torch.where(some, -1, 0))
    weight = None
    if balanced:
        counts = torch.zeros_like(output[0]).index_add(0, target.clamp(min=0), known.to(output.dtype))
        # A class that is not there has no say, and a batch of one class counts as it is.
        weight = (1 - counts / counts.sum().clamp(min=1)) * (counts > 0)
        weight = torch.where(weight.sum() > 0, weight, torch.ones_like(weight))
    loss = functional.cross_entropy(output, target, weight, ignore_index=-1, label_smoothing=label_smoothing)
    return loss * some


def standardisation(target: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of the known values of each column; a column of one value is divided by 1.

    Args:
        target: Numbers, `[R, T]`.
    """
    shift, scale = [], []
    for column in target.t():
        values = column[is_known(column)].double()
        shift.append(float(values.mean()) if len(values) else 0.0)
        scale.append((float(values.std(correction=0)) if len(values) else 0.0) or 1.0)
    return tuple(shift), tuple(scale)
