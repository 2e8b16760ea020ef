"""Billing systems as they are set up: where they are, who is who, and which meters they have.

Kept as documents (:attr:`Subject.BILLING_SYSTEM`). The key is named, never kept: it is read from
the environment when something is sent.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Final, Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from tollbook import clock
from tollbook.books.documents import Subject, documents_at
from tollbook.errors import TollbookError
from tollbook.money import PICO_PER_USD
from tollbook.reports import measures
from tollbook.reports.errors import QueryError
from tollbook.reports.params import parse_filter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.books.store import Books
    from tollbook.reports.query import Filter

SystemType = Literal["stripe", "lago", "openmeter"]
_ENVIRONMENT: Final = re.compile(r"(?=.*(?:STRIPE|LAGO|OPENMETER|BILLING))[A-Z_][A-Z0-9_]{0,127}")
"""Not any variable: the keys of providers must not be sent to an address that a document names."""
_HOUR_NS: Final = 3600 * clock.NS_PER_S
_NAME_MAX: Final = 100
METERS_MAX: Final = 100
CUSTOMERS_MAX: Final = 100_000

_URLS: Final[dict[SystemType, str | None]] = {
    "stripe": "https://api.stripe.com",
    "lago": "https://api.getlago.com",
    "openmeter": "https://openmeter.cloud",
}
_KEYS: Final[dict[SystemType, str]] = {
    "stripe": "STRIPE_API_KEY",
    "lago": "LAGO_API_KEY",
    "openmeter": "OPENMETER_API_KEY",
}
_DEDUPE_HOURS: Final[dict[SystemType, int | None]] = {
    "stripe": 23,  # "at least 24 hours"
    "lago": None,  # a transaction id is unique for ever
    "openmeter": 31 * 24,  # 32 days, where its deduplication is switched on
}
_UNITS: Final = {
    "pico": 1, "nano": 10**3, "micro": 10**6, "cent": 10**10, "usd": PICO_PER_USD,
}  # fmt: skip


class Meter(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A meter of the billing system and what of the ledger feeds it."""

    name: str
    """Stripe's ``event_name``, Lago's billable metric ``code``, OpenMeter's event ``type``."""
    measure: str
    """A measure of reports: ``calls``, ``input_tokens``, ``billable_usd``, ``cost_usd`` ..."""
    where: tuple[str, ...] = ()
    """Filters of reports, such as ``model=gpt-5*`` is not: values are whole names."""
    unit: Literal["pico", "nano", "micro", "cent", "usd"] | None = None
    """Of money: what one unit of the meter is worth. None: ``usd`` as decimal text, or for Stripe,
    which counts whole numbers, ``nano`` (10^-9 US dollars)."""
    value_key: str = "value"
    """The field of the event that has the quantity."""

    @property
    def is_money(self) -> bool:
        """Whether it counts dollars."""
        return measures.is_money(self.measure)

    def filters(self) -> tuple[Filter, ...]:
        """Return what it counts.

        Raises:
            QueryError: a filter that is none.
        """
        return tuple(parse_filter(text) for text in self.where)


