"""Spectral coordinates as a transform."""

from __future__ import annotations

from graphpe.arguments import check_seed
from graphpe.spectra.laplacian_eigenpairs import nonzero_eigenpairs
from graphpe.spectra.signs import Convention, check_convention, orient
from graphpe.spectra.spectral_coordinates import Scale, check_scale, spectral_coordinates
from graphpe.structure.plan import Need, Plan
from graphpe.transforms.base import RandomSigns
from graphpe.transforms.names import check_attr_name, check_count
from graphpe.transforms.values import Values


class SpectralCoordinates(RandomSigns):
    """Coordinates from the k lowest non-zero Laplacian eigenpairs (lambda_j, u_j) of D - S, for rotary attention.

    `scale="resistance"`: u_ij / sqrt(lambda_j); squared distances between nodes are effective resistances (from below,
    with equality for k = n - 1). `scale="commute"`: they are commute times in the same sense. `scale="hops"`: waves
    unrolled into positions along them; on a path, column 0 is the position in hops up to sign and shift, with which
    rotary attention is the one of sequences (see `graphpe.spectra.spectral_coordinates` for formulas). Directed graphs
    are symmetrised as in `graphpe.laplacian`.

    Writes `spectral_coordinates`, `[N, k]` float32; columns a graph does not have are zero. Cost of `LaplacianPE`, with
    which it shares its decomposition in a `Compose` (normalization "comb").

    Args:
        k: Number of coordinates, 1 to 4096.
        scale: `"resistance"`, `"commute"` or `"hops"`.
        sign: `"canonical"`, `"random"` or `"none"`, see `graphpe.spectra.signs`. Coordinates enter attention through
            differences, which a common sign leaves alone up to the direction of rotation.
        seed: Of random signs.
        attr_name: Key of the coordinates; None appends them to `x`, and `"x"` replaces it.

    Raises:
        GraphPETypeError: A parameter is of another type; when called, the graph is no PyG graph.
        GraphPEValueError: A parameter is out of range; when called, there is no `edge_index`, or `edge_weight` is
            negative or not finite.

    References:
        Reid et al.: Wavelet-Induced Rotary Encodings. 2025, arXiv:2509.22259.

    Example:
        >>> path = Data(edge_index=torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]]), num_nodes=5)
        >>> T.SpectralCoordinates(1, scale="hops")(path).spectral_coordinates.flatten().abs().round(decimals=4)
        tensor([2., 1., 0., 1., 2.])
    """

    def __init__(
        self,
        k: int,
        *,
        scale: Scale = "resistance",
        sign: Convention = "canonical",
        seed: int = 0,
        attr_name: str | None = "spectral_coordinates",
    ) -> None:
        self.k = check_count("k", k)
        check_scale(scale)
        self.scale: Scale = scale
        check_convention(sign)
        self.sign: Convention = sign
        self.seed = check_seed(seed)
        self.attr_name = check_attr_name(attr_name)

    @property
    def columns(self) -> int:
        return self.k

    @property
    def needs(self) -> list[Need]:
        """The lowest eigenpairs."""
        return [Need(nonzero_eigenpairs, self.k, ("comb",))]

    def encode(self, plan: Plan) -> Values:
        """Coordinates of each node."""
        graphs = plan.graphs
        coordinates = spectral_coordinates(plan, self.k, self.scale)
        coordinates = orient(coordinates, graphs.batch, graphs.num_graphs, self.sign, self._random())
        return Values(node={self.attr_name: coordinates})
