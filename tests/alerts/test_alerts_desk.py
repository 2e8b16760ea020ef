"""Turns, operations and commands: from a call in the ledger to a message somewhere."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.alerts.alerts_kit import NOW, USD, House

from tollbook.alerts.backtest import BacktestError, backtest
from tollbook.alerts.channel import ChannelError
from tollbook.alerts.delivery import put, undelivered
from tollbook.alerts.incident import IncidentError
from tollbook.alerts.message import Message
from tollbook.alerts.operations import OPERATIONS
from tollbook.alerts.rule import DEFAULT_RULES, RuleError
from tollbook.alerts.runner import AlertRunner
from tollbook.alerts.service import AlertService, base_url
from tollbook.books.documents import DocumentError
from tollbook.books.events import list_events
from tollbook.config import Config
from tollbook.config.alerts import Alerts
from tollbook.console.finance import carry_out
from tollbook.desk.permits import PERMITS, Role, Scope
from tollbook.desk.registry import operations
from tollbook.reports.errors import QueryError

if TYPE_CHECKING:
    from datetime import datetime

HOUR = timedelta(hours=1)


def ask(house: House, operation: str, /, **given: Any) -> dict[str, Any]:
    one = next(one for one in OPERATIONS if one.name == operation)
    return carry_out(one, house.desk, given)


@pytest.fixture
def at_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tollbook.clock.utc_now", lambda: NOW)
    monkeypatch.setattr("tollbook.clock.unix_ns", lambda: int(NOW.timestamp()) * 10**9)


@pytest.fixture
def burning(house: House, at_noon: None) -> House:
    """A ledger in which acme costs forty times as much as usual."""
    house.hourly("acme", USD, until=NOW - HOUR, feature="chat")
    house.hourly("globex", USD, until=NOW - HOUR, feature="chat")
    house.spend(NOW - timedelta(minutes=20), 40 * USD, tenant="acme", feature="chat", calls=400)
    house.complete_until(NOW)
    return house


def test_a_turn_opens_an_incident_and_plans_who_is_told(burning: House) -> None:
    ask(burning, "channels.set", name="ops", type="slack", secret_env="SLACK_URL", reason="on call")
    service = AlertService(burning.desk)
    turn = service.turn(NOW)
    assert [(one.event.value, one.incident.title) for one in turn.news] == [
        ("trigger", "Burn rate: tenant acme")
    ]
    assert turn.told == 1
    assert service.turn(NOW + timedelta(minutes=1)).news == []
    (row,) = ask(burning, "incidents.list")["rows"]
    assert row["tenant"] == "acme"
    assert row["driver"] == "acme / chat / gpt"
    assert row["calls_path"].startswith("/calls?since=2026-03-12T14%3A00")
    (told,) = ask(burning, "deliveries.list")["rows"]
    assert (told["state"], told["event"], told["channel"]) == ("planned", "trigger", "ops")
    assert ask(burning, "anomalies.list") == ask(burning, "incidents.list")


def test_what_was_not_read_yet_is_not_silence(burning: House) -> None:
    service = AlertService(burning.desk)
    service.turn(NOW)
    for hours in range(1, 30):
        assert service.turn(NOW + hours * HOUR).news == []
    burning.complete_until(NOW + 29 * HOUR)
    news = service.turn(NOW + 29 * HOUR).news
    assert [one.event.value for one in news] == ["resolve"]


def test_an_empty_ledger_is_no_problem(house: House) -> None:
    turn = AlertService(house.desk).turn(NOW)
    assert (turn.evaluation, turn.news) == (None, [])


def test_what_people_do_is_kept_and_told(burning: House) -> None:
    ask(burning, "channels.set", name="pd", type="pagerduty", secret_env="PAGERDUTY_KEY",
        events=["trigger", "acknowledge", "resolve"])  # fmt: skip
    AlertService(burning.desk).turn(NOW)
    ask(burning, "incidents.acknowledge", id=1, note="looking")
    ask(burning, "incidents.assign", id=1, owner="bo")
    ask(burning, "incidents.expect", id=1, until="2d", reason="load test")
    (row,) = ask(burning, "incidents.list", state="expected", tenant="acme")["rows"]
    assert (row["owner"], row["expected_until"][:10]) == ("bo", "2026-03-14")
    ask(burning, "incidents.resolve", id=1, note="done")
    shown = ask(burning, "incidents.show", id=1)
    assert [one["action"] for one in shown["events"]][:6] == [
        "resolved", "expected", "assigned", "noted", "acknowledged", "signal",
    ]  # fmt: skip
    assert [one["event"] for one in shown["deliveries"]] == ["resolve", "acknowledge", "trigger"]
    assert shown["events"][0]["actor"] == "ada"
    assert "incidents.resolve" in {one.action for one in list_events(burning.books)}
    with pytest.raises(IncidentError, match="resolved already"):
        ask(burning, "incidents.resolve", id=1)
    with pytest.raises(IncidentError, match="no such incident"):
        ask(burning, "incidents.show", id=9)
    with pytest.raises(QueryError, match="is not one of"):
        ask(burning, "incidents.list", state="strange")


def test_the_series_has_what_was_expected(burning: House) -> None:
    AlertService(burning.desk).turn(NOW)
    series = ask(burning, "incidents.show", id=1)["series"]
    spike = [one for one in series if one["cost_usd"] == "40.000000000000"]
    assert [(one["hour"], one["expected_usd"]) for one in spike] == [
        ("2026-03-12T14:00+00:00", "1.000000000000")
    ]


def test_rules_are_changed_paused_removed_and_brought_back(burning: House) -> None:
    ask(burning, "alerts.set_rule", name="burn-rate", min_usd="50", reason="too loud")
    rows = {row["name"]: row for row in ask(burning, "alerts.rules")["rows"]}
    assert (rows["burn-rate"]["min_usd"], rows["burn-rate"]["ratio_percent"]) == ("50", 200)
    assert rows["burn-rate"]["origin"] == "alert_rule/burn-rate/1"
    assert rows["deviation"]["origin"] == "built-in"
    assert AlertService(burning.desk).turn(NOW).news == []
    ask(burning, "alerts.set_rule", name="burn-rate", where=["tenant=acme"], min_usd="2")
    ask(burning, "alerts.set_rule", name="burn-rate", where=["-"], is_paused=True)
    rows = {row["name"]: row for row in ask(burning, "alerts.rules")["rows"]}
    assert (rows["burn-rate"]["where"], rows["burn-rate"]["state"]) == ([], "paused")
    assert AlertService(burning.desk).turn(NOW).news == []
    ask(burning, "alerts.remove_rule", name="burn-rate", reason="never liked it")
    assert "burn-rate" not in {row["name"] for row in ask(burning, "alerts.rules")["rows"]}
    ask(burning, "alerts.set_rule", name="burn-rate", kind="burn_rate", reason="back")
    assert len(AlertService(burning.desk).turn(NOW).news) == 1
    with pytest.raises(RuleError, match="no such rule"):
        ask(burning, "alerts.remove_rule", name="gone", reason="x")
    with pytest.raises(RuleError, match="kind is not one of"):
        ask(burning, "alerts.set_rule", name="new", min_usd="1")
    with pytest.raises(DocumentError, match="reason"):
        ask(burning, "alerts.remove_rule", name="burn-rate", reason=" ")


def test_a_backtest_finds_what_would_have_been_and_keeps_nothing(burning: House) -> None:
    answer = ask(burning, "alerts.backtest", since="3d")
    assert [row["title"] for row in answer["rows"]] == ["Burn rate: tenant acme"]
    assert answer["hours"] == 72
    assert answer["skipped"] == ["cap-near", "margin-below"]
    assert ask(burning, "incidents.list")["rows"] == []
    trial = '{"kind": "burn_rate", "min_usd": "100"}'
    assert ask(burning, "alerts.backtest", since="3d", trial=trial)["rows"] == []
    with pytest.raises(BacktestError, match="hours between"):
        backtest(burning.reader, DEFAULT_RULES.values(), NOW, NOW)
    with pytest.raises(RuleError, match="not a JSON object"):
        ask(burning, "alerts.backtest", trial="[")


def test_a_test_of_a_channel_says_what_came_of_it(burning: House) -> None:
    ask(burning, "channels.set", name="ops", type="slack", secret_env="SLACK_URL")
    (row,) = ask(burning, "channels.test", name="ops")["rows"]
    assert (row["state"], row["detail"]) == (
        "failed", "channel 'ops': the environment of the ledger has no SLACK_URL",
    )  # fmt: skip
    burning.environ["SLACK_URL"] = "http://127.0.0.1:1/x"
    (row,) = ask(burning, "channels.test", name="ops")["rows"]
    assert (row["state"], row["detail"]) == ("failed", "ConnectError: not reached")
    assert undelivered(burning.books, NOW) == [], "a test is sent once, by whoever asks for it"
    (listed,) = ask(burning, "channels.list")["rows"]
    assert (listed["to"], listed["last_state"]) == ("$SLACK_URL", "given_up")
    ask(burning, "channels.remove", name="ops", reason="gone")
    assert ask(burning, "channels.list")["rows"] == []
    with pytest.raises(ChannelError, match="no such channel"):
        ask(burning, "channels.test", name="ops")
    with pytest.raises(ChannelError, match="type is missing"):
        ask(burning, "channels.set", name="new", url="https://example.org")


def test_a_test_that_is_under_way_is_not_sent_by_the_runner_too(house: House) -> None:
    test = Message(message_id="m", event="test", incident_id=None, dedup_key="k", severity="info",
                   title="t", text="", at=NOW)  # fmt: skip
    put(house.books, "ops", test)
    assert undelivered(house.books, NOW) == []
    put(house.books, "ops", msgspec.structs.replace(test, message_id="n", event="trigger"))
    assert len(undelivered(house.books, NOW)) == 1


def test_operations_need_the_permit_of_alerts() -> None:
    own = {one.name for one in OPERATIONS}
    assert own <= set(operations())
    assert {one.scope for one in OPERATIONS} == {Scope.ALERTS}
    assert not any(permit.scope is Scope.ALERTS for permit in PERMITS[Role.TENANT])


def test_the_runner_evaluates_and_stops(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    turned = threading.Event()

    def turn(self: AlertService, now: datetime) -> Any:
        turned.set()
        raise RuntimeError("a defect")

    monkeypatch.setattr(AlertService, "turn", turn)
    config = msgspec.structs.replace(Config(), alerts=Alerts(interval_s=1.0))
    runner = AlertRunner(house.desk._replace(config=config))
    before = set(threading.enumerate())
    runner.start()
    assert turned.wait(20)
    threads = set(threading.enumerate()) - before
    assert {one.name for one in threads} >= {"alerts", "alerts-send"}
    runner.stop()
    assert not any(one.name.startswith("alerts") and one.is_alive() for one in threads)


def test_links_lead_where_the_settings_say() -> None:
    assert base_url(Config()) == "http://127.0.0.1:8081"
    config = msgspec.structs.replace(
        Config(), alerts=Alerts(console_url="https://tollbook.example")
    )
    assert base_url(config) == "https://tollbook.example"
