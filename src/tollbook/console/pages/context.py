"""What a page's function works with: the request, and whom to ask."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple
from urllib.parse import urlencode

from tollbook import clock
from tollbook.console.finance import carry_out
from tollbook.errors import TollbookError
from tollbook.reports.errors import QueryError
from tollbook.reports.params import format_filter, parse_filter, parse_range
from tollbook.reports.query import Filter
from tollbook.reports.zone import zone_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tollbook.console.answers import Answers
    from tollbook.console.audits.jobs import Jobs
    from tollbook.console.sql.routes import SqlDesk
    from tollbook.desk import Desk, Operation
    from tollbook.desk.permits import Permit, Principal
    from tollbook.reports.params import Pairs
    from tollbook.reports.spend import SpendReport
    from tollbook.reports.times import Period

DEFAULT_SINCE: Final = "30d"
RANGE: Final = ("since", "until", "period", "tz", "billing_period", "booked_before")
"""Parameters that every page with a range passes on, with ``where``."""

_SPAN: Final = ("since", "until", "period", "billing_period")


class House(NamedTuple):
    """What all pages share."""

    answers: Answers
    desk: Desk
    """With the ledger's writer; operations get it only where they say that they write."""
    operations: Mapping[str, Operation]
    status: Callable[[], dict[str, Any]]
    sql: SqlDesk | None = None
    audits: Jobs | None = None


