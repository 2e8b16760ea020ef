"""All that a portal can be asked: one tenant's answers, and nobody else's.

Modules beside this package reach the ledger only through :class:`TenantAnswers`; a rule of
``tools/check_source.py`` (tenant-scope) sees to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook import clock
from tollbook.chargeback.periods.cutoffs import as_billed
from tollbook.console.portal.errors import PartClosedError, PortalRequestError
from tollbook.console.portal.parts import Part
from tollbook.console.portal.tenant.budgets import own_budgets
from tollbook.console.portal.tenant.projection import own_projection
from tollbook.console.portal.tenant.query import asked_query, check_own, check_tenant
from tollbook.console.portal.tenant.statements import MEDIA_TYPES, own_file, own_statements
from tollbook.reports.spend import run_spend

if TYPE_CHECKING:
    from collections.abc import Collection

    from tollbook.console.portal.tenant.statements import ClosedTotals, StatementFile
    from tollbook.desk import Desk
    from tollbook.reports.params import Pairs

CURRENCY: Final = "USD"
_USAGE: Final = ("calls", "errors", "input_tokens", "output_tokens", "cache_read_tokens")
_BILLED: Final = "billable_usd"
_COST: Final = "cost_usd"


class TenantAnswers:
    """Answers questions of one tenant.

    Args:
        desk: the open ledger and books, without a writer.
        tenant: whose answers they are.
        parts: what it may ask for.
        shows_cost: whether it is shown what its calls cost us.
        totals: of months that are closed.

    Raises:
        NoTenantError: the name is no tenant's.
    """

    def __init__(
        self, desk: Desk, tenant: str, parts: Collection[Part], *, shows_cost: bool,
        totals: ClosedTotals,
    ) -> None:  # fmt: skip
        self.tenant = check_tenant(tenant)
        self.parts = frozenset(parts)
        self.shows_cost = shows_cost
        self._desk = desk._replace(writer=None)
        self._totals = totals

    def opens(self, part: Part) -> bool:
        """Whether a part may be asked for."""
        return part in self.parts

    def usage(self, pairs: Pairs, *, tz: str) -> dict[str, Any]:
        """Return calls and tokens by what is asked, with what is billed where that is open.

        Raises:
            PartClosedError: usage is not shown.
            QueryError: a wrong option.
            QueryTimeoutError: it took too long.
        """
        self._need(Part.USAGE)
        measures = (*_USAGE, *((_BILLED,) if self.opens(Part.BILLED) else ()), *self._cost())
        return self._spend(pairs, measures, tz, ("day",))

    def billed(self, pairs: Pairs, *, tz: str) -> dict[str, Any]:
        """Return what the tenant is charged, by day where nothing else is asked.

        Raises:
            PartClosedError: what is billed is not shown.
            QueryError: a wrong option.
            QueryTimeoutError: it took too long.
        """
        self._need(Part.BILLED)
        return self._spend(pairs, ("calls", _BILLED, *self._cost()), tz, ("day",))

    def budgets(self) -> dict[str, Any]:
        """Return the tenant's budgets; raises PartClosedError, QueryTimeoutError, BooksError."""
        self._need(Part.BUDGET)
        rows = own_budgets(self._desk, self.tenant, shows_cost=self.shows_cost)
        return {"rows": rows, "currency": CURRENCY}

    def statements(self) -> dict[str, Any]:
        """Return past months; raises PartClosedError, QueryTimeoutError, BooksError."""
        self._need(Part.STATEMENTS)
        rows = own_statements(self._desk, self.tenant, clock.utc_now(), self._totals)
        return {"rows": rows, "currency": CURRENCY}

    def statement_file(self, period: str, kind: str) -> StatementFile:
        """Return a past month as a PDF or CSV.

        Raises:
            PartClosedError: statements are not shown.
            PortalRequestError: another format.
            PeriodNameError: it is no month.
            NobodyError: there is nothing to state.
        """
        self._need(Part.STATEMENTS)
        found = next((one for one in MEDIA_TYPES if one == kind), None)
        if found is None:
            raise PortalRequestError("format", f"{kind[:20]!r} is not one of pdf, csv")
        return own_file(self._desk, self.tenant, period, found, shows_cost=self.shows_cost)

    def projection(self) -> dict[str, Any]:
        """Return what the running month may come to.

        Raises:
            PartClosedError: it is not shown.
            QueryTimeoutError: it took too long.
            BooksError: the books cannot be read.
        """
        self._need(Part.PROJECTION)
        return own_projection(self._desk, self.tenant, clock.utc_now()) | {"currency": CURRENCY}

    def _need(self, part: Part) -> None:
        if not self.opens(part):
            raise PartClosedError(part)

    def _cost(self) -> tuple[str, ...]:
        return (_COST,) if self.shows_cost else ()

    def _spend(
        self, pairs: Pairs, measures: tuple[str, ...], tz: str, by: tuple[str, ...]
    ) -> dict[str, Any]:
        asked = asked_query(self.tenant, pairs, clock.utc_now(), measures=measures, tz=tz, by=by)
        query = as_billed(self._desk.books, self._desk.config, asked)
        check_own(query, self.tenant)
        report = run_spend(self._desk.reader, query)
        # Of the completeness only what says nothing of anybody's cost or calls.
        return {
            "rows": report.rows, "totals": report.totals, "by": query.by,
            "since": query.since, "until": query.until, "tz": query.tz,
            "complete_until": report.completeness.complete_until, "currency": CURRENCY,
        }  # fmt: skip
