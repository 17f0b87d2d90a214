"""The optimizer of a run."""

from __future__ import annotations

import torch
from torch import nn

from graphpe.benchmarks.training.config import TrainConfig


def build_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW, or Adam, whose decay is a part of the gradient (L2), of the weights that are trained.

    Args:
        model: The model.
        config: The options.
    """
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return kind(
        [parameter for parameter in model.parameters() if parameter.requires_grad],
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        weight_decay=config.weight_decay,
        fused=config.precision != "16-mixed",  # gradients scaled for float16 cannot be clipped before a fused step
    )
