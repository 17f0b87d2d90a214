"""PyG's pretrained GPSE encoder as a transform."""

from __future__ import annotations

from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Batch
from torch_geometric.nn import GPSE

from graphpe.arguments import check_choice, check_seed
from graphpe.errors import GraphPERuntimeError, GraphPETypeError
from graphpe.structure.adjacency import rows_of, symmetric_adjacency
from graphpe.structure.laplacian import check_weights
from graphpe.structure.plan import Plan
from graphpe.transforms.base import RandomSigns
from graphpe.transforms.names import check_attr_name
from graphpe.transforms.values import Values

_CHANNELS_IN, _WIDTH = 20, 512


class GPSEPE(RandomSigns):
    """Outputs of GPSE, a deep GNN that was trained to predict structural encodings from random node features.

    The model, its weights and their download are those of `torch_geometric.nn.GPSE`; the graph gets a virtual node
    that is joined to all others. Encoding is a random function of the graph: two draws differ, and only their
    distribution is permutation-equivariant.

    Differs from `AddGPSE`: all graphs of a batch at once, features from a seed of their own instead of NumPy's global
    generator, directed edges symmetrised and parallel ones merged, on the device of the graphs.

    Writes `gpse_pe`, `[N, 512]` float32. Needs the weights (110 MB): downloaded at the first call, or found in `root`.

    Args:
        weights: What it was trained on: `"molpcba"`, `"zinc"`, `"pcqm4mv2"`, `"geom"` or `"chembl"`.
        root: Folder for the file of weights, `gpse_model_{weights}_1.0.pt`.
        seed: Of the random node features. In a `DataLoader` worker, worker and epoch are mixed in.
        attr_name: Key of the encoding; None appends it to `x`, and `"x"` replaces it.

    Raises:
        GraphPETypeError: A parameter is of another type; when called, the graph is no PyG graph.
        GraphPEValueError: A parameter is out of range; when called, there is no `edge_index`, or `edge_weight` is
            negative or not finite.
        GraphPERuntimeError: The weights are not there and cannot be downloaded, or do not fit.

    References:
        Cantürk et al.: Graph Positional and Structural Encoder. ICML 2024.

    Example:
        >>> T.GPSEPE("zinc", root="weights")
        GPSEPE(weights='zinc', root='weights', seed=0, attr_name='gpse_pe')
    """

    def __init__(
        self,
        weights: str = "molpcba",
        *,
        root: str = "GPSE_pretrained",
        seed: int = 0,
        attr_name: str | None = "gpse_pe",
    ) -> None:
        check_choice("weights", weights, tuple(GPSE.url_dict))
        if not isinstance(root, str):
            raise GraphPETypeError(f"root must be a string, got {root!r}")
        self.weights = weights
        self.root = root
        self.seed = check_seed(seed)
        self.attr_name = check_attr_name(attr_name)
        self._model: GPSE | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without the model, which a copy reads from the file again."""
        return {**vars(self), "_model": None}

    @property
    def columns(self) -> int:
        return _WIDTH

    @torch.no_grad()
    def encode(self, plan: Plan) -> Values:
        """The model's outputs at each node."""
        graphs = plan.graphs
        check_weights(graphs)
        # Each graph's virtual node stands behind its nodes.
        place = torch.arange(graphs.num_nodes, device=graphs.device) + graphs.batch
        hub = graphs.ptr[1:] + torch.arange(graphs.num_graphs, device=graphs.device)
        features = torch.zeros(graphs.num_nodes + graphs.num_graphs, _CHANNELS_IN, device=graphs.device)
        draws = self._random().standard_normal((graphs.num_nodes, _CHANNELS_IN))
        features[place] = torch.from_numpy(draws.astype(np.float32)).to(graphs.device)
        matrix = plan.once(symmetric_adjacency)
        edges = torch.from_numpy(np.stack([rows_of(matrix), matrix.indices])).to(graphs.device)
        spokes = torch.stack([place, hub[graphs.batch]])
        out = self._outputs(features, torch.cat([place[edges], spokes, spokes.flip(0)], dim=1))
        return Values(node={self.attr_name: out[place].float()})

    def _outputs(self, features: Tensor, edge_index: Tensor) -> Tensor:
        if self._model is None:
            self._model = _load(self.weights, self.root)
        model = self._model.to(features.device)
        out, _ = model(Batch(x=features, edge_index=edge_index, y=None))
        return out


def _load(weights: str, root: str) -> GPSE:
    try:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            return GPSE.from_pretrained(weights, root)
    except Exception as error:
        path = Path(root) / Path(GPSE.url_dict[weights]).name
        raise GraphPERuntimeError(
            f"GPSE's weights could not be read ({type(error).__name__}): download {GPSE.url_dict[weights]} to {path}"
        ) from error
