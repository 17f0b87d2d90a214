from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch_geometric.data import Data

from graphpe import models as M
from graphpe.benchmarks.calls.attention_parts import canonical_bias, without_bias
from graphpe.benchmarks.calls.build import (
    build_encodings,
    build_model,
    canonical_encodings,
    canonical_model,
    canonical_task,
    check_built,
    default_encodings,
    encoding_classes,
    model_classes,
    task_classes,
)
from graphpe.benchmarks.calls.parts import canonical_encoder, encoding_module, without_encoder
from graphpe.benchmarks.calls.text import build
from graphpe.benchmarks.tasks.graph_level import GraphAdapter
from graphpe.errors import GraphPERuntimeError, GraphPEValueError


def test_the_lists_hold_encodings_architectures_and_tasks() -> None:
    assert {"LaplacianPE", "MagneticLaplacianPE", "RandomWalkPE"} <= set(encoding_classes())
    assert "Compose" not in encoding_classes()
    assert {"GraphTransformer"} <= set(model_classes())
    assert "PairLinear" not in model_classes()
    assert {"Code2", "PythonSource", "Molhiv", "Zinc"} <= set(task_classes())
    assert "OGBMolecules" not in task_classes()


def test_hop_features_are_tokens_of_nagphormer_and_an_encoding_of_others() -> None:
    adapter = GraphAdapter((6, 3), (4,), 2, "squared")
    encodings = build_encodings(["HopFeatures(2, features={'x': 2})", "DegreePE()"])
    hops, degrees = build_model("NAGphormer(width=8, hops=2, heads=2)", adapter, encodings).encodings
    assert isinstance(hops, M.HopTokens)
    assert (hops.hops, hops.linear.in_features, hops.linear.out_features) == (2, 2, 8)
    assert isinstance(degrees, M.LinearEncoding)
    check_built(
        build_model("NAGphormer(width=8, hops=2, heads=2)", adapter, encodings),
        "NAGphormer(width=8, hops=2, heads=2)",
        encodings,
    )
    assert isinstance(build_model("GCN(width=8)", adapter, encodings).encodings[0], M.LinearEncoding)
    with pytest.raises(GraphPEValueError, match=r"NAGphormer\(hops=3\) takes the tokens of one HopFeatures"):
        build_model("NAGphormer(width=8, hops=3, heads=2)", adapter, encodings)
    with pytest.raises(GraphPEValueError, match="NAGphormer reads hop features as tokens"):
        build_model("NAGphormer(width=8, hops=2, heads=2)", adapter, encodings, encoding_width=2)


def test_eigenvectors_are_the_basis_of_specformer_and_an_encoding_of_others() -> None:
    adapter, text = GraphAdapter((6, 3), (4,), 2, "squared"), "Specformer(width=8, heads=2)"
    encodings = build_encodings(["DegreePE()", "MagneticLaplacianPE(3, potentials=2)", "LaplacianPE(2)"])
    model = build_model(text, adapter, encodings)
    degrees, basis, added = model.encodings
    assert isinstance(basis, M.SpectralBasis)
    assert (basis.key, basis.k, basis.complex, basis.potentials) == ("magnetic_eigenvector_pe", 3, True, 2)
    assert model.basis is basis
    assert isinstance(degrees, M.LinearEncoding)
    assert isinstance(added, M.EigenvectorEncoding)
    check_built(model, text, encodings)
    with pytest.raises(GraphPEValueError, match="Specformer filters along eigenvectors, and encoding_width would"):
        build_model(text, adapter, encodings, encoding_width=2)
    with pytest.raises(GraphPEValueError, match="not for a basis of filters"):
        build_model(text, adapter, encodings[1:], perturb="Perturbed(noise=0.1)")
    with pytest.raises(GraphPEValueError, match=r"no encoding here has any: add LaplacianPE\(k=64, drop"):
        build_model(text, adapter, encodings[:1])
    assert default_encodings(text, "zinc") == ("LaplacianPE(k=64, drop_zero_modes=False)",)
    with pytest.raises(GraphPEValueError, match="unknown encoder 'SpectralBasis'"):
        canonical_encoder("SpectralBasis()")


@pytest.mark.parametrize("text", ["SGFormer(width=8, local_layers=3)", "Polynormer(width=8, heads=2, global_layers=3)"])
def test_numbers_of_other_layers_are_compared(text: str) -> None:
    model = build_model(text, GraphAdapter((6, 3), (4,), 2, "squared"), ())
    check_built(model, text, ())
    with pytest.raises(GraphPERuntimeError, match="_layers"):
        check_built(model, text.replace("layers=3", "layers=2"), ())


