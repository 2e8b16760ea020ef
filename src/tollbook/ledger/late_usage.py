"""Usage that comes after its call: the estimate is taken back, the real usage is charged, once.

A response in the background is booked as an estimate, for its usage is not known yet. The first
request that shows it finished tells; frames of both may be read in either order, in any step, from
several writers. What was booked with its whole usage is never touched, so showing an answer again
changes nothing, however often. All of it is part of the step's transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import pyarrow as pa

from tollbook.call import LateUsage
from tollbook.ids import to_text
from tollbook.ledger.charge import charge_of
from tollbook.ledger.corrections import Correction, corrections
from tollbook.ledger.late_table import LATE_USAGE
from tollbook.ledger.rebuild import EVIDENCE_COLUMNS, call_of, rows_of
from tollbook.ledger.schema import ENTRY_NAMES, ENTRY_SCHEMA
from tollbook.ledger.usagetext import usage_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import duckdb

    from tollbook.ledger.cards import UsedCards
    from tollbook.ledger.store import Store

    Connection = duckdb.DuckDBPyConnection

_END_US: Final = 2**55
_DAY_US: Final = 86_400_000_000
_KEPT_US: Final = 31 * _DAY_US
"""Providers keep an answer for thirty days (OpenAI, Responses, ``store``)."""
_GRACE_US: Final = 7 * _DAY_US
"""How long after all was read a spool may still appear that holds the call."""
_IN_FORCE: Final = (  # with what bounds the search for reversals
    "charged.kind = 'charge' AND NOT EXISTS (SELECT 1 FROM entries AS taken"
    " WHERE taken.kind = 'reversal' AND taken.replaces = charged.entry_id AND {taken})"
)
_MATCHES: Final = (
    "SELECT late.provider, late.provider_response_id, late.frame, charged.call_id,"  # noqa: S608 -- constants
    " charged.usage_complete OR NOT charged.is_billable, epoch_us(charged.called_at)"
    " FROM late_usage AS late JOIN entries AS charged USING (provider, provider_response_id)"
    " WHERE " + _IN_FORCE + " AND charged.part = 0 AND charged.metering = 'metered'"
    " AND charged.cached_from IS NULL AND {charged}"
    " ORDER BY charged.called_at, charged.entry_id"
)
_BOOKED_SINCE: Final = _MATCHES.format(
    taken="taken.entry_id > $least",
    charged="charged.entry_id > $least AND charged.entry_id > late.searched_to",
)
# All entries of a call have its time, so constants bound what is read of a large table.
_STARTED: Final = "{0}.called_at >= make_timestamp($since) AND {0}.called_at < make_timestamp($til)"
_OF_NEW: Final = _MATCHES.format(
    taken=_STARTED.format("taken"),
    charged=_STARTED.format("charged") + " AND late.searched_to IS NULL",
)
_OF_CALLS: Final = (
    f"SELECT {', '.join(f'charged.{name}' for name in ENTRY_NAMES)} FROM entries AS charged"  # noqa: S608 -- constants
    f" WHERE {_IN_FORCE.format(taken=_STARTED.format('taken'))}"
    f" AND {_STARTED.format('charged')} AND charged.call_id IN (SELECT unnest($calls::UUID[]))"
    " ORDER BY charged.entry_id"
)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(LateUsage).decode


class _Match(NamedTuple):
    """A call that bears the id of an answer that was shown."""

    provider: str
    response_id: str
    frame: bytes
    call_id: Any  # as the database has it
    is_known: bool
    """Its usage is booked already, or it is not billed."""
    called_us: int


class LateBooks:
    """Books what frames say of usage that came late."""

    def __init__(self, store: Store, cards: UsedCards) -> None:
        self._store, self._cards = store, cards
        self._is_waiting = True  # False only where it is known that nothing waits
        self._searched_to: int | None = None

    def forget(self) -> None:
        """Forget what is known of the table: a step was undone."""
        self._is_waiting, self._searched_to = True, None

    def book(
        self,
        connection: Connection,
        frames: Sequence[LateUsage],
        now_us: int,
        complete_until_us: int | None,
    ) -> None:
        """Take the frames of one step, after its calls; call inside the store's transaction."""
        if not frames and not (self._is_waiting and self._store.last_entry_id != self._searched_to):
            return
        matches: list[_Match] = []
        least = _one(connection, "SELECT min(searched_to) FROM late_usage")
        if least is not None:
            matches += _matches(connection, _BOOKED_SINCE, {"least": least})
        if frames:
            _save(connection, frames)
            matches += _matches_of_new(connection, min(one.at_ns for one in frames) // 1000)
        first: dict[tuple[str, str], _Match] = {}
        for one in matches:
            kept = first.setdefault((one.provider, one.response_id), one)
            if one.is_known and not kept.is_known:
                first[one.provider, one.response_id] = one  # nothing is charged twice
        self._correct(connection, [one for one in first.values() if not one.is_known])
        _forget(connection, first)
        self._keep_waiting(connection, now_us, complete_until_us)

    def _correct(self, connection: Connection, found: Sequence[_Match]) -> None:
        if not found:
            return
        shown = {one.call_id.bytes: _decode(one.frame) for one in found}
        times = [one.called_us for one in found]
        table: pa.Table = connection.sql(_OF_CALLS, params={
            "calls": [one.call_id for one in found], "since": min(times), "til": max(times) + 1,
        }).to_arrow_table()  # fmt: skip
        rows = list(rows_of(table.select(EVIDENCE_COLUMNS)))
        known = _with_usage(table, [shown[row["call_id"]] for row in rows])
        wanted: list[Correction] = []
        for at, row in enumerate(rows_of(known.select(EVIDENCE_COLUMNS))):
            reason = LATE_USAGE + to_text(shown[row["call_id"]].call_id)
            if row["part"]:
                wanted.append(Correction(at, None, reason))  # its call has its parts anew
                continue
            charge = charge_of(call_of(row), self._cards.resolve, self._cards.uses_reported)
            wanted.append(Correction(at, charge, reason))
            wanted += [
                Correction(at, part.charge, reason, (number, part))
                for number, part in enumerate(charge.further, 1)
            ]
        self._cards.keep(one.charge.card_id for one in wanted if one.charge is not None)
        corrected = corrections(table, wanted, known)
        self._store.append(corrected, len(corrected["kind"]))

    def _keep_waiting(
        self, connection: Connection, now_us: int, complete_until_us: int | None
    ) -> None:
        """Note how far was searched, and give up what cannot be found any more."""
        before_us = now_us - _KEPT_US
        if complete_until_us is not None:
            before_us = max(before_us, complete_until_us - _GRACE_US)
        connection.execute('DELETE FROM late_usage WHERE "at" < make_timestamp(?)', [before_us])
        connection.execute("UPDATE late_usage SET searched_to = ?", [self._store.last_entry_id])
        self._is_waiting = bool(_one(connection, "SELECT count(*) FROM late_usage"))
        self._searched_to = self._store.last_entry_id


def _matches_of_new(connection: Connection, since_us: int) -> list[_Match]:
    """Look back over the last day; over all that providers keep only for what is not found."""
    day_us = since_us - _DAY_US
    found = _matches(connection, _OF_NEW, {"since": day_us, "til": _END_US})
    waiting = _one(connection, "SELECT count(*) FROM late_usage WHERE searched_to IS NULL")
    if len({(one.provider, one.response_id) for one in found}) < (waiting or 0):
        found += _matches(connection, _OF_NEW, {"since": day_us - _KEPT_US, "til": day_us})
    return found


def _matches(connection: Connection, sql: str, values: dict[str, int]) -> list[_Match]:
    return [
        _Match(provider, response_id, bytes(frame), call_id, is_known is not False, called_us)
        for provider, response_id, frame, call_id, is_known, called_us in connection.execute(
            sql, values
        ).fetchall()
    ]


def _one(connection: Connection, sql: str) -> int | None:
    ((value,),) = connection.execute(sql).fetchall()
    return None if value is None else int(value)


def _save(connection: Connection, frames: Sequence[LateUsage]) -> None:
    """Write what was shown; of the same answer the last sight."""
    last = {(one.provider, one.provider_response_id): one for one in frames}
    _forget(connection, last)
    connection.executemany(
        "INSERT INTO late_usage VALUES (?, ?, ?, make_timestamp(?), NULL)",
        [
            [one.provider, one.provider_response_id, _encode(one), one.at_ns // 1000]
            for one in last.values()
        ],
    )


def _forget(connection: Connection, answers: Iterable[tuple[str, str]]) -> None:
    for provider, response_id in answers:
        connection.execute(
            "DELETE FROM late_usage WHERE provider = ? AND provider_response_id = ?",
            [provider, response_id],
        )


def _with_usage(table: pa.Table, shown: Sequence[LateUsage]) -> pa.Table:
    """Return the entries with what was shown of their calls; what was not shown stays."""
    told: dict[str, Any] = {
        "usage_raw": [usage_text(one.usage) for one in shown],
        "usage_complete": [True] * len(shown),
        "model_actual": _or_stored(table, "model_actual", [one.model_actual for one in shown]),
        "service_tier": _or_stored(table, "service_tier", [one.service_tier for one in shown]),
    }
    for name, values in told.items():
        field = ENTRY_SCHEMA.field(name)
        array: Any = pa.array(values, field.type)
        table = table.set_column(table.column_names.index(name), field, array)
    return table


def _or_stored(table: pa.Table, name: str, told: Sequence[str | None]) -> list[str | None]:
    return [new or old for new, old in zip(told, table.column(name).to_pylist(), strict=True)]
