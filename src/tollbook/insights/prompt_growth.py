"""``insights.prompt_growth``: the size of stable prefixes by version, and what growth cost."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook.insights.asked import (
    Asked,
    Finding,
    answer,
    checked_limit,
    dimension_of,
    query_of,
    shown,
)
from tollbook.money import usd_text
from tollbook.reports.dimensions import UNKNOWN
from tollbook.reports.errors import QueryError
from tollbook.reports.exact_ratio import rounded
from tollbook.reports.prefixes import Version, prefix_versions

if TYPE_CHECKING:
    from tollbook.desk import Desk

METHOD: Final = (
    "A version is a fingerprint of the stable prefix (system prompt and definitions of tools), in "
    "the order of its first call in the range. Its tokens are the input of each call in "
    "proportion to the weight of the request, averaged over the calls. Growth is against the "
    "first version of the feature with the same provider in the range; its cost is the tokens "
    "grown, over all calls of the version, at what the version's calls paid for a token of input "
    "on average, cached or not. A negative cost is what a shorter prompt saves. Versions with "
    "fewer calls than the given number are one row: a prefix that is new with each call is not "
    "stable, and cannot be cached."
)


class GrowthRequest(Asked, kw_only=True):
    """Of what, and what counts as a version."""

    by: str = "feature"
    calls_min: int = 5
    """Calls that a version has at least."""


class _Group(NamedTuple):
    name: str | None
    provider: str


class _Line(NamedTuple):
    group: _Group
    number: int
    version: Version
    base: Version
    growth: int
    """Pico."""


def prompt_growth(desk: Desk, asked: GrowthRequest) -> dict[str, Any]:
    """Answer with the versions of each group's prefix."""
    by = dimension_of(asked.by)
    if asked.calls_min < 1:
        raise QueryError("--calls-min", "is not one or more")
    query = query_of(asked, by=(by, "provider"))
    groups: dict[_Group, list[Version]] = defaultdict(list)
    rare: dict[_Group, list[Version]] = defaultdict(list)
    for one in prefix_versions(desk.reader, query):
        (groups if one.calls >= asked.calls_min else rare)[_Group(*one.group)].append(one)
    lines = [
        _Line(name, at, one, versions[0], growth_cost(one, versions[0]))
        for name, versions in groups.items()
        for at, one in enumerate(versions, 1)
    ]
    grown = sum(line.growth for line in lines)
    by_group: dict[_Group, int] = defaultdict(int)
    for line in lines:
        by_group[line.group] += line.growth
    lines.sort(key=lambda line: (-abs(by_group[line.group]), str(line.group), line.number))
    rows = [_row(by, line) for line in lines[: checked_limit(asked.limit)]]
    rows += [_rare(by, group, versions) for group, versions in rare.items()]
    return answer(desk, query, Finding(
        rows=rows, by=(by, "provider", "prefix"), method=METHOD,
        totals={
            "versions": len(lines), "growth_usd": usd_text(grown),
            "unstable_calls": sum(one.calls for found in rare.values() for one in found),
        },
        headline=_words(by_group, groups, grown), at_stake=max(grown, 0),
    ))  # fmt: skip


def growth_cost(one: Version, base: Version) -> int:
    """Return the pico of the tokens that a version's calls have more than the base's had.

    Tokens grown in all: ``T - calls * T_base / calls_base``; each at input cost by input tokens.
    """
    if not one.input_tokens or not base.calls:
        return 0
    grown = one.prefix_tokens * base.calls - one.calls * base.prefix_tokens
    return rounded(grown * one.input_cost, base.calls * one.input_tokens)


def _row(by: str, line: _Line) -> dict[str, Any]:
    one, base = line.version, line.base
    size, first = rounded(one.prefix_tokens, one.calls), rounded(base.prefix_tokens, base.calls)
    return {
        by: _name(by, line.group.name), "provider": line.group.provider, "version": line.number,
        "prefix": one.prefix,
        "first_at": one.first_at.replace(tzinfo=UTC), "last_at": one.last_at.replace(tzinfo=UTC),
        "calls": one.calls, "prefix_tokens_per_call": size, "growth_tokens": size - first,
        "growth_usd": usd_text(line.growth),
    }  # fmt: skip


def _rare(by: str, group: _Group, versions: list[Version]) -> dict[str, Any]:
    calls = sum(one.calls for one in versions)
    return {
        by: _name(by, group.name), "provider": group.provider, "version": None, "prefix": None,
        "first_at": versions[0].first_at.replace(tzinfo=UTC),
        "last_at": max(one.last_at for one in versions).replace(tzinfo=UTC), "calls": calls,
        "prefix_tokens_per_call": rounded(sum(one.prefix_tokens for one in versions), calls),
        "growth_tokens": None, "growth_usd": None, "rare_versions": len(versions),
    }  # fmt: skip


def _name(by: str, name: str | None) -> str | None:
    return UNKNOWN if by == "tenant" and name is None else name


def _words(by_group: dict[_Group, int], groups: dict[_Group, list[Version]], grown: int) -> str:
    if not groups:
        return "No call in this range has a stable prefix that is known."
    changed = {name: cost for name, cost in by_group.items() if len(groups[name]) > 1}
    if not changed:
        return "No prompt changed in this range."
    name = max(changed, key=lambda one: abs(changed[one]))
    way = "cost" if grown >= 0 else "saved"
    return (
        f"Changed prompts {way} {shown(abs(grown))}; most by {name.name or 'no feature'}: "
        f"{len(groups[name])} versions, {shown(changed[name])}."
    )
