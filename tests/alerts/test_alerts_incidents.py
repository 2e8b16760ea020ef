"""The states of incidents: by hand, and by Hypothesis against a model of their own."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.alerts.alerts_kit import NOW, USD, House

from tollbook.alerts.cause import Cause, Causes
from tollbook.alerts.evaluate import Evaluation, evaluate
from tollbook.alerts.finance import nobody
from tollbook.alerts.incident import Action, Incident, IncidentError, State, after, deed
from tollbook.alerts.keeper import Keeper, Told
from tollbook.alerts.rule import DEFAULT_RULES, Kind
from tollbook.alerts.shelf import BooksShelf, MemoryShelf, list_incidents, read_incident
from tollbook.alerts.signal import Signal
from tollbook.alerts.source import LedgerSource

if TYPE_CHECKING:
    from datetime import datetime

RULE = DEFAULT_RULES["burn-rate"]
RULES = dict(DEFAULT_RULES)
MINUTE = timedelta(minutes=1)


def signal(at: datetime, excess: int = 5 * USD, **more: Any) -> Signal:
    fields: dict[str, Any] = {
        "rule": RULE.name, "kind": RULE.kind, "severity": RULE.severity, "each": ("tenant",),
        "entity": ("acme",), "since": at - timedelta(hours=1), "until": at,
        "where": ("tenant=acme",), "observed": "6", "expected": "1", "unit": "usd",
        "excess_pico": excess, "calls": 10, "words": "much more than usual",
    }  # fmt: skip
    return Signal(**(fields | more))


CAUSE = Cause(key="spend|tenant=acme", tenant="acme")


def turn(
    keeper: Keeper, at: datetime, *some: Signal, cause: Cause = CAUSE
) -> list[tuple[str, int]]:
    evaluation = Evaluation(at, some, frozenset(RULES), ())
    news = keeper.apply(evaluation, [(one, cause) for one in some], RULES)
    return [(one.event.value, one.incident.incident_id) for one in news]


def test_one_incident_from_its_first_signal_to_its_end() -> None:
    shelf = MemoryShelf()
    keeper = Keeper(shelf)
    assert turn(keeper, NOW, signal(NOW)) == [("trigger", 1)]
    for minute in range(1, 60):
        assert turn(keeper, NOW + minute * MINUTE, signal(NOW + minute * MINUTE)) == []
    seen = NOW + 59 * MINUTE
    assert turn(keeper, seen + timedelta(hours=1, minutes=59)) == []
    assert turn(keeper, seen + timedelta(hours=2)) == [("resolve", 1)]
    assert shelf.found[1].state is State.RESOLVED
    # The same within a day is the same incident; after it, another.
    back = seen + timedelta(hours=20)
    assert turn(keeper, back, signal(back)) == [("trigger", 1)]
    assert turn(keeper, back + timedelta(hours=3)) == [("resolve", 1)]
    later = back + timedelta(hours=30)
    assert turn(keeper, later, signal(later)) == [("trigger", 2)]


def test_excess_is_added_by_hour_and_not_by_evaluation() -> None:
    shelf = MemoryShelf()
    keeper = Keeper(shelf)
    for minute in range(0, 180, 10):
        at = NOW + minute * MINUTE
        turn(keeper, at, signal(at, 5 * USD))
    assert shelf.found[1].excess_pico == 15 * USD


def test_rules_that_see_the_same_cause_are_one_incident() -> None:
    keeper = Keeper(shelf := MemoryShelf())
    other = signal(NOW, 9 * USD, rule="runaway-run", kind=Kind.RUNAWAY_RUN, each=("agent_run",),
                   entity=("r1",))  # fmt: skip
    assert turn(keeper, NOW, signal(NOW), other) == [("trigger", 1)]
    one = shelf.found[1]
    assert set(one.rules) == {"burn-rate", "runaway-run"}
    assert one.excess_pico == 9 * USD


def test_a_rule_that_was_not_looked_at_resolves_nothing() -> None:
    keeper = Keeper(MemoryShelf())
    turn(keeper, NOW, signal(NOW))
    at = NOW + timedelta(hours=5)
    assert keeper.apply(Evaluation(at, (), frozenset(["unpriced"]), ()), [], RULES) == []
    assert [one.event for one in keeper.apply(Evaluation(at, (), frozenset(RULES), ()), [], RULES)
            ] == [Told.RESOLVE]  # fmt: skip


def test_what_has_become_much_dearer_is_told_again() -> None:
    keeper = Keeper(MemoryShelf())
    turn(keeper, NOW, signal(NOW, USD))
    assert turn(keeper, NOW + MINUTE, signal(NOW + MINUTE, 9 * USD)) == []
    at = NOW + 2 * MINUTE
    assert turn(keeper, at, signal(at, 20 * USD)) == [("trigger", 1)]


def test_what_is_resolved_by_hand_is_quiet_for_an_hour(house: House) -> None:
    shelf = BooksShelf(house.books)
    keeper = Keeper(shelf)
    turn(keeper, NOW, signal(NOW))
    one, _ = read_incident(house.books, 1)
    shelf.add(1, [deed(one, Action.RESOLVED, "ada", NOW + MINUTE)])
    assert turn(keeper, NOW + 59 * MINUTE, signal(NOW + 59 * MINUTE)) == []
    assert turn(keeper, NOW + 61 * MINUTE, signal(NOW + 61 * MINUTE)) == [("trigger", 1)]


def test_the_drivers_of_a_burn_rate_are_found(house: House) -> None:
    for feature in ("chat", "search"):
        house.hourly("acme", USD, until=NOW - timedelta(hours=1), feature=feature)
        house.hourly("globex", USD, until=NOW - timedelta(hours=1), feature=feature)
    at = NOW - 20 * MINUTE
    house.spend(at, 40 * USD, tenant="acme", feature="chat", model="big", calls=100)
    house.spend(at, USD, tenant="acme", feature="search", calls=100)
    house.spend(at, 2 * USD, tenant="globex", feature="chat", calls=100)
    source = LedgerSource(house.reader)
    probe = [RULE, *(_each(name) for name in ("feature", "model"))]
    found = evaluate(probe, source, nobody, NOW)
    assert {one.each for one in found.signals} == {("tenant",), ("feature",), ("model",)}
    causes = Causes(source).of_all(found.signals)
    # Tenant, feature and model: one cause.
    assert {cause.key for _, cause in causes} == {"spend|tenant=acme"}
    drivers = causes[0][1].drivers
    assert [one.path for one in drivers if one.share_percent > 50] == [
        ("acme",), ("acme", "chat"), ("acme", "chat", "big"),
    ]  # fmt: skip


def _each(name: str) -> Any:
    from msgspec.structs import replace  # noqa: PLC0415 -- here only

    # A model that is new has no baseline of its own, so that its sum is held against zero hours.
    return (
        replace(RULE, name=f"by-{name}", each=(name,), min_calls=1)
        if name == "feature"
        else (replace(RULE, name=f"by-{name}", kind=Kind.NEW_SPENDER, each=(name,), window_h=2))
    )


def test_retries_at_a_provider_that_fails_are_its_storm(house: House) -> None:
    house.hourly("acme", USD, until=NOW - timedelta(hours=1), days=20)
    house.hourly("globex", USD, until=NOW - timedelta(hours=1), days=20, calls=60)
    at = NOW - 20 * MINUTE
    for tenant in ("acme", "globex"):
        house.add([house.row(at, USD // 10, tenant=tenant, retry_of=b"1" * 16, status=status)
                   for status in ("error", "ok") for _ in range(60)])  # fmt: skip
    source = LedgerSource(house.reader)
    found = evaluate(DEFAULT_RULES.values(), source, nobody, NOW)
    keys = {signal.kind: cause.key for signal, cause in Causes(source).of_all(found.signals)}
    assert keys[Kind.ERROR_STORM] == "errors|provider=openai"
    assert keys[Kind.RETRY_STORM] == "errors|provider=openai"


def test_events_in_the_books_are_only_ever_added(house: House) -> None:
    turn(Keeper(BooksShelf(house.books)), NOW, signal(NOW))
    for statement in ("UPDATE incident_events SET actor = 'me'", "DELETE FROM incidents"):
        with pytest.raises(sa.exc.DatabaseError, match="append-only"), house.books.write() as books:
            books.execute(sa.text(statement))
    (one,) = list_incidents(house.books)
    assert one.title == "Burn rate: tenant acme"


@pytest.mark.parametrize(("state", "action", "detail"), [
    (State.RESOLVED, Action.RESOLVED, {}),
    (State.RESOLVED, Action.ACKNOWLEDGED, {}),
    (State.RESOLVED, Action.EXPECTED, {"until": NOW + timedelta(days=1)}),
    (State.ACKNOWLEDGED, Action.ACKNOWLEDGED, {}),
    (State.OPEN, Action.EXPECTED, {"until": NOW}),
    (State.OPEN, Action.EXPECTED, {"until": NOW + timedelta(days=400)}),
    (State.OPEN, Action.NOTED, {"text": "  "}),
])  # fmt: skip
def test_what_makes_no_sense_is_refused(
    state: State, action: Action, detail: dict[str, Any]
) -> None:
    one = Incident(incident_id=7, key="k", tenant=None, state=state, severity=RULE.severity,
                   title="t", rules=(), opened_at=NOW, first_seen=NOW, last_seen=NOW)  # fmt: skip
    with pytest.raises(IncidentError, match="incident 7: "):
        deed(one, action, "ada", NOW, **detail)


class Machine(RuleBasedStateMachine):
    """Signals, silence and people in any order; the shelf is memory."""

    @initialize()
    def begin(self) -> None:
        self.shelf = MemoryShelf()
        self.keeper = Keeper(self.shelf)
        self.now = NOW
        self.triggered = 0

    def _turn(self, *some: Signal) -> None:
        before = {number: one.state for number, one in self.shelf.found.items()}
        news = turn(self.keeper, self.now, *some)
        for event, number in news:
            state = self.shelf.found[number].state
            if event == "trigger":
                self.triggered += 1
                assert state is State.OPEN
                assert some
            else:
                assert state is State.RESOLVED
                assert before[number] is not State.RESOLVED
                assert not some

    @rule(minutes=st.sampled_from([1, 10, 45, 90, 300, 1500]), excess=st.integers(0, 10**14))
    def fires(self, minutes: int, excess: int) -> None:
        self.now += minutes * MINUTE
        self._turn(signal(self.now, excess))

    @rule(minutes=st.sampled_from([1, 30, 119, 121, 600, 2000]))
    def is_normal(self, minutes: int) -> None:
        self.now += minutes * MINUTE
        self._turn()

    @rule(action=st.sampled_from([Action.ACKNOWLEDGED, Action.EXPECTED, Action.RESOLVED,
                                  Action.ASSIGNED, Action.NOTED]),
          hours=st.sampled_from([1, 30]))  # fmt: skip
    def somebody_acts(self, action: Action, hours: int) -> None:
        if not self.shelf.found:
            return
        one = self.shelf.found[max(self.shelf.found)]
        details: dict[Action, dict[str, Any]] = {
            Action.EXPECTED: {"until": self.now + timedelta(hours=hours)},
            Action.ASSIGNED: {"owner": "bo"}, Action.NOTED: {"text": "hm"},
        }  # fmt: skip
        detail = details.get(action, {})
        try:
            event = deed(one, action, "ada", self.now, **detail)
        except IncidentError:
            assert after(one, event_of(action, self.now)) == one or action is Action.EXPECTED
            return
        self.shelf.add(one.incident_id, [event])
        wanted = {Action.ACKNOWLEDGED: State.ACKNOWLEDGED, Action.EXPECTED: State.EXPECTED,
                  Action.RESOLVED: State.RESOLVED}.get(action, one.state)  # fmt: skip
        assert self.shelf.found[one.incident_id].state is wanted

    @invariant()
    def at_most_one_of_a_cause_is_not_resolved(self) -> None:
        live = [one for one in self.shelf.found.values() if one.state is not State.RESOLVED]
        assert len(live) <= 1
        for one in self.shelf.found.values():
            assert one.first_seen <= one.last_seen
            assert (one.resolved_at is not None) == (one.state is State.RESOLVED)
            assert (one.expected_until is not None) == (one.state is State.EXPECTED)
        assert self.triggered >= len(self.shelf.found)


def event_of(action: Action, at: datetime) -> Any:
    from tollbook.alerts.incident import Event  # noqa: PLC0415 -- here only

    return Event(action=action, at=at, actor="ada", detail={"until": at.isoformat()})


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
