"""Lines of statements, sorted by what they speak of and added up."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.chargeback.reconcile.keys import DAY_NS, Key, ModelNames, day_of
from tollbook.chargeback.reconcile.model import Cause
from tollbook.chargeback.statements.model import Category
from tollbook.prices.tiers import tier_of

if TYPE_CHECKING:
    from tollbook.chargeback.statements.model import StatementLine

CENT: Final = 10**10
_COMMITMENT_WORDS: Final = (
    "provision", "ptu", "commit", "reserv", "savings", "throughput", "scale tier", "capacity",
)  # fmt: skip
_OF_CATEGORY: Final = {Category.TAX: Cause.TAX, Category.CREDIT: Cause.CREDIT}
_BY_WORDS: Final = (
    (Cause.COMMITMENT, _COMMITMENT_WORDS),
    (Cause.MINIMUM, ("minimum",)),
    (Cause.ROUNDING, ("rounding",)),
)
"""What providers call charges that no category of FOCUS tells apart."""


class Who(NamedTuple):
    """On whose account a provider counted usage."""

    project: str | None
    api_key: str | None


class Line(NamedTuple):
    """Lines of one day, key and account, added up. Amounts in pico; None is not told."""

    day: int
    offset_ns: int
    """When the provider's day begins, after (before: negative) midnight UTC."""
    days: int
    """How many days it stands for; its quantity and amount are of all of them."""
    key: Key
    who: Who
    quantity: int | None
    amount: int | None
    lines: int
    """Lines that it is the sum of."""


class Other(NamedTuple):
    """Money that is no usage of a model."""

    cause: Cause
    description: str
    amount: int
    name: str
    """``statement:line`` of the first."""


class Gathered:
    """What the lines of one basis come to.

    Args:
        names: of the provider's models.
        days: the first day of the time and the first after it; totals are of these alone.
    """

    def __init__(self, names: ModelNames, days: tuple[int, int]) -> None:
        self._names = names
        self._days = days
        self.lines: dict[tuple[int, int, int, Key, Who], list[int | None]] = {}
        self._others: dict[tuple[Cause | None, Category, str], tuple[int, str]] = {}
        self._missing: Counter[str] = Counter()
        self.total = 0
        self.rows = 0
        self.unit = CENT
        self.currency = "USD"
        self.statements: set[str] = set()
        self.inside: set[str] = set()
        """Statements with money of the time."""

    def add(self, line: StatementLine, *, is_inside: bool | None = None) -> None:
        """Add a line; invoices are of the time whenever the usage was."""
        self.statements.add(line.statement_id)
        day = _day(line)
        if is_inside is None:
            is_inside = self._days[0] <= day < self._days[1]
        has_money = line.amount is not None
        if not has_money and line.amount_in_currency is not None:
            self._missing[line.currency] += 1
            return
        if is_inside and has_money:
            self._count(line)
        if _is_of_model(line):
            self._sum(line, day)
        elif is_inside and has_money:
            text = line.description or line.category.value
            at = (_cause(line), line.category, text)
            amount, name = self._others.get(at, (0, f"{line.statement_id}:{line.line}"))
            self._others[at] = (amount + (line.amount or 0), name)

    def _count(self, line: StatementLine) -> None:
        amount = line.amount or 0
        self.total += amount
        self.rows += 1
        self.currency = line.currency
        self.inside.add(line.statement_id)
        while amount % self.unit:
            self.unit //= 10

    def _sum(self, line: StatementLine, day: int) -> None:
        long_ns = line.end_ns - line.start_ns
        offset_ns = line.start_ns - day * DAY_NS if long_ns >= DAY_NS else 0
        key = Key(
            self._names.of(line.model, line.start_ns), line.kind, tier_of(line.tier), line.region,
            line.context_window,
        )  # fmt: skip
        days = max((long_ns + DAY_NS // 2) // DAY_NS, 1)
        at = (day, offset_ns, days, key, Who(line.project, line.api_key))
        sums = self.lines.setdefault(at, [None, None, 0])
        for place, value in ((0, line.quantity), (1, line.amount)):
            if value is not None:
                sums[place] = (sums[place] or 0) + value
        sums[2] = (sums[2] or 0) + 1

    def as_lines(self) -> list[Line]:
        """Return the usage, added up."""
        return [
            Line(*at, quantity, amount, count or 0)
            for at, (quantity, amount, count) in self.lines.items()
        ]

    def others(self, *, is_sum: bool) -> list[Other]:
        """Return what is no usage of a model.

        Args:
            is_sum: whether a line of usage without a model is all usage in one sum, and not a
                charge beside that of models.
        """
        return [
            Other(cause or Cause.FEE, text, amount, name)
            for (cause, _, text), (amount, name) in self._others.items()
            if cause is not None or not is_sum
        ]

    def words(self) -> list[str]:
        """Return what to know of lines that could not be used."""
        return [
            f"{count} lines in {currency} have no amount in US dollars: the rate of the day is "
            "missing; they are left out"
            for currency, count in sorted(self._missing.items())
        ]


def _day(line: StatementLine) -> int:
    """Return the day of UTC that a line is of: the nearest, for days of another zone."""
    if line.end_ns - line.start_ns < DAY_NS:
        return day_of(line.start_ns)
    return day_of(line.start_ns + DAY_NS // 2)


def _is_of_model(line: StatementLine) -> bool:
    """Whether a line is usage that calls may account for."""
    if line.category is not Category.USAGE:
        return False
    # Capacity is paid for by the hour, also where the line names the model that it serves.
    return line.kind is not None or (line.model is not None and not _is_commitment(line))


def _is_commitment(line: StatementLine) -> bool:
    text = (line.description or "").lower()
    return any(word in text for word in _COMMITMENT_WORDS)


def _cause(line: StatementLine) -> Cause | None:
    """Return what a line of no model is; None: usage, or a fee where models stand beside it."""
    text = (line.description or "").lower()
    if line.category in _OF_CATEGORY:
        return _OF_CATEGORY[line.category]
    for cause, words in _BY_WORDS:
        if any(word in text for word in words):
            return cause
    if line.category is Category.USAGE:
        return None
    is_credit = line.category is Category.ADJUSTMENT and (line.amount or 0) < 0
    return Cause.CREDIT if is_credit else Cause.FEE
