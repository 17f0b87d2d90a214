"""The optimizer of a run."""

from __future__ import annotations

from typing import Any

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
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [{"params": trained}]
    if config.decay_of == "matrices":
        tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
        spared = {id(weight) for weight in trained if weight.dim() < 2 or id(weight) in tables}
        groups = [
            {"params": [weight for weight in trained if id(weight) not in spared]},
            {"params": [weight for weight in trained if id(weight) in spared], "weight_decay": 0.0},
        ]
    return kind(
        groups,
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        weight_decay=config.weight_decay,
        fused=config.precision != "16-mixed",  # gradients scaled for float16 cannot be clipped before a fused step
    )
