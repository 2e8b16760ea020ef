"""What an allocation policy says: rules in order, each with a source, a method and targets.

A policy is a document of subject ``allocation_policy``. Its rules run as a waterfall: what an
earlier rule has moved is seen by the later ones. Methods are those of the FinOps Framework's
shared-cost practice (even, fixed, proportional, by telemetry) and mixtures of them.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from tollbook.errors import TollbookError
from tollbook.reports import dimensions
from tollbook.reports.errors import QueryError
from tollbook.reports.params import parse_filter
from tollbook.reports.query import Filter, canonical_filters

OwnerField = Literal["tenant", "team", "cost_center", "feature"]
KeepField = Literal["provider", "model", "price_tier"]
OWNER_FIELDS: Final[tuple[OwnerField, ...]] = ("tenant", "team", "cost_center", "feature")
"""What an owner is made of; the origin of a moved amount bears all four."""
KEEP_FIELDS: Final[tuple[KeepField, ...]] = ("provider", "model", "price_tier")
RULES_MAX: Final = 50
OWNERS_MAX: Final = 10_000
_DIGITS_MAX: Final = 30

RuleName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
DecimalText = Annotated[str, Meta(max_length=_DIGITS_MAX)]


class PolicyError(TollbookError):
    """A policy that cannot be used: which rule, and what is wrong."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"allocation policy, {where}: {problem}")


