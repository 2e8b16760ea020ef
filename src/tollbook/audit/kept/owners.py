"""Whose call a span says that it is, and which attribute said so."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook.audit.kept.owner_names import CHOSEN, DOCUMENT, free_field, rank_of
from tollbook.audit.kept.owner_values import is_placeholder, named_by
from tollbook.dialects.otel_raw import json_object
from tollbook.identity.values import MAX_ID_CHARS, as_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tollbook.audit.facts import SpanFact

_DOCUMENT_MAX_CHARS: Final = 65_536
_PROBLEMS_MAX: Final = 8
_TEXT_MAX_CHARS: Final = 4 * MAX_ID_CHARS
_ENVIRONMENTS: Final = ("deployment.environment.name", "deployment.environment")


class Owner(NamedTuple):
    """Fields of Identity to values, and to the attributes that carried them.

    A carrier without a value held what names nobody, such as a placeholder.
    """

    fields: dict[str, str]
    carriers: dict[str, str]
    problems: tuple[str, ...] = ()
    """What could not be used, without the value."""


NOBODY: Final = Owner({}, {})
PAYERS: Final = ("tenant_id", "team_id")
"""Fields of Identity that say who pays."""


def says_payer(span: SpanFact) -> bool:
    """Whether a span or its process says who pays."""
    owner, process = span.owner, span.process_owner
    return (
        "tenant_id" in owner
        or "team_id" in owner
        or (bool(process) and ("tenant_id" in process or "team_id" in process))
    )


def owner_in(attributes: Mapping[str, Any], names: Iterable[str], chosen: frozenset[str]) -> Owner:
    """Return whom attributes name; of several that name one field the first believed is taken.

    Args:
        attributes: of a span or of a resource.
        names: those among them that may name an owner.
        chosen: attributes that name the tenant here, by the settings.
    """
    plain = None if chosen else _plain(attributes, names)
    return _weighed(attributes, names, chosen) if plain is None else plain


def _plain(attributes: Mapping[str, Any], names: Iterable[str]) -> Owner | None:
    """Return whom attributes name that say one thing each, None where more is to be thought of."""
    fields: dict[str, str] = {}
    carriers: dict[str, str] = {}
    for name in names:
        ranked = rank_of(name)
        value = attributes[name]
        if ranked is None or type(value) is not str or len(value) > _TEXT_MAX_CHARS:
            return None
        rank, field = ranked
        known = _as_id(value)
        if known is None or rank == DOCUMENT or field in fields:
            return None
        fields[field] = known
        carriers[field] = name
    return Owner(fields, carriers) if fields else NOBODY


@lru_cache(maxsize=50_000)
def _as_id(text: str) -> str | None:
    """Return a text as an id; None where it is none, or more is to be thought of."""
    return None if text.startswith('"') or is_placeholder(text.strip()) else as_id(text)


def _weighed(attributes: Mapping[str, Any], names: Iterable[str], chosen: frozenset[str]) -> Owner:
    best: dict[str, tuple[int, str, str]] = {}
    refused: dict[str, str] = {}
    problems: list[str] = []
    for name in names:
        for rank, field, value in _claims(name, attributes[name], chosen):
            text = _text(value)
            if text is None:
                continue
            known, problem = named_by(field, text)
            if problem:
                problems.append(f"{name[:128]} {problem}")
            if known is None:
                if problem:
                    refused.setdefault(field, name[:128])
                continue
            had = best.get(field)
            if had is None or (rank, name) < had[:2]:
                best[field] = (rank, name, known)
            if had is not None and had[2] != known:
                problems.append(f"{had[1][:128]} and {name[:128]} name different {field}")
    if not best and not problems:
        return NOBODY
    return Owner(
        {field: value for field, (_, _, value) in best.items()},
        refused | {field: name[:128] for field, (_, name, _) in best.items()},
        tuple(problems[:_PROBLEMS_MAX]),
    )


def process_owner_in(
    resource: Mapping[str, Any], names: Iterable[str], chosen: frozenset[str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return whom the resource of a process names with its environment, and what was unusable."""
    owner = owner_in(resource, names, chosen)
    fields = dict(owner.fields)
    for name in _ENVIRONMENTS:
        value = resource.get(name)
        if "environment" not in fields and isinstance(value, str):
            known = as_id(value[: MAX_ID_CHARS + 1])
            if known is not None:
                fields["environment"] = known
    return fields, owner.problems


def _claims(name: str, value: object, chosen: frozenset[str]) -> Iterator[tuple[int, str, Any]]:
    if name in chosen:
        yield CHOSEN, "tenant_id", value
        return
    ranked = rank_of(name)
    if ranked is None:
        return
    rank, field = ranked
    if rank != DOCUMENT:
        yield rank, field, value
        return
    if isinstance(value, str) and len(value) > _DOCUMENT_MAX_CHARS:
        return
    for member, inner in (json_object(value) or {}).items():
        known = free_field(member)
        if known is not None:
            yield rank, known, inner


def _text(value: object) -> str | None:
    """Return an id as text; None for what names nobody."""
    if isinstance(value, str):
        if len(value) > 1 and value[0] == value[-1] == '"':  # Langfuse sets metadata in quotes
            value = value[1:-1]
        return value or None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 10**40 else None
    return None
