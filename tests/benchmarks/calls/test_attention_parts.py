from __future__ import annotations

import pytest
import torch

import graphpe.models as M
from graphpe.benchmarks.calls.attention_parts import bias_classes, canonical_bias, in_attention, without_bias
from graphpe.benchmarks.calls.build import build_encodings, build_model, check_built, split_encodings
from graphpe.benchmarks.calls.parts import encoder_classes
from graphpe.benchmarks.tasks.graph_level import GraphAdapter
from graphpe.errors import GraphPEValueError

TWO = ("SpectralCoordinates(k=3)", "ShortestPathPE(max_distance=4)")


def built(model: str, encodings: tuple[str, ...], bias: str) -> torch.nn.Module:
    made = build_encodings(encodings)
    text = canonical_bias(bias)
    network = build_model(model, GraphAdapter((6, 3), (4,), 2, "squared"), made, bias=text)
    check_built(network, model, made)
    return network


def parts(encodings: tuple[str, ...], bias: str, model: type = M.Graphormer, **options):
    bare = model(width=16, layers=1, heads=2, node_encoder=torch.nn.Identity(), **options)
    nodes, pairs = split_encodings(build_encodings(encodings))
    return in_attention(nodes, pairs, bare, bias)


def test_auto_is_a_bias_of_pairs_and_nothing_of_nodes() -> None:
    found = parts(TWO, "auto")
    assert [module.head for module in found.pair_encodings] == ["table"]
    assert not found.positions
    assert [encoding.value_key for encoding in found.nodes] == ["spectral_coordinates"]


def test_positions_take_encodings_of_nodes_from_the_nodes() -> None:
    found = parts(TWO, "RotaryAttention(frequencies='geometric')")
    (rotary,) = found.positions
    assert (rotary.key, rotary.coordinates, rotary.heads) == ("spectral_coordinates", 3, 2)
    assert not found.nodes
    assert [module.head for module in found.pair_encodings] == ["table"]  # as ever


def test_several_calls() -> None:
    found = parts(TWO, "PairBias(head='alibi') + PairBias(head='linear', factored=True) + RotaryAttention")
    alibi, factored = found.pair_encodings
    assert (alibi.key, alibi.head, alibi.factored) == ("shortest_path", "alibi", False)
    assert (factored.key, factored.channels, factored.factored) == ("spectral_coordinates", 3, True)
    assert len(found.positions) == 1
    assert not found.nodes


def test_a_key_chooses_one_encoding() -> None:
    encodings = ("SpectralCoordinates(k=3)", "RandomWalkPE(4)", "ResistancePE()", "ShortestPathPE(max_distance=4)")
    found = parts(encodings, "RotaryAttention(key='random_walk_pe') + PairBias(key='resistance', head='linear')")
    assert [module.key for module in found.positions] == ["random_walk_pe"]
    assert [encoding.value_key for encoding in found.nodes] == ["spectral_coordinates"]
    assert [(module.key, module.head) for module in found.pair_encodings] == [
        ("resistance", "linear"),
        ("shortest_path", "table"),
    ]


@pytest.mark.parametrize("model", ["GPS", "SAT", "Graphormer"])
def test_a_model_built_from_text_reads_what_it_names(model: str) -> None:
    network = built(f"{model}(width=16, layers=1, heads=2)", TWO, "RotaryAttention")
    assert [type(each) for each in network.positions] == [M.RotaryAttention]
    assert len(network.encodings) == 0
    assert without_bias(network, "RotaryAttention") == []


def test_who_takes_none() -> None:
    with pytest.raises(GraphPEValueError, match="GRIT takes no RotaryAttention in its attention: choose GPS"):
        parts(("SpectralCoordinates(k=3)",), "RotaryAttention", M.GRIT)
    with pytest.raises(GraphPEValueError, match="no PairBias in its attention: choose GPS, SAT or Graphormer"):
        parts(("SpectralCoordinates(k=3)",), "PairBias(head='alibi', factored=True)", M.GraphTransformer)
    with pytest.raises(GraphPEValueError, match="takes no pair encodings"):
        built("GPS(width=8, layers=1, attention='linear')", TWO[:1], "PairBias(head='alibi', factored=True)")


def test_what_no_width_would_fit_is_not_what_is_said_of_a_model_that_takes_none() -> None:
    """ComRoPE cannot be built for heads of 8 channels and blocks of 6, but GRIT takes none anyway."""
    with pytest.raises(GraphPEValueError, match=r"GRIT takes no ComRoPE .* GraphTransformer or TopologicalTransformer"):
        parts(("SpectralCoordinates(k=3)",), "ComRoPE(block=6)", M.GRIT)


