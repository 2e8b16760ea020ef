"""Revenue from CSV, Stripe and Lago: whole, once, in any order, whatever the network does."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import stripe as official
from hypothesis import given
from hypothesis import strategies as st
from tests.margin.billing_servers import KEY, Faults, Lago, Stripe, invoice, line, served

from tollbook.books.store import Books, open_books
from tollbook.chargeback.margin import operations as room
from tollbook.chargeback.margin.model import RevenueError, RevenueLine
from tollbook.chargeback.margin.recognise import earned
from tollbook.chargeback.margin.shelf import keep_revenue, revenue_lines
from tollbook.chargeback.statements.errors import FetchError
from tollbook.chargeback.statements.fetch.http import ApiClient, Limits
from tollbook.config import Config
from tollbook.console.finance import carry_out
from tollbook.desk import Desk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY, NS = 86_400, 10**9
OCTOBER = int(datetime(2026, 10, 1, tzinfo=UTC).timestamp())
NOVEMBER = OCTOBER + 31 * DAY
OPERATIONS = {one.name: one for one in room.OPERATIONS}


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    limits = Limits(timeout_s=10.0, total_s=60.0, max_bytes=1_000_000)
    monkeypatch.setattr(
        room, "new_client", lambda name: ApiClient(name, limits, sleep=lambda _: None)
    )
    with open_books(tmp_path) as books:
        yield Desk(
            reader=None, books=books, config=Config(), data_dir=tmp_path,  # type: ignore[arg-type]
            environ={"BILLING_KEY": KEY}, author="ann",
        )  # fmt: skip


def _source(desk: Desk, system: str, url: str) -> None:
    says = {"kind": "source", "system": system, "base_url": url, "key_env": "BILLING_KEY"}
    _decide(desk, "ours", says)


def _decide(desk: Desk, name: str, says: dict[str, Any]) -> None:
    given = {"entries": [{"name": name, "says": says}], "reason": "r"}
    carry_out(OPERATIONS["margin.decide"], desk, given)


def _fetch(desk: Desk) -> dict[str, Any]:
    given = {"source": "ours", "since": "2026-09-01"}
    row: dict[str, Any] = carry_out(OPERATIONS["revenue.fetch"], desk, given)["rows"][0]
    return row


def _lines(books: Books) -> dict[str, RevenueLine]:
    return {one.line_id: one for one in revenue_lines(books, 0, 2**62)}


def _stripe() -> Stripe:
    server = Stripe()
    server.invoices = [
        invoice(
            "in_3", OCTOBER + 3,
            *(line(f"il_{n}", 100 * n, OCTOBER, NOVEMBER) for n in range(1, 6)),
        ),
        invoice(
            "in_2", OCTOBER + 2,
            line("il_eur", 1190, OCTOBER, NOVEMBER, currency="eur",
                 taxes=[{"amount": 190, "tax_behavior": "inclusive"}],
                 discount_amounts=[{"amount": 100, "discount": "di_1"}]),
            line("il_yen", 5000, OCTOBER, NOVEMBER, currency="jpy",
                 metadata={"tenant_id": "zen", "feature": "chat"}),
            customer="cus_2", currency="eur", metadata={"tenant_id": "beta"},
        ),
        invoice("in_1", OCTOBER + 1, line("il_void", 700, OCTOBER, NOVEMBER), status="void"),
        invoice("in_0", OCTOBER, line("il_draft", 900, OCTOBER, NOVEMBER), status="draft"),
    ]  # fmt: skip
    server.credit_notes = [
        {
            "id": "cn_1", "object": "credit_note", "created": NOVEMBER, "effective_at": NOVEMBER,
            "currency": "usd", "customer": "cus_1", "status": "issued", "metadata": {},
            "memo": "goodwill",
            "_lines": [
                {"id": "cnli_1", "object": "credit_note_line_item", "amount": 250,
                 "discount_amount": 50, "invoice_line_item": "il_5", "taxes": [],
                 "description": None, "metadata": {}},
            ],
        },
    ]  # fmt: skip
    return server


def test_stripe_is_read_whole_once_and_through_faults(desk: Desk) -> None:
    faults = Faults()
    with served(_stripe(), faults) as url:
        _source(desk, "stripe", url)
        customers = {"kind": "customers", "source": "ours", "customers": {"cus_1": "acme"}}
        _decide(desk, "map", customers)
        faults.waiting = [429, "cut", 500, 503]
        assert _fetch(desk) == {
            "source": "ours", "new": 9, "revised": 0, "same": 0, "customers_without_tenant": 0,
        }  # fmt: skip
        assert _fetch(desk)["same"] == 9
    found = _lines(desk.books)
    cent = 10**10
    assert "il_draft" not in found
    assert found["il_void"].status == "void"
    assert [found[f"il_{n}"].amount for n in range(1, 6)] == [100 * n * cent for n in range(1, 6)]
    assert found["il_1"].tenant_id == "acme"
    # 11.90 with 1.90 tax in it, less a discount of 1.00
    assert (found["il_eur"].amount, found["il_eur"].currency) == (900 * cent, "EUR")
    assert found["il_eur"].tenant_id == "beta"
    assert (found["il_yen"].amount, found["il_yen"].currency) == (5000 * 10**12, "JPY")
    assert (found["il_yen"].tenant_id, found["il_yen"].feature) == ("zen", "chat")
    credit = found["cnli_1"]
    assert (credit.amount, credit.tenant_id, credit.category) == (
        -200 * cent,
        "acme",
        "credit_note",
    )
    # what is credited was earned when its line was
    assert (credit.start_ns, credit.end_ns) == (OCTOBER * NS, NOVEMBER * NS)


def test_what_is_voided_later_no_longer_counts(desk: Desk) -> None:
    server = _stripe()
    with served(server, Faults()) as url:
        _source(desk, "stripe", url)
        _fetch(desk)
        server.invoices[0]["status"] = "void"
        assert _fetch(desk)["revised"] == 5
    october = [earned(one, OCTOBER * NS, NOVEMBER * NS) for one in _lines(desk.books).values()
               if one.currency == "USD"]  # fmt: skip
    assert sum(october) == -200 * 10**10


def test_shapes_are_those_of_the_official_package() -> None:
    server = _stripe()
    with served(server, Faults()) as url:
        client = official.StripeClient(KEY, base_addresses={"api": url})
        ids, lines = [], 0
        for one in client.v1.invoices.list({"limit": 2}).auto_paging_iter():
            ids.append(one.id)
            lines += sum(1 for _ in one.lines.auto_paging_iter())
    assert ids == ["in_3", "in_2", "in_1", "in_0"]
    assert lines == 9


def test_a_wrong_key_is_one_line_without_the_key(desk: Desk) -> None:
    wrong = desk._replace(environ={"BILLING_KEY": "sk_other_secret"})
    with served(_stripe(), Faults()) as url:
        _source(desk, "stripe", url)
        with pytest.raises(FetchError, match="401") as caught:
            _fetch(wrong)
        assert "sk_other" not in str(caught.value)
    with pytest.raises(RevenueError, match="BILLING_KEY"):
        _fetch(desk._replace(environ={}))


def test_another_shape_is_said(desk: Desk) -> None:
    with served(lambda *_: (200, {"data": [{"id": "in_1"}], "has_more": False}), Faults()) as url:
        _source(desk, "stripe", url)
        with pytest.raises(FetchError, match="another shape"):
            _fetch(desk)
    with served(lambda *_: (200, {"items": []}), Faults()) as url:
        _source(desk, "stripe", url)
        with pytest.raises(FetchError, match="another shape"):
            _fetch(desk)


def test_lago_fees_coupons_and_credit_notes(desk: Desk) -> None:
    def made(lago_id: str, day: str, **fields: Any) -> dict[str, Any]:
        fee = {
            "lago_id": f"fee-{lago_id}", "amount_cents": 1000, "amount_currency": "USD",
            "from_date": "2026-10-01T00:00:00Z", "to_date": "2026-10-31T23:59:59Z",
            "external_subscription_id": "sub", "item": {"type": "charge", "name": "Tokens"},
            "grouped_by": {"feature": "chat"},
        }  # fmt: skip
        return {
            "lago_id": lago_id, "issuing_date": day, "invoice_type": "subscription",
            "status": "finalized", "currency": "USD", "customer": {"external_id": "acme"},
            "coupons_amount_cents": 0, "progressive_billing_credit_amount_cents": 0,
            "subscriptions": [{"external_id": "sub", "plan_code": "pro"}], "fees": [fee],
        } | fields  # fmt: skip

    server, faults = Lago(), Faults()
    server.invoices = [
        made("a", "2026-11-01", coupons_amount_cents=100), made("b", "2026-11-01"),
        made("c", "2026-11-01", status="draft"), made("d", "2026-11-01", invoice_type="credit"),
        made("e", "2026-11-02", status="voided"), made("old", "2026-07-01"),
    ]  # fmt: skip
    server.credit_notes = [
        {"lago_id": "n", "lago_invoice_id": "a", "issuing_date": "2026-11-03", "currency": "USD",
         "reason": "other",
         "items": [{"lago_id": "item", "amount_cents": 300, "fee": {"lago_id": "fee-a"}}]}
    ]  # fmt: skip
    with served(server, faults) as url:
        _source(desk, "lago", url)
        faults.waiting = [500, 429]
        assert _fetch(desk)["new"] == 5
        assert _fetch(desk)["same"] == 5
    found = _lines(desk.books)
    cents = {name: one.amount // 10**10 for name, one in found.items() if one.status == "counted"}
    assert cents == {"fee-a": 1000, "a:coupons_amount_cents": -100, "fee-b": 1000, "item": -300}
    fee = found["fee-a"]
    assert (fee.tenant_id, fee.plan, fee.feature) == ("acme", "pro", "chat")
    assert (found["item"].tenant_id, found["item"].start_ns) == ("acme", OCTOBER * NS)


CSV = (
    "Id,Account,Net,Issued,From,To,currency\n"
    "1,acme,31.00,2026-11-01,2026-10-01,2026-10-31,\n"
    '2,"beta, inc",-0.50,2026-11-02,,,EUR\n'
)
MAPPING = {
    "line_id": "Id", "tenant": "Account", "amount": "Net", "issued": "Issued", "start": "From",
    "end": "To",
}  # fmt: skip


def _import(desk: Desk, text: str) -> dict[str, Any]:
    given = {"name": "crm", "text": text, "mapping": MAPPING}
    row: dict[str, Any] = carry_out(OPERATIONS["revenue.import"], desk, given)["rows"][0]
    return row


def test_csv_by_a_mapping(desk: Desk) -> None:
    assert _import(desk, CSV)["new"] == 2
    assert _import(desk, CSV)["same"] == 2
    assert _import(desk, CSV.replace("31.00", "62"))["revised"] == 1
    found = _lines(desk.books)
    assert found["1"].amount == 62 * 10**12
    assert (found["1"].start_ns, found["1"].end_ns) == (OCTOBER * NS, NOVEMBER * NS)
    assert (found["2"].tenant_id, found["2"].currency) == ("beta, inc", "EUR")
    assert found["2"].category == "credit_note"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("31.00", '"1,5"', "row 2: amount"),
        ("31.00", "31.00,7", "row 2: has more cells"),
        ("31.00", "", "row 2: amount is empty"),
        ("2026-11-02", "soon", "row 3: issued 'soon'"),
        ("EUR", "EURO", "row 3: currency"),
        ("2026-10-31", "2026-09-30", "row 2: end is before start"),
        ("Net", "Gross", "has no column 'Net'"),
        ("2,", "1,", "line 1 is there twice"),
    ],
)
def test_csv_that_cannot_be_meant_keeps_nothing(
    desk: Desk, old: str, new: str, problem: str
) -> None:
    with pytest.raises(RevenueError, match=problem):
        _import(desk, CSV.replace(old, new))
    assert _lines(desk.books) == {}


def _line(start: int, length: int, amount: int, name: str = "1") -> RevenueLine:
    return RevenueLine(
        source="csv:x", line_id=name, document_id="d", issued_at_ns=start, start_ns=start,
        end_ns=start + length, amount=amount, currency="USD",
    )  # fmt: skip


@given(
    st.integers(0, 10**6), st.integers(0, 10**4), st.integers(-(10**20), 10**20),
    st.lists(st.integers(-(10**6), 2 * 10**6), max_size=6),
)  # fmt: skip
def test_any_partition_of_the_time_adds_up(
    start: int, length: int, amount: int, cuts: list[int]
) -> None:
    one = _line(start, length, amount)
    edges = sorted([-(10**6), *cuts, 3 * 10**6])
    parts = [earned(one, *pair) for pair in pairwise(edges)]
    assert sum(parts) == amount


def test_any_order_of_imports_gives_the_same_books(tmp_path: Path) -> None:
    lots = [[_line(n, 10, n * 7, str(n)) for n in range(at, at + 5)] for at in range(0, 20, 3)]
    seen = []
    for seed in range(4):
        order = [*lots, *lots]
        random.Random(seed).shuffle(order)
        place = tmp_path / str(seed)
        place.mkdir()
        with open_books(place) as books:
            for lot in order:
                keep_revenue(books, lot)
            seen.append(_lines(books))
    assert all(one == seen[0] for one in seen)
    assert len(seen[0]) == 23
