"""Revenue and margin over the API."""

from __future__ import annotations

import re
from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec import Struct

from tollbook import clock
from tollbook.books.documents import Subject, document_history
from tollbook.chargeback.margin import lago, stripe
from tollbook.chargeback.margin.csvfile import read_csv
from tollbook.chargeback.margin.model import RevenueError, Source
from tollbook.chargeback.margin.report import margin_report
from tollbook.chargeback.margin.rows import BY, NONE, SPLITS, TENANT, Span, ns_of
from tollbook.chargeback.margin.shelf import (
    checked,
    decide,
    decided,
    invoice_lines,
    keep_revenue,
    revenue_lines,
    tenants_of,
)
from tollbook.chargeback.pricebook.moments import asked_ns, optional_text, text_of
from tollbook.chargeback.statements.fetch.http import ApiClient, Limits
from tollbook.desk import Desk, Operation
from tollbook.money import usd_text
from tollbook.reports.errors import QueryError
from tollbook.reports.times import parse_period
from tollbook.reports.zone import EPOCH, zone_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LIMITS: Final = Limits(timeout_s=30.0, total_s=1800.0, max_bytes=64 * 1024 * 1024)
_NAME_MAX: Final = 64
_NS: Final = 10**9
new_client: Callable[[str], ApiClient] = lambda name: ApiClient(name, _LIMITS)  # noqa: E731 -- tests put one without pauses in its place


class MarginRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Of which time, by what."""

    since: str = "month"
    until: str | None = None
    period: str | None = None
    """A month or another time by its name, instead of the two."""
    tz: str = "UTC"
    by: str = TENANT
    split: str = NONE


def _margin(desk: Desk, asked: MarginRequest) -> dict[str, Any]:
    if asked.by not in BY:
        raise QueryError("--by", f"{asked.by[:64]!r} is not one of {', '.join(BY)}")
    if asked.split not in SPLITS:
        raise QueryError("--split", f"{asked.split[:64]!r} is not one of {', '.join(SPLITS)}")
    span = _span(asked.since, asked.until, asked.period, asked.tz)
    return margin_report(desk.reader, desk.books, span, asked.by, asked.split)


def _span(since: str, until: str | None, period: str | None, tz: str) -> Span:
    zone, now = zone_of(tz), clock.utc_now()
    if period is not None:
        named = parse_period(period, zone, now, "--period")
        first, last = named.start, named.end
    else:
        first = parse_period(since, zone, now, "--since").start
        last = now if until is None else parse_period(until, zone, now, "--until").start
    if first >= last:
        raise QueryError("--until", "is not after --since")
    if first == EPOCH:
        raise QueryError("--since", "has no period before it to compare with; name a date")
    return Span(first, last, tz)


class ImportRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """A CSV file of revenue."""

    name: str
    """Of the source; line ids are unique within it."""
    text: str
    file: str = ""
    """Its path, for messages."""
    mapping: dict[str, str] = {}
    """Our names of columns to the file's."""


def _import(desk: Desk, asked: ImportRequest) -> dict[str, Any]:
    if not 1 <= len(asked.name) <= _NAME_MAX or not asked.name.isprintable():
        raise QueryError("--name", "expected a name of 1 to 64 characters")
    source = f"csv:{asked.name}"
    tenants = tenants_of(decided(desk.books, clock.unix_ns()), source)
    lines = read_csv(asked.text, source, asked.mapping, tenants, asked.file or source)
    kept = keep_revenue(desk.books, lines, desk.author)
    return {"rows": [{"source": source} | kept._asdict()]}


class FetchRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which billing system, and since when."""

    source: str
    """``stripe`` or ``lago``, or the name of a source in the books."""
    since: str = "last-month"
    tz: str = "UTC"


class _From(NamedTuple):
    system: str
    base_url: str
    key_env: str


_USUAL: Final = {
    stripe.SYSTEM: _From(stripe.SYSTEM, stripe.BASE_URL, stripe.KEY_ENV),
    lago.SYSTEM: _From(lago.SYSTEM, lago.BASE_URL, lago.KEY_ENV),
}
_READERS: Final[dict[str, type[stripe.StripeRevenue | lago.LagoRevenue]]] = {
    stripe.SYSTEM: stripe.StripeRevenue,
    lago.SYSTEM: lago.LagoRevenue,
}


def _fetch(desk: Desk, asked: FetchRequest) -> dict[str, Any]:
    bodies = decided(desk.books, clock.unix_ns())
    named = {one.name: body for one, body in bodies if isinstance(body, Source)}
    own = named.get(asked.source)
    system = _USUAL.get(asked.source) if own is None else _From(
        own.system, own.base_url, own.key_env
    )  # fmt: skip
    if system is None:
        known = ", ".join(sorted({*_USUAL, *named}))
        raise QueryError("--source", f"{asked.source[:64]!r} is not one of {known}")
    key = desk.environ.get(system.key_env)
    if not key:
        raise RevenueError(asked.source, f"the environment has no {system.key_env}")
    since_s = asked_ns(asked.since, asked.tz, "--since") // _NS
    with new_client(asked.source) as client:
        reader = _READERS[system.system](
            client, system.base_url, key, source=asked.source,
            tenants=tenants_of(bodies, asked.source),
            known=invoice_lines(desk.books, asked.source),
        )  # fmt: skip
        lines = []
        for line in reader.lines(since_s):
            lines.append(line)
            desk.progress(len(lines), None)
    kept = keep_revenue(desk.books, lines, desk.author)
    unmapped = sorted({one.customer_id or "" for one in lines if one.tenant_id is None})
    answer = {"source": asked.source} | kept._asdict() | {"customers_without_tenant": len(unmapped)}
    return {"rows": [answer], "customers_without_tenant": unmapped[:1000]}


class RevenueRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Lines that pay for which time."""

    since: str = "month"
    until: str | None = None
    period: str | None = None
    tz: str = "UTC"


def _revenue(desk: Desk, asked: RevenueRequest) -> dict[str, Any]:
    span = _span(asked.since, asked.until, asked.period, asked.tz)
    rows = [
        {
            "source": one.source, "line_id": one.line_id, "document_id": one.document_id,
            "category": one.category, "status": one.status, "customer_id": one.customer_id,
            "tenant": one.tenant_id, "plan": one.plan, "feature": one.feature,
            "issued": text_of(one.issued_at_ns), "start": text_of(one.start_ns),
            "end": text_of(one.end_ns), "amount": usd_text(one.amount), "currency": one.currency,
            "description": one.description,
        }
        for one in revenue_lines(desk.books, ns_of(span.since), ns_of(span.until))
    ]  # fmt: skip
    return {"rows": rows}


class Decision(Struct, forbid_unknown_fields=True, kw_only=True):
    """A target, customers or a source."""

    name: str
    says: dict[str, Any]
    effective_from: str | None = None
    """Unset: from the beginning."""
    effective_until: str | None = None


class DecideRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """What to keep: all of them, or none."""

    entries: list[Decision]
    reason: str
    file: str = ""
    """Where they were read from, for messages."""


def _decide(desk: Desk, asked: DecideRequest) -> dict[str, Any]:
    for one in asked.entries:
        # An end from the beginning would take the target from months that were judged by it.
        if one.says.get("kind") == "withdrawn" and one.effective_from is None:
            where = _where(asked.file, one)
            raise RevenueError(where, "effective_from is missing; from when on it ends")
    entries = [
        checked(
            one.name, one.says,
            asked_ns(
                one.effective_from or "2000-01-01", "UTC",
                f"{_where(asked.file, one)}: effective_from",
            ),
            None if one.effective_until is None
            else asked_ns(
                one.effective_until, "UTC", f"{_where(asked.file, one)}: effective_until"
            ),
            _where(asked.file, one),
        )
        for one in asked.entries
    ]  # fmt: skip
    kept = decide(desk.books, entries, asked.reason, desk.author)
    return {"rows": [{"document_id": one.document_id, "is_new": is_new} for one, is_new in kept]}


