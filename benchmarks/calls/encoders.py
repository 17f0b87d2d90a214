"""What an encoder reads, by the parameters of its constructor: one rule for graphpe's and one's own."""

from __future__ import annotations

from collections.abc import Mapping

SUPPLIED_TO_ENCODERS = {
    "eigenvectors": ("key", "k", "width", "eigenvalues_key", "mask_key", "complex", "potentials"),
    "real values": ("key", "channels", "width"),
    "tree paths": ("key", "max_depth", "max_children", "width"),
    "the graphs themselves": ("nodes", "width"),
}
"""What there are encoders of, and their parameters that come from the encoding and the model, never from a text."""

LEARNED = "the graphs themselves"
"""What a `LearnedEncoding` reads."""

_OF_PAIRS = "node_width"  # what only modules that read values of pairs are told


def read_by(parameters: Mapping[str, bool], *, learned: bool) -> str | None:
    """What an encoder reads: of `SUPPLIED_TO_ENCODERS`; None for what is none.

    An encoder of eigenvectors is told its width, and whether they are complex; one of others is told what is supplied
    to it, and needs nothing else.

    Args:
        parameters: The parameters of a constructor, and whether each has a default.
        learned: Whether the class derives from `graphpe.models.LearnedEncoding`.
    """
    if learned:
        return LEARNED
    if {"k", "complex", "width"} <= parameters.keys():
        return "eigenvectors"
    needed = {name for name, has_default in parameters.items() if not has_default}
    for what, supplied in SUPPLIED_TO_ENCODERS.items():
        if what != LEARNED and needed == set(supplied) and _OF_PAIRS not in parameters:
            return what
    return None
