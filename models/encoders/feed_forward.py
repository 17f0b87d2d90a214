"""The feed-forward networks inside encoders, and the checks of their sizes."""

from __future__ import annotations

from torch import nn


def feed_forward(inputs: int, hidden: int, out: int, layers: int) -> nn.Sequential:
    """`layers` linear maps with a ReLU between each two: `inputs` to `hidden`, ..., `hidden` to `out`.

    Args:
        inputs: Width of its input.
        hidden: Width of its hidden layers.
        out: Width of its output.
        layers: Number of linear maps, at least 1.
    """
    widths = [inputs, *[hidden] * (layers - 1), out]
    modules: list[nn.Module] = []
    for layer in range(layers):
        modules += [nn.Linear(widths[layer], widths[layer + 1]), nn.ReLU()]
    return nn.Sequential(*modules[:-1])


def starts_at_zero(network: nn.Sequential) -> nn.Sequential:
    """The network with its last linear map set to zero: training starts from the model without the encoding.

    Args:
        network: A network whose last module is linear.
    """
    last = network[-1]
    assert isinstance(last, nn.Linear), "a feed-forward network ends in a linear map"
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return network