NODE_ENCODINGS = [
    "CyclePE(5)",
    "DegreePE()",
    "DegreePE(max_degree=3)",
    "DepthPE()",
    "DepthPE(max_depth=4)",
    "DiffusionPE(5)",
    "DirectedRandomWalkPE(5)",
    "HomomorphismPE(['Trees(4)', [(0, 1), (1, 2), (2, 0)]])",
    "MotifPE('Connected(4)', induced=True)",
    "ElectrostaticPE()",
    "HeatKernelPE([0.5, 1.0])",
    "LaplacianPE(5)",
    "MagneticLaplacianPE(5)",
    "MagneticLaplacianPE(5, potentials=3)",
    "RandomWalkPE(5)",
    "SVDPE(5)",
    "SpectralCoordinates(5)",
    "WeisfeilerLehmanPE(5)",
]


@pytest.mark.parametrize("text", NODE_ENCODINGS)
def test_every_encoding_has_a_module_of_its_shape(text: str) -> None:
    (encoding,) = build_encodings([text])
    batch = encoding(Data(edge_index=torch.tensor([[0, 1, 2], [1, 2, 0]]), num_nodes=4))
    assert encoding_module(encoding, 16)(batch).shape == (4, 16)


def test_texts_in_full_build_the_same_objects() -> None:
    (text,) = canonical_encodings(["laplacian-pe(3)"])
    assert text.startswith("LaplacianPE(k=3, ")
    assert canonical_encodings([text]) == (text,)
    model = canonical_model("graphtransformer(width=16, heads=2)")
    assert canonical_model(model) == model
    assert repr(M.GraphTransformer(width=16, heads=2, node_encoder=nn.Identity())) == model
    task = canonical_task("python-source(graph='ast')", root="somewhere")
    assert "root='somewhere'" in task
    assert repr(build(task, task_classes(), "task")) == task


def test_two_encodings_need_two_keys() -> None:
    with pytest.raises(GraphPEValueError, match="both write 'random_walk_pe'; give one of them another attr_name"):
        build_encodings(["RandomWalkPE(3)", "RandomWalkPE(4)"])
    assert len(build_encodings(["RandomWalkPE(3)", "RandomWalkPE(4, attr_name='longer')"])) == 2


def test_encodings_of_a_model_have_a_key_of_their_own() -> None:
    for text in ("LaplacianPE(4, attr_name=None)", "RandomWalkPE(4, attr_name='x')"):
        assert build_encodings([text])[0].keys == ["x"]  # as `graphpe encode` takes them
        with pytest.raises(GraphPEValueError, match="writes into x, which holds the task's features"):
            canonical_encodings([text])
    both = build_encodings(["RandomWalkPE(4, attr_name=None)", "DegreePE(attr_name=None)"])
    assert [encoding.keys for encoding in both] == [["x"], ["x"]]


def test_models_take_no_values_of_graphs() -> None:
    text = "HomomorphismPE('Cycle(4)', level='graph')"
    assert build_encodings([text])[0].graph_keys == ["homomorphism_pe"]  # as `graphpe encode` takes it
    with pytest.raises(GraphPEValueError, match=r"level='graph'.* has values of graphs, which are not read here"):
        canonical_encodings([text])
    assert canonical_encodings(["LaplacianPE(4)", "TreeFieldPE()", "DegreePE()", "ShortestPathPE()", "PEARLEncoding()"])


def test_what_the_task_supplies_cannot_be_given_as_text() -> None:
    with pytest.raises(GraphPEValueError, match="no argument 'head'"):
        canonical_model("GraphTransformer(head=None)")


@pytest.mark.parametrize(
    ("build", "text", "expected"),
    [
        (canonical_model, "GraphTransformer(layers=100000)", "layers is 100000; it must be at most 1024"),
        (canonical_model, "GRIT(width=30000, layers=20)", "training its 200,260,230,000 parameters takes 3,204.2 GB"),
        (canonical_model, "GINE(width=4611686018427387904)", "cannot be built"),
        (canonical_model, f"GINE(width={2**70})", "it must be at most"),
        (canonical_encoder, "SignNet(layers=100000)", "layers is 100000; it must be at most 1024"),
        (canonical_encoder, "SPE(hidden=10000000000)", "cannot be built"),
        (canonical_bias, "PairBias(head='table', size=1000000000000)", "takes 16,000.0 GB"),
    ],
)
def test_what_is_too_large_is_refused_before_it_takes_memory_or_time(
    build: Callable[[str], str], text: str, expected: str
) -> None:
    with pytest.raises(GraphPEValueError, match=expected) as caught:
        build(text)
    assert "\n" not in str(caught.value)


