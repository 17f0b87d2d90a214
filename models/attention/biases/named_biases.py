"""Relative encodings of published models as one-liners over any distance on a graph."""

from __future__ import annotations

from typing import Literal

from graphpe.errors import GraphPEValueError
from graphpe.models.attention.biases.pair_bias import PairBias


def graphormer_bias(heads: int, max_distance: int, key: str = "shortest_path") -> PairBias:
    """The spatial bias b_h[hops] of Graphormer (Ying et al. 2021, eq. 6), for `ShortestPathPE(max_distance)`.

    Args:
        heads: Number of attention heads.
        max_distance: Largest number of hops with a bias of its own.
        key: Name of the hops in the batch.
    """
    return PairBias(key, heads, head="table", size=max_distance + 1, unreachable=max_distance + 1)


def graphormer_gd_bias(
    heads: int, max_distance: int, hops: str = "shortest_path", resistance: str = "resistance"
) -> list[PairBias]:
    """phi_2 * softmax(. + phi_1) of hops and resistances (Zhang et al. 2023, GD-WL): both modes of two encodings.

    phi_1 is the sum of a table and of Gaussians; phi_2 is the product of two such functions, each 1 at the start.

    Args:
        heads: Number of attention heads.
        max_distance: Largest number of hops with a bias of its own.
        hops: Name of the hops in the batch.
        resistance: Name of the resistances in the batch.
    """
    return [
        PairBias(hops, heads, head="table", mode="both", size=max_distance + 1, unreachable=max_distance + 1),
        PairBias(resistance, heads, head="gaussian", mode="both"),
    ]


def t5_bias(heads: int, key: str = "shortest_path", size: int = 32, max_distance: float = 128.0) -> PairBias:
    """A number for each logarithmic range of distances (Raffel et al. 2020).

    Args:
        heads: Number of attention heads.
        key: Name of the distances in the batch.
        size: Number of ranges.
        max_distance: Distance from which on there is one range.
    """
    return PairBias(key, heads, head="t5", size=size, max_distance=max_distance)


def alibi_bias(heads: int, key: str = "shortest_path") -> PairBias:
    """-2^(-8h/H) D (Press et al. 2022).

    Args:
        heads: Number of attention heads.
        key: Name of the distances D in the batch.
    """
    return PairBias(key, heads, head="alibi")


def kerple_bias(heads: int, key: str = "resistance", kind: Literal["log", "power"] = "log") -> PairBias:
    """-r_1 log(1 + r_2 D) or -r_1 D^r_2 (Chi et al. 2022).

    Args:
        heads: Number of attention heads.
        key: Name of the distances D in the batch.
        kind: `log` for the first formula, `power` for the second.
    """
    if kind not in ("log", "power"):
        raise GraphPEValueError(f"kind must be 'log' or 'power' (got {kind!r})")
    return PairBias(key, heads, head="kerple_log" if kind == "log" else "kerple_power")


def fire_bias(heads: int, key: str = "shortest_path", size: int = 32) -> PairBias:
    """MLP(log(c D + 1) / log(c max(L, D_i) + 1)) (Li et al. 2024).

    Args:
        heads: Number of attention heads.
        key: Name of the distances D in the batch.
        size: Hidden width of the MLP.
    """
    return PairBias(key, heads, head="fire", size=size)


def urpe_bias(heads: int, max_distance: int, key: str = "shortest_path") -> PairBias:
    """A learned factor of the weights after the softmax, 1 at the start (Luo et al. 2022).

    Args:
        heads: Number of attention heads.
        max_distance: Largest number of hops with a factor of its own.
        key: Name of the hops in the batch.
    """
    return PairBias(key, heads, mode="multiply", size=max_distance + 1, unreachable=max_distance + 1)