class PageContext:
    """One request for a page.

    Args:
        house: whom to ask.
        principal: who looks.
        path: of the page.
        pairs: of the URL's query.
        wanted: what the page is sent as; as CSV it has all its rows, not one screen of them.
    """

    def __init__(
        self, house: House, principal: Principal, path: str, pairs: Pairs,
        wanted: Literal["html", "json", "csv"] = "html",
    ) -> None:  # fmt: skip
        self.house, self.principal, self.path, self.pairs = house, principal, path, pairs
        self.wanted = wanted
        self.now = clock.utc_now()

    def get(self, name: str) -> str | None:
        """Return a parameter of the URL, None where it is not given or empty.

        Raises:
            QueryError: it is given twice.
        """
        found = self.all(name)
        if len(found) > 1:
            raise QueryError(name, "is given twice")
        return found[0] if found and found[0] else None

    def all(self, name: str) -> list[str]:
        """Return all values of a parameter."""
        return [value for key, value in self.pairs if key == name]

    def need(self, name: str, what: str) -> str:
        """Return a parameter that the page cannot do without.

        Raises:
            QueryError: it is not given.
        """
        found = self.get(name)
        if found is None:
            raise QueryError(name, f"expected {what}")
        return found

    def may(self, permit: Permit) -> bool:
        """Whether the principal holds a permit: what it may not do is not offered."""
        return self.principal.may(permit)

    @property
    def tz(self) -> str:
        """The zone of the page's days and times."""
        return self.get("tz") or "UTC"

    @property
    def filters(self) -> list[Filter]:
        """The filters in the URL."""
        return [parse_filter(text) for text in self.all("where") if text]

    def range_pairs(self) -> Pairs:
        """Return the pairs of the page's range, with the default where it has none."""
        found = [(name, value) for name, value in self.pairs if name in RANGE and value]
        names = {name for name, _ in found}
        if not names & {"since", "period", "billing_period"}:
            found.append(("since", DEFAULT_SINCE))
        return found

    def is_range(self, changes: Mapping[str, str]) -> bool:
        """Whether the page's range is that of a preset."""
        now = {name: value for name, value in self.range_pairs() if name in _SPAN}
        return now == dict(changes)

    def period(self) -> Period:
        """Return the page's range in UTC.

        Raises:
            QueryError: a time that is not understood.
        """
        return parse_range(dict(self.range_pairs()), self.now)

    def query_pairs(
        self, *, by: Iterable[str] = (), measures: Iterable[str] = (), where: Iterable[str] = (),
        order: Iterable[str] = (), limit: int | None = None, range_pairs: Pairs | None = None,
    ) -> Pairs:  # fmt: skip
        """Return a spend query in the page's range, with its filters and those given."""
        pairs = list(self.range_pairs() if range_pairs is None else range_pairs)
        pairs += [("where", text) for text in (*self.all("where"), *where) if text]
        for name, names in (("by", by), ("measures", measures), ("order", order)):
            text = ",".join(names)
            if text:
                pairs.append((name, text))
        if limit is not None:
            pairs.append(("limit", str(limit)))
        return pairs

    def spend(self, **asked: Any) -> SpendReport:
        """Answer a spend query in the page's range; takes what :meth:`query_pairs` takes.

        Raises:
            QueryError: a wrong name.
            QueryTimeoutError: it took too long.
        """
        return self.house.answers.spend(self.query_pairs(**asked))

    def ask(self, operation: str, **given: Any) -> dict[str, Any]:
        """Carry out an operation that only reads, and return its answer; None is left out.

        Raises:
            TollbookError: of the operation.
        """
        one = self.house.operations[operation]
        assert one.method == "GET", "deeds come from forms"
        # Some that only read ask for a connection of the writer's; see Operation.writes.
        writer = self.house.desk.writer if one.writes else None
        desk = self.house.desk._replace(writer=writer, author=self.principal.name)
        return carry_out(
            one, desk, {name: value for name, value in given.items() if value is not None}
        )

    def try_ask(self, operation: str, **given: Any) -> dict[str, Any] | None:
        """Return what an operation answers, None where it is not there, not allowed or fails.

        For what a page shows beside its own subject, and can do without.
        """
        one = self.house.operations.get(operation)
        if one is None or one.method != "GET" or not self.may(one.needs):
            return None
        try:
            return self.ask(operation, **given)
        except TollbookError:
            return None

    def has_page(self, path: str) -> bool:
        """Whether there is such a page and the principal may see it."""
        from tollbook.console.pages.page import pages  # noqa: PLC0415 -- it lists those who use us

        found = pages().get(path)
        return found is not None and self.may(found.permit)

    def url(self, path: str | None = None, *, keep: Sequence[str] = (), **changes: Any) -> str:
        """Return the URL of a page with this page's range and filters.

        Args:
            path: of the page; None: this one, with all its parameters.
            keep: further parameters of this page to pass on.
            changes: parameters to set; None removes one, a list sets several (``where``).
        """
        wanted = {*RANGE, "where", *keep}
        kept = [pair for pair in self.pairs if path is None or pair[0] in wanted]
        pairs = [(name, value) for name, value in kept if name not in changes and value]
        for name, value in changes.items():
            values = value if isinstance(value, (list, tuple)) else [value]
            pairs += [(name, str(one)) for one in values if one is not None]
        query = urlencode(pairs)
        return f"{path or self.path}?{query}" if query else (path or self.path)

    def filtered(
        self, path: str, dimension: str, value: str | None, keep: Sequence[str] = ()
    ) -> str:
        """Return the URL of a page with one filter more: ``dimension=value``; None is "not set".

        ``keep`` are further parameters of this page to pass on.
        """
        text = format_filter(Filter(dimension, (value,))).partition("=")[2]
        others = [one for one in self.all("where") if not one.startswith(f"{dimension}=")]
        return self.url(path, keep=keep, where=[*others, f"{dimension}={text}"])

    def command(self, *words: str, **asked: Any) -> str:
        """Return the command that answers the same: ``tollbook`` with words and a query.

        Args:
            words: ``report``, ``calls``, ...
            asked: what :meth:`query_pairs` takes.
        """
        options = [
            f"--{name.replace('_', '-')} {shlex.quote(value)}"
            for name, value in self.query_pairs(**asked)
        ]
        return " ".join(["tollbook", *words, *options])

    def check_zone(self) -> None:
        """Refuse a zone that does not exist.

        Raises:
            QueryError: there is none of that name.
        """
        zone_of(self.tz)
