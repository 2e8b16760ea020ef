"""Rules in the books: the built-in ones, and the documents that change or add some."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from tollbook import clock
from tollbook.alerts.rule import DEFAULT_RULES, Rule, RuleError, read_rule
from tollbook.books.documents import Subject, newest_documents, put_document

if TYPE_CHECKING:
    from tollbook.books.store import Books

_REMOVED = {"is_removed": True}


def rules_in_force(books: Books) -> dict[str, Rule]:
    """Return every rule by name: the built-in ones, changed by documents of the same name.

    A document that an older version cannot read is told when it is set; here it is left out, so
    that one bad rule does not silence the others.

    Raises:
        BooksError: the books cannot be read.
    """
    found = dict(DEFAULT_RULES)
    for name, document in newest_documents(books, Subject.ALERT_RULE).items():
        body = msgspec.json.decode(document.body, type=dict[str, Any])
        if body == _REMOVED:
            found.pop(name, None)
            continue
        try:
            found[name] = read_rule(name, body)
        except RuleError:
            found.pop(name, None)
    return found


def put_rule(
    books: Books, name: str, body: dict[str, Any], *, author: str | None, reason: str
) -> Rule:
    """Keep a rule; it holds from now on.

    Raises:
        RuleError: naming what is wrong with it.
        DocumentError: the reason is empty.
        BooksError: the books cannot be written.
    """
    rule = read_rule(name, body)
    _put(books, name, body, author, reason)
    return rule


def drop_rule(books: Books, name: str, *, author: str | None, reason: str) -> None:
    """Remove a rule, a built-in one too; ``put_rule`` with its name brings it back.

    Raises:
        RuleError: there is no such rule.
        DocumentError: the reason is empty.
        BooksError: the books cannot be written.
    """
    if name not in rules_in_force(books):
        raise RuleError(name, "there is no such rule; see tollbook alerts rules")
    _put(books, name, dict(_REMOVED), author, reason)


def _put(
    books: Books, name: str, body: dict[str, Any], author: str | None, reason: str
) -> None:  # fmt: skip
    put_document(
        books, Subject.ALERT_RULE, name, msgspec.json.encode(body).decode(),
        effective_from_ns=clock.unix_ns(), author=author, reason=reason,
    )  # fmt: skip


def origin_of(books: Books, name: str) -> str:
    """Return where a rule comes from: ``built-in``, or the document's id.

    Raises:
        BooksError: the books cannot be read.
    """
    document = newest_documents(books, Subject.ALERT_RULE).get(name)
    return "built-in" if document is None else document.document_id
