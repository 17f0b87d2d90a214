"""The grids of `benchmarks/studies`, as far as they can be looked at without their data."""

from __future__ import annotations

from dataclasses import fields
from itertools import product
from pathlib import Path

import pytest
import yaml

from graphpe.benchmarks.calls.build import build_encodings, build_model, build_task, canonical_model
from graphpe.benchmarks.grid.config import Column, GridConfig
from graphpe.benchmarks.grid.variants import variants_of
from graphpe.benchmarks.tasks.graph_level import GraphAdapter
from graphpe.benchmarks.training.config import TrainConfig, inputs_and_head

ADAPTER = GraphAdapter((2,), (), 1, "absolute")


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[3] / "benchmarks" / "studies").glob("*.yaml")))
def test_every_cell_can_be_built(path: Path) -> None:
    options = yaml.safe_load(path.read_text())
    names = {each.name for each in fields(GridConfig)}
    grid = GridConfig(**{key: value for key, value in options.items() if key in names})
    common = TrainConfig(**{key: value for key, value in options.items() if key not in names}, encodings=())
    for task in grid.tasks:
        build_task(task)
    for column, model in [*product(grid.encodings, grid.models[:1]), *product(grid.encodings[:1], grid.models[1:])]:
        for variant in variants_of(grid, common, Column.parse(column), column, model):
            config = variant.config
            encodings = build_encodings(config.encodings or ())
            build_model(canonical_model(config.model), ADAPTER, encodings, **inputs_and_head(config))
    count = len(grid.tasks) * len(grid.encodings) * len(grid.models) * grid.seeds
    assert f"= {count} cells" in path.read_text()
