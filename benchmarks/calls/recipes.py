"""Recipes: published configurations by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import graphpe
from graphpe.benchmarks.console.given import values_of
from graphpe.errors import GraphPEValueError

FOLDER = Path(graphpe.__file__).parent / "benchmarks" / "recipes"


@dataclass(frozen=True)
class Recipe:
    """A published configuration.

    Attributes:
        name: What it is called: `grit-zinc`.
        paper: Where it comes from.
        published: The metric there.
        parameters: Parameters of the model as it is built here.
        published_parameters: Those that were published, where they are others.
        cost: Epochs and steps.
        differs: In what a run here is not the published one.
        options: Options of `graphpe train`.
    """

    name: str
    paper: str
    published: str
    parameters: int
    cost: str
    differs: str
    options: dict[str, Any]
    published_parameters: int | None = None


def recipe_names() -> list[str]:
    """All names, in order."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read_recipe(name: str) -> Recipe:
    """The recipe of a name.

    Raises:
        GraphPEValueError: There is none.
    """
    if name not in recipe_names():
        raise GraphPEValueError(f"no recipe {name!r}; known: {', '.join(recipe_names())}")
    content = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return Recipe(name=name, **content["about"], options=content["options"])


def named_recipe(arguments: Sequence[str]) -> Recipe | None:
    """The recipe that `--recipe` names among the arguments of a command; None where it is not there.

    Raises:
        GraphPEValueError: There is no such recipe.
    """
    name = next(values_of("--recipe", arguments), None)
    return None if name is None else read_recipe(name)
