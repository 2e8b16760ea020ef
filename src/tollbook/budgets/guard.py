"""Admit a call against its budgets, and settle what it came to. One per gateway worker.

A call reserves the most it may cost before it is sent (input as estimated, output up to its own
limit) in every budget that it counts against, all of them or none; when it has ended, what it did
cost replaces the reservation. The sums are shared with the other workers of the host
(:mod:`tollbook.budgets.table`), so concurrent calls cannot overshoot a hard limit: what is spent
and held never exceeds it at the moment of admission.
"""

from __future__ import annotations

import logging
import struct
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from tollbook.budgets.rules import fields_of
from tollbook.budgets.table import BudgetTable, BudgetTableError
from tollbook.budgets.window import Span, span_at
from tollbook.call import CallClosed, Metering, Status
from tollbook.usage import TOKEN_KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tollbook.budgets.rules import Rule
    from tollbook.call import CallOpened

logger = logging.getLogger(__name__)

_LOOKS: Final = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
_MOST: Final = 2**56
"""Most that one call holds (72,000 USD): what callers ask for is not bounded, the table is."""
_SESSION: Final = "websocket"
"""Operation of a WebSocket's own call; what it leads to is charged within."""
_TOKENS: Final = frozenset(TOKEN_KINDS)


class Priced(Protocol):
    """What a call is charged."""

    @property
    def cost_pico(self) -> int | None:
        """10^-12 USD; None is unknown."""

    @property
    def usage(self) -> tuple[tuple[str, int], ...]:
        """The kinds that are not zero."""


class Prices(Protocol):
    """Prices calls as the ledger does."""

    def of(self, opened: CallOpened, closed: CallClosed) -> Priced | str:
        """Return what a call is charged, or why that cannot be said."""


class Hold(NamedTuple):
    """What a call has reserved in one budget."""

    rule: Rule
    key: bytes
    span: Span
    owner: tuple[str, ...]
    amount: int
    inode: int
    """Of the table that it is held in: a table made anew knows nothing of it."""


class Refused(NamedTuple):
    """Why a call is not admitted."""

    rule: Rule | None
    """None: the counters cannot be used, or the price is not known."""
    reason: str
    retry_after_s: int
    is_unavailable: bool = False


class _Worst(NamedTuple):
    """The most that a call may come to."""

    pico: int | None
    tokens: int


