"""The billing rules of the books, by time: which of them bills a call.

Rules are documents. What holds at a time is of each name the newest version whose dates cover it;
of what holds, the most specific rule that fits a call bills it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import sqlalchemy as sa

from tollbook.books.documents import Subject, document_history
from tollbook.books.tables import documents
from tollbook.prices.billable import MATCHED, Described, Matcher, Plans, Rule, Withdrawn
from tollbook.prices.billable_terms import Terms

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tollbook.books.documents import Document
    from tollbook.books.store import Books

Body = Rule | Plans | Terms | Withdrawn

_log = logging.getLogger(__name__)
_decoder: Final[msgspec.json.Decoder[Body]] = msgspec.json.Decoder(Body)
_CHOICES_MAX: Final = 65_536
_BEGINNING_NS: Final = -(2**63)
_END_NS: Final = 2**63 - 1


class InForce(NamedTuple):
    """A document that holds, with what it says."""

    document_id: str
    name: str
    body: Body


class RulesInForce:
    """What holds over one stretch of time.

    Attributes:
        fields: what the rules look at, of :data:`tollbook.prices.billable.MATCHED`.
        rules: the most specific first.
    """

    def __init__(self, held: Iterable[InForce]) -> None:
        known = list(held)
        self._plans = sorted(
            ((one.name, one.body) for one in known if isinstance(one.body, Plans)),
            key=lambda one: one[0],
        )
        self.terms = [one for one in known if isinstance(one.body, Terms)]
        matched = [(Matcher(one.body.match), one) for one in known if isinstance(one.body, Rule)]
        matched.sort(key=lambda pair: pair[1].name)
        matched.sort(key=lambda pair: pair[0].rank, reverse=True)
        self.rules: list[tuple[str, Rule]] = []
        for _, one in matched:
            assert isinstance(one.body, Rule)
            self.rules.append((one.document_id, one.body))
        self._matchers = [matcher for matcher, _ in matched]
        used = {name for matcher in self._matchers for name in matcher.fields}
        self.fields = tuple(name for name in MATCHED if name in used)
        self._choices: dict[Described, int] = {}

    @property
    def needs_tags(self) -> bool:
        """Whether a rule asks for the plan and a call's own tag may say it."""
        return "plan" in self.fields and any(one.tag is not None for _, one in self._plans)

    def plan_of(self, tenant: str | None, tags: dict[str, str] | None = None) -> str | None:
        """Return the plan of a tenant, None where none is known."""
        for _, one in self._plans:
            plan = one.plan_of(tenant, tags)
            if plan is not None:
                return plan
        return None

    def plan_tags(self) -> list[str]:
        """Return the tags that may say the plan of a call."""
        return [one.tag for _, one in self._plans if one.tag is not None]

    def tenants_named(self) -> set[str]:
        """Return the tenants that a plan names in full."""
        return {
            name
            for _, one in self._plans
            for name in one.tenants
            if "*" not in name and "?" not in name
        }

    def choose(self, call: Described) -> int:
        """Return which of the rules bills a call, -1 for none."""
        chosen = self._choices.get(call)
        if chosen is None:
            fits = (at for at, one in enumerate(self._matchers) if one.fits(call))
            chosen = next(fits, -1)
            if len(self._choices) >= _CHOICES_MAX:
                self._choices.clear()
            self._choices[call] = chosen
        return chosen


class RuleBook:
    """All versions of all rules, and what holds when."""

    def __init__(self, history: Sequence[Document]) -> None:
        self._history: list[tuple[Document, InForce]] = []
        for one in history:
            body = read_body(one)
            if body is not None:
                self._history.append((one, InForce(one.document_id, one.name, body)))
        ends = {_BEGINNING_NS}
        for one, _ in self._history:
            ends.add(one.effective_from_ns)
            if one.effective_until_ns is not None:
                ends.add(one.effective_until_ns)
        self.starts: tuple[int, ...] = tuple(sorted(ends))
        """When something begins or ends to hold, nanoseconds since the epoch."""
        self._held: dict[int, RulesInForce] = {}

    def __bool__(self) -> bool:
        """Whether there is any rule at all."""
        return any(isinstance(one.body, Rule) for _, one in self._history)

    @property
    def rules(self) -> dict[str, Rule]:
        """Every version of every rule, by document id."""
        return {one.document_id: one.body for _, one in self._history if isinstance(one.body, Rule)}

    def stretch(self, at: int) -> RulesInForce:
        """Return what holds from ``starts[at]`` on."""
        if at not in self._held:
            self._held[at] = RulesInForce(self._at(self.starts[at]))
        return self._held[at]

    def at(self, at_ns: int) -> RulesInForce:
        """Return what holds at a time."""
        return self.stretch(max(n for n, start in enumerate(self.starts) if start <= at_ns))

    def _at(self, at_ns: int) -> list[InForce]:
        held: dict[str, tuple[int, InForce]] = {}
        for one, read in self._history:
            until_ns = _END_NS if one.effective_until_ns is None else one.effective_until_ns
            if one.effective_from_ns <= at_ns < until_ns:
                kept = held.get(one.name)
                if kept is None or kept[0] < one.version:
                    held[one.name] = (one.version, read)
        return [read for _, read in held.values()]


def load_rules(books: Books) -> RuleBook:
    """Return the rules of the books.

    Raises:
        BooksError: the books cannot be read.
    """
    return RuleBook(document_history(books, Subject.BILLING_RULE))


def rule_of(books: Books, document_id: str) -> tuple[Rule, str] | None:
    """Return a version of a rule and why it was written, None where the books have it not.

    Raises:
        BooksError: the books cannot be read.
    """
    query = sa.select(documents.c.body, documents.c.reason).where(
        documents.c.document_id == document_id,
        documents.c.subject == Subject.BILLING_RULE.value,
    )
    with books.read() as connection:
        found = connection.execute(query).first()
    if found is None:
        return None
    try:
        body = _decoder.decode(found.body)
    except msgspec.DecodeError:
        return None
    return (body, found.reason) if isinstance(body, Rule) else None


def read_body(one: Document) -> Body | None:
    """Return what a document says; None, and a line in the log, if that cannot be read."""
    try:
        return _decoder.decode(one.body)
    except msgspec.DecodeError as error:
        _log.error("%s cannot be read (%s): it is left out", one.document_id, error)
        return None
