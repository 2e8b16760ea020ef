"""``[export]``: names and accounts that exports bear."""

from __future__ import annotations

from msgspec import Struct


class ExportProvider(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """``[export.providers.NAME]``: how a provider bills, for exports."""

    display_name: str | None = None
    """Name of the company that sends the invoice; unset: its usual name."""
    service_name: str | None = None
    """Name of the service, such as ``Amazon Bedrock``; unset: its usual name."""
    publisher_name: str | None = None
    """Who makes the service, where that is not who bills it."""
    billing_account_id: str | None = None
    """Organisation, payer account or subscription that is invoiced; unset: as statements say."""
    billing_account_name: str | None = None
    """Its name."""
    payment_terms: str | None = None
    """Such as ``Net 30``."""
    purchase_order_number: str | None = None
    """Your own order number, where invoices bear it."""


class Export(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """``[export]``: what files for finance say beside the numbers."""

    organization: str = "Internal"
    """Your company: who charges tenants, and whose own costs are those of no provider."""
    providers: dict[str, ExportProvider] = {}
    """By the names in ``[providers]``."""
