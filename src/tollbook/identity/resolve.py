"""Decide the owner: first match wins, and who was overruled is recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.call import Conflict, Identity
from tollbook.identity.claims import Claims, KeyBinding, Mechanism
from tollbook.identity.values import MAX_PROBLEMS, MAX_TAGS

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_CONFLICTS = 16
_RANK: Final = {mechanism: rank for rank, mechanism in enumerate(Mechanism)}
_KEY_FIELDS: Final = ("tenant_id", "user_id", "team_id", "cost_center", "feature", "environment")


def claims_from_key(binding: KeyBinding) -> Claims:
    """Return what a virtual key is bound to; nothing else may overrule it."""
    fields = {}
    for field in _KEY_FIELDS:
        value = getattr(binding, field)
        if value is not None:
            fields[field] = value
    return Claims(Mechanism.VIRTUAL_KEY, fields)


def resolve(
    claims: Sequence[Claims], *, api_key_id: str | None, default_environment: str
) -> Identity:
    """Return the owner that the claims add up to.

    Args:
        claims: of any carriers, in any order; they are taken in the order of :class:`Mechanism`.
        api_key_id: the virtual key that was presented, if any.
        default_environment: of a call that does not name one.

    Returns:
        An Identity whose ``sources`` says for each field which mechanism carried it,
        ``conflicts`` who named another owner, and ``problems`` what could not be used.
    """
    ordered = sorted(claims, key=_rank) if len(claims) > 1 else claims
    fields: dict[str, str] = {}
    sources: dict[str, str] = {}
    conflicts: list[Conflict] = []
    problems: list[str] = []
    for claim in ordered:
        source = claim.mechanism.value
        for field, value in claim.fields.items():
            if field not in fields:
                fields[field] = value
                sources[field] = source
            elif fields[field] != value:
                conflicts.append(Conflict(field, fields[field], sources[field], value, source))
        if claim.problems:
            problems.extend(claim.problems)
    if "environment" not in fields:
        fields["environment"] = default_environment
        sources["environment"] = Mechanism.DEFAULT.value
    return Identity(
        **fields,
        api_key_id=api_key_id,
        tags=_merged_tags(ordered, conflicts, problems),
        sources=sources,
        conflicts=tuple(conflicts[:MAX_CONFLICTS]),
        problems=tuple(problems[: 2 * MAX_PROBLEMS]),
    )


def _merged_tags(
    ordered: Sequence[Claims], conflicts: list[Conflict], problems: list[str]
) -> dict[str, str]:
    tagged = [claim for claim in ordered if claim.tags]
    if len(tagged) <= 1:
        return tagged[0].tags if tagged else {}
    tags: dict[str, str] = {}
    sources: dict[str, str] = {}
    for claim in tagged:
        source = claim.mechanism.value
        for name, value in claim.tags.items():
            kept = tags.get(name)
            if kept is None and len(tags) >= MAX_TAGS:
                problems.append(f"over {MAX_TAGS} tags in all; {name} from {source} was dropped")
            elif kept is None:
                tags[name] = value
                sources[name] = source
            elif kept != value:
                conflicts.append(Conflict(f"tag.{name}", kept, sources[name], value, source))
    return tags


def _rank(claim: Claims) -> int:
    return _RANK[claim.mechanism]
