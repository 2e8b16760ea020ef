"""Revenue from Stripe: lines of invoices and of credit notes, without tax and after discounts.

Shapes are those of the ``stripe`` package 16.1 (API 2026-10-28). A draft is no revenue yet; what
was voided is kept as void, so that what was imported of it before no longer counts. Credits and
balances that pay an invoice change who paid, not what was earned.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from tollbook.chargeback.margin.model import (
    COUNTED,
    CREDIT_NOTE,
    INVOICE,
    TEXT_CHARS_MAX,
    VOID,
    RevenueLine,
    minor_pico,
)
from tollbook.chargeback.statements.errors import FetchError
from tollbook.chargeback.statements.fetch.http import ApiClient, Question

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SYSTEM: Final = "stripe"
BASE_URL: Final = "https://api.stripe.com"
KEY_ENV: Final = "STRIPE_API_KEY"
_VERSION: Final = "2026-10-28.endive"
_PAGE: Final = 100
_PAGES_MAX: Final = 10_000
_NS: Final = 10**9
_TENANT_KEYS: Final = ("tenant_id", "tenant.id", "tenant")


class StripeRevenue:
    """Reads what was invoiced since a moment.

    Args:
        client: asks the API.
        base_url: of the API.
        key: the secret key.
        source: how the lines name it.
        tenants: of customers, by their ids.
        known: lines of earlier imports, which credit notes may refer to.
    """

    def __init__(
        self, client: ApiClient, base_url: str, key: str, *, source: str = SYSTEM,
        tenants: Mapping[str, str], known: Mapping[str, RevenueLine],
    ) -> None:  # fmt: skip
        self._client, self._base, self._key = client, base_url.rstrip("/"), key
        self._source, self._tenants = source, tenants
        self._known = dict(known)

    def lines(self, since_s: int) -> Iterator[RevenueLine]:
        """Yield the lines of what was created since a moment, seconds since the epoch.

        Raises:
            FetchError: refused, not answered in time, or not of the expected shape.
        """
        try:
            for invoice in self._listed("/v1/invoices", {"created[gte]": since_s}):
                if invoice.get("status") in (None, "draft"):
                    continue
                for line in self._lines_of(invoice, "/v1/invoices"):
                    made = self._invoice_line(invoice, line)
                    self._known[made.line_id] = made
                    yield made
            for note in self._listed("/v1/credit_notes", {"created[gte]": since_s}):
                for line in self._lines_of(note, "/v1/credit_notes"):
                    yield self._credit_line(note, line)
        except (KeyError, TypeError, ValueError) as error:
            problem = f"answered something of another shape ({type(error).__name__}: {error})"
            raise FetchError(self._source, problem) from error

    def _listed(self, path: str, query: Mapping[str, object]) -> Iterator[dict[str, Any]]:
        """Yield every item of a list, page by page."""
        after: str | None = None
        for _ in range(_PAGES_MAX):
            given = {**query, "limit": _PAGE} | ({} if after is None else {"starting_after": after})
            url = f"{self._base}{path}?{urlencode(given)}"
            _, page = self._client.json(partial(self._question, url))
            items = page["data"]
            yield from items
            if not page["has_more"] or not items:
                return
            after = items[-1]["id"]
        raise FetchError(self._source, f"{path} has more than {_PAGES_MAX} pages")

    def _question(self, url: str) -> Question:
        return Question(
            "GET", url,
            {"authorization": f"Bearer {self._key}", "stripe-version": _VERSION},
        )  # fmt: skip

    def _lines_of(self, owner: dict[str, Any], path: str) -> Iterator[dict[str, Any]]:
        """Yield the lines of an invoice; a long one has them on pages of their own."""
        lines = owner["lines"]
        if not lines["has_more"]:
            yield from lines["data"]
            return
        yield from self._listed(f"{path}/{owner['id']}/lines", {})

    def _invoice_line(self, invoice: dict[str, Any], line: dict[str, Any]) -> RevenueLine:
        currency = (line.get("currency") or invoice["currency"]).upper()
        minor = line["amount"] - _sum(line.get("discount_amounts")) - _inclusive(line)
        customer = _id(invoice.get("customer"))
        details = (invoice.get("parent") or {}).get("subscription_details") or {}
        tenant = (
            _tenant(line) or _tenant(invoice) or _tenant(details)
            or (self._tenants.get(customer) if customer else None)
        )  # fmt: skip
        issued = invoice.get("effective_at") or invoice["created"]
        period = line["period"]
        return RevenueLine(
            source=self._source, line_id=line["id"], document_id=invoice["id"], category=INVOICE,
            status=VOID if invoice["status"] == "void" else COUNTED, customer_id=customer,
            tenant_id=tenant, plan=_metadata(line).get("plan") or _metadata(details).get("plan"),
            feature=_metadata(line).get("feature"), issued_at_ns=issued * _NS,
            start_ns=period["start"] * _NS, end_ns=max(period["end"], period["start"]) * _NS,
            amount=minor * minor_pico(currency), currency=currency,
            description=_short(line.get("description")),
        )  # fmt: skip

    def _credit_line(self, note: dict[str, Any], line: dict[str, Any]) -> RevenueLine:
        currency = note["currency"].upper()
        minor = line["amount"] - line.get("discount_amount", 0) - _inclusive(line)
        of = self._known.get(line.get("invoice_line_item") or "")
        customer = _id(note.get("customer"))
        issued_ns = (note.get("effective_at") or note["created"]) * _NS
        mapped = self._tenants.get(customer) if customer else None
        return RevenueLine(
            source=self._source, line_id=line["id"], document_id=note["id"], category=CREDIT_NOTE,
            status=VOID if note["status"] == "void" else COUNTED, customer_id=customer,
            tenant_id=_tenant(line) or _tenant(note) or (of.tenant_id if of else None) or mapped,
            plan=of.plan if of else None, feature=of.feature if of else None,
            issued_at_ns=issued_ns,
            # What is credited was earned when its line was; else when it was credited.
            start_ns=of.start_ns if of else issued_ns, end_ns=of.end_ns if of else issued_ns,
            amount=-minor * minor_pico(currency), currency=currency,
            description=_short(line.get("description") or note.get("memo")),
        )  # fmt: skip


def _sum(amounts: list[dict[str, Any]] | None) -> int:
    return sum(one["amount"] for one in amounts or ())


def _inclusive(line: dict[str, Any]) -> int:
    """Return the tax that is part of the amount."""
    taxes = line.get("taxes") or ()
    return sum(one["amount"] for one in taxes if one.get("tax_behavior") == "inclusive")


def _id(value: Any) -> str | None:
    found = value.get("id") if isinstance(value, dict) else value
    return found if isinstance(found, str) else None


def _metadata(owner: dict[str, Any]) -> dict[str, Any]:
    found = owner.get("metadata")
    return found if isinstance(found, dict) else {}


def _tenant(owner: dict[str, Any]) -> str | None:
    told = _metadata(owner)
    return next((told[key] for key in _TENANT_KEYS if told.get(key)), None)


def _short(text: Any) -> str | None:
    return text[:TEXT_CHARS_MAX] if isinstance(text, str) and text else None
