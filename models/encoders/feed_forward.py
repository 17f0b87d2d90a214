"""The feed-forward networks inside encoders, and the checks of their sizes."""

from __future__ import annotations

from typing import Any

from torch import nn

from graphpe.errors import GraphPEValueError


def feed_forward(inputs: int, hidden: int, out: int, layers: int) -> nn.Sequential:
    """`layers` linear maps with a ReLU between each two: `inputs` to `hidden`, ..., `hidden` to `out`."""
    widths = [inputs, *[hidden] * (layers - 1), out]
    modules: list[nn.Module] = []
    for layer in range(layers):
        modules += [nn.Linear(widths[layer], widths[layer + 1]), nn.ReLU()]
    return nn.Sequential(*modules[:-1])


def starts_at_zero(network: nn.Sequential) -> nn.Sequential:
    """The network with its last linear map set to zero: training starts from the model without the encoding."""
    last = network[-1]
    assert isinstance(last, nn.Linear), "a feed-forward network ends in a linear map"
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return network


def check_sizes(owner: str, **sizes: Any) -> None:
    """Each size is a positive integer.

    Raises:
        GraphPEValueError: If one is not.
    """
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise GraphPEValueError(f"{owner} needs positive sizes (got {name}={size!r})")


def check_bool(owner: str, **switches: Any) -> None:
    """Each switch is True or False.

    Raises:
        GraphPEValueError: If one is not.
    """
    for name, switch in switches.items():
        if not isinstance(switch, bool):
            raise GraphPEValueError(f"{owner}: {name} must be True or False (got {switch!r})")


def check_dropout(owner: str, dropout: Any) -> float:
    """A probability below 1.

    Raises:
        GraphPEValueError: If it is not.
    """
    if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0.0 <= dropout < 1.0:
        raise GraphPEValueError(f"{owner}: dropout must be a number in [0, 1) (got {dropout!r})")
    return float(dropout)


def check_not_negative(owner: str, **numbers: Any) -> None:
    """Each number is finite and not negative.

    Raises:
        GraphPEValueError: If one is not.
    """
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number < float("inf"):
            raise GraphPEValueError(f"{owner}: {name} must be a number from 0 on (got {number!r})")


def check_option(owner: str, name: str, option: Any, known: tuple[str, ...]) -> None:
    """An option is one of the known ones.

    Raises:
        GraphPEValueError: If it is not.
    """
    if option not in known:
        raise GraphPEValueError(f"{owner}: {name} must be one of {', '.join(map(repr, known))} (got {option!r})")
