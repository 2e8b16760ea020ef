"""A month closed through the forms of the pages is the month closed by commands."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.console_finance.finance_pages_kit import (
    MONTH,
    OCTOBER,
    POLICY,
    browsing,
    filled,
    forms_of,
    plain,
)
from tests.periods.finance_kit import finance_world

from tollbook.chargeback.allocate import operations as allocate
from tollbook.chargeback.periods import operations as periods
from tollbook.chargeback.periods.errors import NotApproverError, NotYourselfError
from tollbook.reports.query import LATEST, SpendQuery
from tollbook.reports.wide import wide_rows
from tollbook.reports.zone import EPOCH

if TYPE_CHECKING:
    from pathlib import Path

    from tests.console_finance.finance_pages_kit import Browser
    from tests.periods.finance_kit import World

PERIOD, ALLOCATION = f"/period?period={MONTH}", f"/allocation?period={MONTH}"


def by_forms(browser: Browser) -> None:
    """Each form is sent twice, as by a reload; the second time books nothing."""
    browser.do(PERIOD, f"{MONTH} is reconciled")
    browser.do(
        ALLOCATION, "Keep the policy", body=json.dumps(POLICY), effective_from="2026-01",
        reason="agreed",
    )  # fmt: skip
    for _ in range(2):
        browser.do(ALLOCATION, f"Enter it for {MONTH}", name="gateway", amount="7", reason="bill")
    for _ in range(2):
        browser.do(ALLOCATION, f"Book the allocation of {MONTH}")
    form = next(one for one in forms_of(browser.page(PERIOD)) if "allocated" in one["submit"])
    assert set(form["fields"]) == {"csrf_token", "return_to", "period", "to"}
    browser.do(PERIOD, f"{MONTH} is allocated")
    browser.do(PERIOD, f"Seal {MONTH}")


def by_commands(world: World) -> None:
    world.ask(periods.STEP, period=MONTH, to="reconciled")
    world.ask(allocate.IMPORT_POLICY, body=POLICY, effective_from="2026-01", reason="agreed")
    world.ask(allocate.COST, period=MONTH, name="gateway", amount="7", reason="bill")
    world.ask(allocate.RUN, period=MONTH)
    world.ask(periods.STEP, period=MONTH, to="allocated")
    world.ask(periods.SEAL, period=MONTH)


def outcome(world: World) -> dict[str, Any]:
    """What a close comes to, without who did it and when."""
    balance = world.ask(periods.TRIAL_BALANCE, period=MONTH)
    verified = world.ask(periods.VERIFY, period=MONTH)
    (status,) = (row for row in world.ask(periods.STATUS)["rows"] if row["period"] == MONTH)
    query = SpendQuery(since=EPOCH, until=LATEST, by=("kind", "adjustment", "tenant"))
    entries = wide_rows(world.reader, query)
    return {
        "accounts": balance["rows"], "changed": verified["rows"],
        "told": {name: status[name] for name in ("state", "cost_usd", "calls", "last_entry")},
        "entries": sorted(
            (str(row["kind"]), str(row["adjustment"]), str(row["tenant"]), row["cost_usd"])
            for row in entries
        ),
    }  # fmt: skip


@pytest.mark.slow
def test_a_close_by_forms_is_one_by_commands(tmp_path: Path) -> None:
    forms, commands = tmp_path / "forms", tmp_path / "commands"
    forms.mkdir()
    commands.mkdir()
    with filled(forms):
        pass
    with browsing(forms) as browser:
        by_forms(browser)
        # Nothing is left to do, and a step that was done is refused when it is sent again.
        assert forms_of(browser.page(PERIOD)) == []
        with pytest.raises(StopIteration):
            browser.send(PERIOD, f"Seal {MONTH}")
    with filled(commands) as world:
        by_commands(world)
        wanted = outcome(world)
    with finance_world(forms) as world:
        found = outcome(world)
    assert found == wanted
    assert found["told"]["state"] == "closed"
    assert found["changed"] == []


@pytest.mark.slow
def test_what_stands_in_the_way_is_shown_and_accepted_with_a_reason(tmp_path: Path) -> None:
    with filled(tmp_path) as world:
        world.charge(OCTOBER, None, tenant="acme")
    with browsing(tmp_path) as browser:
        refused = browser.send(PERIOD, f"{MONTH} is reconciled")
        assert refused.status_code == 422
        assert "priced" in plain(refused.text)
        failing = [
            row["check"] for row in browser.table(PERIOD, "checks") if row["result"] == "failed"
        ]
        assert failing == ["priced"]
        browser.do(PERIOD, "Accept it", check="priced", reason="a test call")
        browser.do(PERIOD, f"{MONTH} is reconciled")
        told = browser.table(PERIOD, "history")
        assert [row["what"] for row in told] == ["accepted", "step"]
        assert told[0]["reason"] == "a test call"
        browser.do(PERIOD, f"Take {MONTH} back to open", reason="once more")
        assert browser.data(PERIOD)["figures"][0]["value"] == "open"


def test_an_approval_is_of_the_seal_that_was_shown_and_in_ones_own_name(tmp_path: Path) -> None:
    charged = {"mode": "chargeback", "approvals_needed": 1}
    with filled(tmp_path, **charged) as world:
        by_commands(world)
    with browsing(tmp_path, **charged) as browser:
        (form,) = (
            one for one in forms_of(browser.page(PERIOD)) if one["action"] == "/do/periods.approve"
        )
        assert set(form["fields"]) == {"csrf_token", "return_to", "period", "seal"}
        browser.do(PERIOD, form["submit"])
        assert browser.data(PERIOD)["figures"][0]["value"] == "closed"


def test_who_has_signed_in_speaks_for_nobody_else(tmp_path: Path) -> None:
    charged: dict[str, Any] = {
        "mode": "chargeback", "approvals_needed": 2,
        "approvers": ["anna@example.org", "bob@example.org"],
    }  # fmt: skip
    with filled(tmp_path, **charged) as world:
        by_commands(world)
        anna = "user:anna@example.org"
        with pytest.raises(NotYourselfError):
            world.ask(periods.APPROVE, anna, period=MONTH, by="user:bob@example.org")
        with pytest.raises(NotYourselfError):
            world.ask(periods.APPROVE, "token:ci", period=MONTH, by="bob@example.org")
        with pytest.raises(NotApproverError):
            world.ask(periods.APPROVE, "user:cy@example.org", period=MONTH)
        assert world.ask(periods.SHOW, anna, period=MONTH)["may_approve"]
        assert not world.ask(periods.SHOW, "user:cy@example.org", period=MONTH)["may_approve"]
        first = world.ask(periods.APPROVE, anna, period=MONTH)
        assert (first["state"], first["approved_by"]) == ("allocated", [anna])
        last = world.ask(periods.APPROVE, "user:bob@example.org", period=MONTH)
        assert last["state"] == "closed"
