"""The calls behind a number: one row per call as known now, newest booked first, paged by id.

Or the dearest first, on one page: by the cost of the call itself, its further parts aside.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

from msgspec import Struct

from tollbook.money import pico_from_usd, usd_text
from tollbook.reports.compiled import compiled
from tollbook.reports.dimensions import UNKNOWN
from tollbook.reports.errors import QueryError
from tollbook.reports.params import gather, parse_limit, parse_range
from tollbook.reports.query import Filter, Moment, SpendQuery, canonical_filters
from tollbook.reports.spend import CURRENCY, Completeness, run_spend
from tollbook.reports.table import entries, in_range, matching, to_sql
from tollbook.usage import INPUT_KINDS, OUTPUT_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tollbook.reports.cover import Scan
    from tollbook.reports.reader import Reader

PAGE_MAX: Final = 1_000
PAGE_DEFAULT: Final = 50
PARAMS: Final = ("since", "until", "period", "tz", "where", "limit", "before", "after", "order")
NEWEST: Final = "newest"
COST: Final = "cost"
ORDERS: Final = (NEWEST, COST)
_ENTRY_ID_MAX: Final = 2**63 - 1
_RECENT_ENTRIES: Final = 200_000
"""Looked at first for the newest calls: a page of them is there unless filters leave few."""
_AFTER, _BEFORE = (str(2**61 + secrets.randbelow(2**60)) for _ in range(2))
"""Stand for entry ids until they are filled in; no caller knows them."""
_TEXT: Final = (
    "call_id", "user_id", "feature", "agent_run_id", "environment", "api_key_id", "provider",
    "operation", "model_requested", "model_actual", "status", "http_status", "error_type",
    "usage_source", "price_state", "price_tier", "region", "route", "provider_response_id",
    "request_id", "trace_id", "operation_id", "retry_of", "fallback_from", "cached_from",
    "provider_batch_id", "custom_id",
)  # fmt: skip
_MONEY: Final = ("cost_usd", "reported_cost_usd", "saved_cost_usd")
_SUMMED: Final = (*INPUT_KINDS, *OUTPUT_KINDS, *_MONEY)
"""What a call and its further parts have together."""
_FETCHED: Final = (
    "entry_id", "called_at", "tenant_id", *_TEXT, *_SUMMED, "duration_ns",
    "time_to_first_token_ns",
)  # fmt: skip


class CallsQuery(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which calls, and which page of them.

    ``before`` continues a listing (entries with a smaller id, newest first); ``after`` follows the
    ledger (entries with a greater id, oldest first).
    """

    since: Moment
    until: Moment
    tz: str = "UTC"
    where: tuple[Filter, ...] = ()
    limit: int = PAGE_DEFAULT
    before: int | None = None
    after: int | None = None
    order: str = NEWEST
    """``cost``: the dearest first (those of unknown cost last), on one page."""

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise QueryError("--order", f"{self.order[:64]!r} is not one of {', '.join(ORDERS)}")
        if self.order == COST and (self.before is not None or self.after is not None):
            raise QueryError("--order", "by cost there is one page; take a larger --limit")
        if self.since >= self.until:
            raise QueryError(
                "--until", f"{self.until.isoformat()} is not after {self.since.isoformat()}"
            )
        if not 1 <= self.limit <= PAGE_MAX:
            raise QueryError("--limit", f"{self.limit} is not between 1 and {PAGE_MAX}")
        if self.before is not None and self.after is not None:
            raise QueryError("--after", "give either before or after")
        for name in ("before", "after"):
            entry_id = getattr(self, name)
            if entry_id is not None and not 0 <= entry_id <= _ENTRY_ID_MAX:
                raise QueryError(f"--{name}", "expected the entry id of a row")


class CallsReport(Struct, frozen=True, kw_only=True):
    """A page of calls; ``totals`` and ``completeness`` are those of the whole range."""

    rows: list[dict[str, Any]]
    next_before: int | None
    """Give it as ``before`` for the next page; None on the last."""
    totals: dict[str, Any]
    completeness: Completeness
    query: CallsQuery
    currency: str = CURRENCY


