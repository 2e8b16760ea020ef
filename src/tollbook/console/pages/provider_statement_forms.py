"""Forms of provider statements: upload a file, fetch from an API, type in an invoice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollbook.chargeback.statements.formats.registry import FORMATS
from tollbook.console.pages.finance_parts import months
from tollbook.console.pages.view import Field, Form

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext


def _providers(context: PageContext) -> tuple[tuple[str, str], ...]:
    return tuple((name, name) for name in sorted(context.house.desk.config.providers))


def import_form(context: PageContext) -> Form:
    """Return the form that keeps a provider's file."""
    forms = tuple((name, name) for name in FORMATS)
    return Form(
        name="import", operation="statements.import", title="Upload a statement", submit="Keep it",
        note="A usage or cost report as the provider's API or console gives it: JSON, CSV, ZIP or "
        "Parquet, up to 3 MB; larger files with the command.",
        fields=(
            Field(name="content_base64", label="File", kind="file", file_name="file_name",
                  is_required=True),
            Field(name="form", label="Format", kind="select", options=(("", "found out"), *forms)),
            Field(name="provider", label="Provider", kind="select",
                  options=(("", "as the file says"), *_providers(context))),
            Field(name="account", label="Account"),
            Field(name="final", label="It is final", kind="checkbox"),
        ),
    )  # fmt: skip


def fetch_form(context: PageContext) -> Form:
    """Return the form that fetches statements."""
    own = tuple((name, name) for name in sorted(context.house.desk.config.statements.fetch))
    options = tuple(dict.fromkeys((*own, *_providers(context))))
    return Form(
        name="fetch", operation="statements.fetch", title="Fetch statements", submit="Fetch",
        is_folded=True,
        note="From the provider's API, with the key in the environment of the ledger process "
        "(OPENAI_ADMIN_KEY, ANTHROPIC_ADMIN_KEY ...). Goes on where the last one stopped.",
        fields=(
            Field(name="name", label="Provider", kind="select", options=options, is_required=True),
            Field(name="since", label="From", kind="date",
                  help="Empty: what is new, or may have been revised."),
            Field(name="until", label="Until", kind="date"),
        ),
    )  # fmt: skip


def invoice_form(context: PageContext) -> Form:
    """Return the form that keeps an invoice."""
    names = tuple((one, one) for one in months(context))
    return Form(
        name="invoice", operation="statements.invoice", title="Type in an invoice",
        submit="Keep the invoice", is_folded=True,
        note="The same again changes nothing; another amount under its number takes its place.",
        fields=(
            Field(name="provider", label="Provider", kind="select", options=_providers(context),
                  is_required=True),
            Field(name="period", label="For", kind="select", options=names),
            Field(name="invoice_id", label="Number", is_required=True),
            Field(name="amount", label="Payable", is_required=True,
                  help="Taxes included, credits taken off."),
            Field(name="tax", label="Of it, taxes"), Field(name="credit", label="Credits"),
            Field(name="fee", label="Of it, fees"),
            Field(name="currency", label="Currency", value="USD"),
            Field(name="account", label="Account"),
        ),
    )  # fmt: skip
