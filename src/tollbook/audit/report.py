"""An audit as a whole: what was read, what was found, what could be defended."""

from __future__ import annotations

from msgspec import Struct

from tollbook.audit.findings import Advice, Finding
from tollbook.audit.read import InputRead, Trouble


class Criterion(Struct, frozen=True, kw_only=True):
    """One thing that a charge needs to be defended, and how many calls have it."""

    name: str
    """``owner``, ``request_id``, ``model_actual``, ``token_kinds``, ``price``, ``retries``, ..."""
    title: str
    weight_millis: int
    """Of a call's score; all criteria together are 1000."""
    calls: int
    """That have it."""
    cost_pico: int
    """Of the calls that lack it, as far as it is known."""


class AtRisk(Struct, frozen=True, kw_only=True):
    """Dollars of calls that could not be defended, by the one cause each of them is booked to."""

    cause: str
    """A mode, or a criterion."""
    title: str
    calls: int
    cost_pico: int
    unpriced_calls: int
    fix: Advice | None = None
    """For a criterion; a mode has findings, which have their own."""


class Defensibility(Struct, frozen=True, kw_only=True):
    """Could these charges be defended?"""

    score_millis: int
    """Thousandths: the mean over calls of the weights of what each call has, rounded down."""
    formula: str
    criteria: tuple[Criterion, ...]
    calls: int
    defensible_calls: int
    """That have everything, or were not charged."""
    cost_pico: int
    """Of all calls whose cost is known."""
    unpriced_calls: int
    at_risk_pico: int
    """Sum of ``at_risk``."""
    at_risk: tuple[AtRisk, ...]
    dollar_score_millis: int | None = None
    """The mean of the calls' scores by their cost, rounded down; None where nothing is priced."""
    uncharged_calls: int = 0
    """Of the defensible ones, those that the provider did not charge."""
    distribution: tuple[int, ...] = ()
    """Calls by score: 0 to 99 thousandths, 100 to 199, ..., 900 to 999, and 1000."""


class Audit(Struct, frozen=True, kw_only=True):
    """A report. Money is in pico (10^-12 USD)."""

    version: str
    """Of Tollbook."""
    made_at: str
    inputs: tuple[InputRead, ...]
    troubles: tuple[Trouble, ...]
    """The first of what could not be read; ``inputs`` count all."""
    spans: int
    traces: int
    calls: int
    wrappers: int
    first_at_ns: int
    last_at_ns: int
    """Of the calls; both 0 without any."""
    instrumentations: dict[str, int]
    """Name and version of each instrumentation that told of calls, with how many."""
    services: dict[str, int]
    findings: tuple[Finding, ...]
    defensibility: Defensibility
    ignored: tuple[str, ...] = ()
    """Rules that were not used."""
    privacy: str = ""
    """What happened to names and content, in words."""
    names: str = ""
    """How names were treated, as :func:`tollbook.audit.hash_key.names_mark` says it."""
    prices: str = ""
    """Which price book."""
    unowned_services: dict[str, int] = {}
    """Of the calls of each service, how many name nobody who pays: neither tenant nor team."""
