"""Sub-tokens of a function's name: the words of the label."""

from __future__ import annotations

import re

_WORDS = re.compile(r"U+(?=Ul)|U?l+|U+|d+")
"""Words in a string of character classes; `HTTPServer2` is `UUUUUllllld`: an acronym ends before a capitalised word."""


def subtokens(name: str) -> list[str]:
    """Split an identifier at underscores, changes of case and digits, and lower-case the parts.

    `__init__` gives `["init"]`, `parseHTTPHeader2` gives `["parse", "http", "header", "2"]`, `_` gives `[]`.
    Letters of every alphabet count; letters without case are taken as lower case.
    """
    classes = "".join(_character_class(character) for character in name)
    return [name[match.start() : match.end()].lower() for match in _WORDS.finditer(classes)]


def _character_class(character: str) -> str:
    if character == "_":
        return "_"
    if character.isupper():
        return "U"
    return "d" if character.isdecimal() else "l"
