"""SPE: stable and expressive positional encodings."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import check_choice, check_counts, check_not_negative
from graphpe.models.attention.padding import PaddedNodes, padded_nodes
from graphpe.models.batches.nodes import node_to_graph
from graphpe.models.encoders.eigen.eigenpairs import EigenKeys, EigenpairEncoder, Eigenpairs
from graphpe.models.encoders.eigen.relu_sums import relu_sums
from graphpe.models.encoders.feed_forward import feed_forward, starts_at_zero
from graphpe.models.layers.precision import in_half_precision

Reduction = Literal["pairs", "rows"]


class SPE(EigenpairEncoder):
    """Stable and expressive positional encodings (Huang et al. 2024): M = `hidden` learned kernels of n nodes.

        W_m = n V diag(psi_m(lambda)) V^H,                  psi a network of one eigenvalue at a time
        z_m,ij = Re W_m,ij + Im W'_m,ij                     W' with weights psi' of its own; no W' if V is real

        "pairs":  rho(1/n sum_j relu(z_ij + b))             rho a feed-forward network with ReLU
        "rows":   rho([z_ii, 1/n sum_j z_ij])

    "pairs" is the paper's phi: the sum over j of a feed-forward network, with one hidden layer, of all W_m,ij. psi ends
    in a linear map and the network begins with one, which together are one, that to z; its last linear map commutes
    with the sum, and is rho's first. What is left is a product of matrices of rank k and a ReLU. "rows" has no network
    between pairs: the kernels' diagonals and row sums, for graphs too large for all pairs. With several potentials, psi
    is told which one an eigenvalue is of, and W sums over them.

    Symmetry: exactly invariant (up to rounding) to the sign or phase of every eigenvector and to the basis of every
    eigenspace that lies among the k eigenvectors as a whole, in training and evaluation; reordering the nodes reorders
    the result. It is stable: vectors whose eigenvalues are nearly equal have nearly equal weights, so that the result
    is continuous where eigenvalues meet. This holds for vectors of unit norm (`scaling="L2"`). The eigenspace of the
    k-th eigenvalue may be cut (with k = 8 it is in one of seven molecules of ogbg-molhiv), and its vectors are then
    arbitrary; with `taper` it does not count, and the two statements hold for every graph.

    The last linear map of rho starts at zero: training starts from the model without the encoding. With K pairs
    (2 K in place of K if complex), "pairs" costs O(sum_b n_b^2 K M) time in batched products over padded blocks of
    graphs of similar size; memory is O(N K M) for both, since the pairs are computed again in the backward pass (under
    `torch.compile`, sum_b n_b^2 M numbers are kept); "rows" costs O(N K M) time.
    Products of eigenvectors are in float32 under autocast. "pairs" waits for a GPU once if the batch does not say how
    large its largest graph is (`max_size`).

    Differs from the released code (Graph-COM/SPE) in: no loop over graphs, no padding of all graphs to the largest; W
    has a factor n and the sum over j a factor 1/n (entries of eigenvectors are about n^-1/2: without these W is lost
    beside the biases in large graphs); psi is one network with M results (released: M networks); phi is a feed-forward
    network of one hidden layer (released: also GIN and others over W's rows); complex vectors and several potentials
    (Huang, Wang & Li 2025: Re and Im of W side by side); the result is added to the node embeddings.

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]), num_nodes=5)
        >>> data = T.LaplacianPE(k=3)(data)
        >>> keys = {"eigenvalues_key": "laplacian_eigenvalues", "mask_key": "laplacian_mask"}
        >>> encoder = M.SPE("laplacian_eigenvector_pe", 3, 16, **keys)
        >>> encoder(data).shape
        torch.Size([5, 16])

    Args:
        key: Name of the eigenvectors in the batch: `[num_nodes, k]`, or `[num_nodes, potentials, k]`.
        k: Number of eigenvectors (of each potential).
        width: Width of the result.
        eigenvalues_key: Name of the eigenvalues, `[num_graphs, k]` or `[num_graphs, potentials, k]`.
        mask_key: Name of a mask of the same shape, False for columns that are padding, or None.
        complex: Whether the vectors are complex.
        potentials: Number of potentials.
        hidden: Number M of kernels, and width of the hidden layers.
        layers: Number of linear maps of psi; with 1, psi is linear in the eigenvalue.
        reduction: `pairs` or `rows`.
        post_layers: Number of linear maps of rho.
        taper: With a width above 0, eigenpairs weigh min(1, (lambda_k - lambda) / taper) in every graph that has k of
            them: the last eigenspace, which k may cut, then does not count.

    Raises:
        GraphPEValueError: If a parameter is out of range; in `forward` if the batch has no tensors of those names, or
            of another shape or kind.

    References:
        Huang, Lu, Robinson, Yang, Zhang, Jegelka, Li: On the Stability of Expressive Positional Encodings for Graphs.
        ICLR 2024, arXiv:2310.02579.
        Huang, Wang, Li: What Are Good Positional Encodings for Directed Graphs? ICLR 2025, arXiv:2407.20912.
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
        layers: int = 3,
        reduction: Reduction = "pairs",
        post_layers: int = 2,
        taper: float = 0.0,
    ) -> None:
        super().__init__(EigenKeys(key, k, eigenvalues_key, mask_key, complex, potentials), width)
        hidden, layers, post_layers = check_counts(hidden=hidden, layers=layers, post_layers=post_layers)
        (taper,) = check_not_negative(taper=taper)
        check_choice("reduction", reduction, get_args(Reduction))
        self.hidden = hidden
        self.layers = layers
        self.reduction = reduction
        self.post_layers = post_layers
        self.taper = float(taper)
        self.psi = feed_forward(self.value_width, hidden, self.parts * hidden, layers)
        self.bias = nn.Parameter(torch.empty(hidden).uniform_(-1, 1)) if reduction == "pairs" else None
        features = hidden if reduction == "pairs" else 2 * hidden
        self.rho = starts_at_zero(feed_forward(features, hidden, width, post_layers))

    @in_half_precision
    def forward(self, batch: Data) -> Tensor:
        """The encoding at the model's width, `[num_nodes, width]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with the eigenpairs that the encoder names.
        """
        eigen = self.read(batch).scaled()
        with torch.autocast(eigen.vectors.device.type, enabled=False):
            left, right = self._weighted(eigen), eigen.vectors.flatten(1)
            if self.bias is None:
                mean = eigen.graph_mean(right).index_select(0, eigen.graph)
                features = torch.cat([(left * right.unsqueeze(1)).sum(2), (left * mean.unsqueeze(1)).sum(2)], dim=1)
            else:
                members = node_to_graph(batch)
                left, right = members.sort(left), members.sort(right)
                total = members.restore(sum_over_sources(left, self.bias, right, padded_nodes(members)))
                features = total / eigen.sizes.index_select(0, eigen.graph).unsqueeze(1)
        return self.rho(features)

    def _weighted(self, eigen: Eigenpairs) -> Tensor:
        """The left factor of z: z_ij = sum_r left[i, m, r] vectors[j, r], `[N, M, K * parts]`."""
        values = eigen.labelled_values.to(next(self.psi.parameters()).dtype)
        weight = self.psi(values) * eigen.taper(self.taper).unsqueeze(2)
        weight = weight.index_select(0, eigen.graph)  # [N, K, parts * M]
        if not self.complex:
            return (eigen.vectors * weight).transpose(1, 2)
        real, imag = eigen.vectors[:, :, :1], eigen.vectors[:, :, 1:]
        a, c = weight.chunk(2, dim=2)
        # a Re(v_i conj v_j) + c Im(v_i conj v_j) as a product with (Re v_j, Im v_j)
        return torch.stack([a * real + c * imag, a * imag - c * real], dim=2).permute(0, 3, 1, 2).flatten(2)


def sum_over_sources(left: Tensor, bias: Tensor, right: Tensor, layout: PaddedNodes) -> Tensor:
    """sum_j relu(left_i right_j + bias) over the nodes j of node i's graph, `[N, M]`.

    Args:
        left: `[N, M, R]`.
        bias: `[M]`.
        right: `[N, R]`.
        layout: Blocks of the batch.
    """
    kernels = left.shape[1]
    # The bias is one more column of the product, with a 0 for padding, which so adds relu(0).
    left = torch.cat([left, bias.view(1, -1, 1).expand(left.shape[0], -1, 1)], dim=2)
    right = torch.cat([right, right.new_ones(right.shape[0], 1)], dim=1)
    outputs = [left.new_empty(0, kernels)]
    for block, queries, keys in zip(layout.blocks, layout.split(left.flatten(1)), layout.split(right), strict=True):
        b, n = block.graphs, block.size
        keys = keys.masked_fill(block.key_mask.view(b, n, 1) != 0, 0)
        outputs.append(relu_sums(queries.reshape(b, n * kernels, -1), keys).view(b * n, kernels))
    return torch.cat(outputs).index_select(0, layout.place)