class Guard:
    """The budgets of one worker.

    Args:
        rules: of the settings, at least one.
        path: the table that all workers of the host share.
        worker: this worker's number.
        prices: as the ledger's.
        now_s: the wall clock, seconds since the epoch.
    """

    def __init__(
        self, rules: Sequence[Rule], path: Path, worker: int, prices: Prices,
        now_s: Callable[[], int],
    ) -> None:  # fmt: skip
        self._rules = tuple(rules)
        self._path = path
        self._worker = worker
        self._prices = prices
        self._now_s = now_s
        self._table: BudgetTable | None = None
        self.refusals: dict[str, int] = {}
        """How many calls each budget has refused, for the metrics."""
        self.refresh()

    def close(self) -> None:
        """Let go of the table."""
        if self._table is not None:
            self._table.close()
            self._table = None

    def refresh(self) -> None:
        """Map the table if it is new; called now and then."""
        try:
            inode = self._path.stat().st_ino
        except OSError:
            return  # what is mapped goes on counting
        if self._table is not None and self._table.inode == inode:
            return
        try:
            table = BudgetTable(self._path)
        except BudgetTableError as error:
            logger.warning("%s", error.message)
            return
        table.forget_holds(self._worker)
        self.close()
        self._table = table

    def metrics(self) -> bytes:
        """Return the refusals by budget in Prometheus text (exposition format 0.0.4)."""
        family = "tollbook_gateway_budget_refusals_total"
        lines = [f"# HELP {family} Calls that a budget refused.", f"# TYPE {family} counter"]
        lines += [
            f'{family}{{budget="{rule.budget.name}"}} {self.refusals.get(rule.budget.name, 0)}'
            for rule in self._rules
        ]
        return "\n".join([*lines, ""]).encode()

    def admit(self, opened: CallOpened) -> tuple[Hold, ...] | Refused:
        """Reserve in every budget that counts, or say which refuses; nothing is held then."""
        if opened.metering is Metering.FREE and _is_look(opened):
            return ()
        fields = fields_of(opened)
        concerned = [
            (rule, owner) for rule in self._rules if (owner := rule.owner(fields)) is not None
        ]
        if not concerned:
            return ()
        now_s, inode = self._now_s(), 0 if self._table is None else self._table.inode
        worst = self._worst(opened, max(rule.budget.default_output_tokens for rule, _ in concerned))
        holds = []
        for rule, owner in concerned:
            amount = _amount(rule, worst)
            if amount is None:
                self._count(rule)
                reason = (
                    f"budget {rule.budget.name!r}: the price of model"
                    f" {fields['model']!r} is not known, so the call cannot be held to the limit"
                )
                return Refused(rule, reason, 0)
            span = span_at(rule.budget.window, rule.budget.timezone, now_s)
            holds.append(Hold(rule, rule.key(owner, span.start_s), span, owner, amount, inode))
        return self._reserve(tuple(holds), now_s)

    def _reserve(self, holds: tuple[Hold, ...], now_s: int) -> tuple[Hold, ...] | Refused:
        table = self._table
        is_hard = any(hold.rule.budget.mode == "hard" for hold in holds)
        if table is None:
            return _unavailable() if is_hard else ()
        with table.locked():
            slots = []
            for hold in holds:
                slot = table.find(hold.key, hold.span.end_s, now_s)
                if slot is None:
                    return _unavailable() if is_hard else ()
                slots.append(slot)
            for hold, slot in zip(holds, slots, strict=True):
                taken = table.standing(slot).taken
                limit = hold.rule.limit
                if hold.rule.budget.mode == "hard" and (
                    taken >= limit or taken + hold.amount > limit
                ):
                    self._count(hold.rule)
                    return _exceeded(hold, taken, now_s)
            for hold, slot in zip(holds, slots, strict=True):
                table.hold(slot, self._worker, hold.amount)
        return holds

    def settle(self, holds: tuple[Hold, ...], opened: CallOpened, closed: CallClosed) -> None:
        """Replace what a call held by what it came to. Never raises: a call has to be closed."""
        if not holds:
            return
        try:
            self._settle(holds, opened, closed)
        except (OSError, ValueError, OverflowError, struct.error):
            logger.exception("a call could not be settled in its budgets")

    def _settle(self, holds: tuple[Hold, ...], opened: CallOpened, closed: CallClosed) -> None:
        pico, tokens, requests = self._came_to(opened, closed)
        table, now_s = self._table, self._now_s()
        if table is None:
            return
        with table.locked():
            for hold in holds:
                slot = table.find(hold.key, hold.span.end_s, now_s)
                if slot is None:
                    continue
                unit = hold.rule.unit
                spent = tokens if unit == "tokens" else requests if unit == "requests" else pico
                amount = hold.rule.hold if spent is None else spent
                before = table.standing(slot).spent
                table.spend(slot, amount)
                if hold.inode == table.inode:
                    table.hold(slot, self._worker, -hold.amount)
                _warn(hold, before, before + amount)

    def may_open(self, session: CallOpened) -> Refused | None:
        """Say which budget refuses a session; nothing is held for it, its responses hold."""
        admitted = self.admit(session)
        if isinstance(admitted, Refused):
            return admitted
        nothing = CallClosed(session.call_id, session.started_at_ns, Status.REJECTED)
        self.settle(admitted, session, nothing)
        return None

    def charge(self, opened: CallOpened, closed: CallClosed) -> None:
        """Count a call that reserved nothing: a response within a session that nothing held up."""
        fields, now_s = fields_of(opened), self._now_s()
        holds = []
        for rule in self._rules:
            owner = rule.owner(fields)
            if owner is not None:
                span = span_at(rule.budget.window, rule.budget.timezone, now_s)
                holds.append(Hold(rule, rule.key(owner, span.start_s), span, owner, 0, 0))
        self.settle(tuple(holds), opened, closed)

    def remaining(self, holds: tuple[Hold, ...]) -> tuple[str, int] | None:
        """Return the name and the rest of the dollar budget with the least left, in pico."""
        table, now_s = self._table, self._now_s()
        found: list[tuple[int, str]] = []
        if table is None:
            return None
        with table.locked():
            for hold in holds:
                slot = table.find(hold.key, hold.span.end_s, now_s)
                if hold.rule.unit == "usd" and slot is not None:
                    left = hold.rule.limit - table.standing(slot).taken
                    found.append((max(0, left), hold.rule.budget.name))
        if not found:
            return None
        left, name = min(found)
        return name, left

    def _worst(self, opened: CallOpened, default_output_tokens: int) -> _Worst:
        if opened.metering is not Metering.METERED:
            return _Worst(0, 0)  # its cost is not known beforehand; the limit itself still counts
        most = opened.max_output_tokens or default_output_tokens
        ended = CallClosed(
            opened.call_id, opened.started_at_ns, Status.OK,
            model_actual=opened.model_sent, output_events=most,
        )  # fmt: skip
        priced = self._prices.of(opened, ended)
        if isinstance(priced, str):
            return _Worst(None, most)
        return _Worst(priced.cost_pico, _tokens(priced.usage))

    def _came_to(self, opened: CallOpened, closed: CallClosed) -> tuple[int | None, int, int]:
        """Return pico (None: not known), tokens and requests."""
        if closed.status is Status.REJECTED or opened.metering is Metering.FREE:
            return 0, 0, 0
        if opened.metering is not Metering.METERED:
            return 0, 0, 1
        priced = self._prices.of(opened, closed)
        if isinstance(priced, str):
            return None, 0, 1
        return priced.cost_pico, _tokens(priced.usage), 1

    def _count(self, rule: Rule) -> None:
        name = rule.budget.name
        self.refusals[name] = self.refusals.get(name, 0) + 1


