"""What can be done to budgets: set, remove, top up, stop one owner, let it go on."""

from __future__ import annotations

import glob
import hashlib
import re
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from tollbook import clock
from tollbook.books.documents import Draft, Subject, documents_mark, put_documents
from tollbook.budgeting import shelf
from tollbook.budgeting.moments import later_ns, text_of
from tollbook.budgeting.shown import document_row, top_up_row
from tollbook.budgeting.written import BudgetError, Written, amount_of, check_name, rule_of
from tollbook.budgets.rules import read_rules
from tollbook.config.budgets import Budget, BudgetField

if TYPE_CHECKING:
    from tollbook.books.documents import Document
    from tollbook.budgets.rules import Rule
    from tollbook.desk import Desk

_STOP_WINDOW: Final = "day"
_HASH_BYTES: Final = 4
_NS: Final = clock.NS_PER_S
_DAY_S: Final = 86_400


class SetBudget(Written, forbid_unknown_fields=True, kw_only=True):
    """A budget as it is to be from now on; what is not given has its default."""

    name: str
    reason: str
    effective_from: str | None = None
    """A time; unset: now."""
    effective_until: str | None = None
    """First moment it no longer holds; unset: until further notice."""


class RemoveBudget(Struct, forbid_unknown_fields=True, kw_only=True):
    """A budget that is to hold no longer."""

    name: str
    reason: str


class TopUpBudget(Struct, forbid_unknown_fields=True, kw_only=True):
    """More for one owner of a budget."""

    name: str
    amount: str
    """Dollars as decimal text, or pieces, as the budget's limit."""
    reason: str
    owner: str | list[str] | None = None
    """Values of the budget's ``each`` in its order, as a list or with commas."""
    expires: str | None = None
    """A time, or so long from now: ``24h``; unset: the end of the window, 24 h where it rolls."""


class StopOwner(Struct, forbid_unknown_fields=True, kw_only=True):
    """One tenant, user, ... whose calls are refused from now on."""

    field: BudgetField
    value: str
    reason: str
    until: str | None = None
    """A time, or so long from now: ``2h``; unset: until it is resumed."""


class ResumeOwner(Struct, forbid_unknown_fields=True, kw_only=True):
    """An owner that was stopped."""

    reason: str
    field: BudgetField | None = None
    value: str | None = None
    name: str | None = None
    """Of the stop, instead of field and value."""


def set_budget(desk: Desk, asked: SetBudget) -> dict[str, Any]:
    """Keep a new version of a budget; it is in force within seconds."""
    check_name(asked.name)
    _refuse_settings(desk, asked.name)
    rule = rule_of(asked.name, asked)
    now_ns = clock.unix_ns()
    draft = Draft(
        subject=Subject.BUDGET, name=asked.name, body=shelf.body_of(rule.budget),
        effective_from_ns=now_ns if asked.effective_from is None
        else later_ns(asked.effective_from, rule.budget.timezone, "from"),
        effective_until_ns=None if asked.effective_until is None
        else later_ns(asked.effective_until, rule.budget.timezone, "until"),
        reason=asked.reason,
    )  # fmt: skip
    found = shelf.in_force(desk.books, (), now_ns)
    before = found.documents.get(asked.name)
    is_same = (
        before is not None
        and before.body == draft.body
        and asked.effective_from is None
        and before.effective_until_ns == draft.effective_until_ns
    )
    if is_same and before is not None:
        return {"rows": [document_row(before)], "is_new": False}
    ((document, is_new),) = put_documents(desk.books, [draft], author=desk.author)
    return {"rows": [document_row(document)], "is_new": is_new}


def remove_budget(desk: Desk, asked: RemoveBudget) -> dict[str, Any]:
    """Take a budget of the books out of force, from now on."""
    _refuse_settings(desk, asked.name)
    document = _withdraw(desk, asked.name, asked.reason)
    return {"rows": [document_row(document)]}


def top_up(desk: Desk, asked: TopUpBudget) -> dict[str, Any]:
    """Give one owner of a budget more until a moment."""
    now_ns = clock.unix_ns()
    rule = find_rule(desk, asked.name, now_ns)
    owner = _owner_of(rule.budget, asked.owner)
    if asked.expires is not None:
        expires_ns = later_ns(asked.expires, rule.budget.timezone, "expires")
    else:
        expires_ns = default_end_ns(rule, now_ns)
    if expires_ns <= now_ns:
        raise BudgetError(asked.name, f"expires: {text_of(expires_ns)} has passed")
    if not asked.reason.strip():
        raise BudgetError(asked.name, "expected a reason; give one with --reason")
    kept = shelf.keep_top_up(
        desk.books,
        shelf.TopUp(
            budget=asked.name, owner=owner, unit=rule.unit,
            amount=amount_of(asked.name, rule.unit, asked.amount), expires_at_ns=expires_ns,
            reason=asked.reason.strip(),
        ),
        desk.author,
    )  # fmt: skip
    return {"rows": [top_up_row(kept, rule.budget.each)]}


