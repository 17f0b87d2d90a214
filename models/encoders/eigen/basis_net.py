"""BasisNet on the projectors of eigenspaces: eigenvectors whose basis does not matter."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import check_counts, check_not_negative
from graphpe.models.encoders.eigen.eigenpairs import EigenKeys, EigenpairEncoder, Eigenpairs
from graphpe.models.encoders.feed_forward import feed_forward, starts_at_zero
from graphpe.models.layers.precision import in_half_precision


class BasisNet(EigenpairEncoder):
    """A network of the projector P = n V_l V_l^H of each eigenspace (Lim et al. 2023, BasisNet with a 2-IGN).

    The linear maps from n x n matrices to n vectors that commute with reordering the nodes have five terms (Maron et
    al. 2019): diagonal, row sums, column sums (here conjugates of the row sums), trace and total. So each eigenspace l
    has at node u

        x_l(u) = [P_uu, Re mean_w P_uw, Im mean_w P_uw, d_l, mean_uw P_uw, lambda_l],        d_l its dimension, tr P / n

    followed by `layers` maps of vectors with their means over the graph and a sum over eigenspaces:

        x_l(u) <- relu(A x_l(u) + B mean_w x_l(w) + a),        rho(sum_l x_l(u))

    Eigenvalues form one eigenspace if each is within `tolerance` max(1, |lambda|) of the next one. With several
    potentials each has its own eigenspaces, which say to which potential they belong (a one-hot row).

    Symmetry: exactly invariant (up to rounding) to the sign or phase of every eigenvector and to the basis of every
    eigenspace that lies among the k eigenvectors as a whole, in training and evaluation; reordering the nodes reorders
    the result. It is *not* stable: where a gap between eigenvalues passes the tolerance, the result jumps (`SPE` does
    not). This holds for vectors of unit norm (`scaling="L2"`). The eigenspace of the k-th eigenvalue may be cut, and
    its vectors are then arbitrary; with `taper` it does not count.

    The last linear map of rho starts at zero: training starts from the model without the encoding. No matrix P is
    formed: time and memory are O(N K hidden) with O(N K hidden^2) for the layers' products.

    Differs from the released code (cptq/SignNet-BasisNet) in: one network for all dimensions, which sees the dimension
    (released: one for each dimension that the data has); LayerNorm-free layers without BatchNorm; the eigenspaces are
    summed (released: as many results as dimensions, side by side); grouping by a relative tolerance inside the encoder;
    no n x n matrix, no loop over graphs or dimensions; complex vectors. As there, what is between pairs of nodes enters
    linearly: a full 2-IGN would take O(n^2) numbers for each eigenspace.

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]), num_nodes=5)
        >>> data = T.LaplacianPE(k=3)(data)
        >>> keys = {"eigenvalues_key": "laplacian_eigenvalues", "mask_key": "laplacian_mask"}
        >>> encoder = M.BasisNet("laplacian_eigenvector_pe", 3, 16, **keys)
        >>> encoder(data).shape
        torch.Size([5, 16])

    Args:
        key: Name of the eigenvectors in the batch: `[num_nodes, k]`, or `[num_nodes, potentials, k]`.
        k: Number of eigenvectors (of each potential), in ascending order of their eigenvalues.
        width: Width of the result.
        eigenvalues_key: Name of the eigenvalues, `[num_graphs, k]` or `[num_graphs, potentials, k]`.
        mask_key: Name of a mask of the same shape, False for columns that are padding, or None.
        complex: Whether the vectors are complex.
        potentials: Number of potentials.
        hidden: Width of the layers.
        layers: Number of maps of vectors with their means.
        post_layers: Number of linear maps of rho.
        tolerance: Greatest distance of two eigenvalues of one eigenspace, relative to max(1, |lambda|).
        taper: With a width above 0, eigenpairs weigh min(1, (lambda_k - lambda) / taper) in every graph that has k of
            them: the last eigenspace, which k may cut, then does not count.

    Raises:
        GraphPEValueError: If a parameter is out of range; in `forward` if the batch has no tensors of those names, or
            of another shape or kind.

    References:
        Lim, Robinson, Zhao, Smidt, Sra, Maron, Jegelka: Sign and Basis Invariant Networks for Spectral Graph
        Representation Learning. ICLR 2023, arXiv:2202.13013.
        Maron, Ben-Hamu, Shamir, Lipman: Invariant and Equivariant Graph Networks. ICLR 2019, arXiv:1812.09902.
    """

    def __init__(
        self,
        key: str,
        k: int,
        width: int,
        *,
        eigenvalues_key: str,
        mask_key: str | None,
        complex: bool = False,
        potentials: int = 1,
        hidden: int = 32,
        layers: int = 2,
        post_layers: int = 2,
        tolerance: float = 1e-5,
        taper: float = 0.0,
    ) -> None:
        super().__init__(EigenKeys(key, k, eigenvalues_key, mask_key, complex, potentials), width)
        hidden, layers, post_layers = check_counts(hidden=hidden, layers=layers, post_layers=post_layers)
        tolerance, taper = check_not_negative(tolerance=tolerance, taper=taper)
        self.hidden = hidden
        self.layers = layers
        self.post_layers = post_layers
        self.tolerance = float(tolerance)
        self.taper = float(taper)
        widths = [self.parts + 3 + self.value_width, *[hidden] * layers]
        self.own = nn.ModuleList(nn.Linear(widths[i], hidden) for i in range(layers))
        self.mean = nn.ModuleList(nn.Linear(widths[i], hidden, bias=False) for i in range(layers))
        self.rho = starts_at_zero(feed_forward(hidden, hidden, width, post_layers))

    @in_half_precision
    def forward(self, batch: Data) -> Tensor:
        """The encoding at the model's width, `[num_nodes, width]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with the eigenpairs that the encoder names.
        """
        eigen = self.read(batch).scaled()
        spaces = eigenspaces(eigen, self.tolerance)
        x = projector_features(eigen, spaces)
        for own, mean in zip(self.own, self.mean, strict=True):
            x = (own(x) + mean(eigen.graph_mean(x)).index_select(0, eigen.graph)).relu()
        # 1 for an eigenspace unless it is tapered off, 0 where there is none
        weight = spaces.sum(eigen.taper(self.taper)) / spaces.dimension.clamp(min=1)
        return self.rho((x * weight.index_select(0, eigen.graph).unsqueeze(2)).sum(1))


@dataclass(frozen=True)
class Eigenspaces:
    """The eigenspaces of each graph; there are at most as many as eigenpairs, K.

    Attributes:
        space: Eigenspace of each eigenpair, `[B, K]`: a number below K.
        dimension: Of each eigenspace, `[B, K]`; 0 where there is none.
        value: Mean eigenvalue of each eigenspace, `[B, K]`.
    """

    space: Tensor
    dimension: Tensor
    value: Tensor

    def sum(self, x: Tensor) -> Tensor:
        """Sums over the eigenpairs of each eigenspace, from `[B, K]` to `[B, K]`.

        Args:
            x: A number for each eigenpair, `[B, K]`.
        """
        return torch.zeros_like(x).scatter_add(1, self.space, x)


def eigenspaces(eigen: Eigenpairs, tolerance: float) -> Eigenspaces:
    """Group eigenvalues in ascending order: a gap above `tolerance` max(1, |lambda|) begins a new eigenspace.

    Args:
        eigen: The eigenpairs, eigenvalues of each potential ascending.
        tolerance: Greatest gap within an eigenspace, relative to max(1, |lambda|).
    """
    shape = (eigen.values.shape[0], eigen.potentials, -1)
    # Padding repeats the last eigenvalue before it, and so begins no eigenspace.
    value = eigen.values.masked_fill(~eigen.mask, -torch.inf).view(shape).cummax(2).values
    gap = value.diff(dim=2) > tolerance * value[:, :, 1:].abs().clamp(min=1)
    step = torch.cat([torch.zeros_like(value[:, :, :1], dtype=torch.long), gap.long()], dim=2)
    first = torch.arange(eigen.potentials, device=value.device).view(1, -1, 1) * value.shape[2]
    space = (step.cumsum(2) + first).flatten(1)
    one = eigen.mask.to(eigen.values.dtype)
    dimension = torch.zeros_like(one).scatter_add(1, space, one)
    total = torch.zeros_like(one).scatter_add(1, space, eigen.values)
    return Eigenspaces(space, dimension, total / dimension.clamp(min=1))


def projector_features(eigen: Eigenpairs, spaces: Eigenspaces) -> Tensor:
    """[P_uu, mean_w P_uw, dimension, mean_uw P_uw, eigenvalue] of each eigenspace, `[N, K, C]`; P = sum of v v^H.

    Args:
        eigen: The eigenpairs.
        spaces: Their eigenspaces.
    """
    here = Eigenspaces(*(x.index_select(0, eigen.graph) for x in (spaces.space, spaces.dimension, spaces.value)))
    mean = eigen.graph_mean(eigen.vectors)  # [B, K, parts]
    at_node = mean.index_select(0, eigen.graph)
    node = [eigen.vectors.square().sum(2), (eigen.vectors * at_node).sum(2)]  # |v(u)|^2, Re v(u) conj(mean_w v(w))
    if eigen.vectors.shape[2] == 2:
        node.append(eigen.vectors[:, :, 1] * at_node[:, :, 0] - eigen.vectors[:, :, 0] * at_node[:, :, 1])
    graph = [spaces.dimension, spaces.sum(mean.square().sum(2)), spaces.value]
    of_graph = torch.cat([torch.stack(graph, dim=2), eigen.labelled_values[:, :, 1:]], dim=2)
    return torch.cat(
        [torch.stack([here.sum(part) for part in node], dim=2), of_graph.index_select(0, eigen.graph)], dim=2
    )