def calls_query(pairs: Iterable[tuple[str, str]], now: datetime) -> CallsQuery:
    """Build a query from named texts (see :mod:`tollbook.reports.params`).

    Raises:
        QueryError: naming the option, what is wrong and what is expected.
    """
    given, where = gather(pairs, PARAMS)
    period = parse_range(given, now)
    return CallsQuery(
        since=period.start,
        until=period.end,
        tz=given.get("tz", "UTC"),
        where=canonical_filters(tuple(where)),
        limit=parse_limit(given.get("limit"), PAGE_DEFAULT),
        before=_entry_id(given, "before"),
        after=_entry_id(given, "after"),
        order=given.get("order", NEWEST),
    )


def _entry_id(given: dict[str, str], name: str) -> int | None:
    if name not in given:
        return None
    text = given[name]
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(_ENTRY_ID_MAX))):
        raise QueryError(f"--{name}", f"{text[:64]!r} is not an entry id")
    return int(text)


def run_calls(reader: Reader, query: CallsQuery) -> CallsReport:
    """Return one page of calls with the totals of the whole range.

    Raises:
        QueryTimeoutError: it took too long.
    """
    rows = fetch_calls(reader, query)
    whole = run_spend(
        reader,
        SpendQuery(since=query.since, until=query.until, tz=query.tz, where=query.where),
    )
    is_full = len(rows) == query.limit and query.after is None and query.order == NEWEST
    return CallsReport(
        rows=rows,
        next_before=rows[-1]["entry_id"] if is_full else None,
        totals=whole.totals,
        completeness=whole.completeness,
        query=query,
    )


def fetch_calls(reader: Reader, query: CallsQuery) -> list[dict[str, Any]]:
    """Return the rows of a page alone: one for each call, its further parts added up with it.

    Filters are held against the call itself.

    Raises:
        QueryTimeoutError: it took too long.
    """
    ids = _ids(reader, query)
    if not ids:
        return []
    listed = ", ".join(map(str, ids))
    rows = reader.fetch(
        f"SELECT {', '.join(_FETCHED)} FROM entries WHERE entry_id IN ({listed})"  # noqa: S608 -- names of ours, numbers
    )
    place = {entry_id: at for at, entry_id in enumerate(ids)}
    found = [dict(zip(_FETCHED, row, strict=True)) for row in rows]
    found.sort(key=lambda row: place[row["entry_id"]])
    parts = _parts(reader, [row["call_id"] for row in found])
    return [_row(row, parts.get(row["call_id"])) for row in found]


def _ids(reader: Reader, query: CallsQuery) -> list[int]:
    """Return the entries of a page in its order: alone they are found in few of the columns."""
    asked = SpendQuery(since=query.since, until=query.until, where=query.where, limit=query.limit)
    if query.order == COST:
        return [entry_id for (entry_id,) in reader.fetch(compiled(_dearest_page, asked))]
    if query.after is not None:
        page = compiled(_oldest_page, asked).replace(_AFTER, str(query.after))
        return [entry_id for (entry_id,) in reader.fetch(page)]
    before = latest_entry_id(reader) + 1
    if query.before is not None:
        before = min(before, query.before)
    page = compiled(_newest_page, asked).replace(_BEFORE, str(before))
    for after in (max(before - _RECENT_ENTRIES, -1), -1):
        rows = reader.fetch(page.replace(_AFTER, str(after)))
        if len(rows) == query.limit or after < 0:
            break
    return [entry_id for (entry_id,) in rows]


def _dearest_page(query: SpendQuery, _: Scan) -> Any:
    rows = _calls(query)
    order = [rows.cost_usd.desc(nulls_first=False), rows.entry_id.desc()]
    return rows.order_by(order).limit(query.limit).select("entry_id")


def _newest_page(query: SpendQuery, _: Scan) -> Any:
    rows = _calls(query)
    rows = rows.filter(rows.entry_id > int(_AFTER), rows.entry_id < int(_BEFORE))
    return rows.order_by(rows.entry_id.desc()).limit(query.limit).select("entry_id")


