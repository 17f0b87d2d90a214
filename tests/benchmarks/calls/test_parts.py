from __future__ import annotations

import pytest

from graphpe import models as M
from graphpe.benchmarks.calls.build import build_encodings, build_model
from graphpe.benchmarks.calls.parts import canonical_perturb, not_perturbed
from graphpe.benchmarks.tasks.graph_level import GraphAdapter
from graphpe.errors import GraphPEError

ADAPTER = GraphAdapter((3,), (), 1, "absolute")
MODEL = "GraphTransformer(width=16, layers=1, heads=2)"


@pytest.mark.parametrize(
    ("encoding", "perturb", "width"),
    [
        ("LaplacianPE(k=4)", "Perturbed(noise=0.1, drop=0.2)", 0),
        ("MagneticLaplacianPE(k=4)", "Perturbed(noise=0.1)", 0),
        ("RandomWalkPE(4)", "Perturbed(noise=0.1, drop=0.2)", 4),
        ("DepthPE(max_depth=6)", "Perturbed(randomized=20)", 0),
        ("DepthPE(max_depth=6)", "Perturbed(drop=0.2)", 0),
    ],
)
def test_every_encoding_of_nodes_is_perturbed(encoding: str, perturb: str, width: int) -> None:
    encodings = build_encodings([encoding])
    model = build_model(MODEL, ADAPTER, encodings, perturb=perturb, encoding_width=width)
    found = [module for module in model.modules() if isinstance(module, M.Perturbed)]
    assert [module.key for module in found] == [encodings[0].value_key]
    assert not_perturbed(model, perturb) == []
    if "randomized" in perturb:
        assert found[0].encoder.vocabulary == 21
    plain = build_model(MODEL, ADAPTER, encodings, encoding_width=width)
    assert not any(isinstance(module, M.Perturbed) for module in plain.modules())
    assert not_perturbed(build_model(MODEL, ADAPTER, [], perturb=perturb), perturb) != []


@pytest.mark.parametrize(
    ("encoding", "perturb", "message"),
    [
        ("DepthPE(max_depth=6)", "Perturbed(noise=0.1)", "adds noise to numbers, and DepthPE"),
        ("LaplacianPE(k=4)", "Perturbed(randomized=20)", "renumbers whole numbers in order, such as depths"),
        ("LaplacianPE(k=4)", "Perturbed(nois=0.1)", "nois"),
        ("LaplacianPE(k=4)", "SPE()", "unknown perturbation 'SPE'; known: Perturbed"),
        ("LaplacianPE(k=4)", "Perturbed(drop=2)", "drop must be"),
        ("LaplacianPE(k=4)", "Perturbed(width=2)", "width"),
    ],
)
def test_what_cannot_be(encoding: str, perturb: str, message: str) -> None:
    encodings = build_encodings([encoding])
    with pytest.raises(GraphPEError, match=message):
        build_model(MODEL, ADAPTER, encodings, perturb=perturb)


def test_texts() -> None:
    assert canonical_perturb("none") == "none"
    assert canonical_perturb("Perturbed( noise = 0.2,drop=0.3 )") == "Perturbed(noise=0.2, drop=0.3)"
    with pytest.raises(GraphPEError, match="drop must be"):
        canonical_perturb("Perturbed(drop=2)")