class Source(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which cost a rule moves."""

    where: list[str] = []
    """Filters as in reports: ``tenant=platform``, ``adjustment=idle_commitment``,
    ``feature=evaluation``; all of them must match."""
    unattributed: bool = False
    """What has no tenant; the same as the filter ``tenant=``."""
    share: DecimalText = "1"
    """How much of it is moved, between 0 and 1; the rest stays."""


class Targets(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who may receive: owners with cost of their own in the period, or those that are named."""

    by: tuple[OwnerField, ...] = ("tenant",)
    """What a receiver is; a name of several is written with ``/`` between them."""
    where: list[str] = []
    """Only owners of entries that match."""
    names: list[str] = []
    """Only these, whether they have cost of their own or not."""
    exclude: list[str] = []
    minimum_share: DecimalText = "0"
    """Least share of each receiver, between 0 and 1; more than fits makes all shares equal."""


class Even(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="even"):
    """Each receiver the same."""


class Fixed(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="fixed"):
    """Shares that add up to at most 1; what is lacking to 1 stays where it is."""

    shares: dict[str, DecimalText]


class Proportional(
    Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="proportional"
):
    """In proportion to cost: direct, or with what earlier rules moved (``so_far``)."""

    basis: Literal["direct", "so_far"] = "direct"
    where: list[str] = []
    """Only this part of the direct cost counts, such as ``provider=azure``."""


class ByMetric(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="metric"):
    """In proportion to a quantity: ``calls``, ``tokens``, any token measure, or an imported one."""

    metric: str
    missing: Literal["skip", "average", "refuse"] = "skip"
    """A receiver that the metric does not know: receives nothing, as much as the average of the
    others, or nobody receives anything until it is known. Said in each case."""
    where: list[str] = []


class Weighted(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="weighted"):
    """By weight, ``*`` for whoever is not named; times a metric where one is given."""

    weights: dict[str, DecimalText]
    of: str | None = None


class BlendPart(Struct, frozen=True, forbid_unknown_fields=True):
    """One of several metrics, and how much it counts."""

    metric: str
    weight: DecimalText


class Blend(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="blend"):
    """Shares by several metrics, added up by weight: 70 % by cost and 30 % by calls."""

    parts: Annotated[list[BlendPart], Meta(min_length=1, max_length=10)]


class Band(Struct, frozen=True, forbid_unknown_fields=True):
    """A stretch of a metric up to and with ``upto``; None has no end."""

    weight: DecimalText
    upto: DecimalText | None = None


class Tiered(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="tiered"):
    """By bands of a metric: each receiver weighs what its band says.

    ``graduated``: each unit weighs what the band that it falls into says.
    """

    metric: str
    bands: Annotated[list[Band], Meta(min_length=1, max_length=50)]
    graduated: bool = False


class ByModel(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="model"):
    """By an attribution model: a document of subject ``attribution_model``."""

    model: str


class Keep(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="keep"):
    """Stays central: no later rule takes it. With a tenant, it is moved to that one."""

    tenant: str | None = None


Method = Even | Fixed | Proportional | ByMetric | Weighted | Blend | Tiered | ByModel | Keep


class Rule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One step of the waterfall."""

    name: RuleName
    source: Source
    method: Method
    to: Targets = Targets()
    fallback: Literal["keep", "even"] = "keep"
    """Where nobody has a weight: leave it where it is, or spread it evenly."""


class Policy(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The body of a policy document."""

    rules: Annotated[list[Rule], Meta(max_length=RULES_MAX)]
    keep: tuple[KeepField, ...] = ("provider",)
    """What a moved amount keeps of where it came from, so that sums by it do not change."""
    description: str = ""


def read_policy(body: str | bytes) -> Policy:
    """Read and check a policy.

    Raises:
        PolicyError: naming the rule or field and what is expected.
    """
    try:
        policy = msgspec.json.decode(body, type=Policy)
    except msgspec.DecodeError as error:
        raise PolicyError("body", str(error)) from error
    names = [rule.name for rule in policy.rules]
    if len(set(names)) != len(names):
        raise PolicyError("rules", "two have the same name")
    if len(set(policy.keep)) != len(policy.keep):
        raise PolicyError("keep", "a name is there twice")
    for rule in policy.rules:
        _check_rule(rule)
    if len(grouped_by(policy)) > len(OWNER_FIELDS) + len(KEEP_FIELDS) + 1:
        raise PolicyError(
            "rules", "their filters use too many dimensions beside owner and provider"
        )
    return policy


def _check_rule(rule: Rule) -> None:
    where = f"rule {rule.name}"
    if not (rule.source.where or rule.source.unattributed):
        raise PolicyError(where, "source: expected a filter, or unattributed = true")
    source_filters(rule.source, where)
    filters(rule.to.where, f"{where}, to")
    fraction(rule.source.share, f"{where}, source.share", most=1)
    fraction(rule.to.minimum_share, f"{where}, to.minimum_share", most=1)
    if not rule.to.by or len(set(rule.to.by)) != len(rule.to.by):
        raise PolicyError(where, "to.by: expected names, each once")
    if len(rule.to.names) > OWNERS_MAX or len(rule.to.exclude) > OWNERS_MAX:
        raise PolicyError(where, f"to: more than {OWNERS_MAX:,} names")
    named = [*rule.to.names, *(rule.method.shares if isinstance(rule.method, Fixed) else ())]
    for name in named:
        if len(owner_parts(name, len(rule.to.by))) != len(rule.to.by):
            raise PolicyError(where, f"{name!r} is not {' / '.join(rule.to.by)}")
    _check_method(rule.method, rule.to.by, where)


def owner_parts(name: str, fields: int) -> list[str]:
    """Return the values of an owner's name; the last may hold slashes."""
    return [name] if fields == 1 else name.split("/", fields - 1)


def _check_method(method: Method, by: tuple[OwnerField, ...], where: str) -> None:
    match method:
        case Fixed():
            shares = [fraction(text, f"{where}, shares", most=1) for text in method.shares.values()]
            if not shares or sum(shares) > 1 or sum(shares) == 0:
                raise PolicyError(where, "shares: expected to add up to more than 0 and at most 1")
        case Weighted():
            weights = [fraction(text, f"{where}, weights") for text in method.weights.values()]
            if not any(weights):
                raise PolicyError(where, "weights: expected one above zero")
        case Blend():
            parts = [fraction(part.weight, f"{where}, parts") for part in method.parts]
            if not any(parts):
                raise PolicyError(where, "parts: expected a weight above zero")
        case Tiered():
            _check_bands(method.bands, where)
        case Proportional() | ByMetric():
            filters(method.where, where)
        case ByModel() if "tenant" not in by:
            raise PolicyError(where, "a model knows tenants: expected tenant in to.by")
        case _:
            pass


def _check_bands(bands: list[Band], where: str) -> None:
    last = Fraction(0)
    for at, band in enumerate(bands):
        fraction(band.weight, f"{where}, bands")
        if band.upto is None:
            if at != len(bands) - 1:
                raise PolicyError(where, "bands: only the last may have no end")
            return
        upto = fraction(band.upto, f"{where}, bands")
        if upto <= last:
            raise PolicyError(where, "bands: expected to rise")
        last = upto
    raise PolicyError(where, "bands: the last has an end; leave out its upto")


def fraction(text: str, where: str, most: int | None = None) -> Fraction:
    """Return a decimal number of zero or more as an exact fraction.

    Raises:
        PolicyError: it is none, or more than ``most``.
    """
    try:
        number = Decimal(text)
        is_right = number.is_finite() and number >= 0 and number.adjusted() >= -_DIGITS_MAX
        is_right = (
            is_right and number.adjusted() <= _DIGITS_MAX and (most is None or number <= most)
        )
    except InvalidOperation:
        is_right = False
    if not is_right:
        upto = "" if most is None else f" and at most {most}"
        raise PolicyError(where, f"{text!r} is not a decimal number of 0 or more{upto}")
    return Fraction(Decimal(text))


def filters(texts: list[str], where: str) -> tuple[Filter, ...]:
    """Read filters.

    Raises:
        PolicyError: one cannot be read, or cannot be filtered by.
    """
    try:
        return canonical_filters(tuple(parse_filter(text) for text in texts))
    except QueryError as error:
        raise PolicyError(where, error.problem) from error


def source_filters(source: Source, where: str) -> tuple[Filter, ...]:
    """Return the filters of a source; raises as :func:`filters`."""
    more = ["tenant="] if source.unattributed else []
    return filters([*source.where, *more], where)


def grouped_by(policy: Policy) -> tuple[str, ...]:
    """Return the dimensions that cells must tell: of owners, of what is kept, of filters."""
    names: dict[str, None] = dict.fromkeys((*OWNER_FIELDS, *policy.keep))
    for rule in policy.rules:
        used = [*source_filters(rule.source, rule.name), *filters(rule.to.where, rule.name)]
        if isinstance(rule.method, (Proportional, ByMetric)):
            used += filters(rule.method.where, rule.name)
        names.update(dict.fromkeys(one.dimension for one in used))
    assert all(dimensions.is_dimension(name) for name in names)
    return tuple(names)
