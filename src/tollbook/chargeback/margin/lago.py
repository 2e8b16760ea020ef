"""Revenue from Lago: fees of finalized invoices and items of credit notes, without tax.

``GET /api/v1/invoices`` (pages by ``meta.next_page``) names the invoices, ``/invoices/{id}`` has
their fees. Coupons and what earlier progressive invoices billed are lines of their own; credit
notes and prepaid credits that pay an invoice change who paid, not what was earned, and buying
credits is no revenue until they are used.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

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

SYSTEM: Final = "lago"
BASE_URL: Final = "https://api.getlago.com"
KEY_ENV: Final = "LAGO_API_KEY"
_PAGE: Final = 100
_PAGES_MAX: Final = 10_000
_PREPAID: Final = "credit"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_REDUCED: Final = ("coupons_amount_cents", "progressive_billing_credit_amount_cents")


class LagoRevenue:
    """Reads what was invoiced since a day; arguments as those of ``StripeRevenue``."""

    def __init__(
        self, client: ApiClient, base_url: str, key: str, *, source: str = SYSTEM,
        tenants: Mapping[str, str], known: Mapping[str, RevenueLine],
    ) -> None:  # fmt: skip
        self._client, self._base, self._key = client, base_url.rstrip("/"), key
        self._source, self._tenants = source, tenants
        self._invoices = {one.document_id: one for one in known.values()}
        self._known = dict(known)

    def lines(self, since_s: int) -> Iterator[RevenueLine]:
        """Yield the lines of what was issued since a moment, seconds since the epoch.

        Raises:
            FetchError: refused, not answered in time, or not of the expected shape.
        """
        day = (_EPOCH + timedelta(seconds=since_s)).date().isoformat()
        try:
            for one in self._listed("invoices", {"issuing_date_from": day}):
                is_issued = one["status"] in ("finalized", "voided")
                if is_issued and one["invoice_type"] != _PREPAID:
                    yield from self._invoice(one["lago_id"])
            for note in self._listed("credit_notes", {"issuing_date_from": day}):
                yield from self._credit_note(note)
        except (KeyError, TypeError, ValueError) as error:
            problem = f"answered something of another shape ({type(error).__name__}: {error})"
            raise FetchError(self._source, problem) from error

    def _listed(self, name: str, query: Mapping[str, object]) -> Iterator[dict[str, Any]]:
        page: int | None = 1
        for _ in range(_PAGES_MAX):
            given = {**query, "page": page, "per_page": _PAGE}
            answer = self._ask(f"{self._base}/api/v1/{name}?{urlencode(given)}")
            yield from answer[name]
            page = answer["meta"]["next_page"]
            if page is None:
                return
        raise FetchError(self._source, f"{name} has more than {_PAGES_MAX} pages")

    def _ask(self, url: str) -> dict[str, Any]:
        question = Question("GET", url, {"authorization": f"Bearer {self._key}"})
        return self._client.json(lambda: question)[1]

    def _invoice(self, lago_id: str) -> Iterator[RevenueLine]:
        url = f"{self._base}/api/v1/invoices/{quote(lago_id, safe='')}"
        invoice = self._ask(url)["invoice"]
        customer = invoice["customer"]["external_id"]
        currency = invoice["currency"]
        issued_ns = _day_ns(invoice["issuing_date"])
        base = RevenueLine(
            source=self._source, line_id=lago_id, document_id=lago_id, category=INVOICE,
            status=VOID if invoice["status"] == "voided" else COUNTED, customer_id=customer,
            tenant_id=self._tenants.get(customer, customer), issued_at_ns=issued_ns,
            start_ns=issued_ns, end_ns=issued_ns, amount=0, currency=currency,
        )  # fmt: skip
        self._invoices[lago_id] = base
        for fee in invoice["fees"]:
            item = fee.get("item") or {}
            made = _with(
                base, line_id=fee["lago_id"],
                amount=fee["amount_cents"] * minor_pico(currency),
                start_ns=_moment_ns(fee.get("from_date"), issued_ns),
                end_ns=_moment_ns(fee.get("to_date"), issued_ns), plan=_plan(invoice, fee),
                feature=_feature(fee), description=_short(item.get("name")),
            )  # fmt: skip
            self._known[made.line_id] = made
            yield made
        for name in _REDUCED:
            cents = invoice.get(name) or 0
            if cents:
                yield _with(
                    base, line_id=f"{lago_id}:{name}", amount=-cents * minor_pico(currency),
                    description=name.removesuffix("_amount_cents").replace("_", " "),
                )  # fmt: skip

    def _credit_note(self, note: dict[str, Any]) -> Iterator[RevenueLine]:
        invoice = self._invoices.get(note["lago_invoice_id"])
        issued_ns = _day_ns(note["issuing_date"])
        for item in note["items"]:
            fee = (item.get("fee") or {}).get("lago_id", "")
            of = self._known.get(fee) or invoice
            yield RevenueLine(
                source=self._source, line_id=item["lago_id"], document_id=note["lago_id"],
                category=CREDIT_NOTE, customer_id=of.customer_id if of else None,
                tenant_id=of.tenant_id if of else None, plan=of.plan if of else None,
                feature=of.feature if of else None, issued_at_ns=issued_ns,
                start_ns=of.start_ns if of else issued_ns, end_ns=of.end_ns if of else issued_ns,
                amount=-item["amount_cents"] * minor_pico(note["currency"]),
                currency=note["currency"], description=_short(note.get("reason")),
            )  # fmt: skip


def _with(base: RevenueLine, **fields: Any) -> RevenueLine:
    made = {name: getattr(base, name) for name in RevenueLine.__struct_fields__} | fields
    return RevenueLine(**(made | {"end_ns": max(made["end_ns"], made["start_ns"])}))


def _plan(invoice: dict[str, Any], fee: dict[str, Any]) -> str | None:
    """Return the plan of the subscription that a fee is of."""
    wanted = fee.get("external_subscription_id")
    for one in invoice.get("subscriptions") or ():
        if one.get("external_id") == wanted and wanted is not None:
            return _short(one.get("plan_code"))
    return None


def _feature(fee: dict[str, Any]) -> str | None:
    """Return the feature that a charge's grouping names, if it groups by one."""
    grouped = fee.get("grouped_by")
    found = grouped.get("feature") if isinstance(grouped, dict) else None
    return found if isinstance(found, str) and found else None


def _day_ns(text: str) -> int:
    return _ns(datetime.fromisoformat(text[:10]).replace(tzinfo=UTC))


def _moment_ns(text: str | None, otherwise_ns: int) -> int:
    if not text:
        return otherwise_ns
    moment = datetime.fromisoformat(text)
    return _ns(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _ns(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def _short(text: Any) -> str | None:
    return text[:TEXT_CHARS_MAX] if isinstance(text, str) and text else None
