"""What a format's reader tells: lines, what they belong to, and what it could not read."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.chargeback.statements.model import Basis, StatementLine

PROBLEMS_KEPT: Final = 50


class Group(NamedTuple):
    """One statement within a file: lines that came together and stand or fall together."""

    provider: str
    account: str | None = None
    scope: str | None = None
    basis: Basis | None = None
    """None: that of the format."""
    start_ns: int | None = None
    """What it covers, where the source says (a billing period); None: what its lines cover."""
    end_ns: int | None = None
    invoice_id: str | None = None


class Told(NamedTuple):
    """One line of a group."""

    group: Group
    line: StatementLine


class Reading:
    """What happens while one file is read; given to the reader, asked by the importer.

    Args:
        provider: the name that was given for all that is read; None: the format's own.
        account: the account that was given; None: what the rows say.
        convert: dollars of another currency's amount on a day; None where no rate is known.
        scope: the part of the source that was asked for; None: what the rows say.
    """

    def __init__(
        self,
        provider: str | None = None,
        account: str | None = None,
        convert: Callable[[int, str, int], int | None] | None = None,
        scope: str | None = None,
    ) -> None:
        self.provider, self.account, self.scope = provider, account, scope
        self._convert = convert
        self.problems: list[str] = []
        self.problem_count = 0
        self.passed_over: dict[str, tuple[int, Decimal]] = {}
        self.is_cut_off = False
        """The file says that there is more of it."""
        self.span: tuple[int, int] | None = None

    def cover(self, start_ns: int, end_ns: int) -> None:
        """Note a time that the source speaks of, whether anything was used in it or not."""
        first, last = self.span or (start_ns, end_ns)
        self.span = min(first, start_ns), max(last, end_ns)

    def problem(self, row: int, field: str, text: str) -> None:
        """Note what could not be read in a row."""
        self.problem_count += 1
        if len(self.problems) < PROBLEMS_KEPT:
            where = f"row {row}, {field}" if field else f"row {row}"
            self.problems.append(f"{where}: {text}"[:300])

    def pass_over(self, why: str, amount: Decimal | None) -> None:
        """Note a row that is no part of a provider's bill for models."""
        count, total = self.passed_over.get(why, (0, Decimal(0)))
        if len(self.passed_over) < PROBLEMS_KEPT or why in self.passed_over:
            self.passed_over[why] = (count + 1, total + (amount or Decimal(0)))

    def dollars(self, row: int, amount: int | None, currency: str, at_ns: int) -> int | None:
        """Return an amount in pico of dollars; None, and a problem, where no rate is known."""
        if amount is None or currency == "USD":
            return amount
        found = None if self._convert is None else self._convert(amount, currency, at_ns)
        if found is None:
            self.problem(row, "currency", f"no exchange rate of {currency} to USD for this day")
        return found

    def words(self) -> tuple[str, ...]:
        """Return all that was noted, for people."""
        more = self.problem_count - len(self.problems)
        return (
            *self.problems,
            *([f"and {more} more problems"] if more else []),
            *(
                f"passed over: {count} rows, {amount.normalize():f} in sum, {why}"
                for why, (count, amount) in sorted(self.passed_over.items())
            ),
        )
