"""The provider's side: quantities by key and project, dollars by day, and what stands on invoices.

Lines are as statements have them; here they are only sorted by what they speak of.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import Struct

from tollbook.chargeback.reconcile.keys import DAY_NS, Key, ModelNames, day_of
from tollbook.chargeback.reconcile.model import Cause
from tollbook.chargeback.statements.model import Basis, Category, Finality, StatementLine
from tollbook.chargeback.statements.shelf import current_lines, statements
from tollbook.prices.tiers import tier_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.books.store import Books

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
    """One line that speaks of usage. Amounts in pico; None is not told."""

    day: int
    offset_ns: int
    """When the provider's day begins, after (before: negative) midnight UTC."""
    days: int
    """How many days it stands for; its quantity and amount are of all of them."""
    key: Key
    who: Who
    quantity: int | None
    amount: int | None
    name: str
    """``statement:line``."""


class Other(NamedTuple):
    """A line of money that is no usage of a model."""

    cause: Cause
    description: str
    amount: int
    name: str


class ProviderSide(Struct):
    """What a provider says, a day before and after the time included where lines tell days."""

    usage: list[Line]
    """Of usage reports."""
    money: list[Line]
    """Dollars of models, of cost reports, or of invoices that tell models."""
    others: list[Other]
    """Taxes, credits, fees and commitments of the time."""
    usage_total: int | None
    """Of usage, as payable: the invoice's where there is one; None: not told."""
    total: int | None
    """Of everything; None: no statement speaks of money."""
    is_invoiced: bool
    currency: str
    unit: int
    """The coarsest power of ten (pico) that divides every amount, a cent at most."""
    rows: int
    """Lines of money."""
    is_final: bool
    bill: str | None
    """The statement that the money rests on, where it is one."""
    statements: tuple[str, ...]
    words: tuple[str, ...]


def provider_side(
    books: Books, provider: str, since_ns: int, until_ns: int, names: ModelNames, *,
    with_invoices: bool, prefer: Sequence[str],
) -> ProviderSide:  # fmt: skip
    """Return what a provider's statements say of a stretch of time.

    Args:
        books: where statements are kept.
        provider: as configured.
        since_ns: first moment.
        until_ns: first moment that is no longer in it.
        names: of its models.
        with_invoices: whether invoices count; they do not for a part of a month.
        prefer: sources of statements, the preferred first.

    Raises:
        BooksError: the books cannot be read.
    """
    words: list[str] = []
    margins = (since_ns - DAY_NS, until_ns + DAY_NS)
    usage = current_lines(books, Basis.USAGE, *margins, provider, prefer=prefer)
    costs = current_lines(books, Basis.COST, *margins, provider, prefer=prefer)
    invoices = (
        current_lines(books, Basis.INVOICE, since_ns, until_ns, provider, by_bill=True)
        if with_invoices
        else []
    )
    costs, invoices = _with_amounts(costs, words), _with_amounts(invoices, words)

    def within(line: StatementLine) -> bool:
        return since_ns <= _day(line) * DAY_NS < until_ns

    cost_models = [one for one in costs if _is_of_model(one)]
    bill_models = [one for one in invoices if _is_of_model(one)]
    source = cost_models or bill_models
    money = [_line(one, names) for one in source]
    inside = [one for one in costs if within(one)]
    others = _others(inside, invoices)
    read = [*usage, *costs, *invoices]
    used = sorted({one.statement_id for one in read})
    bills = {one.statement_id for one in invoices or inside}
    kept = {
        one.statement_id: one
        for one in statements(books, provider=provider)
    }  # fmt: skip
    total = sum(one.amount or 0 for one in invoices or inside) if invoices or inside else None
    apart = sum(one.amount for one in others)
    return ProviderSide(
        usage=[_line(one, names) for one in usage if one.category is Category.USAGE],
        money=money, others=others, total=total,
        usage_total=None if total is None else total - apart, is_invoiced=bool(invoices),
        currency=next((one.currency for one in invoices or inside), "USD"),
        unit=_unit([one.amount or 0 for one in source]),
        rows=len(invoices) + len(inside),
        is_final=bool(used)
        and all(
            one in kept and kept[one].finality is Finality.FINAL for one in used
        ),
        bill=bills.pop() if len(bills) == 1 else None,
        statements=tuple(used), words=tuple(words),
    )  # fmt: skip


