"""Journals of a period: balanced, equal to the trial balance, and accepted by beancount."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from beancount import loader
from beancount.core import data
from hypothesis import given
from hypothesis import strategies as st
from tests.focus.kit import OCTOBER, World, fill, invoice, make_world

from tollbook.books.exports import list_exports
from tollbook.chargeback.cents import PICO_PER_CENT, cents_of, cents_text, round_cents
from tollbook.chargeback.journal.entries import Group, transactions
from tollbook.chargeback.journal.mapping import (
    STANDARD,
    AccountMapping,
    Facts,
    MappingError,
    Posting,
    read_mapping,
)
from tollbook.chargeback.journal.names import account_problem, component
from tollbook.chargeback.journal.operations import OPERATIONS, journal_of
from tollbook.chargeback.journal.writers import rounded, write_beancount, write_csv
from tollbook.chargeback.periods import Period
from tollbook.chargeback.periods.trial_balance import Invoice, trial_balance
from tollbook.chargeback.statements.model import Category
from tollbook.console.finance import carry_out

if TYPE_CHECKING:
    from collections.abc import Iterator

_BY_NAME = {one.name: one for one in OPERATIONS}
_MONTH = "2026-10"
_names = st.none() | st.sampled_from(["acme", "Acme", "=cmd()", "Ünï:cøde", "日本", '"q\\', "a b"])


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with make_world(tmp_path) as made:
        fill(made)
        yield made


def _ask(world: World, name: str, **given_: Any) -> dict[str, Any]:
    return carry_out(_BY_NAME[name], world.desk, given_)


def _exported(world: World, **given_: Any) -> tuple[dict[str, Any], Path]:
    answer = _ask(world, "journal.export", period=_MONTH, **given_)
    return answer, Path(answer["directory"])


def test_accounts_add_up_to_the_trial_balance(world: World) -> None:
    amounts = {Category.USAGE: "100.10", Category.TAX: "9.90", Category.CREDIT: "-3"}
    invoice(world.desk.books, amounts)
    journal = journal_of(world.desk, _MONTH, "default")
    found: dict[str, int] = {}
    for one in journal.transactions:
        for line in one.lines:
            facts = line.facts
            key = {
                Posting.COST: f"cost:{facts.tenant}", Posting.ACCRUAL: f"accrual:{facts.provider}",
                Posting.PRIOR: f"prior:{facts.provider}",
                Posting.VARIANCE: f"variance:{facts.provider}",
                Posting.PAYABLE: f"payable:{facts.provider}:{facts.invoice}",
            }[Posting(facts.posting)]  # fmt: skip
            found[key] = found.get(key, 0) + line.amount
    balance = trial_balance(world.desk, Period(_MONTH))
    assert {key: amount for key, amount in found.items() if amount} == balance.accounts
    assert balance.of("prior"), "September came late and was posted apart"


def test_corrections_name_the_month_they_correct(world: World) -> None:
    journal = journal_of(world.desk, _MONTH, "default")
    late = [one for one in journal.transactions if one.kind == "correction"]
    assert {one.original_period for one in late} == {"2026-09"}
    assert {one.reference for one in late} == {"2026-09"}
    allocation = next(one for one in journal.transactions if one.kind == "allocation")
    assert {line.facts.tenant for line in allocation.lines} == {"platform", "acme", "globex"}


def test_csv_balances_to_the_cent_and_is_safe(world: World) -> None:
    answer, directory = _exported(world)
    text = (directory / f"journal-{_MONTH}.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    sides: dict[str, Decimal] = {}
    exact = Decimal(0)
    for row in rows:
        assert bool(row["debit"]) != bool(row["credit"])
        amount = Decimal(row["debit"] or 0) - Decimal(row["credit"] or 0)
        sides[row["transaction_id"]] = sides.get(row["transaction_id"], Decimal(0)) + amount
        exact += Decimal(row["amount_exact"])
        assert abs(amount - Decimal(row["amount_exact"])) < Decimal("0.01")
        assert row["currency"] == "USD"
        assert row["date"] == "2026-10-31"
    assert set(sides.values()) == {Decimal(0)}
    assert exact == 0
    files = {row["name"]: row for row in answer["rows"]}
    assert files[f"journal-{_MONTH}.csv"]["rows"] == len(rows)
    assert answer["totals"]["balance_exact_usd"] == "0.000000000000"
    assert answer["completeness"]["unpriced"]["calls"] == 1
    kept = list_exports(world.desk.books, kind="journal")
    assert [one.export_id for one in kept] == [answer["export_id"]]


def test_bean_check_accepts_the_text(world: World) -> None:
    invoice(world.desk.books, {Category.USAGE: "100.10"}, invoice_id='INV "7"\n\\')
    mapping = {
        "accounts": [
            {"posting": "cost", "tenant": "ac*", "account": "6410", "text": "für {tenant}"}
        ],
        "chargeback": "cost",
    }  # fmt: skip
    _ask(world, "journal.keep_accounts", body=mapping, reason="chart of accounts")
    _, directory = _exported(world)
    path = directory / f"journal-{_MONTH}.beancount"
    done = subprocess.run(
        [Path(sys.executable).with_name("bean-check"), path],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    entries, errors, _ = loader.load_file(str(path))
    assert not errors
    posted = {
        posting.account
        for one in entries
        if isinstance(one, data.Transaction)
        for posting in one.postings
    }
    assert {"Expenses:LLM:6410", "Expenses:LLM:Usage", "Income:LLM:Chargeback"} <= posted
    assert any(name.startswith("Assets:LLM:Receivable:Acme") for name in posted)


def test_months_are_read_together_where_only_the_first_opens_accounts(world: World) -> None:
    _, directory = _exported(world, open_accounts=False)
    text = (directory / f"journal-{_MONTH}.beancount").read_text(encoding="utf-8")
    assert " open " not in text
    assert text.count("transaction:") > 1


def test_preview_writes_nothing(world: World) -> None:
    answer = _ask(world, "journal.preview", period=_MONTH)
    assert sum(Decimal(row["amount_exact_usd"]) for row in answer["rows"]) == 0
    assert not list_exports(world.desk.books)


def test_what_tenants_are_charged_is_posted_by_the_billable_price(world: World) -> None:
    ledger = world.ledger
    ledger.add(
        world.call(OCTOBER + timedelta(days=2), tenant_id="acme", billable_usd=Decimal("7.25")),
        world.call(datetime(2026, 9, 3, tzinfo=UTC), tenant_id="acme", billable_usd=Decimal(-1)),
    )
    made = journal_of(world.desk, _MONTH, "default").transactions
    charged = {one.original_period: one for one in made if one.kind == "chargeback"}
    own = {line.account: line.amount for line in charged[_MONTH].lines}
    assert own == {"LLM-RECEIVABLE-acme": 7_250_000_000_000, "LLM-RECOVERY": -7_250_000_000_000}
    assert charged["2026-09"].reference == "2026-09"


def test_a_mapping_that_cannot_be_used_is_told(world: World) -> None:
    for body, words in (
        ({"accounts": [{"account": "{nobody}"}]}, "unknown {nobody}"),
        ({"accounts": [{"account": "1", "beancount": "Costs:X"}]}, "no account"),
        ({"accounts": [{"posting": "magic", "account": "1"}]}, "Invalid enum value"),
        ({"acounts": []}, "acounts"),
    ):
        with pytest.raises(MappingError, match=words):
            _ask(world, "journal.keep_accounts", body=body, reason="x")
    assert not _ask(world, "journal.list_accounts")["rows"]


def test_a_mapping_holds_from_its_month_on(world: World) -> None:
    body = {"accounts": [{"posting": "cost", "account": "6499", "book_cost_center": "CC9"}]}
    _ask(world, "journal.keep_accounts", body=body, reason="new chart", period="2026-11")
    rows = _ask(world, "journal.preview", period=_MONTH)["rows"]
    assert "6499" not in {row["account"] for row in rows}
    _ask(world, "journal.keep_accounts", body=body, reason="new chart", period="2026-10")
    rows = _ask(world, "journal.preview", period=_MONTH)["rows"]
    assert {row["cost_center"] for row in rows if row["account"] == "6499"} == {"CC9"}


_amounts = st.integers(min_value=-(10**16), max_value=10**16)
_groups = st.lists(
    st.builds(
        Group, st.sampled_from(["2026-10", "2026-09", "2026-08"]),
        st.builds(
            Facts, st.just(Posting.COST), _names, _names,
            st.sampled_from(["openai", "anthropic", "internal"]),
            st.sampled_from([None, "tax", "allocation", "true_up"]), st.none(),
        ),
        st.sampled_from([None, "2026-08", "run:1"]), _amounts, _amounts,
    ),
    max_size=12,
)  # fmt: skip
_invoices = st.lists(
    st.builds(Invoice, st.sampled_from(["openai", "azure"]), st.sampled_from(["A", "B"]), _amounts),
    max_size=3,
)
_mappings = st.sampled_from([
    STANDARD, AccountMapping(chargeback="cost"), AccountMapping(chargeback="none"),
    read_mapping(msgspec.json.encode({"accounts": [{"account": "9-{tenant}-{cost_center}"}]}), "m"),
])  # fmt: skip


@given(_groups, _invoices, _mappings)
def test_every_transaction_balances_exactly_and_in_cents(
    groups: list[Group], invoices: list[Invoice], mapping: AccountMapping
) -> None:
    period = Period("2026-10")
    made = transactions(groups, invoices, mapping, period.name)
    for one in made:
        assert sum(line.amount for line in one.lines) == 0
        assert sum(cents for _, cents in rounded(one)) == 0
    cost = sum(
        line.amount for one in made for line in one.lines if line.facts.posting == Posting.COST
    )
    assert cost == sum(one.cost for one in groups)
    keys = [one.key for one in made]
    assert len(set(keys)) == len(keys) or len({i.invoice_id for i in invoices}) < len(invoices)
    text = io.StringIO()
    assert write_beancount(text, period, made) == len(made)
    _, errors, _ = loader.load_string(text.getvalue())
    assert not errors
    table = io.StringIO()
    lines = write_csv(table, period, made)
    assert lines == sum(len(one.lines) for one in made)


@given(st.lists(_amounts, max_size=20))
def test_cents_add_up_to_the_rounded_sum(parts: list[int]) -> None:
    cents = cents_of(parts)
    assert sum(cents) == round_cents(sum(parts))
    for part, one in zip(parts, cents, strict=True):
        assert abs(one * PICO_PER_CENT - part) < PICO_PER_CENT


@pytest.mark.parametrize(
    ("pico", "text"),
    [(0, "0.00"), (5 * 10**9, "0.00"), (15 * 10**9, "0.02"), (-(10**12), "-1.00"),
     (-5 * 10**10, "-0.05"), (123_456 * 10**10, "1234.56"), (-15 * 10**9, "-0.02")],
)  # fmt: skip
def test_cents_as_text(pico: int, text: str) -> None:
    assert cents_text(round_cents(pico)) == text


@given(st.lists(st.text(min_size=1, max_size=8), min_size=2, max_size=6, unique=True))
def test_names_stay_different_and_are_accounts(names: list[str]) -> None:
    made = [component(one) for one in names]
    assert len(set(made)) == len(names)
    assert all(account_problem(f"Expenses:{one}") is None for one in made)
