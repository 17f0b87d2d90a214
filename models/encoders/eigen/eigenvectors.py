"""A linear map of eigenvectors, with their free signs or phases drawn afresh in training."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import check_counts, check_flags, check_not_negative
from graphpe.models.batches.nodes import graph_of_nodes
from graphpe.models.batches.reading import read_encoding
from graphpe.models.encoders.eigen.eigenpairs import gap_weights, read_parts
from graphpe.models.encoders.eigen.random_phases import phases_of_graphs
from graphpe.models.layers.precision import in_half_precision


class EigenvectorEncoding(nn.Module):
    """A linear map (with bias) of the k eigenvectors that `batch[key]` holds, `[num_nodes, k]`.

    An eigenvector is known up to a sign if it is real and up to a phase if it is complex. In training mode each
    eigenvector of each graph is multiplied by a sign (a phase) drawn uniformly from torch's global generator, so that
    the model learns not to depend on it (Dwivedi et al. 2020, arXiv:2003.00982, section 4). In evaluation mode the
    vectors are used as they are. Complex vectors enter as their real and imaginary parts, `[num_nodes, 2 k]`.
    Weights start at zero: training starts from the model without the encoding.

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]), num_nodes=5)
        >>> data = T.LaplacianPE(k=3)(data)
        >>> M.EigenvectorEncoding("laplacian_eigenvector_pe", 3, 16)(data).shape
        torch.Size([5, 16])

    Args:
        key: Name of the eigenvectors in the batch.
        k: Number of eigenvectors.
        width: Width of the result.
        mask_key: Name of a mask, `[num_graphs, k]`, False for columns that are padding; these contribute nothing,
            whatever they hold. None if there is no such mask.
        complex: Whether the vectors are complex.
        gap_width: With a width above 0, vectors weigh gap^2 / (gap^2 + gap_width^2): what the graph hardly decides
            fades out (`graphpe.models.encoders.eigen.eigenpairs.gap_weights`; the transform needs `certificate=True`).

    Raises:
        GraphPEValueError: If a size is not positive; in `forward` if the batch has no vectors or mask of those names,
            or of another shape or kind.
    """

    def __init__(
        self,
        key: str,
        k: int,
        width: int,
        mask_key: str | None = None,
        complex: bool = False,
        *,
        gap_width: float = 0.0,
    ) -> None:
        super().__init__()
        k, width = check_counts(k=k, width=width)
        (complex,) = check_flags(complex=complex)
        (self.gap_width,) = check_not_negative(gap_width=gap_width)
        self.key = key
        self.k = k
        self.mask_key = mask_key
        self.complex = complex
        self.linear = nn.Linear(2 * k if complex else k, width)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    @in_half_precision
    def forward(self, batch: Data) -> Tensor:
        """The eigenvectors at the model's width, `[num_nodes, width]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with the eigenvectors that the encoder names.
        """
        parts = read_parts(self, batch).to(self.linear.weight.dtype)
        graph, graphs = graph_of_nodes(batch, parts)
        if self.mask_key is not None:
            mask = read_encoding(batch, self.mask_key, self.k, level="graph", rows=graphs).bool()
            parts = torch.where(mask.index_select(0, graph).unsqueeze(2), parts, 0)
        if self.gap_width > 0:
            weight = gap_weights(self, batch, self.gap_width, graphs).to(parts.dtype)
            parts = parts * weight.index_select(0, graph).unsqueeze(2)
        if self.training:
            parts = phases_of_graphs(parts, graph, graphs)
        return self.linear(parts.transpose(1, 2).flatten(1))