def _where(file: str, one: Decision) -> str:
    return f"{file}: {one.name[:64]}" if file else one.name[:64]


class TargetRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """One target, said flat: thresholds, and whose rows they are for."""

    tenant: str | None = None
    plan: str | None = None
    feature: str | None = None
    min_margin_percent: Decimal | None = None
    max_cost_to_revenue_percent: Decimal | None = None
    max_margin_drop_points: Decimal | None = None
    name: str | None = None
    """Unset: made of whom it is for."""
    effective_from: str | None = None
    """Unset: from the beginning."""
    reason: str


def _keep_target(desk: Desk, asked: TargetRequest) -> dict[str, Any]:
    match = {
        field: value for field, value in (
            ("tenant", asked.tenant), ("plan", asked.plan), ("feature", asked.feature)
        ) if value
    }  # fmt: skip
    limits = {
        field: f"{value:f}" for field, value in (
            ("min_margin_percent", asked.min_margin_percent),
            ("max_cost_to_revenue_percent", asked.max_cost_to_revenue_percent),
            ("max_margin_drop_points", asked.max_margin_drop_points),
        ) if value is not None
    }  # fmt: skip
    if not limits:
        raise QueryError("min_margin_percent", "expected at least one threshold")
    name = asked.name or _target_name(match)
    says: dict[str, Any] = {"kind": "target", "match": match} | limits
    one = Decision(name=name, says=says, effective_from=asked.effective_from)
    return _decide(desk, DecideRequest(entries=[one], reason=asked.reason))


def _target_name(match: Mapping[str, str]) -> str:
    """Return a name that the same rows get again; what names cannot have is told by a digest."""
    told = "-".join(f"{field}-{value}" for field, value in match.items()) or "everybody"
    plain = re.sub(r"[^A-Za-z0-9._-]", "-", told)[:_NAME_MAX]
    return plain if plain == told else f"{plain}-{sha256(told.encode()).hexdigest()[:8]}"


class DecisionsRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Every version of all of them."""


def _decisions(desk: Desk, asked: DecisionsRequest) -> dict[str, Any]:
    del asked
    return {
        "rows": [
            {"document_id": one.document_id, "effective_from": text_of(one.effective_from_ns),
             "effective_until": optional_text(one.effective_until_ns), "says": one.body,
             "author": one.author, "reason": one.reason}
            for one in document_history(desk.books, Subject.MARGIN_TARGET)
        ]
    }  # fmt: skip


OPERATIONS: Final = (
    Operation(
        "margin.show", "GET", "/margin", MarginRequest, _margin,
        "Revenue, cost, gross margin and cost-to-revenue.",
    ),
    Operation(
        "margin.decisions", "GET", "/margin/targets", DecisionsRequest, _decisions,
        "Margin targets, customers and sources of revenue, every version.",
    ),
    Operation(
        "margin.decide", "POST", "/margin/targets", DecideRequest, _decide,
        "Keep margin targets, customers, sources of revenue.",
    ),
    Operation(
        "margin.target", "POST", "/margin/target", TargetRequest, _keep_target,
        "Keep one margin target.",
    ),
    Operation("revenue.list", "GET", "/revenue", RevenueRequest, _revenue, "Lines of revenue."),
    Operation(
        "revenue.import", "POST", "/revenue/import", ImportRequest, _import,
        "Import revenue from a CSV file.",
    ),
    Operation(
        "revenue.fetch", "POST", "/revenue/fetch", FetchRequest, _fetch,
        "Fetch invoices and credit notes from Stripe or Lago.",
    ),
)  # fmt: skip
