"""Who did what and who saw what, as one list, newest first."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from msgspec import Struct

from tollbook import clock
from tollbook.books.tables import events
from tollbook.books.tables_people import accesses
from tollbook.desk import Operation
from tollbook.desk.permits import Scope
from tollbook.people.errors import AccountInputError
from tollbook.people.shown import when
from tollbook.reports.params import parse_range

if TYPE_CHECKING:
    from datetime import datetime

    from tollbook.desk import Desk

LIMIT_MAX: Final = 10_000
_SINCE: Final = "30d"
_DEED, _ACCESS = "deed", "seen"
_cursor = re.compile(r"(?P<at_ns>\d{1,19})-(?P<source>deed|seen)-(?P<number>\d{1,19})").fullmatch
_SAFE: Final = str.maketrans({"%": r"\%", "_": r"\_", "\\": r"\\"})


class AskLog(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which entries."""

    since: str | None = None
    """From when on; 30 days without."""
    until: str | None = None
    tz: str = "UTC"
    who: str | None = None
    """Beginning of a name, such as ``user:anna``."""
    what: str | None = None
    """Beginning of what was done or seen: ``account.``, ``budget``, ``export``, ``sign-in``."""
    where: str | None = None
    """Part of the path or of the detail."""
    outcome: str | None = None
    """``ok``, ``denied`` or ``failed``."""
    kind: str | None = None
    """``deed`` or ``seen``."""
    limit: int = 200
    before: str | None = None
    """``next_before`` of an earlier answer."""


def log(desk: Desk, asked: AskLog) -> dict[str, Any]:
    """Return what was done and seen, newest first."""
    if not 1 <= asked.limit <= LIMIT_MAX:
        raise AccountInputError("limit", f"give 1 to {LIMIT_MAX}")
    if asked.kind not in (None, _DEED, _ACCESS):
        raise AccountInputError("kind", f"give {_DEED} or {_ACCESS}")
    given = {"since": asked.since or _SINCE, "tz": asked.tz}
    if asked.until:
        given["until"] = asked.until
    period = parse_range(given, clock.utc_now())
    until_ns = _ns(period.end) if asked.until else None
    parts = [
        _part(selected, asked, _ns(period.start), until_ns)
        for kind, selected in ((_DEED, _deeds()), (_ACCESS, _seen()))
        if asked.kind in (None, kind)
    ]
    union = sa.union_all(*parts).subquery()
    order = (union.c.at_ns.desc(), union.c.source, union.c.number.desc())
    with desk.books.read() as connection:
        query = sa.select(union).order_by(*order).limit(asked.limit + 1)
        found = list(connection.execute(query).mappings())
    rows = [_row(one) for one in found[: asked.limit]]
    last = found[asked.limit - 1] if len(found) > asked.limit else None
    following = None if last is None else f"{last['at_ns']}-{last['source']}-{last['number']}"
    return {"rows": rows, "next_before": following}


def _ns(at: datetime) -> int:
    return int(at.timestamp()) * clock.NS_PER_S


def _deeds() -> sa.Subquery:
    table, nothing = events.c, sa.cast(sa.null(), sa.Text)
    return sa.select(
        sa.literal(_DEED).label("source"), table.event_id.label("number"), table.at_ns,
        table.actor, table.action.label("what"), nothing.label("path"),
        table.detail.label("detail"), sa.literal("ok").label("outcome"),
        sa.cast(sa.null(), sa.Integer).label("status"), nothing.label("address"),
    ).subquery()  # fmt: skip


def _seen() -> sa.Subquery:
    table = accesses.c
    return sa.select(
        sa.literal(_ACCESS).label("source"), table.access_id.label("number"), table.at_ns,
        table.actor, table.kind.label("what"), table.path, table.query.label("detail"),
        table.outcome, table.status, table.address,
    ).subquery()  # fmt: skip


def _part(part: sa.Subquery, asked: AskLog, since_ns: int, until_ns: int | None) -> sa.Select[Any]:
    table = part.c
    query = sa.select(part).where(table.at_ns >= since_ns)
    if until_ns is not None:
        query = query.where(table.at_ns < until_ns)
    if asked.who:
        query = query.where(_begins(table.actor, asked.who))
    if asked.what:
        query = query.where(_begins(table.what, asked.what))
    if asked.outcome:
        query = query.where(table.outcome == asked.outcome)
    if asked.where:
        held = f"%{asked.where.translate(_SAFE)}%"
        is_held = [one.like(held, escape="\\") for one in (table.path, table.detail)]
        query = query.where(sa.or_(*is_held))
    if asked.before:
        query = query.where(_is_after(part, asked.before))
    query = query.order_by(table.at_ns.desc(), table.number.desc()).limit(asked.limit + 1)
    return sa.select(query.subquery())


def _begins(column: sa.ColumnElement[str], text: str) -> sa.ColumnElement[bool]:
    return column.like(f"{text.translate(_SAFE)}%", escape="\\")


def _is_after(part: sa.Subquery, before: str) -> sa.ColumnElement[bool]:
    """Return what holds of entries behind a cursor: of the same moment deeds come first."""
    match = _cursor(before)
    if match is None:
        raise AccountInputError("before", "give next_before of an earlier answer")
    at_ns, source, number = int(match["at_ns"]), match["source"], int(match["number"])
    table = part.c
    is_later = sa.or_(table.source > source, sa.and_(table.source == source, table.number < number))
    return sa.or_(table.at_ns < at_ns, sa.and_(table.at_ns == at_ns, is_later))


def _row(one: sa.RowMapping) -> dict[str, Any]:
    return {
        "at": when(one["at_ns"]), "who": one["actor"], "what": one["what"],
        "outcome": one["outcome"], "path": one["path"], "detail": one["detail"],
        "status": one["status"], "address": one["address"], "kind": one["source"],
    }  # fmt: skip


OPERATIONS: Final = (
    Operation("people.log", "GET", "/audit-log", AskLog, log,
              "Who did, saw and exported what.", scope=Scope.AUDIT),
)  # fmt: skip
