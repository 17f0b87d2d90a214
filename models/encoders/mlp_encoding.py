"""A feed-forward network over a real node encoding."""

from __future__ import annotations

from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import check_counts, check_flags
from graphpe.errors import GraphPEValueError
from graphpe.models.batches.reading import read_encoding
from graphpe.models.encoders.feed_forward import feed_forward, starts_at_zero
from graphpe.models.layers.normalization import RowBatchNorm
from graphpe.models.layers.precision import in_half_precision


class MLPEncoding(nn.Module):
    """A feed-forward network (ReLU) over the node encoding `batch[key]` `[num_nodes, channels]`.

    Symmetry: a node's result depends on its own row only, so that reordering the nodes reorders the result (with
    `batch_norm`, in training, on the mean and variance of the batch as well). It has whatever other symmetry the
    encoding has: random walks, for one, depend on no choice of a basis. Not for eigenvectors, whose signs are free: see
    `EigenvectorMLP`.

    The last linear map starts at zero: training starts from the model without the encoding. Cost: O(N hidden^2) for a
    layer.

    GraphGPS (Rampášek et al. 2022) encodes the diagonals of random walks, heat kernels and electrostatics in this way.
    Differs from the released code in: the result is added to the node embeddings, not concatenated; the last layer has
    no ReLU, which would keep it from ever lowering a feature.

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]), num_nodes=5)
        >>> data = T.RandomWalkPE(walk_length=4)(data)
        >>> M.MLPEncoding("random_walk_pe", 4, 16)(data).shape
        torch.Size([5, 16])

    Args:
        key: Name of the encoding in the batch.
        channels: Its number of columns.
        width: Width of the result.
        hidden: Width of the hidden layers.
        layers: Number of linear maps.
        batch_norm: Normalise the raw values over the batch first (GraphGPS's `raw_norm_type: BatchNorm`, which its
            random-walk configurations use). It brings columns of very different scales, such as the return
            probabilities after 1 and after 20 steps, to one.

    Raises:
        GraphPEValueError: If a size is not positive; in `forward` if the batch has no real encoding of that name with
            that many columns.
    """

    def __init__(
        self, key: str, channels: int, width: int, *, hidden: int = 64, layers: int = 2, batch_norm: bool = False
    ) -> None:
        super().__init__()
        channels, width, hidden, layers = check_counts(channels=channels, width=width, hidden=hidden, layers=layers)
        (batch_norm,) = check_flags(batch_norm=batch_norm)
        self.key = key
        self.channels = channels
        self.hidden = hidden
        self.layers = layers
        self.batch_norm = batch_norm
        self.raw_norm = RowBatchNorm(channels, own_scales=True) if batch_norm else None
        self.network = starts_at_zero(feed_forward(channels, hidden, width, layers))

    @in_half_precision
    def forward(self, batch: Data) -> Tensor:
        """The encoding at the model's width, `[num_nodes, width]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with the encoding under `key`.
        """
        value = read_encoding(batch, self.key, self.channels)
        if value.is_complex():
            raise GraphPEValueError(f"batch.{self.key} is complex: use EigenvectorMLP(..., complex=True)")
        value = value.to(next(self.parameters()).dtype)
        return self.network(value if self.raw_norm is None else self.raw_norm(value))

    def __repr__(self) -> str:
        return f"MLPEncoding(hidden={self.hidden}, layers={self.layers}, batch_norm={self.batch_norm})"
