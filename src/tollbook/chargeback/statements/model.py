"""A provider's statement: what it says was used, what it says that costs, or what it invoices."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Basis(StrEnum):
    """What a statement speaks of."""

    USAGE = "usage"  # quantities
    COST = "cost"  # dollars by day and line item, before the invoice
    INVOICE = "invoice"  # what is payable


class Finality(StrEnum):
    """Whether the provider may still change it."""

    PROVISIONAL = "provisional"
    FINAL = "final"


class Category(StrEnum):
    """FOCUS ChargeCategory."""

    USAGE = "Usage"
    PURCHASE = "Purchase"
    TAX = "Tax"
    CREDIT = "Credit"
    ADJUSTMENT = "Adjustment"


class Statement(Struct, frozen=True, kw_only=True):
    """One file or one pull, as received."""

    statement_id: str
    """Of provider, account, source, coverage and the digest of what was received: the same content
    again is the same statement."""
    provider: str
    """As configured in ``[providers.NAME]``."""
    account: str | None = None
    """The organisation, payer account, subscription or billing account that is invoiced."""
    basis: Basis
    source: str
    """``openai.usage``, ``anthropic.cost_report``, ``aws.cur2``, ``csv:NAME``, ``typed``."""
    scope: str | None = None
    """The part of the source that it is, where a source has several that add up: an endpoint
    (``completions``, ``embeddings``), an export. None: the whole of it."""
    start_ns: int
    """What it covers, ``[start, end)``: days without a line are days without usage."""
    end_ns: int
    currency: str = "USD"
    finality: Finality = Finality.PROVISIONAL
    invoice_id: str | None = None
    fetched_at_ns: int
    """When the provider said it; of the same bucket the newest word counts. Of a file, when it was
    last written."""
    received_at_ns: int | None = None
    """When Tollbook first had it; None: now."""
    received_by: str
    file_name: str | None = None
    raw_sha256: str
    raw_bytes: int
    lines: int
    problems: tuple[str, ...] = ()
    """What could not be read, naming row and field; shown, never fatal."""


class StatementLine(Struct, frozen=True, kw_only=True):
    """One line in Tollbook's terms; what the provider does not say is None, never zero."""

    statement_id: str
    line: int
    """Counted from 1 in the order received: the evidence path ends here."""
    start_ns: int
    end_ns: int
    provider: str
    account: str | None = None
    project: str | None = None
    api_key: str | None = None
    model: str | None = None
    kind: str | None = None
    """Of :data:`tollbook.usage.KINDS`; None where the line is of no kind or of several."""
    tier: str | None = None
    """Words of :mod:`tollbook.prices.tiers`; None is the standard tier, or not said (``usage``)."""
    region: str | None = None
    context_window: str | None = None
    """``0-200k`` or ``200k-1M``, where the provider tells them apart."""
    category: Category = Category.USAGE
    quantity: int | None = None
    """Of the kind: tokens, requests, images, milliseconds."""
    requests: int | None = None
    amount: int | None = None
    """In pico of US dollars; None: the line speaks of no money."""
    currency: str = "USD"
    amount_in_currency: int | None = None
    """In 10^-12 of ``currency``, as billed, where that is not US dollars."""
    description: str | None = None
    """The provider's own name of the line item."""
    tags: dict[str, str] = {}
