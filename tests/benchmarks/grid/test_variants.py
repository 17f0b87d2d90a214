from __future__ import annotations

import pytest

from graphpe.benchmarks.grid.config import Column, GridConfig
from graphpe.benchmarks.grid.variants import Variant, variants_of
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.errors import GraphPEValueError

COMMON = TrainConfig(learning_rate=0.1, encodings=())


def variants(column: str, model: str, **options: object) -> list[Variant]:
    grid = GridConfig(tasks=("zinc",), encodings=(column,), models=(model,), **options)  # type: ignore[arg-type]
    return variants_of(grid, COMMON, Column.parse(column), column, model)


def test_each_option_goes_where_it_belongs() -> None:
    (found,) = variants("RandomWalkPE(16) @ walk_length=4, clip=0", "GINE(layers=3) @ learning_rate=1e-3, dropout=0.5")
    assert found.options == {}  # none varies
    assert found.config.learning_rate == 0.001
    assert found.config.clip == 0
    assert found.config.model == "GINE(layers=3, dropout=0.5)"
    assert found.config.encodings == ("RandomWalkPE(walk_length=4)",)


def test_what_training_does_to_encodings_is_an_option() -> None:
    column = "RandomWalkPE(4) @ perturb=[none, Perturbed(noise=0.1, drop=0.2)]"
    assert [each.config.perturb for each in variants(column, "GINE")] == ["none", "Perturbed(noise=0.1, drop=0.2)"]
    with pytest.raises(GraphPEValueError, match="drop must be"):
        variants("RandomWalkPE(4) @ perturb=Perturbed(drop=3)", "GINE")


def test_lists_of_all_and_of_one() -> None:
    found = variants("none", "GINE @ learning_rate=[1e-3, 2e-3]", vary=("learning_rate=[1, 2, 3], layers=[1, 2]",))
    assert [each.options for each in found] == [
        {"learning_rate": rate, "layers": layers} for rate in (0.001, 0.002) for layers in (1, 2)
    ]
    assert [each.config.learning_rate for each in found] == [0.001, 0.001, 0.002, 0.002]
    assert [each.config.model for each in found] == ["GINE(layers=1)", "GINE(layers=2)"] * 2


def test_draws_are_the_same_in_every_column_and_model() -> None:
    vary = {"vary": ("learning_rate=loguniform(1e-4, 1e-2)", "dropout=uniform(0, 0.5)"), "tune": 4}
    found = [
        [each.options for each in variants(column, model, **vary)]
        for column, model in (("none", "GINE"), ("RandomWalkPE(4)", "GINE"), ("LaplacianPE(4) with SPE", "GPS"))
    ]
    assert all(each == found[0] for each in found)
    assert len(found[0]) == 5
    assert found[0][0] == {}  # as given, untuned
    tuned = variants("RandomWalkPE(4) @ walk_length=[4, 8]", "GINE", **vary)
    assert len(tuned) == 5  # the same budget, whatever is tuned
    assert [each.options["learning_rate"] for each in tuned[1:]] == [each["learning_rate"] for each in found[0][1:]]
    assert tuned[0].config.learning_rate == COMMON.learning_rate
    assert tuned[0].config.encodings == ("RandomWalkPE(4)",)
    for each in tuned[1:]:
        assert each.config.encodings == (f"RandomWalkPE(walk_length={each.options['walk_length']})",)


@pytest.mark.parametrize(
    ("column", "model", "options", "message"),
    [
        ("none", "GINE @ learing_rate=1", {}, "learing_rate, which is not known.*did you mean learning_rate"),
        ("none", "GINE @ learning_rate=fast", {}, "learning_rate must be a number, got 'fast'"),
        ("none", "GINE @ learning_rate=-1", {}, "learning_rate must be positive"),
        ("none", "GINE @ epochs=1.5", {}, "epochs must be an integer"),
        ("none", "GINE @ schedule=[cosine, zigzag]", {}, "schedule must be one of"),
        ("none", "GINE @ seed=3", {}, "seed, which is the whole grid's"),
        ("none", "GINE @ sizes=16", {}, "sizes, which is the whole grid's"),
        ("none", "GINE @ encodings=none", {}, "encodings, which is the whole grid's"),
        ("none", "GINE @ heads=2", {}, "heads, which is not known"),
        ("none", "GINE @ dropout=2", {}, "dropout"),
        ("none", "GINE @ head=Tail()", {}, "unknown head 'Tail'"),
        ("none", "GINE @ width=16", {"params": "9k"}, "width, which the budget of parameters decides"),
        ("none", "GINE", {"vary": ("heads=[2, 4]",)}, "'--vary with GINE' has the option heads"),
        ("none", "GINE", {"vary": ("clip=uniform(0, 1)",)}, "clip is a range: say with --tune"),
        ("none @ clip=1", "GINE @ clip=2", {}, "clip is given by both"),
        ("none @ k=8", "GINE", {}, "k, which is not known"),
        ("LaplacianPE(4) with SPE @ encoder=SignNet", "GINE", {}, "names its encoder twice"),
        ("LaplacianPE(4) @ k=x", "GINE", {}, "k must be"),
        ("RandomWalkPE(4) + DegreePE(4) @ attr_name=x", "GINE", {}, "attr_name, which several of its encodings take"),
    ],
)
def test_options_that_cannot_be(column: str, model: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(GraphPEValueError, match=message) as caught:
        variants(column, model, **options)
    assert "\n" not in str(caught.value)
