"""Billing rules as people write them, checked before any of them is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from tollbook.books.documents import (
    DOCUMENT_NAME,
    Document,
    Subject,
    document_history,
    put_document,
)
from tollbook.chargeback.pricebook.moments import asked_ns
from tollbook.errors import TollbookError
from tollbook.ledger.billing_rules import Body, RuleBook
from tollbook.prices.billable import BillingError, Rule, check_rule
from tollbook.prices.billable_terms import Terms, check_terms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tollbook.books.store import Books

RULES_MAX: Final = 1_000
_OWN: Final = ("name", "effective_from", "effective_until")


class RuleFileError(TollbookError):
    """Rules that cannot be used; nothing of them was kept."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}")


class Written(NamedTuple):
    """A rule as it was written, checked."""

    name: str
    body: Body
    effective_from_ns: int
    effective_until_ns: int | None

    @property
    def text(self) -> str:
        """The body, as it is kept."""
        return msgspec.json.encode(self.body, order="deterministic").decode()


def read_rules(given: Sequence[Mapping[str, Any]], source: str) -> list[Written]:
    """Check rules.

    Args:
        given: each with ``name``, ``effective_from``, maybe ``effective_until``, and the body.
        source: the file, for errors.

    Raises:
        RuleFileError: naming the rule, the field and what was expected.
    """
    if not 1 <= len(given) <= RULES_MAX:
        raise RuleFileError(source, f"expected 1 to {RULES_MAX} [[rules]], not {len(given)}")
    found: list[Written] = []
    for at, one in enumerate(given):
        where = f"{source}: rules[{at}]"
        name = one.get("name")
        if not isinstance(name, str) or not name:
            raise RuleFileError(where, "name: is missing")
        where = f"{where} ({name[:64]})"
        if not DOCUMENT_NAME.fullmatch(name):
            raise RuleFileError(where, "name: expected letters, digits, . _ : @ * -")
        if any(other.name == name for other in found):
            raise RuleFileError(where, "name: is there twice")
        found.append(_read(name, one, where))
    return found


def _read(name: str, one: Mapping[str, Any], where: str) -> Written:
    from_ns = _moment(one, "effective_from", where)
    until_ns = _moment(one, "effective_until", where)
    if from_ns is None:
        raise RuleFileError(where, "effective_from: is missing; expected a date")
    if until_ns is not None and until_ns <= from_ns:
        raise RuleFileError(where, "effective_until: is not after effective_from")
    fields = {key: value for key, value in one.items() if key not in _OWN}
    try:
        body: Body = msgspec.convert(fields, Body)
        if isinstance(body, Rule):
            check_rule(body)
        elif isinstance(body, Terms):
            check_terms(body)
    except (msgspec.ValidationError, BillingError) as error:
        raise RuleFileError(where, _plain(error)) from error
    return Written(name, body, from_ns, until_ns)


def _moment(one: Mapping[str, Any], field: str, where: str) -> int | None:
    given = one.get(field)
    if given is None:
        return None
    # TOML has dates of its own.
    text = given if isinstance(given, str) else getattr(given, "isoformat", lambda: "")()
    if not text:
        raise RuleFileError(where, f"{field}: {given!r} is no date")
    return asked_ns(text, "UTC", f"{where}: {field}")


def _plain(error: Exception) -> str:
    """Return msgspec's words with the field first and without its path syntax."""
    text, _, path = str(error).partition(" - at `$")
    field = path.rstrip("`").lstrip(".")
    return f"{field}: {text}" if field else text


def keep_rules(
    books: Books, written: Sequence[Written], reason: str, author: str | None
) -> list[tuple[Document, bool]]:
    """Keep checked rules; each with whether it is new.

    Raises:
        RuleFileError: the reason is missing.
        BooksError: the books cannot be written.
    """
    if not reason.strip():  # before the first is kept
        raise RuleFileError("--reason", "expected why; it is kept with the rules")
    return [
        put_document(
            books, Subject.BILLING_RULE, one.name, one.text,
            effective_from_ns=one.effective_from_ns, effective_until_ns=one.effective_until_ns,
            author=author, reason=reason,
        )
        for one in written
    ]  # fmt: skip


def with_proposed(books: Books, written: Sequence[Written]) -> RuleBook:
    """Return the rules as they would be with more of them.

    Raises:
        BooksError: the books cannot be read.
    """
    history = document_history(books, Subject.BILLING_RULE)
    last = {one.name: one.version for one in history}
    proposed = [
        Document(
            subject=Subject.BILLING_RULE, name=one.name, version=last.get(one.name, 0) + 1,
            effective_from_ns=one.effective_from_ns, effective_until_ns=one.effective_until_ns,
            body=one.text, author="", reason="proposed", created_at_ns=0,
        )
        for one in written
    ]  # fmt: skip
    return RuleBook([*history, *proposed])
