"""Move a period on: steps, accepted checks, the seal, approvals, the close."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
from msgspec import Struct

from tollbook import clock
from tollbook.books.events import current_user
from tollbook.books.tables_periods import period_closes
from tollbook.chargeback.periods.checks import Check, checks
from tollbook.chargeback.periods.errors import (
    ChecksFailedError,
    NotApproverError,
    NotYourselfError,
    PeriodError,
)
from tollbook.chargeback.periods.events import (
    STEPS,
    EventKind,
    PeriodEvent,
    PeriodState,
    add_period_event,
    period_history,
    period_state,
)
from tollbook.chargeback.periods.seal import (
    KeptSeal,
    Part,
    Seal,
    add_seal,
    digest,
    encode,
    kept_seal,
    make_seal,
)
from tollbook.chargeback.periods.verify import changed_parts

if TYPE_CHECKING:
    from tollbook.chargeback.periods.period import Period
    from tollbook.desk import Desk

SHOWBACK: Final = "showback"
_TWO: Final = 2
_USER: Final = "user:"
_SIGNED_IN: Final = (_USER, "token:")
"""How the names of people and tokens begin; a command on the machine has a plain name."""


class Closing(Struct, frozen=True, kw_only=True):
    """How far the close of a period is."""

    period: str
    state: PeriodState
    seal: str
    prepared_by: str
    approved_by: list[str]
    approvals_needed: int
    """More, until it is closed."""


def who(desk: Desk, name: str | None) -> str:
    """Return who does something: as told, or the user of the process.

    Raises:
        NotYourselfError: somebody who has signed in speaks for another.
    """
    signed_in = desk.author is not None and desk.author.startswith(_SIGNED_IN)
    if signed_in and name is not None and name != desk.author:
        raise NotYourselfError(name, str(desk.author))
    return name or desk.author or current_user()


def must_approve(desk: Desk, name: str) -> None:
    """Refuse somebody who is not an approver; where none is named, anybody is.

    Raises:
        NotApproverError: not among ``[finance] approvers``.
    """
    if not is_approver(desk, name):
        raise NotApproverError(name)


def is_approver(desk: Desk, name: str) -> bool:
    """Whether somebody may approve; who has signed in is named with or without ``user:``."""
    approvers = desk.config.finance.approvers
    return not approvers or bool({name, name.removeprefix(_USER)} & set(approvers))


def must_be_open(desk: Desk, period: Period) -> PeriodState:
    """Return the state of a period that is not closed.

    Raises:
        PeriodError: it is closed.
    """
    state = period_state(desk.books, period.name)
    if state is PeriodState.CLOSED:
        raise PeriodError(
            period.name, "is closed; what comes later is booked into the month that is open"
        )
    return state


def take_step(
    desk: Desk, period: Period, to: PeriodState, *, by: str | None = None, reason: str | None = None
) -> PeriodState:
    """Take a period one step on, or back (with a reason), short of closing it.

    Raises:
        PeriodError: it is closed, or the step is not the next one, or back without a reason.
        ChecksFailedError: something stands in the way.
    """
    state, actor = must_be_open(desk, period), who(desk, by)
    at, wanted = STEPS.index(state), STEPS.index(to)
    if to is PeriodState.CLOSED:
        raise PeriodError(period.name, "is closed by a seal and its approvals: tollbook close seal")
    if wanted > at + 1 or wanted == at:
        raise PeriodError(period.name, f"is {state}; the next step is {STEPS[at + 1]}")
    if wanted < at and not (reason or "").strip():
        raise PeriodError(period.name, f"going back from {state} to {to} needs a reason")
    if wanted > at:
        _must_pass(period, to, checks(desk, period, to))
    with desk.books.write() as connection:
        add_period_event(connection, period.name, EventKind.STEP, actor, {"to": to.value}, reason)
    return to


def _must_pass(period: Period, to: PeriodState, found: list[Check]) -> None:
    problems = [f"{one.name}: {one.problem}" for one in found if one.stands]
    if problems:
        raise ChecksFailedError(period.name, to.value, problems)


def accept(
    desk: Desk, period: Period, name: str, *, by: str | None = None, reason: str
) -> list[Check]:
    """Accept a check that fails, with exactly the problems that it has now.

    Raises:
        NotApproverError: somebody who may not.
        PeriodError: the period is closed, the check does not fail, or no reason is given.
    """
    must_be_open(desk, period)
    actor = who(desk, by)
    must_approve(desk, actor)
    if not reason.strip():
        raise PeriodError(period.name, "accepting a check needs a reason")
    failing = [one for one in checks(desk, period, PeriodState.CLOSED) if one.stands]
    meant = [one for one in failing if one.name == name]
    if not meant:
        names = ", ".join(sorted({one.name for one in failing})) or "none"
        raise PeriodError(period.name, f"no check {name[:64]!r} fails; failing: {names}")
    with desk.books.write() as connection:
        for one in meant:
            detail = {"check": one.name, "problem": one.problem}
            add_period_event(
                connection, period.name, EventKind.ACCEPTED, actor, detail, reason.strip()
            )
    return [one for one in checks(desk, period, PeriodState.CLOSED) if one.name == name]


def approvals_needed(desk: Desk) -> int:
    """Return how many approvals a close needs: none in showback."""
    finance = desk.config.finance
    return 0 if finance.mode == SHOWBACK else finance.approvals_needed


def seal_period(desk: Desk, period: Period, *, by: str | None = None) -> Closing:
    """Prepare the close: fix the last entry and hash all that the period rests on.

    What is booked from now on is not in the period. Where no approval is needed it is closed.

    Raises:
        PeriodError: it is closed, or not allocated yet.
        ChecksFailedError: something stands in the way.
    """
    state, actor = must_be_open(desk, period), who(desk, by)
    if state is not PeriodState.ALLOCATED:
        raise PeriodError(period.name, f"is {state}; it is sealed when it is allocated")
    found = checks(desk, period, PeriodState.CLOSED)
    _must_pass(period, PeriodState.CLOSED, found)
    with desk.store.transaction():  # between two batches
        upto = desk.store.last_entry_id
    accepted = [
        Part(f"{one.name} by {one.accepted_by}", f"{one.problem}: {one.reason}")
        for one in found if one.accepted_by is not None
    ]  # fmt: skip
    now_ns = clock.unix_ns()
    body = encode(make_seal(desk, period, upto, accepted, known_before_ns=now_ns))
    kept = KeptSeal(
        seal=digest(body), period=period.name, cutoff_entry_id=upto, body=body, prepared_by=actor,
        prepared_at_ns=now_ns,
    )  # fmt: skip
    with desk.books.write() as connection:
        add_seal(connection, kept)
        add_period_event(
            connection, period.name, EventKind.SEALED, actor, {"seal": kept.seal}
        )  # fmt: skip
    if approvals_needed(desk) == 0:
        _close(desk, period, kept, actor)
    return closing(desk, period)


def approve(
    desk: Desk, period: Period, *, by: str | None = None, seal: str | None = None
) -> Closing:
    """Approve the seal that was prepared last; the last approval that is needed closes the period.

    Raises:
        NotApproverError: somebody who may not.
        PeriodError: there is no seal, another one is meant, what it covers has changed since, who
            approves has done so or has prepared it where two are needed.
    """
    must_be_open(desk, period)
    actor = who(desk, by)
    must_approve(desk, actor)
    prepared, prepared_by, given = _prepared(desk, period)
    if seal is not None and not prepared.seal.startswith(seal):
        raise PeriodError(period.name, f"the seal to approve is {prepared.seal[:16]}, not {seal}")
    needed = approvals_needed(desk)
    if needed >= _TWO and actor == prepared_by:
        raise PeriodError(period.name, f"{actor} has prepared the seal; another has to approve it")
    if actor in given:
        raise PeriodError(period.name, f"{actor} has approved it already")
    changed = changed_parts(desk, prepared, known_before_ns=None)
    if changed:
        told = "; ".join(one.told for one in changed[:3])
        raise PeriodError(period.name, f"has changed since it was sealed ({told}); seal it again")
    with desk.books.write() as connection:
        add_period_event(
            connection, period.name, EventKind.APPROVED, actor, {"seal": prepared.seal}
        )  # fmt: skip
    if len(given) + 1 >= needed:
        _close(desk, period, prepared, actor)
    return closing(desk, period)


def closing(desk: Desk, period: Period) -> Closing:
    """Return how far the close of a sealed period is.

    Raises:
        PeriodError: there is no seal.
    """
    prepared, prepared_by, given = _prepared(desk, period)
    state = period_state(desk.books, period.name)
    left = 0 if state is PeriodState.CLOSED else max(0, approvals_needed(desk) - len(given))
    return Closing(
        period=period.name, state=state, seal=prepared.seal, prepared_by=prepared_by,
        approved_by=given, approvals_needed=left,
    )  # fmt: skip


def _prepared(desk: Desk, period: Period) -> tuple[KeptSeal, str, list[str]]:
    """Return the newest seal, if no step was taken since, who prepared it and who approved it.

    The same content has the same seal, so both are told by what happened last: an approval that
    a step back has voided does not come back with it.
    """
    last: PeriodEvent | None = None
    given: list[str] = []
    for event in period_history(desk.books, period.name):
        if event.kind is EventKind.SEALED:
            last, given = event, []
        elif event.kind is EventKind.STEP:
            last = None
        elif event.kind is EventKind.APPROVED:
            given.append(event.actor)
    found = None if last is None else kept_seal(desk.books, str(last.detail["seal"]))
    if last is None or found is None:
        raise PeriodError(period.name, "is not sealed yet; see tollbook close seal")
    return found, last.actor, given


def _close(desk: Desk, period: Period, kept: KeptSeal, actor: str) -> None:
    body: Seal = kept.read()
    with desk.books.write() as connection:
        later = sa.select(period_closes.c.period).where(period_closes.c.period >= period.name)
        if connection.execute(later).first() is not None:
            raise PeriodError(period.name, "is closed already")
        connection.execute(
            period_closes.insert().values(
                period=period.name, seal=kept.seal, cutoff_entry_id=kept.cutoff_entry_id,
                timezone=body.timezone, mode=body.mode, closed_by=actor,
                closed_at_ns=clock.unix_ns(),
            )
        )  # fmt: skip
        add_period_event(connection, period.name, EventKind.CLOSED, actor, {"seal": kept.seal})
