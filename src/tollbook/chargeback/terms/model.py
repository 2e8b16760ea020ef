"""What a price term says: the body of a document of subject ``price_terms``.

A term prices what no single call can tell: the volume of a month, a free quota, a minimum, an
amount that was committed to, or capacity that is paid by the hour.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct, field

from tollbook.usage import KINDS, TOKEN_KINDS

BANDS_MAX: Final = 50
UNITS_MAX: Final = 1_000_000
_UNITS: Final = 10**15

DecimalText = Annotated[str, Meta(max_length=40)]
Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Moment = Annotated[datetime, Meta(tz=True)]
Text = Annotated[str, Meta(min_length=1, max_length=200)]


class Band(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A stretch of the volume up to and with ``upto``; None has no end."""

    upto: DecimalText | None = None
    """Units, or dollars where volume is spend."""
    discount_percent: DecimalText = "0"
    """Off what calls were charged."""
    prices: dict[str, DecimalText] = {}
    """Dollars for each kind, for as many units as cards name a price for: a million tokens, a
    thousand requests. Kinds that are not named here stay as charged, less the discount."""


class VolumeTiers(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="volume"):
    """What is used in a month earns another rate.

    ``graduated``: units of each band have the band's rate. ``all_units``: the band that the whole
    volume falls into has the rate of all.
    """

    bands: Annotated[list[Band], Meta(min_length=1, max_length=BANDS_MAX)]
    measured: tuple[str, ...] | Literal["usd"] = TOKEN_KINDS
    """Kinds whose sum is the volume, or ``usd``: what was spent so far."""
    mode: Literal["graduated", "all_units"] = "graduated"
    applies_to: tuple[str, ...] = ()
    """Kinds whose price changes; empty: all of the scope."""


class FreeQuota(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="quota"):
    """So many units of kinds are free, each day or month, in the term's zone."""

    kinds: Annotated[tuple[str, ...], Meta(min_length=1)]
    units: Annotated[int, Meta(ge=1, le=_UNITS)]
    per: Literal["day", "month"] = "month"


class Minimum(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="minimum"):
    """A month costs at least so much; of a month that is in the term in part, that part of it."""

    amount_usd: DecimalText
    shortfall: Literal["proportional", "unattributed"] = "proportional"
    """Who bears what is lacking: the users by cost, or nobody, for a policy to allocate."""


class Commitment(
    Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="commitment"
):
    """An amount to spend from the term's start to its end, paid whether it is spent or not.

    Calls draw it down at their price; what is left at the end of a window is idle commitment.
    """

    amount_usd: DecimalText
    every_months: Annotated[int, Meta(ge=1, le=120)] | None = None
    """Windows of so many months from the start on, each with its amount; None: the whole term."""


class Capacity(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="capacity"):
    """Throughput that is paid by time: Azure PTU, Bedrock model units, Vertex GSU, scale tier."""

    units: Annotated[int, Meta(ge=1, le=UNITS_MAX)]
    price_per_unit_usd: DecimalText = "0"
    per: Literal["hour", "day", "month"] = "hour"
    """A day is 24 hours; a month is a calendar month in the term's zone."""
    upfront_usd: DecimalText = "0"
    """Paid in advance, for all units: spread evenly over the term, which then must have an end."""
    tokens_per_minute_per_unit: Annotated[int, Meta(ge=1, le=_UNITS)] | None = None
    """None: not known; an hour with any traffic counts as used, one without as idle."""
    weights: dict[str, DecimalText] = field(default_factory=lambda: dict.fromkeys(TOKEN_KINDS, "1"))
    """How much of the capacity a token of a kind takes; kinds that are not named take none."""
    covers_calls: bool = True
    """Take back what calls were charged by a card: they are paid by the hour already."""


What = VolumeTiers | FreeQuota | Minimum | Commitment | Capacity

DEFAULT_ORDER: Final[dict[type, int]] = {
    Capacity: 10, FreeQuota: 20, VolumeTiers: 30, Commitment: 40, Minimum: 50,
}  # fmt: skip


class Term(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One term of a contract with a provider."""

    provider: Text
    """As configured."""
    what: What
    start: Moment
    """First moment that it is for."""
    end: Moment | None = None
    """First moment that it is no longer for; None: until further notice."""
    model: Text = "*"
    """Pattern of model names: ``gpt-4.1*``."""
    price_tier: Text | None = None
    """Pattern of the words that the price depended on, ``standard`` for none; None: any."""
    region: Text | None = None
    """Pattern; None: any."""
    where: Annotated[list[Text], Meta(max_length=10)] = []
    """Further filters as in reports: ``api_key=…``, ``tag:account=…``."""
    timezone: Text = "UTC"
    """IANA zone of its months and days; providers bill in UTC."""
    order: int | None = None
    """Terms run in order, and later ones see what earlier ones changed. None: capacity 10, quota
    20, which is fixed; volume 30, commitment 40, minimum 50."""
    withdrawn: bool = False
    """From this version on there is no such term."""
    description: Annotated[str, Meta(max_length=2_000)] = ""

    @property
    def rank(self) -> int:
        """Return its place in the order."""
        return DEFAULT_ORDER[type(self.what)] if self.order is None else self.order


assert "requests" in KINDS