class System(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A billing system."""

    type: SystemType
    base_url: str | None = None
    api_key_env: str | None = None
    """Name of the environment variable of the key. None: ``STRIPE_API_KEY`` and the like."""
    meters: tuple[Meter, ...]
    customers: dict[str, str] = {}
    """Tenant to Stripe customer, Lago ``external_subscription_id``, OpenMeter ``subject``."""
    unmapped: Literal["hold", "tenant"] = "hold"
    """What becomes of tenants that are not among the customers: their usage is held, or they are
    known there by the tenant's own name."""
    bucket: Literal["hour", "day"] = "hour"
    """One event for each tenant, meter and UTC hour or day."""
    start: str
    """The first day that is delivered, ``2026-10-01``; in UTC."""
    lookback_days: Annotated[int, Meta(ge=1, le=3660)] = 40
    """How far back changes of what was delivered are looked for."""
    late: Literal["hold", "now"] = "hold"
    """Stripe refuses events older than 35 days: hold them, or date them now."""
    negative: Literal["hold", "send"] | None = None
    """What becomes of corrections that lower a quantity. None: ``send`` for Lago and OpenMeter,
    whose sums take them; ``hold`` for Stripe, where recent events are cancelled instead."""
    dedupe_hours: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    """How long the system tells copies by their id. None: 23 hours for Stripe, for ever for Lago,
    31 days for OpenMeter."""
    concurrency: Annotated[int, Meta(ge=1, le=32)] = 4
    requests_per_s: Annotated[int, Meta(ge=1, le=1000)] = 50

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end."""
        return (self.base_url or _URLS[self.type] or "").rstrip("/")

    @property
    def key_name(self) -> str:
        """The environment variable of its key."""
        return self.api_key_env or _KEYS[self.type]

    @property
    def start_ns(self) -> int:
        """The first moment that is delivered."""
        first = datetime.combine(date.fromisoformat(self.start), datetime.min.time(), tzinfo=UTC)
        return int(first.timestamp()) * clock.NS_PER_S

    @property
    def dedupe_ns(self) -> int | None:
        """How long copies are told by their id; None is for ever."""
        hours = self.dedupe_hours or _DEDUPE_HOURS[self.type]
        return None if hours is None else hours * _HOUR_NS

    @property
    def sends_negative(self) -> bool:
        """Whether corrections that lower a quantity are sent as they are."""
        return (self.negative or ("hold" if self.type == "stripe" else "send")) == "send"

    def customer_of(self, tenant: str) -> str | None:
        """Return who a tenant is there, None where nobody said."""
        return self.customers.get(tenant) or (tenant if self.unmapped == "tenant" else None)

    def unit_pico(self, meter: Meter) -> int:
        """Return what one unit of a meter of money is worth; others count whole things."""
        if not meter.is_money:
            return 1
        # Decimal text is exact to a pico; whole numbers are of the unit.
        unit = meter.unit or ("nano" if self.type == "stripe" else "usd")
        return 1 if self.is_decimal(meter) else _UNITS[unit]

    def is_decimal(self, meter: Meter) -> bool:
        """Whether quantities of a meter are kept in pico and sent as decimal dollars."""
        unit = meter.unit or ("nano" if self.type == "stripe" else "usd")
        return meter.is_money and unit == "usd" and self.type != "stripe"


class BillingSystemError(TollbookError):
    """A billing system that cannot be used."""


class InForce(NamedTuple):
    """A billing system with the document it is of."""

    name: str
    system: System
    document_id: str


def read_system(text: str | bytes, name: str) -> System:
    """Read and check a billing system.

    Raises:
        BillingSystemError: naming what is wrong.
    """
    try:
        read = msgspec.json.decode(text, type=System)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise BillingSystemError(f"billing system {name!r}: {error}") from error
    problem = _problem(read)
    if problem is not None:
        raise BillingSystemError(f"billing system {name!r}: {problem}")
    return read


def _problem(one: System) -> str | None:
    try:
        date.fromisoformat(one.start)
    except ValueError:
        return f"start: {one.start[:32]!r} is not a day such as 2026-10-01"
    if not _ENVIRONMENT.fullmatch(one.key_name):
        return (
            "api_key_env: expected an environment variable with STRIPE, LAGO, OPENMETER or BILLING "
            "in its name"
        )
    return _url_problem(one.url) or _meters_problem(one)


def _url_problem(url: str) -> str | None:
    address = urlsplit(url)
    if address.scheme not in {"http", "https"} or not address.hostname or address.username:
        return "base_url: expected https://host without a user or password"
    if address.scheme == "http" and address.hostname not in {"127.0.0.1", "localhost", "::1"}:
        return "base_url: the key would be sent in clear; expected https://"
    return None


def _meters_problem(one: System) -> str | None:
    if not 0 < len(one.meters) <= METERS_MAX:
        return f"meters: expected 1 to {METERS_MAX}"
    if len({meter.name for meter in one.meters}) < len(one.meters):
        return "meters: a name is there twice"
    if len(one.customers) > CUSTOMERS_MAX:
        return f"customers: more than {CUSTOMERS_MAX:,}"
    for at, meter in enumerate(one.meters, 1):
        problem = _meter_problem(one, meter)
        if problem is not None:
            return f"meters[{at}].{problem}"
    return None


def _meter_problem(one: System, meter: Meter) -> str | None:
    if not 0 < len(meter.name) <= _NAME_MAX or not meter.name.isprintable():
        return f"name: expected 1 to {_NAME_MAX} characters"
    if meter.measure not in measures.NAMES:
        return f"measure: {meter.measure[:64]!r} is none; see tollbook report --help"
    if meter.unit is not None and not meter.is_money:
        return "unit: goes with measures of money only"
    if meter.unit == "usd" and one.type == "stripe":
        return "unit: Stripe counts whole numbers; expected pico, nano, micro or cent"
    try:
        meter.filters()
    except QueryError as error:
        return f"where: {error}"
    return None


def system_of(books: Books, name: str) -> InForce:
    """Return a billing system as it is set up now.

    Raises:
        BillingSystemError: there is none of that name.
    """
    found = documents_at(books, Subject.BILLING_SYSTEM, clock.unix_ns()).get(name)
    if found is None:
        raise BillingSystemError(f"no billing system {name[:64]!r}; see tollbook billing systems")
    return InForce(name, read_system(found.body, name), found.document_id)


def key_of(one: InForce, environ: Mapping[str, str]) -> str:
    """Return the key of a billing system.

    Raises:
        BillingSystemError: the environment has none.
    """
    key = environ.get(one.system.key_name, "").strip()
    if not key:
        raise BillingSystemError(
            f"billing system {one.name!r}: {one.system.key_name} is not set in the environment"
        )
    return key
