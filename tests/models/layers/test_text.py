from __future__ import annotations

from torch import nn

from graphpe.models.layers.text import call_text


def test_call_text_counts_layers() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers, self.norm = nn.ModuleList([nn.Identity()] * 3), "batch"

    assert call_text(Model(), ("layers", "norm")) == "Model(layers=3, norm='batch')"