def _with_amounts(lines: Sequence[StatementLine], words: list[str]) -> list[StatementLine]:
    missing = Counter(one.currency for one in lines if one.amount is None)
    for currency, count in sorted(missing.items()):
        words.append(
            f"{count} lines in {currency} have no amount in US dollars: the rate of the day is "
            "missing; they are left out"
        )
    return [one for one in lines if one.amount is not None]


def _is_of_model(line: StatementLine) -> bool:
    """Whether a line is usage that calls may account for."""
    if line.category is not Category.USAGE:
        return False
    # Capacity is paid for by the hour, also where the line names the model that it serves.
    return line.kind is not None or (line.model is not None and not _is_commitment(line))


def _is_commitment(line: StatementLine) -> bool:
    text = (line.description or "").lower()
    return any(word in text for word in _COMMITMENT_WORDS)


def _line(line: StatementLine, names: ModelNames) -> Line:
    day = _day(line)
    long_ns = line.end_ns - line.start_ns
    offset_ns = line.start_ns - day * DAY_NS if long_ns >= DAY_NS else 0
    key = Key(
        names.of(line.model, line.start_ns), line.kind, tier_of(line.tier), line.region,
        line.context_window,
    )  # fmt: skip
    return Line(
        day, offset_ns, max((long_ns + DAY_NS // 2) // DAY_NS, 1), key,
        Who(line.project, line.api_key), line.quantity, line.amount,
        f"{line.statement_id}:{line.line}",
    )  # fmt: skip


def _day(line: StatementLine) -> int:
    """Return the day of UTC that a line is of: the nearest, for days of another zone."""
    if line.end_ns - line.start_ns < DAY_NS:
        return day_of(line.start_ns)
    return day_of(line.start_ns + DAY_NS // 2)


def _others(costs: Sequence[StatementLine], invoices: Sequence[StatementLine]) -> list[Other]:
    """Return what is no usage of a model.

    Of each cause the invoice's lines count where it has any, else those of the cost reports. A
    line of an invoice that names neither model nor kind is its usage in one sum, unless it speaks
    of something else.
    """
    by_invoice = [
        one for one in (_other(line, is_sum=True) for line in invoices) if one is not None
    ]
    told = {one.cause for one in by_invoice}
    by_cost = [
        one for one in (_other(line, is_sum=not _has_models(costs)) for line in costs)
        if one is not None and one.cause not in told
    ]  # fmt: skip
    return by_invoice + by_cost


def _has_models(lines: Sequence[StatementLine]) -> bool:
    return any(_is_of_model(one) for one in lines)


def _other(line: StatementLine, *, is_sum: bool) -> Other | None:
    if _is_of_model(line):
        return None
    cause = _cause(line, is_sum=is_sum)
    if cause is None:
        return None
    text = line.description or line.category.value
    return Other(cause, text, line.amount or 0, f"{line.statement_id}:{line.line}")


def _cause(line: StatementLine, *, is_sum: bool) -> Cause | None:
    text = (line.description or "").lower()
    if line.category in _OF_CATEGORY:
        return _OF_CATEGORY[line.category]
    for cause, words in _BY_WORDS:
        if any(word in text for word in words):
            return cause
    if line.category is Category.USAGE and is_sum:
        return None
    is_credit = line.category is Category.ADJUSTMENT and (line.amount or 0) < 0
    return Cause.CREDIT if is_credit else Cause.FEE


def _unit(amounts: Sequence[int]) -> int:
    unit = CENT
    while unit > 1 and any(amount % unit for amount in amounts):
        unit //= 10
    return unit
