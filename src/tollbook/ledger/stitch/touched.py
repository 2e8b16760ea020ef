"""What a step has to look at again: what is new, and what shares a trace or an id with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.ledger.stitch.rows import given, texts
from tollbook.ledger.stitch.scene import Start

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from tollbook.call import SpanSeen
    from tollbook.ledger.stitch.sight import Sight

    Connection = duckdb.DuckDBPyConnection

_FAR_US: Final = 2**55
_DAY_US: Final = 86_400_000_000
_WAITING_MAX: Final = 100_000
"""Traces with calls of nobody that are waited for; of more the newest."""
_NEW: Final = "entry_id > ? AND part = 0 AND kind = 'charge' AND observer IS NULL"
_OF_OBSERVED: Final = " UNION ".join(
    f"SELECT one.call_id FROM observations AS one JOIN (SELECT DISTINCT {key}, called_at FROM"  # noqa: S608 -- constants
    f" entries WHERE {_NEW}) AS new ON new.{key} = one.{key} AND one.opened IS NOT NULL"
    " AND abs(epoch_us(new.called_at) - epoch_us(one.called_at)) <= " + str(_DAY_US)
    for key in ("provider_response_id", "provider_request_id", "trace_id")
)


class Touched:
    """Finds where a step's calls, spans and entries matter to others.

    Args:
        window_us: how long after a call its owner may become known.
    """

    def __init__(self, window_us: int) -> None:
        self._window_us = window_us
        self.forget()

    def forget(self) -> None:
        """Forget what is known of the tables."""
        self.is_active = False
        """Somebody else than the gateway has told of something."""
        self._is_loaded = False
        self._waiting: dict[str, int] = {}

    def by(
        self,
        connection: Connection,
        new: Sequence[Sight],
        spans: Sequence[SpanSeen],
        last_before: int | None,
        now_us: int,
    ) -> Start | None:
        """Return where to begin; None: nothing that others told of is touched.

        Args:
            connection: the transaction's.
            new: calls that are new.
            spans: all that were told of, again perhaps.
            last_before: entries after this one are new; None: there are none.
            now_us: the wall clock.
        """
        if not self._is_loaded:
            self._load(connection, now_us)
        self._give_up(now_us)
        if new or spans:
            self.is_active = True
        traces = {one.trace_id for one in spans}
        times = [one.started_at_ns // 1000 for one in spans]
        call_ids: set[bytes] = set()
        if last_before is not None:
            found, since = self._by_entries(connection, last_before)
            traces |= found
            times += since
            if self.is_active:
                call_ids = self._observed(connection, last_before)
        if not (new or traces or call_ids):
            return None
        times += [one.start_us for one in new]
        return Start(new, call_ids, traces, min(times, default=_FAR_US), max(times, default=0))

    def _load(self, connection: Connection, now_us: int) -> None:
        ((self.is_active,),) = connection.execute(
            "SELECT EXISTS (SELECT 1 FROM observations) OR EXISTS (SELECT 1 FROM spans)"
        ).fetchall()
        found = connection.execute(
            "SELECT trace_id, epoch_us(max(called_at)) FROM entries WHERE tenant_id IS NULL"  # noqa: S608 -- a number
            " AND trace_id IS NOT NULL AND called_at > make_timestamp(?) AND kind = 'charge'"
            f" GROUP BY trace_id ORDER BY 2 DESC LIMIT {_WAITING_MAX}",
            [now_us - self._window_us],
        ).fetchall()
        self._waiting = dict(reversed(found))
        self._is_loaded = True

    def _give_up(self, now_us: int) -> None:
        """Forget traces for which it is too late."""
        while self._waiting:
            trace_id, called_us = next(iter(self._waiting.items()))
            is_late = called_us + 2 * self._window_us < now_us
            if not is_late and len(self._waiting) <= _WAITING_MAX:
                return
            del self._waiting[trace_id]

    def _observed(self, connection: Connection, last_before: int) -> set[bytes]:
        """Return stored observations that may be new calls of the gateway, or share their trace."""
        found = connection.execute(_OF_OBSERVED, [last_before] * 3).fetchall()
        return {call_id.bytes for (call_id,) in found}

    def _by_entries(self, connection: Connection, last_before: int) -> tuple[set[str], list[int]]:
        """Return traces in which new calls of the gateway may get an owner, or give one.

        A trace is waited for after its call has inherited an owner as well: another tenant's call
        may come, and then it is nobody's.
        """
        unknown = connection.execute(
            "SELECT trace_id, epoch_us(max(called_at)) FROM entries WHERE"  # noqa: S608 -- constants
            f" {_NEW} AND tenant_id IS NULL AND trace_id IS NOT NULL AND metering <> 'free'"
            " GROUP BY trace_id ORDER BY 2",
            [last_before],
        ).fetchall()
        for trace_id, called_us in unknown:
            self._waiting.pop(trace_id, None)
            self._waiting[trace_id] = called_us
        if not self._waiting:
            return set(), []
        with given(connection, {"trace_id": texts(self._waiting)}):
            heard = connection.execute(
                "SELECT trace_id, epoch_us(min(called_at)) FROM entries WHERE"  # noqa: S608 -- constants
                f" {_NEW} AND tenant_id IS NOT NULL AND trace_id IN (SELECT trace_id FROM given)"
                " GROUP BY trace_id",
                [last_before],
            ).fetchall()
        traces = {trace_id for trace_id, _ in heard}
        times = [called_us for _, called_us in heard]
        asked = {trace_id: called_us for trace_id, called_us in unknown if trace_id not in traces}
        if asked:
            since_us = min(asked.values()) - _DAY_US
            with given(connection, {"trace_id": texts(asked)}):
                known = connection.execute(
                    "SELECT trace_id FROM entries JOIN given USING (trace_id)"
                    " WHERE called_at >= make_timestamp(?) AND tenant_id IS NOT NULL"
                    " UNION SELECT trace_id FROM spans JOIN given USING (trace_id)"
                    " UNION SELECT trace_id FROM observations JOIN given USING (trace_id)",
                    [since_us],
                ).fetchall()
            for (trace_id,) in known:
                traces.add(trace_id)
                times.append(asked[trace_id])
        return traces, times