def test_what_was_asked_for_and_has_no_part_is_said() -> None:
    biases = nn.ModuleList([M.PairBias("shortest_path", 2, head="alibi")])
    walks, vectors = build_encodings(("RandomWalkPE(4)",)), build_encodings(("LaplacianPE(2)",))
    assert (
        without_encoder(nn.Linear(1, 1), walks, canonical_encoder("EigenvectorEncoding"))
        == without_bias(biases, "auto")
        == []
    )
    assert (
        without_encoder(nn.Linear(1, 1), vectors, canonical_encoder("SPE"))
        == without_bias(biases, "PairBias(head='fire')")
        == []
    )
    (encoder,) = without_encoder(nn.Linear(1, 1), walks, canonical_encoder("SPE"))
    (bias,) = without_bias(nn.Linear(1, 1), canonical_bias("PairBias(head='fire')"))
    assert encoder.startswith("SPE(")
    assert bias.startswith("PairBias(")
    assert encoder.count("has no part in it") == bias.count("has no part in it") == 1
    fourier = canonical_encoder("FourierFeatures")
    assert without_encoder(nn.Linear(1, 1), walks, fourier) == []
    (line,) = without_encoder(nn.Linear(1, 1), [*vectors, *build_encodings(["DegreePE(4)"])], fourier)
    assert line == f"{fourier} has no part in it: it reads real values of nodes, and no encoding here has any"
    tokens = M.HopTokens("hop_features", hops=2, channels=1, width=4)
    (line,) = without_encoder(tokens, build_encodings(["HopFeatures(2)"]), fourier)
    assert "has no part in it" in line


def test_an_encoder_is_of_the_encodings_that_it_reads() -> None:
    walks, vectors, degrees = build_encodings(["RandomWalkPE(4)", "LaplacianPE(2)", "DegreePE(max_degree=4)"])
    for text, of_walks, of_vectors in (
        ("EigenvectorEncoding", M.LinearEncoding, M.EigenvectorEncoding),
        ("FourierFeatures(features=6, gamma=0.5, hidden=5)", M.FourierFeatures, M.EigenvectorEncoding),
        ("MLPEncoding(batch_norm=True)", M.MLPEncoding, M.EigenvectorEncoding),
        ("PersistenceEncoding(filtrations=3)", M.PersistenceEncoding, M.EigenvectorEncoding),
        ("SignNet(channels=3)", M.LinearEncoding, M.SignNet),
    ):
        kinds = [type(encoding_module(each, 8, text)) for each in (walks, vectors, degrees)]
        assert kinds == [of_walks, of_vectors, M.EmbeddingEncoding]
    module = encoding_module(walks, 8, "FourierFeatures(features=6, gamma=0.5, hidden=5)")
    assert (module.key, module.channels, module.features, module.gamma, module.hidden) == (
        "random_walk_pe", 4, 6, 0.5, 5,
    )  # fmt: skip
    assert canonical_encoder("fourier-features(gamma=2)") == "FourierFeatures(gamma=2)"
    for text, said in (
        ("FourierFeatures(channels=3)", "FourierFeatures has no argument 'channels'; it takes features=64"),
        ("FourierFeatures(features=3)", "features must be even"),
        ("FourierFeatures(gamma=0)", "gamma must be positive"),
        ("HopTokens(hops=2)", "unknown encoder 'HopTokens'"),
        ("PairLinear()", "unknown encoder 'PairLinear'"),
    ):
        with pytest.raises(GraphPEValueError, match=said):
            canonical_encoder(text)


def test_encodings_in_every_layer_by_text() -> None:
    adapter = GraphAdapter((2, 2), (4,), 1, "absolute")
    text = canonical_model("GPS(width=8, layers=2, heads=2, encodings_in='every_layer')")
    assert text.endswith(", readout='mean', encodings_in='every_layer')")
    assert "encodings_in" not in canonical_model("GPS(width=8, layers=2, heads=2)")
    encodings = build_encodings(["RandomWalkPE(4)"])
    model = build_model(text, adapter, encodings)
    check_built(model, text, encodings)
    assert len(model.encoding_norms) == 2
    assert without_encoder(model, encodings, "EigenvectorEncoding") == []
    for built, given in (
        (build_model(text, adapter, []), []),
        (build_model(text, adapter, encodings, encoding_width=2), encodings),
    ):
        (line,) = without_encoder(built, given, "EigenvectorEncoding")
        assert line.startswith("encodings_in='every_layer' has no part in it")
    with pytest.raises(GraphPEValueError, match="NAGphormer has no argument 'encodings_in'"):
        canonical_model("NAGphormer(encodings_in='every_layer')")
    with pytest.raises(GraphPEValueError, match="encodings_in must be one of 'first', 'every_layer', got 'last'"):
        canonical_model("GRIT(encodings_in='last')")
