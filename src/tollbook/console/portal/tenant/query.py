"""Queries of one tenant: the filter is part of the query object, whatever else is asked.

A caller may ask for some dimensions and filters, and the tenant is none of them: filters on one
dimension are alternatives, so a second tenant beside the first would be let in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.identity.values import as_id
from tollbook.reports.dimensions import TIMES, UNKNOWN
from tollbook.reports.errors import QueryError, UnknownNameError
from tollbook.reports.params import gather, parse_limit, parse_range, split_names
from tollbook.reports.query import Filter, SpendQuery

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from tollbook.reports.params import Pairs
    from tollbook.reports.times import Period

FILTERS: Final = ("feature", "model", "user", "team", "environment", "operation")
"""What a tenant may group and filter its own calls by."""
DIMENSIONS: Final = (*TIMES, *FILTERS)
PARAMS: Final = (
    "since", "until", "period", "tz", "by", "where", "order", "limit", "billing_period",
)  # fmt: skip
BY_MAX: Final = 3
LIMIT: Final = 1_000
DEFAULT_SINCE: Final = "30d"
_TENANT: Final = "tenant"


class NoTenantError(QueryError):
    """A name that is no tenant's: nobody's calls are not somebody's."""

    def __init__(self) -> None:
        super().__init__("tenant", "expected the id of a tenant")


def check_tenant(tenant: str) -> str:
    """Return a tenant's id if it can be one's.

    Raises:
        NoTenantError: it is empty, no id, or the word for calls without a tenant.
    """
    if as_id(tenant) != tenant or tenant == UNKNOWN:
        raise NoTenantError
    return tenant


def own_filter(tenant: str) -> Filter:
    """Return the filter that lets one tenant's entries through, and no other."""
    return Filter(_TENANT, (check_tenant(tenant),))


def own_query(
    tenant: str, period: Period, *, measures: tuple[str, ...], tz: str = "UTC",
    by: Iterable[str] = (), where: Iterable[Filter] = (), order: Iterable[str] = (),
    limit: int = LIMIT, billing_period: str | None = None,
) -> SpendQuery:  # fmt: skip
    """Return a spend query of one tenant.

    Raises:
        QueryError: something that a query cannot have.
    """
    others = tuple(where)
    assert all(one.dimension != _TENANT for one in others), "tenants are not alternatives"
    query = SpendQuery(
        since=period.start, until=period.end, tz=tz, by=tuple(by),
        where=(own_filter(tenant), *others), measures=measures, order=tuple(order), limit=limit,
        billing_period=billing_period,
    )  # fmt: skip
    check_own(query, tenant)
    return query


def check_own(query: SpendQuery, tenant: str) -> None:
    """Make sure, after all that was done to a query, that it is of one tenant alone."""
    found = [one for one in query.where if one.dimension == _TENANT]
    assert found == [own_filter(tenant)], "a query of a portal is of its tenant"


def asked_query(
    tenant: str, pairs: Pairs, now: datetime, *, measures: tuple[str, ...], tz: str,
    by: tuple[str, ...] = (),
) -> SpendQuery:  # fmt: skip
    """Return the query that a tenant asks for with named texts.

    Args:
        tenant: who asks.
        pairs: of the URL's query.
        now: the moment that relative times count from.
        measures: what is summed.
        tz: zone where none is named.
        by: dimensions where none are named.

    Raises:
        QueryError: an unknown name, or a dimension that tenants do not ask by.
    """
    given, where = gather(pairs, PARAMS)
    given.setdefault("tz", tz)
    if not given.keys() & {"since", "period", "billing_period"}:
        given["since"] = DEFAULT_SINCE
    chosen = split_names(given["by"]) if "by" in given else by
    for name in chosen:
        if name not in DIMENSIONS:
            raise UnknownNameError("--by", name, DIMENSIONS)
    for one in where:
        if one.dimension not in FILTERS:
            raise UnknownNameError("--where", one.dimension, FILTERS)
    if len(chosen) > BY_MAX:
        raise QueryError("--by", f"expected at most {BY_MAX} names")
    limit = parse_limit(given.get("limit"), LIMIT)
    if limit > LIMIT:
        raise QueryError("--limit", f"{limit} is not between 1 and {LIMIT}")
    return own_query(
        tenant, parse_range(given, now), measures=measures, tz=given["tz"], by=chosen, where=where,
        order=split_names(given.get("order", "")), limit=limit,
        billing_period=given.get("billing_period"),
    )  # fmt: skip
