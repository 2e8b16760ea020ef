"""Leases of limits that several hosts share: what this host may use of each, and what it returns.

A Valkey holds who has been granted how much of each owner's window; the table of this host holds
what its own share is (``granted``) and what its waiting calls lack (``wanted``). The agent carries
both to and fro. What a host may use is raised there before it is raised here, and lowered here
before it is lowered there: whoever dies in between leaves too much reserved, never too little.

One process alone may run an agent on a table.
"""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook.budgets import leases_script
from tollbook.budgets.ring import part_length_s, roll
from tollbook.budgets.table import BudgetTable, BudgetTableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from tollbook.config.budgets_shared import BudgetsShared

log = logging.getLogger(__name__)

_RENEW_S: Final = 1.0
_DOWN_AFTER_S: Final = 1.0
"""So long Valkey may be silent before anybody is refused for it."""
_FRESH_LOOKS: Final = 10
_FRESH_MS_MIN: Final = 50
"""Who lacks something says so at every look; after some without, it lacks it no longer."""
_PEERS_MAX: Final = 256
_ID_BYTES: Final = 8
_MS: Final = 1000
_ENDED_S: Final = 60
"""How long it is remembered that a window has passed."""


class Lease(NamedTuple):
    """What Valkey answered."""

    status: str
    granted: int
    elsewhere: int
    """What other hosts have spent."""


class Authority:
    """The Valkey or Redis that grants.

    Args:
        client: of redis-py, with time limits, answers as text.
        prefix: of all keys.
        host: this host's name there.
        settings: of sharing.
    """

    def __init__(self, client: Any, prefix: str, host: str, settings: BudgetsShared) -> None:
        self._host, self._settings = host, settings
        self._fresh_ms = max(_FRESH_MS_MIN, round(settings.interval_s * _MS * _FRESH_LOOKS))
        # Braces: in a cluster all of them lie on one node, as scripts want it.
        self._base = f"{{{prefix}}}:budgets"
        self._hello = client.register_script(leases_script.HELLO)
        self._put = client.register_script(leases_script.PUT)
        self._ready = client.register_script(leases_script.READY)
        self._lease = client.register_script(leases_script.LEASE)

    def _keys(self, *names: str) -> list[str]:
        return [f"{self._base}:{name}" for name in names]

    def hello(self, peers: Iterable[str]) -> tuple[str, bool, list[str], list[bytes]]:
        """Return the epoch, whether this host is known in it, the hosts, the keys that lack."""
        fresh = secrets.token_hex(_ID_BYTES)
        keys = self._keys("epoch", "hosts", "known", "wants")
        epoch, is_known, hosts, wants = self._hello(
            keys, [self._host, fresh, self._fresh_ms, *peers]
        )
        return epoch, bool(is_known), list(hosts), [bytes.fromhex(one) for one in wants]

    def put(self, epoch: str, key: bytes, granted: int, spent: int, end_s: int) -> Lease:
        """Say what this host has of a slot."""
        status, elsewhere = self._put(
            self._keys(f"slot:{key.hex()}", "epoch"),
            [epoch, self._host, granted, max(0, spent), end_s * _MS],
        )
        return Lease(status, granted, int(elsewhere))

    def ready(self, epoch: str) -> bool:
        """Say that all of this host's leases have been told."""
        return bool(self._ready(self._keys("epoch", "known"), [epoch, self._host]))

    def lease(
        self, epoch: str, key: bytes, *, required: int, ask: int, limit: int, spent: int,
        end_s: int, stale_s: float,
    ) -> Lease:  # fmt: skip
        """Ask for more of a slot; see :data:`leases_script.LEASE`."""
        lost_ms = round(self._settings.lost_after_s * _MS)
        status, granted, elsewhere = self._lease(
            self._keys(f"slot:{key.hex()}", "epoch", "hosts", "known", "wants"),
            [epoch, self._host, required, ask, limit, max(0, spent), end_s * _MS, lost_ms,
             round(stale_s * _MS), key.hex(), self._fresh_ms],
        )  # fmt: skip
        return Lease(status, int(granted), int(elsewhere))


class _Slot(NamedTuple):
    """What the table says of a slot."""

    slot: int
    key: bytes
    end_s: int
    limit: int
    granted: int | None
    wanted: int
    spent: int
    held: int

    @property
    def taken(self) -> int:
        return self.spent + self.held