def _is_look(opened: CallOpened) -> bool:
    """Whether a free call leads to none that costs: a session is opened with GET too."""
    return opened.method in _LOOKS and opened.operation != _SESSION


def _tokens(usage: Sequence[tuple[str, int]]) -> int:
    return sum(quantity for kind, quantity in usage if kind in _TOKENS)


def _amount(rule: Rule, worst: _Worst) -> int | None:
    """Return what to reserve; None where that cannot be known and the budget refuses for it."""
    if rule.unit == "tokens":
        return min(worst.tokens, _MOST)
    if rule.unit == "requests":
        return 1
    if worst.pico is not None:
        return min(worst.pico, _MOST)
    if rule.budget.mode == "hard" and rule.budget.unknown_price == "refuse":
        return None
    return rule.hold


def _unavailable() -> Refused:
    reason = "the budget counters cannot be used right now; try again in a moment"
    return Refused(None, reason, 1, is_unavailable=True)


def _exceeded(hold: Hold, taken: int, now_s: int) -> Refused:
    rule, budget = hold.rule, hold.rule.budget
    whose = ", ".join(
        f"{field} {value!r}" for field, value in zip(budget.each, hold.owner, strict=True)
    )
    left = max(0, rule.limit - taken)
    unit = {"usd": "USD", "tokens": "tokens", "requests": "requests"}[rule.unit]
    reason = (
        f"budget {budget.name!r}{f' of {whose}' if whose else ''} is used up for this"
        f" {budget.window}: {_shown(rule.unit, left)} of {_shown(rule.unit, rule.limit)} {unit}"
        f" left, and this call may need {_shown(rule.unit, hold.amount)}"
    )
    return Refused(rule, reason, max(1, hold.span.end_s - now_s))


def _shown(unit: str, amount: int) -> str:
    from tollbook.money import usd_text  # noqa: PLC0415 -- only for a refusal

    return usd_text(amount) if unit == "usd" else str(amount)


def _warn(hold: Hold, before: int, after: int) -> None:
    """Log each share of the limit that this call has crossed; under the lock, so once."""
    budget, limit = hold.rule.budget, hold.rule.limit
    for percent in budget.warn_at_percent:
        mark = limit * percent
        if before * 100 < mark <= after * 100:
            logger.warning(
                "budget %s %s has reached %d %% of its limit for this %s",
                budget.name, "/".join(hold.owner) or "all", percent, budget.window,
            )  # fmt: skip
