"""Clauses that say which names mean a model. Names are compared in lower case."""

from __future__ import annotations

import re
from functools import lru_cache

from msgspec import Struct


class Starts(Struct, frozen=True, array_like=True, tag="starts"):
    """The name starts so."""

    text: str


class Ends(Struct, frozen=True, array_like=True, tag="ends"):
    """The name ends so."""

    text: str


class Contains(Struct, frozen=True, array_like=True, tag="contains"):
    """The name has this in it."""

    text: str


class Equals(Struct, frozen=True, array_like=True, tag="equals"):
    """The name is this."""

    text: str


class Searched(Struct, frozen=True, array_like=True, tag="regex"):
    """The pattern is found in the name."""

    pattern: str


class AnyOf(Struct, frozen=True, array_like=True, tag="or"):
    """One of them fits."""

    clauses: tuple[Clause, ...]


class AllOf(Struct, frozen=True, array_like=True, tag="and"):
    """Each of them fits."""

    clauses: tuple[Clause, ...]


Clause = Starts | Ends | Contains | Equals | Searched | AnyOf | AllOf
"""Texts are in lower case."""
NEVER = Equals("")
"""Fits no name of a model."""
_compiled = lru_cache(maxsize=2048)(re.compile)


def fits(clause: Clause, name: str) -> bool:  # noqa: PLR0911 -- one return for each clause
    """Whether a name in lower case is meant."""
    if isinstance(clause, Equals):
        return name == clause.text
    if isinstance(clause, AnyOf):
        return any(fits(one, name) for one in clause.clauses)
    if isinstance(clause, Starts):
        return name.startswith(clause.text)
    if isinstance(clause, Contains):
        return clause.text in name
    if isinstance(clause, Ends):
        return name.endswith(clause.text)
    if isinstance(clause, AllOf):
        return all(fits(one, name) for one in clause.clauses)
    return _compiled(clause.pattern).search(name) is not None