@pytest.mark.parametrize("text", ["TreeTransport(block=3)", "ComRoPE(block=6)"])
def test_blocks_are_of_the_models_width(text: str) -> None:
    """Texts are checked by themselves, where no width is known."""
    assert canonical_bias(text).startswith(text.split("(")[0])
    (found,) = built("GPS(width=24, layers=1, heads=4)", ("SpectralCoordinates(k=3)",), text).positions
    assert found.block == int(text[-2])


def test_terms_read_one_number_of_each_pair() -> None:
    for text in ("RelationTerms", "DirectedHeads"):
        with pytest.raises(GraphPEValueError, match=rf"{text} reads one number .* RelativeRandomWalkPE.* gives 3"):
            parts(("RelativeRandomWalkPE(3)",), text)


def test_bad_texts() -> None:
    for text, message in [
        ("Rotary", "unknown bias 'Rotary'; known: .*PairBias"),
        ("PairBias() + ", "cannot read|expected|name"),
        ("RotaryAttention(heads=3)", "RotaryAttention has no argument 'heads'"),
        ("PairBias(head='table', factored=True)", "linear in its distance"),
    ]:
        with pytest.raises(GraphPEValueError, match=message):
            canonical_bias(text)


def test_what_has_no_part_is_said() -> None:
    (line,) = without_bias(
        M.Graphormer(width=8, layers=1, heads=2, node_encoder=torch.nn.Identity()), "RotaryAttention"
    )
    assert line.startswith("RotaryAttention has no part in it: it is made of encodings of nodes")
    network = built("GPS(width=16, layers=1, heads=2)", TWO, "RotaryAttention(key='random_walk_pe')")
    (line,) = without_bias(network, "RotaryAttention(key='random_walk_pe')")
    assert "encodings of nodes that are called 'random_walk_pe', the attr_name of a transform, by models" in line


def test_all_are_listed() -> None:
    from graphpe.benchmarks.calls.catalogue import biases

    assert [entry.name for entry in biases()] == list(bias_classes())
    assert not {*bias_classes()} & {*encoder_classes()}  # which give embeddings, and these do not


def test_terms_of_pairs() -> None:
    """One with a key for each encoding of pairs, one without once; values that mean no path come from the encoding."""
    encodings = ("ShortestPathPE(4, undirected=False)", "ReachabilityPE()", "RandomWalkPE(4)")
    text = "DirectedHeads + RelationTerms(key='reachability', size=2) + EdgeTerms(types=4) + PathCounts + LogLength"
    found = parts(encodings, text)
    hops, reach, relation, edges, counts = found.pair_encodings
    assert (hops.key, hops.unreachable, hops.least) == ("shortest_path", 5.0, 0.0)
    assert (reach.key, reach.unreachable, reach.least) == ("reachability", None, 1.0)
    assert (relation.key, relation.size, relation.width) == ("reachability", 2, 16)
    assert (edges.edges, edges.types, type(counts)) == ("edge_attr", 4, M.PathCounts)
    assert [type(each) for each in found.positions] == [M.LogLength]
    network = built("Graphormer(width=16, layers=1, heads=2)", encodings, text + " + PositionalAttention")
    assert without_bias(network, text) == []
    with pytest.raises(GraphPEValueError, match="GraphTransformer takes no PathCounts"):
        parts((), "PathCounts", M.GraphTransformer)


def test_none_is_nothing_in_attention() -> None:
    assert canonical_bias("none") == "none"
    found = parts(("SpectralCoordinates(k=3)",), "none")
    assert not found.positions
    assert not found.pair_encodings
    assert [encoding.value_key for encoding in found.nodes] == ["spectral_coordinates"]
    network = built("GPS(width=16, layers=1, heads=2)", ("RandomWalkPE(4)",), "none")
    assert without_bias(network, "none") == []
    with pytest.raises(GraphPEValueError, match="bias is 'none', but Graphormer reads ShortestPathPE") as caught:
        parts(TWO, "none")
    assert "\n" not in str(caught.value)
    # Features of pairs are no bias.
    features = parts(("RelativeRandomWalkPE(4)",), "none", M.GRIT)
    assert len(features.pair_encodings) == 1
    with pytest.raises(GraphPEValueError, match="'none' stands alone"):
        canonical_bias("none + RotaryAttention")


def test_auto_beside_others_is_the_usual_bias() -> None:
    assert canonical_bias("auto + LogLength()") == canonical_bias("LogLength()")
    for text in ("auto + RotaryAttention", "RotaryAttention + auto", "RotaryAttention"):
        found = parts(TWO, text)
        assert [module.head for module in found.pair_encodings] == ["table"]
        assert len(found.positions) == 1