def _oldest_page(query: SpendQuery, _: Scan) -> Any:
    rows = _calls(query)
    rows = rows.filter(rows.entry_id > int(_AFTER))
    return rows.order_by(rows.entry_id.asc()).limit(query.limit).select("entry_id")


def _calls(query: SpendQuery) -> Any:
    rows = matching(in_range(entries(), query.since, query.until, None), query.where)
    everything = entries()
    reversed_ids = everything.filter(everything.kind == "reversal").select(
        reversed_id=everything.replaces
    )
    rows = rows.filter(rows.kind == "charge", rows.part.fill_null(0) == 0)
    return rows.anti_join(reversed_ids, rows.entry_id == reversed_ids.reversed_id)


class _Parts(NamedTuple):
    """The further parts of a call, added up."""

    number: int
    without_cost: int
    sums: dict[str, Any]


def _parts(reader: Reader, call_ids: Sequence[UUID]) -> dict[UUID, _Parts]:
    """Return the parts of those calls that have any."""
    if not call_ids:
        return {}
    names = ("call_id", "count", "without_cost", *_SUMMED)
    answers = [
        dict(zip(names, row, strict=True)) for row in reader.fetch(_parts_sql(), [list(call_ids)])
    ]
    return {
        one["call_id"]: _Parts(int(one["count"]), int(one["without_cost"] or 0), one)
        for one in answers
    }


def latest_entry_id(reader: Reader) -> int:
    """Return the id of the newest entry, 0 in an empty ledger."""
    return int(reader.fetch("SELECT coalesce(max(entry_id), 0) FROM entries")[0][0])


@cache
def _parts_sql() -> str:
    table = entries()
    rows = table.filter(table.part > 0)
    sign = (rows.kind == "reversal").ifelse(-1, 1)
    summed = rows.group_by("call_id").aggregate(
        count=sign.sum(),
        without_cost=sign.sum(where=rows.cost_usd.isnull()),
        **{name: rows[name].sum() for name in _SUMMED},
    )
    # Hardly any call has further parts, so that all of them are summed and then looked among.
    among = "WHERE call_id IN (SELECT unnest($1::UUID[]))"
    return f"SELECT * FROM ({to_sql(summed)}) {among}"  # noqa: S608 -- no text of a caller


def _row(entry: dict[str, Any], parts: _Parts | None) -> dict[str, Any]:
    if parts is not None:
        entry = _with_parts(entry, parts)
    named = {name: plain(entry[name]) for name in _TEXT}
    return {
        "entry_id": entry["entry_id"],
        "called_at": plain(entry["called_at"]),
        "tenant": entry["tenant_id"] or UNKNOWN,
        **named,
        "parts": 1 + (0 if parts is None else parts.number),
        "input_tokens": _total(entry, INPUT_KINDS),
        "output_tokens": _total(entry, OUTPUT_KINDS),
        "cache_read_tokens": entry["cache_read_tokens"],
        **{name: plain(entry[name]) for name in _MONEY},
        "duration_ms": _milliseconds(entry["duration_ns"]),
        "time_to_first_token_ms": _milliseconds(entry["time_to_first_token_ns"]),
    }


def _with_parts(entry: dict[str, Any], parts: _Parts) -> dict[str, Any]:
    whole = entry | {
        name: _plus(entry[name], parts.sums[name]) for name in _SUMMED
    }  # fmt: skip
    if entry["cost_usd"] is None or parts.without_cost:
        whole["cost_usd"] = None  # some of it is unknown
    return whole


def _plus(one: Any, other: Any) -> Any:
    if one is None or other is None:
        return other if one is None else one
    return one + other


def _total(entry: dict[str, Any], kinds: tuple[str, ...]) -> int | None:
    known = [entry[kind] for kind in kinds if entry[kind] is not None]
    return sum(known) if known else None


def _milliseconds(nanoseconds: int | None) -> int | None:
    return None if nanoseconds is None else nanoseconds // 1_000_000


def plain(value: Any) -> Any:
    """Return a stored value as JSON has it: ids and money as text, times in UTC."""
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, Decimal):
        return usd_text(pico_from_usd(value))
    return value
