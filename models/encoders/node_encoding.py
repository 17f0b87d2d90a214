"""A linear map of a real node encoding."""

from __future__ import annotations

from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import check_counts, check_flags
from graphpe.errors import GraphPEValueError
from graphpe.models.batches.reading import read_encoding
from graphpe.models.layers.normalization import RowBatchNorm
from graphpe.models.layers.precision import in_half_precision


class LinearEncoding(nn.Module):
    """A linear map (with bias) of the node encoding `batch[key]` `[num_nodes, channels]`.

    Weights start at zero: training starts from the model without the encoding, whatever the encoding's scale.

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]), num_nodes=5)
        >>> data = T.RandomWalkPE(walk_length=4)(data)
        >>> M.LinearEncoding("random_walk_pe", 4, 16)(data).shape
        torch.Size([5, 16])

    Args:
        key: Name of the encoding in the batch.
        channels: Its number of columns.
        width: Width of the result.
        normalize: Whether a batch norm stands before the map, as in GraphGPS.

    Raises:
        GraphPEValueError: If a size is not positive; in `forward` if the batch has no real encoding of that name with
            that many columns.
    """

    def __init__(self, key: str, channels: int, width: int, *, normalize: bool = False) -> None:
        super().__init__()
        channels, width = check_counts(channels=channels, width=width)
        (normalize,) = check_flags(normalize=normalize)
        self.key = key
        self.norm = RowBatchNorm(channels, own_scales=True) if normalize else None
        self.linear = nn.Linear(channels, width)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    @in_half_precision
    def forward(self, batch: Data) -> Tensor:
        """The encoding at the model's width, `[num_nodes, width]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with the encoding under `key`.
        """
        value = read_encoding(batch, self.key, self.linear.in_features)
        if value.is_complex():
            raise GraphPEValueError(f"batch.{self.key} is complex: use EigenvectorEncoding(..., complex=True)")
        if self.norm is not None:
            value = self.norm(value.to(self.norm.weight.dtype))
        return self.linear(value.to(self.linear.weight.dtype))