class LeaseAgent:
    """Keeps one host's shares.

    Args:
        authority: who grants.
        path: the table of this host.
        settings: of sharing.
        now_s: the wall clock, seconds since the epoch.
        monotonic_s: a clock that never goes back.
        faults: what talking to the authority raises when it is down.
        peers: hosts that were known of before.
    """

    def __init__(
        self, authority: Authority, path: Path, settings: BudgetsShared, now_s: Callable[[], int],
        monotonic_s: Callable[[], float], faults: tuple[type[Exception], ...],
        peers: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self._authority, self._path, self._settings = authority, path, settings
        self._now_s, self._monotonic_s, self._faults = now_s, monotonic_s, faults
        self._table: BudgetTable | None = None
        self._epoch: str | None = None
        self._is_told = False
        self._renew_at_s = self._answered_s = monotonic_s()
        self._ends: dict[bytes, int] = {}
        """When each slot first was to end: a window that moves ends later and later."""
        self._valid_until_s: dict[bytes, int] = {}
        """When each slot's window ended by the last word from the authority."""
        self._reported: dict[bytes, tuple[int, int]] = {}
        self.peers: tuple[str, ...] = tuple(peers)
        """The hosts that are known of."""
        self.is_down = False

    def close(self) -> None:
        """Let go of the table."""
        if self._table is not None:
            self._table.close()
            self._table = None

    def step(self) -> None:
        """Look once: tell, ask, return. To be called every ``interval_s``."""
        table = self._mapped()
        if table is None:
            return
        try:
            self._talk(table)
        except self._faults as error:
            self._is_silent(table, error)

    def _mapped(self) -> BudgetTable | None:
        try:
            inode = self._path.stat().st_ino
        except OSError:
            return self._table
        if self._table is None or self._table.inode != inode:
            try:
                table = BudgetTable(self._path)
            except BudgetTableError:
                return self._table
            self.close()
            self._table, self._is_told = table, False  # what it was granted it does not know
        return self._table

    # with the authority

    def _talk(self, table: BudgetTable) -> None:
        epoch, is_known, hosts, lacking = self._authority.hello(self.peers)
        if self.is_down:
            self._is_back(table)
        self._answered_s = self._monotonic_s()
        self.peers = tuple(sorted(hosts)[:_PEERS_MAX])
        if epoch != self._epoch or not is_known or not self._is_told:
            if self._epoch is not None and epoch != self._epoch:
                log.warning("shared budgets: Valkey has lost its memory; leases are told again")
            self._epoch = epoch
            self._is_told = self._tell(table, epoch)
            if not self._is_told:
                return
        for one in self._wanting(table):
            self._ask(table, epoch, one)
        for key in lacking:
            self._give(table, epoch, key)
        if self._monotonic_s() >= self._renew_at_s:
            self._renew_at_s = self._monotonic_s() + _RENEW_S
            self._renew(table, epoch)

    def _tell(self, table: BudgetTable, epoch: str) -> bool:
        """Tell all leases; whether that was done in this epoch."""
        self._reported.clear()
        for one in self._slots(table):
            if one.granted is None and not one.taken:
                continue
            granted = max(one.granted or 0, one.taken)
            if self._put(table, epoch, one, granted).status != "ok":
                return False
        return self._authority.ready(epoch)

    def _put(self, table: BudgetTable, epoch: str, one: _Slot, granted: int) -> Lease:
        answer = self._authority.put(epoch, one.key, granted, one.spent, one.end_s)
        if answer.status == "ok":
            self._reported[one.key] = (granted, one.spent)
            self._valid_until_s[one.key] = one.end_s
            with table.locked():
                if table.key(one.slot) == one.key:
                    table.set_elsewhere(one.slot, answer.elsewhere)
                    if (table.granted(one.slot) or 0) < granted:
                        table.set_granted(one.slot, granted)
        return answer

    def _ask(self, table: BudgetTable, epoch: str, one: _Slot) -> None:
        """Get what waiting calls lack, and some in advance."""
        required = max((one.granted or 0) + one.wanted, one.taken)
        ask = required + one.limit * self._settings.chunk_percent // 100
        answer = self._authority.lease(
            epoch, one.key, required=required, ask=max(required, min(ask, one.limit)),
            limit=one.limit, spent=one.spent, end_s=one.end_s, stale_s=self._stale_s(one),
        )  # fmt: skip
        if answer.status == "epoch":
            self._epoch = None
            return
        self._valid_until_s[one.key] = one.end_s
        with table.locked():
            if table.key(one.slot) != one.key:
                return
            table.set_elsewhere(one.slot, answer.elsewhere)
            if answer.status == "ok":
                table.set_granted(one.slot, answer.granted)
        if answer.status == "ok":
            self._reported[one.key] = (answer.granted, one.spent)

    def _give(self, table: BudgetTable, epoch: str, key: bytes) -> None:
        """Return half of what is not used of a slot that another host lacks."""
        with table.locked():
            slot = table.look(key)
            if slot is None:
                return
            one = _read(table, slot, key, self._now_s())
            if one.granted is None or one.granted <= one.taken:
                if self._reported.get(key, (0, 0))[1] == one.spent:
                    return
                granted = max(one.granted or 0, one.taken)
            else:
                granted = one.granted - (one.granted - one.taken + 1) // 2
                table.set_granted(slot, granted)
        self._put(table, epoch, one, granted)

    def _renew(self, table: BudgetTable, epoch: str) -> None:
        """Tell what has been spent, and where more was booked than was granted."""
        present = set()
        self._end(table, epoch)
        for one in self._slots(table):
            present.add(one.key)
            granted = max(one.granted or 0, one.taken)
            if not granted and one.granted is None:
                continue
            is_new = self._reported.get(one.key) != (granted, one.spent)
            if (is_new or self._moves(one)) and self._put(
                table, epoch, one, granted
            ).status != "ok":
                self._epoch = None
                return
        for gone in self._ends.keys() - present:
            del self._ends[gone]
        for gone in self._valid_until_s.keys() - present:
            del self._valid_until_s[gone]
        for gone in self._reported.keys() - present:
            del self._reported[gone]

    def _end(self, table: BudgetTable, epoch: str) -> None:
        """Return what was granted of windows that have passed; a moving one may begin again."""
        now_s = self._now_s()
        with table.locked():
            ended = [slot for slot in table.used() if table.end_s(slot) <= now_s]
            granted = [(slot, table.key(slot)) for slot in ended if table.granted(slot)]
            for slot, _ in granted:
                table.set_granted(slot, 0)
                table.set_elsewhere(slot, 0)
        for _, key in granted:
            self._authority.put(epoch, key, 0, 0, now_s + _ENDED_S)

    # without it

    def _is_silent(self, table: BudgetTable, error: Exception) -> None:
        """Go on with what has been granted; beyond that as the settings say."""
        if self._monotonic_s() - self._answered_s < _DOWN_AFTER_S:
            return
        if not self.is_down:
            self.is_down = True
            log.warning("shared budgets: Valkey cannot be reached: %s", error)
        now_s, is_open = self._now_s(), self._settings.when_down == "allow"
        for one in self._slots(table):
            with table.locked():
                if table.key(one.slot) != one.key:
                    continue
                if is_open:
                    if one.limit and (one.granted or 0) < one.limit:
                        table.set_granted(one.slot, one.limit)
                    continue
                table.set_elsewhere(one.slot, None)
                if one.granted and self._valid_until_s.get(one.key, one.end_s) <= now_s:
                    table.set_granted(one.slot, 0)  # it was of a window that has moved on

    def _is_back(self, table: BudgetTable) -> None:
        log.warning("shared budgets: Valkey answers again")
        self.is_down, self._is_told = False, False
        for one in self._slots(table):
            with table.locked():
                if table.key(one.slot) != one.key:
                    continue
                table.set_elsewhere(one.slot, 0)
                if self._settings.when_down == "allow":
                    # What was allowed without being granted is no lease; what was used of it is.
                    table.set_granted(one.slot, table.standing(one.slot).taken)

    # the table

    def _slots(self, table: BudgetTable) -> list[_Slot]:
        now_s = self._now_s()
        with table.locked():
            used = [slot for slot in table.used() if table.end_s(slot) > now_s]
            return [_read(table, slot, table.key(slot), now_s) for slot in used]

    def _wanting(self, table: BudgetTable) -> list[_Slot]:
        now_s = self._now_s()
        with table.locked():
            wanting = [slot for slot in table.used() if table.wanted(slot) > 0]
            found = [
                _read(table, slot, table.key(slot), now_s)._replace(wanted=table.take_wanted(slot))
                for slot in wanting
            ]
        return [one for one in found if one.limit]

    def _moves(self, one: _Slot) -> bool:
        """Whether a slot's window moves on with every call: a rolling one, calls at once."""
        return one.end_s > self._ends.setdefault(one.key, one.end_s)

    def _stale_s(self, one: _Slot) -> float:
        if not self._moves(one):
            return 0
        return max(0, one.end_s - self._now_s()) + self._settings.lost_after_s


def _read(table: BudgetTable, slot: int, key: bytes, now_s: int) -> _Slot:
    part_s = part_length_s(table, slot)
    if part_s:
        roll(table, slot, now_s // part_s)  # no call of this host may have done so lately
    standing = table.standing(slot)
    return _Slot(
        slot, key, table.end_s(slot), table.limit(slot), table.granted(slot), table.wanted(slot),
        standing.spent, standing.held,
    )  # fmt: skip
