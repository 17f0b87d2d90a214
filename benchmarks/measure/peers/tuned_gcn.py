"""The tuned GCN of Luo et al. (2024) as their script trains it, in plain torch: curves to lay beside those of a recipe.

    python -m graphpe.benchmarks.measure.peers.tuned_gcn "planetoid(name='Cora', split='luo')" --root FOLDER

Adam with L2 decay, a constant rate, all nodes in every step, the test at the best epoch of the validation part. The
first convolution maps the features to the width; matrices begin as those of PyG's `GCNConv` and `Linear` do.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional

from graphpe.benchmarks.calls.build import build_task, canonical_task


class SparseProduct(torch.autograd.Function):
    """A x, and for the gradient its transpose."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, matrix: Tensor, transposed: Tensor, x: Tensor) -> Tensor:
        ctx.transposed = transposed  # type: ignore[attr-defined]
        return matrix @ x

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> tuple[None, None, Tensor]:
        return None, None, ctx.transposed @ grads[0]  # type: ignore[attr-defined]


class TunedGCN(nn.Module):
    """Convolutions D^-1/2 (A + I) D^-1/2 x W + b, each beside a linear map if `residual`, and a linear map to classes.

    Args:
        widths: Of the features and of each layer's result.
        classes: Number of classes.
        dropout: Probability of dropout on each layer's result.
        norm: Whether there are batch norms.
        residual: Whether there are linear maps beside the convolutions.
    """

    def __init__(self, widths: Sequence[int], classes: int, *, dropout: float, norm: bool, residual: bool) -> None:
        super().__init__()
        sizes = list(pairwise(widths))
        self.dropout = dropout
        self.matrices = nn.ParameterList(nn.init.xavier_uniform_(torch.empty(size)) for size in sizes)
        self.biases = nn.ParameterList(torch.zeros(out) for _, out in sizes)
        self.beside = nn.ModuleList(nn.Linear(*size) for size in sizes) if residual else None
        self.norms = nn.ModuleList(nn.BatchNorm1d(out) for _, out in sizes) if norm else None
        self.last = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor, adjacency: tuple[Tensor, Tensor]) -> Tensor:
        """Logits of classes, `[N, classes]`.

        Args:
            x: Features, `[N, F]`.
            adjacency: The normalised matrix and its transpose.
        """
        for layer, (matrix, bias) in enumerate(zip(self.matrices, self.biases, strict=True)):
            update = SparseProduct.apply(*adjacency, x @ matrix) + bias
            if self.beside is not None:
                update = update + self.beside[layer](x)
            if self.norms is not None:
                update = self.norms[layer](update)
            x = functional.dropout(torch.relu(update), self.dropout, self.training)
        return self.last(x)


def normalised(edge_index: Tensor, nodes: int) -> tuple[Tensor, Tensor]:
    """D^-1/2 (A + I) D^-1/2 and its transpose, from edges without self-loops.

    Args:
        edge_index: `[2, E]`.
        nodes: Number of nodes.
    """
    source, target = torch.cat([edge_index, torch.arange(nodes).repeat(2, 1)], dim=1)
    scale = torch.bincount(target, minlength=nodes).float().rsqrt()
    both = (torch.stack([target, source]), torch.stack([source, target]))
    value = scale[source] * scale[target]
    one, other = (torch.sparse_coo_tensor(ends, value, (nodes, nodes)).to_sparse_csr() for ends in both)
    return one, other


def main() -> None:
    """Train, and print what it reaches."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task")
    parser.add_argument("--root", required=True)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--dropout", type=float, default=0.7)
    parser.add_argument("--norm", action="store_true")
    parser.add_argument("--residual", action="store_true")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--decay", type=float, default=5e-4)
    parser.add_argument("--decoupled", action="store_true", help="the decay of AdamW")
    parser.add_argument("--epochs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    data = build_task(canonical_task(given.task, given.root)).load(progress=False)
    graphs = data.adapter.model_graphs(data.graphs)
    x, y = graphs.node["x"], graphs.node["y"].flatten().long()
    adjacency = normalised(graphs.edge_index, len(x))
    torch.manual_seed(given.seed)
    widths = [x.shape[1], *[given.width] * given.layers]
    model = TunedGCN(
        widths, int(y.max()) + 1, dropout=given.dropout, norm=given.norm, residual=given.residual
    )  # fmt: skip
    kind = torch.optim.AdamW if given.decoupled else torch.optim.Adam
    optimizer = kind(model.parameters(), lr=given.rate, weight_decay=given.decay)
    train = data.split["train"]
    best = (-1.0, -1.0, 0)
    for epoch in range(1, given.epochs + 1):
        model.train()
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(x, adjacency)[train], y[train])
        loss.backward()
        optimizer.step()
        model.eval()
        with torch.no_grad():
            chance = model(x, adjacency).softmax(1)
        valid, test = (score(chance[data.split[part]], y[data.split[part]]) for part in ("valid", "test"))
        best = max(best, (valid, test, epoch), key=lambda each: each[0])
        if epoch % 50 == 0 or epoch == given.epochs:
            shown = f"best valid {best[0]:.4f}, test {best[1]:.4f} at epoch {best[2]}"
            print(f"epoch {epoch}: loss {float(loss):.4f}, valid {valid:.4f}, test {test:.4f}; {shown}", flush=True)


def score(chance: Tensor, y: Tensor) -> float:
    """ROC-AUC of two classes, or the share of the most probable classes that are right.

    Args:
        chance: Probabilities, `[n, classes]`.
        y: Classes, `[n]`.
    """
    if chance.shape[1] == 2:
        return float(roc_auc_score(y.numpy(), chance[:, 1].numpy()))
    return float(np.mean((chance.argmax(1) == y).numpy()))


if __name__ == "__main__":
    main()
