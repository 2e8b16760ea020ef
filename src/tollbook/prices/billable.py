"""Billing rules: what the tenant is charged for a call, beside what the provider charges.

A rule is the body of a dated document. The one that names its calls most specifically applies; a
call that no rule names has no second price. Reading and checking is here, the arithmetic in
:mod:`tollbook.prices.billable_amount`, the rules of a whole month in
:mod:`tollbook.prices.billable_terms`.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Final, Literal, NamedTuple

from msgspec import Meta, Struct

from tollbook.money import Rate
from tollbook.usage import FEE_KINDS, KINDS, PRICED_PER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PATTERN_CHARS_MAX: Final = 512
PATTERNS_MAX: Final = 1_000
MARKUP_MAX: Final = 100_000
"""Percent; more is a price that was entered as a markup."""
USD_MAX: Final = Decimal(10**9)
MATCHED: Final = (
    "tenant", "plan", "feature", "model", "provider", "environment", "origin",
)  # fmt: skip
"""What calls are told apart by; of two rules the one that is more literal in the first of these
in which they differ applies."""
CALL, OPERATION = "call", "operation"
_KINDS_OF: Final = {
    "input": "uncached_input_tokens",
    "output": "visible_output_tokens",
    "audio_minutes": "audio_ms",
} | {kind.removesuffix("_tokens"): kind for kind in KINDS if kind != "audio_ms"}
"""Names of rates, as those of ``[[prices]]``, to the kinds that they price."""
UNITS: Final = (CALL, OPERATION, *FEE_KINDS)
"""What a fee can be for: each call, each call that is no further attempt of another, or each of
what is billed by the piece."""

_Pattern = Annotated[str, Meta(min_length=1, max_length=PATTERN_CHARS_MAX)]
Patterns = _Pattern | Annotated[tuple[_Pattern, ...], Meta(min_length=1, max_length=PATTERNS_MAX)]


class BillingError(ValueError):
    """A rule that cannot be used: the field, and what was expected."""


class Match(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which calls: a name, a pattern with ``*`` and ``?``, or several; unset is any."""

    tenant: Patterns | None = None
    plan: Patterns | None = None
    feature: Patterns | None = None
    model: Patterns | None = None
    """Of the model that answered, or else the one asked for; letters of either case."""
    provider: Patterns | None = None
    environment: Patterns | None = None
    origin: Patterns | None = None
    """``user``, ``scheduled`` or ``system``."""


class Failed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which calls are charged although they did not end well."""

    error: bool = False
    cancelled: bool = True
    """The client hung up: the provider charges what was made until then."""
    rejected: bool = False
    interrupted: bool = True


class Rule(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True,
    tag_field="kind", tag="rule",
):  # fmt: skip
    """How the calls that it names are charged. Percentages and dollars are exact decimals."""

    match: Match = Match()
    basis: Literal["cost_plus", "list", "own_rates", "per_unit", "free"]
    """``cost_plus``: the cost, or what it would be with the model asked for. ``list``: the list
    price, whatever is paid. ``own_rates``: ``rates``. ``per_unit``: ``units`` alone. ``free``:
    nothing."""
    model: Literal["actual", "requested"] = "actual"
    """Whose price ``cost_plus`` and ``list`` start from."""
    markup_percent: Decimal = Decimal(0)
    """On top of the base; negative is a discount."""
    rates: dict[str, Decimal] = {}
    """As in ``[[prices]]``: ``input``, ``output``, ... in USD per million tokens."""
    units: dict[str, Decimal] = {}
    """USD for each of :data:`UNITS`, added to the base."""
    minimum_usd: Decimal = Decimal(0)
    """Of each call that is charged."""
    failed: Failed = Failed()
    retries: bool = True
    """Whether further attempts are charged, of the gateway or by the client's own counter."""
    cached_percent: Decimal = Decimal(100)
    """What of the work that an answer from the response cache saved is charged as if done."""
    system: bool = True
    """Whether calls of origin ``system`` are charged."""
    unpriced: Literal["unknown", "cost"] = "unknown"
    """Where the model asked for has no price: unknown, or start from the cost."""
    note: str | None = None

    @property
    def factor(self) -> Fraction:
        """What the base is multiplied by."""
        return 1 + Fraction(self.markup_percent) / 100

    @property
    def needs_card(self) -> bool:
        """Whether the base is a price by a card that is looked up."""
        return self.basis == "list" or (self.basis == "cost_plus" and self.model == "requested")

    @property
    def is_by_usage(self) -> bool:
        """Whether the base is a price of what was used, not of what it cost."""
        return self.needs_card or self.basis == "own_rates"


class Plans(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="plans"
):
    """Which plan tenants are on: a call's own tag first, then the most literal pattern."""

    tag: str | None = None
    tenants: dict[_Pattern, Annotated[str, Meta(min_length=1, max_length=PATTERN_CHARS_MAX)]] = {}

    def plan_of(self, tenant: str | None, tags: dict[str, str] | None = None) -> str | None:
        """Return the plan of a tenant, None where none is known."""
        if self.tag is not None and tags and tags.get(self.tag):
            return tags[self.tag]
        if tenant is None:
            return None
        exact = self.tenants.get(tenant)
        if exact is not None:
            return exact
        fits = [one for one in self.tenants if is_pattern(one) and compiled(one).fullmatch(tenant)]
        return self.tenants[max(fits, key=lambda one: (literal_chars(one), one))] if fits else None


class Withdrawn(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind",
    tag="withdrawn",
):  # fmt: skip
    """From its date on nothing holds under its name: how a rule without an end is ended."""


