"""A sequence of tokens for each node, from features of its neighbourhoods that a transform has computed."""

from __future__ import annotations

from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import check_counts, check_integer
from graphpe.models.batches.reading import read_encoding
from graphpe.models.layers.precision import in_half_precision


class HopTokens(nn.Module):
    """Tokens of the hops 0 to K around each node: one linear map (with bias) of all of them.

    Reads what `T.HopFeatures(hops=K, features=...)` writes, features of the hops side by side; for `M.NAGphormer`.

    Example:
        >>> data = Data(x=torch.randn(5, 3), edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]))
        >>> data = T.HopFeatures(2, features={"x": 3})(data)
        >>> M.HopTokens("hop_features", hops=2, channels=3, width=16)(data).shape
        torch.Size([5, 3, 16])

    Args:
        key: Name of the values in the batch.
        hops: Number K of hops.
        channels: Columns of one hop.
        width: Width of the tokens.

    Raises:
        GraphPEValueError: If a number is out of range; in `forward` if the batch has no values of that name with that
            many columns.
    """

    def __init__(self, key: str, *, hops: int, channels: int, width: int) -> None:
        super().__init__()
        channels, width = check_counts(channels=channels, width=width)
        self.hops = check_integer("hops", hops, least=0)
        self.key = key
        self.linear = nn.Linear(channels, width)

    @in_half_precision
    def forward(self, batch: Data) -> Tensor:
        """The tokens of each node, `[num_nodes, K + 1, width]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with the values under `key`.
        """
        value = read_encoding(batch, self.key, (self.hops + 1) * self.linear.in_features)
        return self.linear(value.to(self.linear.weight.dtype).unflatten(1, (self.hops + 1, -1)))