def stop(desk: Desk, asked: StopOwner) -> dict[str, Any]:
    """Refuse all calls of one owner from now on, until a moment or until it is resumed."""
    if not asked.value:
        raise BudgetError("stop", f"value: expected which {asked.field} to stop")
    now_ns = clock.unix_ns()
    name = stop_name(asked.field, asked.value)
    until_ns = None if asked.until is None else later_ns(asked.until, "UTC", "until")
    if until_ns is not None and until_ns <= now_ns:
        raise BudgetError(name, f"until: {text_of(until_ns)} has passed")
    mark = documents_mark(desk.books)
    drafts = [
        Draft(
            subject=Subject.BUDGET, name=name, effective_from_ns=now_ns, reason=asked.reason,
            effective_until_ns=until_ns,
            body=shelf.body_of(stop_budget(asked.field, asked.value)),
        )
    ]  # fmt: skip
    if name in shelf.in_force(desk.books, (), now_ns).documents:
        # Else an earlier stop with a later end would hold again once this one has ended.
        drafts.insert(0, _removal(name, now_ns, asked.reason))
    kept = put_documents(desk.books, drafts, author=desk.author, mark=mark)
    return {"rows": [document_row(kept[-1][0])], "name": name}


def resume(desk: Desk, asked: ResumeOwner) -> dict[str, Any]:
    """Take a stop back."""
    if asked.name is not None:
        name = asked.name
    elif asked.field is not None and asked.value is not None:
        name = stop_name(asked.field, asked.value)
    else:
        raise BudgetError("stop", "expected the name of the stop, or field and value")
    if not name.startswith(shelf.STOP_PREFIX):
        raise BudgetError(name, "is no stop; use remove")
    if name not in shelf.in_force(desk.books, (), clock.unix_ns()).documents:
        owner = f"{asked.field} {asked.value!r}" if asked.name is None else "the owner"
        raise BudgetError(name, f"{owner} is not stopped; see tollbook budget list")
    return {"rows": [document_row(_withdraw(desk, name, asked.reason))]}


def stop_name(field: str, value: str) -> str:
    """Return the name of the stop of an owner: readable, and another one for each."""
    plain = re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")[:24]
    digest = hashlib.blake2b(f"{field}={value}".encode(), digest_size=_HASH_BYTES).hexdigest()
    parts = [shelf.STOP_PREFIX.rstrip("-"), field.replace("_", "-"), plain, digest]
    return "-".join(filter(None, parts))


def stop_budget(field: BudgetField, value: str) -> Budget:
    """Return the budget that stops an owner: no calls at all, running streams neither."""
    return Budget(
        name=stop_name(field, value), limit_requests=0, match={field: glob.escape(value)},
        window=_STOP_WINDOW, mode="hard", stop_streams=True, wait_s=0.0,
    )  # fmt: skip


def find_rule(desk: Desk, name: str, at_ns: int) -> Rule:
    """Return a rule that is in force.

    Raises:
        BudgetError: there is none of that name.
    """
    for budget in shelf.in_force(desk.books, desk.config.budgets, at_ns).budgets:
        if budget.name == name:
            (rule,) = read_rules([budget], shelf.SOURCE)
            return rule
    raise BudgetError(name, "there is none of that name in force; see tollbook budget list")


def default_end_ns(rule: Rule, now_ns: int) -> int:
    """Return when a top-up ends for which nobody said it: with the window, else in a day."""
    if not rule.has_calendar:
        return now_ns + _DAY_S * _NS
    return rule.span(now_ns // _NS).end_s * _NS


def _owner_of(budget: Budget, given: str | list[str] | None) -> tuple[str, ...]:
    values = given if isinstance(given, list) else _split(given or "", len(budget.each))
    if len(values) != len(budget.each) or not all(values):
        wanted = ",".join(budget.each).upper() or "none, it is one for all"
        raise BudgetError(budget.name, f"owner: expected {wanted}")
    return tuple(values)


def _split(text: str, number: int) -> list[str]:
    if number <= 1:
        return [text] if text else []  # a comma may be part of it
    return [one.strip() for one in text.split(",")]


def _refuse_settings(desk: Desk, name: str) -> None:
    if any(one.name == name for one in desk.config.budgets):
        raise BudgetError(name, "stands in the settings; change it there, or take another name")


def _withdraw(desk: Desk, name: str, reason: str) -> Document:
    now_ns = clock.unix_ns()
    if name not in shelf.in_force(desk.books, (), now_ns).documents:
        raise BudgetError(name, "there is none of that name in force; see tollbook budget list")
    draft = _removal(name, now_ns, reason)
    ((document, _),) = put_documents(desk.books, [draft], author=desk.author)
    return document


def _removal(name: str, now_ns: int, reason: str) -> Draft:
    return Draft(
        subject=Subject.BUDGET, name=name, body=shelf.REMOVED, effective_from_ns=now_ns,
        reason=reason,
    )  # fmt: skip