class Described(NamedTuple):
    """What of a call a rule looks at, in the order of :data:`MATCHED`; None is not known."""

    tenant: str | None
    plan: str | None = None
    feature: str | None = None
    model: str | None = None
    provider: str | None = None
    environment: str | None = None
    origin: str | None = None


class Matcher:
    """A :class:`Match` made ready.

    Attributes:
        rank: greater is more specific.
    """

    def __init__(self, match: Match) -> None:
        self._tests: list[tuple[int, tuple[re.Pattern[str], ...]]] = []
        self.fields: set[str] = set()
        for at, name in enumerate(MATCHED):
            patterns = patterns_of(getattr(match, name))
            if patterns:
                lower = name == "model"
                self._tests.append(
                    (at, tuple(compiled(one.lower() if lower else one) for one in patterns))
                )
                self.fields.add(name)
        self.rank = tuple(_literal(patterns_of(getattr(match, name))) for name in MATCHED)

    def fits(self, call: Described) -> bool:
        """Whether every pattern that is set fits; what is not known fits none."""
        for at, patterns in self._tests:
            value = call[at]
            if value is None or not any(one.fullmatch(value) for one in patterns):
                return False
        return True


def described(values: Sequence[str | None]) -> Described:
    """Return a call by its values in the order of :data:`MATCHED`, the model in lower case."""
    made = Described(*values)
    return made if made.model is None else made._replace(model=made.model.lower())


def patterns_of(given: Patterns | None) -> tuple[str, ...]:
    """Return patterns, none for any."""
    if given is None:
        return ()
    return (given,) if isinstance(given, str) else given


def is_pattern(text: str) -> bool:
    """Whether a text has ``*`` or ``?``."""
    return "*" in text or "?" in text


def compiled(pattern: str) -> re.Pattern[str]:
    """Return a pattern of ``*`` and ``?``; nothing else is special."""
    parts = {"*": ".*", "?": "."}
    folded = re.sub(r"\*+", "*", pattern)
    return re.compile("".join(parts.get(char) or re.escape(char) for char in folded), re.DOTALL)


def literal_chars(pattern: str) -> int:
    """Return how many characters of a pattern stand for themselves."""
    return sum(char not in "*?" for char in pattern)


def _literal(patterns: tuple[str, ...]) -> tuple[int, int]:
    """Return how specific patterns are, by the least specific; a whole name is most."""
    if not patterns:
        return (0, 0)
    return min((1 if is_pattern(one) else 2, literal_chars(one)) for one in patterns)


def rates_by_kind(rates: dict[str, Decimal]) -> dict[str, Rate]:
    """Return the rates of a rule by kind.

    Raises:
        BillingError: a name that is none, or a price that is none.
    """
    found = {}
    for name, price in rates.items():
        kind = _KINDS_OF.get(name)
        if kind is None:
            raise BillingError(f"rates.{name}: expected one of {', '.join(_KINDS_OF)}")
        check_amount(f"rates.{name}", price)
        found[kind] = Rate.usd_per(price, PRICED_PER[kind][0])
    return found


def check_rule(rule: Rule) -> None:
    """Check what types do not say.

    Raises:
        BillingError: the field and what was expected.
    """
    if rule.basis == "own_rates":
        if not rule.rates:
            raise BillingError("rates: is missing; own_rates needs at least one rate")
        rates_by_kind(rule.rates)
    elif rule.rates:
        raise BillingError(f"rates: only for basis own_rates, not {rule.basis}")
    if rule.basis == "per_unit" and not rule.units:
        raise BillingError(f"units: is missing; expected one of {', '.join(UNITS)}")
    if rule.basis == "free" and (rule.units or rule.minimum_usd or rule.markup_percent):
        raise BillingError("basis: free has no units, minimum or markup")
    if rule.model == "requested" and rule.basis not in ("cost_plus", "list"):
        raise BillingError(f"model: requested is for cost_plus and list, not {rule.basis}")
    for name, price in rule.units.items():
        if name not in UNITS:
            raise BillingError(f"units.{name}: expected one of {', '.join(UNITS)}")
        check_amount(f"units.{name}", price)
    check_amount("minimum_usd", rule.minimum_usd)
    check_percent("markup_percent", rule.markup_percent, -100, MARKUP_MAX)
    check_percent("cached_percent", rule.cached_percent, 0, MARKUP_MAX)
    check_match(rule.match)


def check_match(match: Match) -> None:
    """Check patterns.

    Raises:
        BillingError: a pattern that can fit nothing.
    """
    for name, pattern in _each(match):
        if not pattern.strip() or not pattern.isprintable():
            raise BillingError(f"match.{name}: {pattern!r} is no pattern")


def _each(match: Match) -> Iterator[tuple[str, str]]:
    for name in MATCHED:
        for pattern in patterns_of(getattr(match, name)):
            yield name, pattern


def check_amount(name: str, price: Decimal) -> None:
    """Check an amount of dollars.

    Raises:
        BillingError: negative, endless, beyond all prices, or finer than 10^-12 dollars.
    """
    if not price.is_finite() or not 0 <= price <= USD_MAX:
        raise BillingError(f"{name}: {price} is no price; expected US dollars, 0 or more")
    if (Fraction(price) * 10**12).denominator != 1:
        raise BillingError(f"{name}: {price} is finer than 0.000000000001 USD")


def check_percent(name: str, percent: Decimal, least: int, most: int) -> None:
    """Check a percentage.

    Raises:
        BillingError: not between least and most, or with more than six digits.
    """
    if not percent.is_finite() or not least <= percent <= most:
        raise BillingError(f"{name}: {percent} is not between {least} and {most}")
    if (Fraction(percent) * 10**6).denominator != 1:
        raise BillingError(f"{name}: {percent} has more than six digits after the point")
