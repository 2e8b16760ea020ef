"""What is booked, as budgets count it: by owner in a window, or what no gateway has settled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.budgets.rules import UNKNOWN
from tollbook.budgets.seed import Booked
from tollbook.money import pico_from_usd
from tollbook.usage import TOKEN_KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tollbook.budgets.rules import Rule
    from tollbook.budgets.window import Span

    Fetch = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]

COLUMNS: Final = {
    "tenant": "tenant_id", "user": "user_id", "team": "team_id", "feature": "feature",
    "workflow": "workflow_id", "agent_run": "agent_run_id", "environment": "environment",
    "api_key": "api_key_id", "model": "model_requested", "provider": "provider",
}  # fmt: skip
_SUMS: Final = (
    "coalesce(sum(cost_usd), 0)",
    "coalesce(sum(" + " + ".join(f"coalesce({kind}, 0)" for kind in TOKEN_KINDS) + "), 0)",
    "coalesce(sum(calls), 0)",
    "coalesce(sum(CASE WHEN price_state = 'unpriced' THEN calls ELSE 0 END), 0)",
)
_US_PER_S: Final = 1_000_000
COUNTED: Final = (
    "status <> 'rejected' AND metering <> 'free' AND price_state <> 'cached'"
    " AND kind <> 'adjustment'"
)
"""Adjustments are what finance books later: no limit was overrun by them."""
_LEDGERS_OWN: Final = (
    "(provider_batch_id IS NOT NULL OR kind <> 'charge' OR replaces IS NOT NULL"
    " OR observer IS NOT NULL)"
)
"""What the ledger books by itself: no gateway worker has seen it end."""
_INTERRUPTED: Final = "status = 'interrupted'"
_NOT_SETTLED: Final = f"({_INTERRUPTED} OR {_LEDGERS_OWN})"
"""What the ledger books and no gateway worker has counted."""
_ENDED_US: Final = "epoch_us(called_at) + coalesce(duration_ns, 0) // 1000"
"""When a call ended, as gateway workers reckon it too."""


def booked_in(
    fetch: Fetch, rule: Rule, span: Span, *, before_us: int | None = None
) -> Iterator[Booked]:
    """Yield what each owner of a rule has in a window, by parts where the rule's window rolls.

    ``before_us``: leave out what workers count themselves, calls that ended from then on.
    """
    where, values = _within(span)
    if before_us is not None:
        where += f" AND ({_NOT_SETTLED} OR {_ENDED_US} < ?)"
        values.append(before_us)
    yield from _of_rule(fetch, rule, span, where, values)


def ended_before(
    fetch: Fetch, rule: Rule, span: Span, before_us: int, *, after_entry: int
) -> Iterator[Booked]:
    """Yield what has been booked after an entry, of calls that ended before workers counted."""
    where, values = _within(span)
    where += f" AND entry_id > ? AND NOT {_NOT_SETTLED} AND {_ENDED_US} < ?"
    yield from _of_rule(fetch, rule, span, where, [*values, after_entry, before_us])


def booked_of_life(
    fetch: Fetch, rule: Rule, span: Span, writer: str, *, table_entry: int, rule_entry: int
) -> Iterator[Booked]:
    """Yield what a worker's life that has ended came to, beyond what the table was made of.

    Args:
        fetch: asks the ledger.
        rule: with the moment from which workers count.
        span: of the present window.
        writer: its spool writer, read to its end.
        table_entry: last entry that the table was made of.
        rule_entry: last entry that the rule's counters were made of.
    """
    where, values = _within(span)
    where += (
        f" AND spool_writer = ? AND entry_id > ? AND NOT {_LEDGERS_OWN}"
        f" AND CASE WHEN {_INTERRUPTED} THEN entry_id > ? ELSE {_ENDED_US} >= ? END"
    )
    values += [writer, table_entry, rule_entry, rule.from_us]
    yield from _of_rule(fetch, rule, span, where, values)


def not_settled_after(
    fetch: Fetch, entry_id: int, *, writers: Sequence[str] = (), part_s: int = 900
) -> Iterator[Booked]:
    """Yield the sums behind an entry that no gateway worker has counted.

    Args:
        fetch: asks the ledger.
        entry_id: the last one that has been counted.
        writers: whose interrupted calls are told apart.
        part_s: so exact are the moments. Quarters of an hour do for calendars, because windows
            begin there: some zones are half an hour or 45 minutes off.
    """
    names = list(COLUMNS)
    listed = ", ".join("?" for _ in writers) or "NULL"
    columns = ", ".join([*_fields(names), *_SUMS])
    found = fetch(
        f"SELECT epoch_us(called_at) // {part_s * _US_PER_S} * {part_s},"  # noqa: S608 -- our own names
        f" coalesce({_INTERRUPTED} AND NOT {_LEDGERS_OWN} AND spool_writer IN ({listed}), FALSE),"
        f" {columns} FROM entries WHERE entry_id > ? AND {COUNTED} AND {_NOT_SETTLED}"
        " GROUP BY ALL",
        [*writers, entry_id],
    )
    for at_s, has_place, *row in found:
        yield _booked(names, row)._replace(at_s=int(at_s), has_place=bool(has_place))


def finished_among(fetch: Fetch, writers: Sequence[str]) -> list[str]:
    """Return which spool writers have ended and are read to their end."""
    if not writers:
        return []
    listed = ", ".join("?" for _ in writers)
    found = fetch(
        f"SELECT writer FROM spool_positions WHERE state = 'finished' AND writer IN ({listed})",  # noqa: S608 -- placeholders
        list(writers),
    )
    return [str(row[0]) for row in found]


def _within(span: Span) -> tuple[str, list[Any]]:
    where = f"called_at >= make_timestamp(?) AND called_at < make_timestamp(?) AND {COUNTED}"
    return where, [span.start_s * _US_PER_S, span.end_s * _US_PER_S]


def _of_rule(
    fetch: Fetch, rule: Rule, span: Span, where: str, values: Sequence[Any]
) -> Iterator[Booked]:
    each, match = rule.budget.each, rule.budget.match
    names = [*each, *(name for name in match if name not in each)]
    columns = ", ".join([*_fields(names), *_SUMS])
    part_s = rule.bucket_s
    at_s = f"epoch_us(called_at) // {part_s * _US_PER_S} * {part_s}" if part_s else "NULL"
    found = fetch(
        f"SELECT {at_s}, {columns} FROM entries WHERE {where} GROUP BY ALL",  # noqa: S608 -- our own names
        values,
    )
    for moment_s, *row in found:
        booked = _booked(names, row)
        if any(booked[1:5]):
            yield booked._replace(at_s=span.start_s if moment_s is None else int(moment_s))


def _fields(names: Sequence[str]) -> list[str]:
    return [f"coalesce({COLUMNS[name]}, '{UNKNOWN}')" for name in names]


def _booked(names: Sequence[str], row: Sequence[Any]) -> Booked:
    usd, tokens, requests, unpriced = row[len(names) :]
    fields = dict.fromkeys(COLUMNS, UNKNOWN) | dict(zip(names, row, strict=False))
    return Booked(fields, pico_from_usd(str(usd)), int(tokens), int(requests), int(unpriced))
