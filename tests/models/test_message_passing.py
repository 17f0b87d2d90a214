from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from graphpe.models import CategoricalEdges, CategoricalNodes, LinearEncoding
from graphpe.models.message_passing import GatedGCN


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def halving_head(width: int) -> nn.Module:
    """The published head, which halves its width twice, rounding down."""
    sizes = [width, width // 2, width // 4, 1]
    return nn.Sequential(*(nn.Linear(a, b) for a, b in pairwise(sizes)))


@pytest.mark.parametrize(
    ("width", "layers", "eigenvectors", "published"), [(70, 4, 0, 105_875), (78, 16, 0, 504_309), (78, 16, 8, 505_011)]
)
def test_published_parameter_counts_of_gated_gcn_on_zinc(width, layers, eigenvectors, published) -> None:
    """GatedGCN-E and GatedGCN-E-PE of Dwivedi et al.: 5 (D^2 + D) + 4 D a layer, 28 D + 4 D for atoms and bonds, 9 D
    for 8 eigenvectors, and the head."""
    model = GatedGCN(
        width=width,
        layers=layers,
        node_encoder=CategoricalNodes(width, 28),
        edge_encoder=CategoricalEdges(width, 4),
        encodings=[LinearEncoding("laplacian_eigenvector_pe", eigenvectors, width)] if eigenvectors else [],
        head=halving_head(width),
    )
    assert count(model) == published


def test_the_last_edge_update_is_frozen_and_counted() -> None:
    model = GatedGCN(width=8, layers=3, node_encoder=nn.Identity(), edge_encoder=nn.Identity())
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    assert frozen == ["layers.2.edge_norm.weight", "layers.2.edge_norm.bias"]
    assert torch.equal(model.layers[2].edge_norm.weight, torch.ones(8))
