"""Margin: exact, whole, with what is missing shown, and targets that are held to."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from tests.billable.billing_kit import DAY_NS, OCTOBER_NS, Ledger

from tollbook.books.documents import Subject
from tollbook.chargeback.margin.model import RevenueError
from tollbook.chargeback.margin.operations import OPERATIONS as ROOM
from tollbook.chargeback.margin.report import previous
from tollbook.chargeback.margin.rows import Span
from tollbook.cli.main import cli
from tollbook.console.finance import carry_out
from tollbook.desk.registry import operations
from tollbook.ledger.adjust import Adjustment, AdjustmentType, book_adjustments
from tollbook.prices.fx import FxBody
from tollbook.reports.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tollbook.desk import Desk

USD = 10**12
OPERATIONS = {one.name: one for one in ROOM}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(tmp_path)
    yield made
    made.close()


@pytest.fixture
def desk(ledger: Ledger) -> Iterator[Desk]:
    yield from ledger.desk()


def _revenue(desk: Desk, *rows: str, header: str = "line_id,tenant,amount,issued") -> None:
    given = {"name": "crm", "text": "\n".join((header, *rows)) + "\n"}
    carry_out(OPERATIONS["revenue.import"], desk, given)


def _margin(desk: Desk, **asked: str) -> dict[str, Any]:
    return carry_out(OPERATIONS["margin.show"], desk, {"period": "2026-10"} | asked)


def _by(answer: dict[str, Any], name: str) -> dict[Any, dict[str, Any]]:
    return {row[name]: row for row in answer["rows"]}


def test_revenue_cost_and_what_is_missing_of_either(ledger: Ledger, desk: Desk) -> None:
    # each call costs 0.006
    ledger.book(ledger.call("acme"), ledger.call("acme"), ledger.call("poor"), ledger.call(None),
                ledger.call("acme", at_ns=OCTOBER_NS - 9 * DAY_NS),
                ledger.call("acme", model="strange"))  # fmt: skip
    shares = [("acme", 2 * 10**9), ("poor", 10**9), (None, -3 * 10**9)]
    book_adjustments(ledger.store, "allocation:1", [
        Adjustment(
            adjustment=AdjustmentType.ALLOCATION, at_ns=OCTOBER_NS + DAY_NS, cost=cost,
            identity={} if tenant is None else {"tenant_id": tenant}, reason="gateway",
        )
        for tenant, cost in shares
    ])  # fmt: skip
    _revenue(desk, "1,acme,0.03,2026-10-05", "2,quiet,5,2026-10-06", "3,acme,0.012,2026-09-25")
    answer = _margin(desk)
    rows = _by(answer, "tenant")
    acme = rows["acme"]
    assert acme["revenue_usd"] == "0.030000000000"
    assert acme["direct_cost_usd"] == "0.012000000000"
    assert acme["allocated_cost_usd"] == "0.002000000000"
    assert acme["gross_margin_usd"] == "0.016000000000"
    assert acme["margin_percent"] == "53.33"
    assert acme["cost_to_revenue_percent"] == "46.67"
    assert acme["margin_before_percent"] == "50.00"
    assert acme["margin_change_points"] == "3.33"
    assert acme["notes"] == ["1 calls without a known cost"]
    assert rows["poor"]["notes"] == ["no revenue"]
    assert rows["poor"]["margin_percent"] is None
    assert rows["quiet"]["notes"] == ["no usage"]
    assert rows["unknown"]["cost_usd"] == "0.003000000000"
    totals = answer["totals"]
    assert totals["revenue_usd"] == "5.030000000000"
    assert totals["cost_usd"] == "0.024000000000"


def test_plans_and_months(ledger: Ledger, desk: Desk) -> None:
    ledger.put("plans", {"kind": "plans", "tenants": {"a*": "pro"}})
    ledger.book(ledger.call("acme"), ledger.call("alba"), ledger.call("zeta"))
    _revenue(
        desk, "1,acme,62,2026-11-01,2026-10-01,2026-11-30", "2,zeta,1,2026-10-01,,",
        header="line_id,tenant,amount,issued,start,end",
    )  # fmt: skip
    plans = _by(_margin(desk, by="plan"), "plan")
    # 31 of 61 days
    assert plans["pro"]["revenue_usd"] == "31.508196721311"
    assert plans["pro"]["direct_cost_usd"] == "0.012000000000"
    assert plans[None]["revenue_usd"] == "1.000000000000"
    given = {"since": "2026-10-01", "until": "2026-12-01", "by": "month"}
    months = _by(carry_out(OPERATIONS["margin.show"], desk, given), "month")
    amounts = [months[name]["revenue_usd"] for name in ("2026-10", "2026-11")]
    assert sum(int(one.replace(".", "")) for one in amounts) == 63 * USD
    assert months["2026-11"]["revenue_before_usd"] == amounts[0]


def test_features_split_only_by_what_is_asked(ledger: Ledger, desk: Desk) -> None:
    ledger.book(ledger.call("acme", feature="chat"), ledger.call("acme", feature="chat"),
                ledger.call("acme", feature="search"), ledger.call("acme"))  # fmt: skip
    _revenue(
        desk, "1,acme,1,2026-10-05,", "2,acme,2,2026-10-05,chat",
        header="line_id,tenant,amount,issued,feature",
    )  # fmt: skip
    told = _margin(desk, by="feature")["rows"]
    unsplit = [row for row in told if "names no feature" in row["notes"]]
    assert [(row["revenue_usd"], row["cost_usd"]) for row in unsplit] == [
        ("1.000000000000", "0.000000000000")
    ]
    split = _by(_margin(desk, by="feature", split="calls"), "feature")
    assert split["chat"]["revenue_usd"] == "2.666666666667"
    assert split["search"]["revenue_usd"] == "0.333333333333"
    assert split[None]["revenue_usd"] == "0.000000000000"


def test_other_currencies_by_the_rate_of_the_day(ledger: Ledger, desk: Desk) -> None:
    rates = FxBody(currency="EUR", rates={})
    body = json.loads(_encoded(rates)) | {"rates": {"2026-10-05": "1.25"}}
    ledger.put("EUR", body, subject=Subject.FX_RATES)
    _revenue(
        desk, "1,acme,4,2026-10-05,EUR", "2,acme,3,2026-10-06,EUR", "3,acme,1,2026-10-06,usd",
        header="line_id,tenant,amount,issued,currency",
    )  # fmt: skip
    answer = _margin(desk)
    assert _by(answer, "tenant")["acme"]["revenue_usd"] == "6.000000000000"
    assert answer["unconverted"] == [
        {"currency": "EUR", "day": "2026-10-06", "amount": "3.000000000000"}
    ]


def _encoded(body: FxBody) -> bytes:
    import msgspec  # noqa: PLC0415 -- beside its use

    return msgspec.json.encode(body)


def _decide(desk: Desk, name: str, **says: Any) -> None:
    entry = {"name": name, "says": {"kind": "target", **says}}
    given = {"entries": [entry], "reason": "board"}
    carry_out(OPERATIONS["margin.decide"], desk, given)


def test_targets_are_compared_exactly(ledger: Ledger, desk: Desk) -> None:
    ledger.put("plans", {"kind": "plans", "tenants": {"acme": "pro"}})
    ledger.book(ledger.call("acme"), ledger.call("beta"), ledger.call("free"))
    _revenue(desk, "1,acme,0.009,2026-10-05", "2,beta,0.012,2026-10-05", "3,beta,1,2026-09-05")
    _decide(desk, "all", min_margin_percent="50", max_margin_drop_points="10")
    _decide(desk, "pro", match={"plan": "pro"}, max_cost_to_revenue_percent="66.67")
    rows = _by(_margin(desk), "tenant")
    # 2/3 is below 66.67 %, and 50 % is not below 50 %
    assert rows["acme"]["alerts"] == []
    assert rows["beta"]["alerts"] == ["margin fell by 50.00 points, more than 10"]
    assert rows["free"]["alerts"] == ["cost of 0.006000000000 USD and no revenue"]
    _decide(desk, "pro", match={"plan": "pro"}, max_cost_to_revenue_percent="66.66")
    assert _by(_margin(desk), "tenant")["acme"]["alerts"] == [
        "cost of 66.67 % of revenue is above 66.66 %"
    ]


def test_a_withdrawn_target_no_longer_alerts_and_judged_earlier_months(
    ledger: Ledger, desk: Desk
) -> None:
    ledger.book(ledger.call("acme"))
    _revenue(desk, "1,acme,0.009,2026-10-05")
    target = {"kind": "target", "min_margin_percent": "50"}
    bounded = {"kind": "target", "min_margin_percent": "60"}

    def keep(says: dict[str, Any], since: str | None, until: str | None = None) -> None:
        entry = {"name": "all", "says": says, "effective_from": since, "effective_until": until}
        carry_out(OPERATIONS["margin.decide"], desk, {"entries": [entry], "reason": "board"})

    def alerts() -> list[str]:
        found: list[str] = _by(_margin(desk), "tenant")["acme"]["alerts"]
        return found

    keep(target, None)
    keep(bounded, "2026-09-01", "2026-10-01")
    assert alerts() == ["margin of 33.33 % is below 50 %"]  # the version before is back
    with pytest.raises(RevenueError, match="all: effective_from is missing"):
        keep({"kind": "withdrawn"}, None)
    keep({"kind": "withdrawn"}, "2026-11-01")
    assert alerts() == ["margin of 33.33 % is below 50 %"]
    keep({"kind": "withdrawn"}, "2026-10-31")
    assert alerts() == []
    assert len(carry_out(OPERATIONS["margin.decisions"], desk, {})["rows"]) == 4


def test_the_period_before() -> None:
    def at(text: str) -> datetime:
        return datetime.fromisoformat(text).astimezone(UTC)

    october = Span(at("2026-10-01T00:00+02:00"), at("2026-11-01T00:00+01:00"), "Europe/Berlin")
    assert previous(october).since == at("2026-09-01T00:00+02:00")
    quarter = Span(at("2026-01-01T00:00Z"), at("2026-04-01T00:00Z"))
    assert previous(quarter) == Span(at("2025-10-01T00:00Z"), at("2026-01-01T00:00Z"))
    week = Span(at("2026-10-05T00:00Z"), at("2026-10-12T00:00Z"))
    assert previous(week).since == at("2026-09-28T00:00Z")


def test_wrong_words_are_one_line(desk: Desk) -> None:
    with pytest.raises(QueryError, match="--by"):
        _margin(desk, by="moon")
    with pytest.raises(QueryError, match="--split"):
        _margin(desk, by="feature", split="moon")
    assert {"margin.show", "revenue.import"} <= operations().keys()


def test_by_command(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    made = Ledger(tmp_path / "data")
    made.book(made.call("acme"))
    made.close()
    csv, targets = tmp_path / "revenue.csv", tmp_path / "targets.toml"
    csv.write_text("line_id,tenant,amount,issued\n1,acme,0.01,2026-10-05\n")
    targets.write_text('[[margin]]\nname = "all"\nkind = "target"\nmin_margin_percent = 41\n')

    def run(*words: str, code: int = 0) -> Any:
        result = CliRunner().invoke(cli, ["margin", *words, "--data", str(tmp_path / "data")])
        assert result.exit_code == code, result.output
        return result.stdout if code < 2 else result.stderr

    run("import", str(csv), "--name", "crm")
    run("decide", str(targets), "--reason", "board")
    listed = run("decisions", "--format", "csv")
    assert "margin_target/all/1" in listed
    assert "board" in listed
    assert '"0.010000000000"' in run("revenue", "--period", "2026-10")
    answer = json.loads(run("--period", "2026-10", "--check", "--format", "json", code=1))
    assert answer["rows"][0]["alerts"] == ["margin of 40.00 % is below 41 %"]
    csv.write_text("line_id,tenant,amount,issued\n1,acme,0.01,9999-12-31\n")
    told = run("import", str(csv), "--name", "crm", code=2)
    assert "revenue.csv row 2: issued '9999-12-31' is not in 1970 to 2261" in told
    targets.write_text('[[margin]]\nname = "all"\nkind = "target"\nmoon = 41\n')
    told = run("decide", str(targets), "--reason", "x", code=2)
    assert "targets.toml: all: " in told
    assert "moon" in told
    table = run("--period", "2026-10", "--format", "table")
    assert "40.00" in table
    assert "below 41" in " ".join(table.split())


@pytest.mark.parametrize(
    ("says", "problem"),
    [
        ({"kind": "target"}, "min_margin_percent"),
        ({"kind": "target", "min_margin_percent": "x"}, "min_margin_percent"),
        ({"kind": "target", "min_margin_percent": 1, "match": {"model": "m"}}, "match.model"),
        ({"kind": "source", "system": "moon", "base_url": "https://x", "key_env": "K"}, "system"),
        ({"kind": "source", "system": "lago", "base_url": "ftp://x", "key_env": "K"}, "base_url"),
        ({"kind": "moon"}, "kind"),
    ],
)
def test_decisions_are_kept_all_or_none(
    ledger: Ledger, desk: Desk, says: dict[str, Any], problem: str
) -> None:
    good = {"name": "good", "says": {"kind": "target", "min_margin_percent": 1}}
    given = {"entries": [good, {"name": "bad", "says": says}], "reason": "r"}
    with pytest.raises(RevenueError, match=problem):
        carry_out(OPERATIONS["margin.decide"], desk, given)
    assert carry_out(OPERATIONS["margin.decisions"], desk, {})["rows"] == []
