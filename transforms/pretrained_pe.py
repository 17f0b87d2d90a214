"""Vectors of nodes of a trained run as an encoding."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import graphpe
from graphpe.arguments import check_integer, check_seed, shown
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.structure.plan import Plan
from graphpe.transforms.base import Encoding
from graphpe.transforms.names import check_attr_name
from graphpe.transforms.values import Values

_GRAPHS = 64  # at once in the model


class PretrainedPE(Encoding):
    """What the head of a trained run reads at each node: above all of `graphpe pretrain`, as with GPSE.

    The run's own encodings are computed on the way. Where the run reads features of nodes and edges (`x`, `edge_attr`),
    they must be there, as its task has them; with `--features random` it reads edges alone. These random features are
    functions of `seed` and of the number of a node in its graph: the encoding is the same at every call, and its mean
    over many `samples` is permutation-equivariant, one sample in distribution. Everything else is equivariant as the
    run's model is.

    `digest` is that of weights and options of the run. It is found when the encoding is built, and stands in its text,
    so that what was encoded by other weights is never taken for this encoding's; a run that has changed since is an
    error. Nothing in the run's folder is executed.

    Writes `pretrained_pe`, `[N, width]` float32, on the device of the graphs.

    Args:
        run: Folder of the run.
        samples: Draws of random features over which vectors are averaged.
        seed: Of the random features.
        digest: That of the run; None for what it is now.
        attr_name: Key of the encoding; None appends it to `x`, and `"x"` replaces it.

    Raises:
        GraphPETypeError: A parameter is of another type; when called, the graph is no PyG graph.
        GraphPEValueError: There is no such run, it has changed, it gives no vectors of nodes, it reads no random
            features and `samples` is not 1; or a parameter is out of range; when called, the graphs have not what the
            run reads.
        GraphPERuntimeError: The run is damaged; a graph holds what the run cannot read, such as a category that was not
            there in training.

    References:
        Cantürk et al.: Graph Positional and Structural Encoder. ICML 2024.

    Example:
        >>> T.PretrainedPE("runs/pretraining-001")(data).pretrained_pe  # doctest: +SKIP
    """

    def __init__(
        self,
        run: str,
        *,
        samples: int = 1,
        seed: int = 0,
        digest: str | None = None,
        attr_name: str | None = "pretrained_pe",
    ) -> None:
        if not isinstance(run, str | os.PathLike):
            raise GraphPETypeError(f"run must be the folder of a run, got {shown(run)}")
        if digest is not None and not isinstance(digest, str):
            raise GraphPETypeError(f"digest must be that of a run, or None, got {shown(digest)}")
        self.run = os.fspath(run)
        self.samples = check_integer("samples", samples, least=1)
        self.seed = check_seed(seed)
        self.attr_name = check_attr_name(attr_name)
        self.digest = digest
        self._loaded: dict[str, graphpe.Run] = {}
        found = self._on(torch.device("cpu"))
        self._columns = int(found.model.width)  # type: ignore[arg-type]
        self._node_keys, self._edge_keys = found.reads
        if self.samples > 1 and not found.random_features:
            raise GraphPEValueError(
                f"samples={samples}, but {self.run} reads no random features, and all samples are equal: leave it out"
            )

    def __getstate__(self) -> dict[str, Any]:
        """Without the model, which a copy reads from the folder again."""
        return {**vars(self), "_loaded": {}}

    @property
    def columns(self) -> int:
        return self._columns

    @property
    def node_keys(self) -> list[str]:
        """The features of nodes that the run reads."""
        return self._node_keys

    @property
    def edge_keys(self) -> list[str]:
        """The features of edges that the run reads."""
        return self._edge_keys

    def encode(self, plan: Plan) -> Values:
        """The run's vectors of nodes; those of a graph depend on no other graph."""
        graphs = plan.graphs
        filled = graphs.sizes > 0
        host = graphs.to("cpu")
        kept = host.select(filled.cpu().nonzero().flatten()) if not bool(filled.all()) else host
        found = torch.zeros(graphs.num_nodes, self.columns)
        if graphs.num_nodes:
            run = self._on(graphs.device)
            parts = (run.embed_nodes(kept, seed=self.seed + each, batch_size=_GRAPHS) for each in range(self.samples))
            total: Tensor = sum(parts, start=found.double())
            found = (total / self.samples).float()
        return Values(node={self.attr_name: found.to(graphs.device)})

    def _on(self, device: torch.device) -> graphpe.Run:
        """The run on a device, read once.

        Raises:
            GraphPEValueError: It has changed.
        """
        key = str(device)
        if key not in self._loaded:
            # By its public name: rooms of training stand above this one.
            run = graphpe.load_run(Path(self.run), device=device)
            if self.digest is None:
                self.digest = run.digest
            if run.digest != self.digest:
                raise GraphPEValueError(
                    f"{self.run} is not the run that was encoded with: its digest is {run.digest}, expected "
                    f"{self.digest}; put it back, or leave digest out to encode anew"
                )
            self._loaded[key] = run
        return self._loaded[key]
