"""Functions of a distance (or of several channels) of node pairs that give one number a head.

Every head maps values `[P, channels]` of pairs, in float32 or better, to `[P, H]`. Distances are non-negative and
finite here: `graphpe.models.attention.biases.pair_bias` replaces those of pairs without a path before.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from graphpe.models.layers.precision import ExactBuffers


class TableHead(nn.Module):
    """A learned number for each distance, b_h[min(round(D), size - 1)]: Graphormer's spatial bias. Starts at zero.

    Args:
        heads: Number H of heads.
        size: Rows of the table.
    """

    def __init__(self, heads: int, size: int) -> None:
        super().__init__()
        self.table = nn.Embedding(size, heads)
        nn.init.zeros_(self.table.weight)

    def forward(self, value: Tensor) -> Tensor:
        """From distances `[P, 1]` to `[P, H]`.

        Args:
            value: Distances D of the pairs, `[P, 1]`.
        """
        return self.table(self.rows(value))

    def rows(self, value: Tensor) -> Tensor:
        """Row of the table of each pair, `[P]`.

        Args:
            value: Distances D of the pairs, `[P, 1]`.
        """
        return value.squeeze(1).round().long().clamp(max=self.table.num_embeddings - 1)


class T5Head(nn.Module):
    """A learned number for each of `size` ranges of distances, narrow for small ones (Raffel et al. 2020).

    Starts at zero.
    With e = size // 2, the range of D (rounded down) is D below e and

        min(e + floor(log(D / e) / log(max_distance / e) (size - e)), size - 1)

    from e on. T5 keeps half of its buckets for each sign of an offset; distances have one sign and use all of them.

    Args:
        heads: Number H of heads.
        size: Number of ranges, at least 2.
        max_distance: Distances from here on share the last range; greater than `size // 2`.
    """

    def __init__(self, heads: int, size: int, max_distance: float) -> None:
        super().__init__()
        self.max_distance = max_distance
        self.table = nn.Embedding(size, heads)
        nn.init.zeros_(self.table.weight)

    def forward(self, value: Tensor) -> Tensor:
        """From distances `[P, 1]` to `[P, H]`.

        Args:
            value: Distances D of the pairs, `[P, 1]`.
        """
        return self.table(self.rows(value))

    def rows(self, value: Tensor) -> Tensor:
        """Row of the table of each pair, `[P]`.

        Args:
            value: Distances D of the pairs, `[P, 1]`.
        """
        size = self.table.num_embeddings
        exact = size // 2
        distance = value.squeeze(1).floor()
        scale = (size - exact) / math.log(self.max_distance / exact)
        # A hair above, so that a power of the base does not round into the range below it.
        far = exact + (torch.log(distance.clamp(min=exact) / exact) * scale + 1e-5).floor()
        return torch.where(distance < exact, distance, far.clamp(max=size - 1)).long()


class AlibiHead(ExactBuffers):
    """-m_h D with fixed slopes m_h = 2^(-8 h / H), h = 1 ... H (Press et al. 2022).

    Args:
        heads: Number H of heads.
    """

    slope: Tensor

    def __init__(self, heads: int) -> None:
        super().__init__()
        slope = 2.0 ** (-8.0 * torch.arange(1, heads + 1, dtype=torch.float64) / heads)
        self.register_buffer("slope", slope.float(), persistent=False)

    def forward(self, value: Tensor) -> Tensor:
        """From distances `[P, 1]` to `[P, H]`.

        Args:
            value: Distances D of the pairs, `[P, 1]`.
        """
        return -value * self.slope


class LinearHead(nn.Module):
    """-r D with a learned r > 0 a head: ALiBi with learned slopes. Starts at r = 1.

    Args:
        heads: Number H of heads.
    """

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.raw_rate = nn.Parameter(torch.full((heads,), _SOFTPLUS_OF_1))

    @property
    def slope(self) -> Tensor:
        """r, `[H]`."""
        return functional.softplus(self.raw_rate)

    def forward(self, value: Tensor) -> Tensor:
        """From distances `[P, 1]` to `[P, H]`.

        Args:
            value: Distances D of the pairs, `[P, 1]`.
        """
        return -value * self.slope


class KernelHead(nn.Module):
    """w K with a learned w a head, of any sign. Starts at zero.

    Args:
        heads: Number H of heads.
    """

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(heads))

    def forward(self, value: Tensor) -> Tensor:
        """From values of a kernel `[P, 1]` to `[P, H]`.

        Args:
            value: Values K of the pairs, `[P, 1]`.
        """
        return value * self.weight


class KerpleLogHead(nn.Module):
    """-r_1 log(1 + r_2 D) with learned r_1, r_2 > 0 a head (Chi et al. 2022). Both start at 1.

    Conditionally positive definite for every D that is the square of a Hilbert-space distance, as resistances are.

    Args:
        heads: Number H of heads.
    """

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.raw_scale = nn.Parameter(torch.full((heads,), _SOFTPLUS_OF_1))
        self.raw_rate = nn.Parameter(torch.full((heads,), _SOFTPLUS_OF_1))

    def forward(self, value: Tensor) -> Tensor:
        """From distances `[P, 1]` to `[P, H]`.

        Args:
            value: Distances D of the pairs, `[P, 1]`.
        """
        scale, rate = functional.softplus(self.raw_scale), functional.softplus(self.raw_rate)
        return -scale * torch.log1p(rate * value)


class KerplePowerHead(nn.Module):
    """-r_1 D^r_2 with learned r_1 > 0 and 0 < r_2 < 2 a head (Chi et al. 2022). Both start at 1; 0 where D = 0.

    Args:
        heads: Number H of heads.
    """

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.raw_scale = nn.Parameter(torch.full((heads,), _SOFTPLUS_OF_1))
        self.raw_power = nn.Parameter(torch.zeros(heads))

    def forward(self, value: Tensor) -> Tensor:
        """From distances `[P, 1]` to `[P, H]`.

        Args:
            value: Distances D of the pairs, `[P, 1]`.
        """
        scale, power = functional.softplus(self.raw_scale), 2 * torch.sigmoid(self.raw_power)
        apart = value > 0
        # 0^r has the derivative 0 log 0 in r: not a number.
        return torch.where(apart, -scale * torch.where(apart, value, 1.0) ** power, 0.0)


class PriorHead(nn.Module):
    """-(r |D - m|)^p with learned r > 0, 0 < p < 2 and m of any sign a head; 0 where D = m.

    Up to a constant that the softmax does not see, the logarithm of a generalised Gaussian prior over distances, with
    location m, scale 1 / r and shape p (BAM, Bianchessi et al. 2025, arXiv:2505.22842): Laplace's at p = 1, which is
    ALiBi where m = 0, and Gauss's as p goes to 2. In a sequence D is i - j of a token j before i. Starts at m = 0,
    r = p = 1. The paper's p has no upper bound; here a power of no distance leaves float32.

    Args:
        heads: Number H of heads.
    """

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.location = nn.Parameter(torch.zeros(heads))
        self.raw_rate = nn.Parameter(torch.full((heads,), _SOFTPLUS_OF_1))
        self.raw_power = nn.Parameter(torch.zeros(heads))

    def forward(self, value: Tensor) -> Tensor:
        """From distances `[P, 1]` to `[P, H]`.

        Args:
            value: Distances D of the pairs, `[P, 1]`.
        """
        rate, power = functional.softplus(self.raw_rate), 2 * torch.sigmoid(self.raw_power)
        away = rate * (value - self.location).abs()
        apart = away > 0
        # 0^p has the derivative 0 log 0 in p, and that of p 0^(p - 1) in m: not numbers.
        return torch.where(apart, -(torch.where(apart, away, 1.0) ** power), 0.0)


class FireHead(nn.Module):
    """MLP(psi(D_ij) / psi(max(L, D_i))) with psi(x) = log(c x + 1) and learned c, L > 0 (Li et al. 2024, FIRE).

    D_i is the eccentricity of i, the largest distance from it that is not infinite; in a sequence it is the position of
    the query. One hidden layer with ReLU. The last layer starts at zero, c at 1 and L at 8.

    Args:
        heads: Number H of heads.
        size: Width of the hidden layer.
    """

    def __init__(self, heads: int, size: int) -> None:
        super().__init__()
        self.raw_rate = nn.Parameter(torch.tensor(_SOFTPLUS_OF_1))
        self.raw_threshold = nn.Parameter(torch.tensor(8.0))
        self.mlp = _mlp(1, size, heads, nn.ReLU())

    def forward(self, value: Tensor, eccentricity: Tensor) -> Tensor:
        """From distances `[P, 1]` and eccentricities of the queries `[P, 1]` to `[P, H]`.

        Args:
            value: Distances D of the pairs, `[P, 1]`.
            eccentricity: Eccentricities D_i of the queries, `[P, 1]`.
        """
        rate, threshold = functional.softplus(self.raw_rate), functional.softplus(self.raw_threshold)
        reach = torch.maximum(eccentricity, threshold)
        return self.mlp(torch.log1p(rate * value) / torch.log1p(rate * reach))


class GaussianHead(nn.Module):
    """An MLP of Gaussians of D, as Graphormer-GD encodes resistances (Zhang et al. 2023).

        phi_k(D) = exp(-((D - mu_k) / sigma_k)^2 / 2) / (sqrt(2 pi) sigma_k),    sigma_k = |s_k| + 0.01

    with mu and s drawn from U(0, 3) and learned, then Linear, GELU, Linear. The last layer starts at zero.

    Args:
        heads: Number H of heads.
        size: Number of Gaussians, and width of the hidden layer.
    """

    def __init__(self, heads: int, size: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.empty(size).uniform_(0, 3))
        self.raw_deviation = nn.Parameter(torch.empty(size).uniform_(0, 3))
        self.mlp = _mlp(size, size, heads, nn.GELU())

    def forward(self, value: Tensor) -> Tensor:
        """From distances `[P, 1]` to `[P, H]`.

        Args:
            value: Distances D of the pairs, `[P, 1]`.
        """
        deviation = self.raw_deviation.abs() + 0.01
        basis = torch.exp(-0.5 * ((value - self.mean) / deviation).square()) / (math.sqrt(2 * math.pi) * deviation)
        return self.mlp(basis)


class MLPHead(nn.Module):
    """Linear, GELU, Linear of all channels, as for the walk probabilities of RRWP. The last layer starts at zero.

    Args:
        heads: Number H of heads.
        channels: Columns of the encoding.
        size: Width of the hidden layer.
    """

    def __init__(self, heads: int, channels: int, size: int) -> None:
        super().__init__()
        self.mlp = _mlp(channels, size, heads, nn.GELU())

    def forward(self, value: Tensor) -> Tensor:
        """From `[P, channels]` to `[P, H]`.

        Args:
            value: Values of the pairs, `[P, channels]`.
        """
        return self.mlp(value)


class PathHead(nn.Module):
    """Graphormer's edge encoding c_ij = (1 / d) sum over steps t of <x_t, w_t>, from types of edges along paths.

    Values are those of `EdgePathPE`: d steps of one or more kinds of types; the shares of a step and kind add up to 1.
    They are divided by their sum (the number of steps times that of kinds); a pair without a path has 0. Starts at
    zero.

    Args:
        heads: Number H of heads.
        channels: Columns of the encoding.
    """

    def __init__(self, heads: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, heads, bias=False)
        nn.init.zeros_(self.linear.weight)

    def forward(self, value: Tensor) -> Tensor:
        """From `[P, channels]` to `[P, H]`.

        Args:
            value: Shares of the types at each step of the paths, `[P, channels]`.
        """
        total = value.sum(1, keepdim=True)
        return self.linear(value / torch.where(total > 0, total, 1.0))


def _mlp(channels: int, hidden: int, heads: int, activation: nn.Module) -> nn.Sequential:
    last = nn.Linear(hidden, heads)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(channels, hidden), activation, last)


_SOFTPLUS_OF_1 = math.log(math.expm1(1.0))  # softplus of it is 1
