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
        default: Whether a run of its task that names nothing else is this one.
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
    default: bool = False


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
    """The recipe that `--recipe` names among the arguments of a command, or the default one of their task; else None.

    What says by itself what is trained (a model, a file of options, another run) leaves no default.

    Raises:
        GraphPEValueError: There is no such recipe.
    """
    name = next(values_of("--recipe", arguments), None)
    if name is not None:
        return read_recipe(name)
    task = next(values_of("--task", arguments), "").partition("(")[0].strip()
    if not task or any(next(values_of(option, arguments), None) is not None for option in _SAY_IT_ALL):
        return None
    recipes = (read_recipe(each) for each in recipe_names() if each.endswith(f"-{task}"))
    return next((recipe for recipe in recipes if recipe.default), None)


_SAY_IT_ALL = ("--model", "--config", "--resume", "--init")
