"""Reliable paired comparison (RPC): whether outputs of a network differ between two graphs by more than they do at all.

Wang & Zhang, "An Empirical Study of Realized GNN Expressiveness" (ICML 2024, arXiv:2304.07702), section 5. Of q = 32
renumberings of each of two graphs the network gives d = 16 numbers each; with the differences D_k, their mean and their
covariance S, Hotelling's statistic

    T^2 = mean(D)^T (S + e^2 I)^-1 mean(D)

is compared with 72.34. The same test between two sets of renumberings of one graph must find nothing: that is the
reliability check. 72.34 is 31 times the 95 % quantile of F(16, 16), and so that of q T^2. As in the released code T^2
is compared without the factor q: the test is far stricter than at 5 %, and is what published counts were made with.

Where a network decides its outputs, S is rounding, whose mean depends on a graph. Of it, the released code takes a
pseudo-inverse (or adds 1e-7 to the diagonal); here e is 1e-7 times the root mean square of the outputs, so that a
difference below 8.5e-7 of them never counts, in double precision.
"""

from __future__ import annotations

import torch
from torch import Tensor

RENUMBERINGS = 32
OUTPUTS = 16
THRESHOLD = 72.34
FLOOR = 1e-7
LEAST_DIFFERENCE = THRESHOLD**0.5 * FLOOR
"""Of the outputs' size: what a network without any randomness must differ by."""


def statistic(first: Tensor, second: Tensor) -> Tensor:
    """T^2 of each pair, `[P]`.

    Args:
        first: Outputs for renumberings of the first graph of each pair, `[P, q, d]`, in double precision.
        second: Of the second graph.
    """
    difference = first - second
    mean = difference.mean(1)
    centred = difference - mean[:, None]
    covariance = centred.mT @ centred / (difference.shape[1] - 1)
    size = (first.square().mean((1, 2)) + second.square().mean((1, 2))) / 2
    floor = FLOOR**2 * size.clamp_min(torch.finfo(size.dtype).tiny * 1e20)
    covariance = covariance + floor[:, None, None] * torch.eye(difference.shape[2], dtype=difference.dtype)
    return (mean * torch.linalg.solve(covariance, mean)).sum(1)


def told_apart(first: Tensor, second: Tensor) -> Tensor:
    """Whether T^2 is above the threshold, `[P]`.

    Args:
        first: As for `statistic`.
        second: As for `statistic`.
    """
    return statistic(first, second) > THRESHOLD
