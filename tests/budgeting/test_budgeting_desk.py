"""Documents, top-ups, stops: what is kept, what is refused, what is in force when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy.exc import IntegrityError
from tests.budgets.kit import call

from tollbook import clock
from tollbook.books.documents import DocumentError
from tollbook.books.errors import BooksError
from tollbook.books.tables_budgets import budget_top_ups
from tollbook.budgeting.shelf import changes_mark, in_force, top_ups_at
from tollbook.budgeting.written import BudgetError
from tollbook.budgets.rules import fields_of, read_rules
from tollbook.call import Identity
from tollbook.reports.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.budgeting.kit import House

HOUR_NS = 3600 * clock.NS_PER_S


def _set(house: House, **given: Any) -> Any:
    return house.ask("set", **({"name": "cap", "limit_usd": "5", "reason": "test"} | given))


def _names(house: House, at_ns: int | None = None) -> set[str]:
    at_ns = clock.unix_ns() if at_ns is None else at_ns
    return {one.name for one in in_force(house.books, house.config.budgets, at_ns).budgets}


def test_a_budget_that_is_set_is_in_force_and_every_version_is_kept(house: House) -> None:
    assert _set(house, each="tenant, model", match="tenant=trial-*", window="day")["is_new"]
    assert not _set(house, each=["tenant", "model"], match={"tenant": "trial-*"},
                    window="day")["is_new"]  # fmt: skip
    assert _set(house, limit_usd="7.5")["is_new"]
    shown = house.ask("show", name="cap")
    assert [row["version"] for row in shown["rows"]] == [1, 2]
    assert shown["rows"][0]["settings"]["match"] == {"tenant": "trial-*"}
    assert shown["settings"] == {"limit_usd": "7.5"}
    assert {row["name"]: row["limit"] for row in house.ask("list")["rows"]} == {
        "settled": "100.000000000000", "cap": "7.500000000000",
    }  # fmt: skip
    house.ask("remove", name="cap", reason="over")
    assert _names(house) == {"settled"}
    removed = house.ask("show", name="cap")
    assert removed["in_force"] is None
    assert [row["is_removal"] for row in removed["rows"]] == [False, False, True]
    _set(house, limit_usd="7.5")
    assert "cap" in _names(house)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"limit_tokens": 4}, "exactly one"),
        ({"limit_usd": None}, "exactly one"),
        ({"limit_usd": "-1"}, "limit_usd"),
        ({"window": "fortnight"}, "window"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"each": "tenant,colour"}, "each"),
        ({"match": "tenant"}, "match"),
        ({"match": "colour=blue"}, "match"),
        ({"steps": "80 slower"}, "steps"),
        ({"steps": "80 rate 10, 70 refuse"}, "at_percent"),
        ({"steps": "eighty"}, "expected such as"),
        ({"name": "settled"}, "settings"),
        ({"name": "stop-acme"}, "stops"),
        ({"name": "Cap"}, "name"),
        ({"mode": "medium"}, "mode"),
        ({"wait_s": 1e9}, "wait_s"),
    ],
)
def test_what_cannot_be_a_budget_is_refused_with_its_field(
    house: House, given: dict[str, Any], words: str
) -> None:
    asked = {"name": "cap", "limit_usd": "5", "reason": "test"} | given
    with pytest.raises(BudgetError, match=words):
        house.ask("set", **{name: value for name, value in asked.items() if value is not None})
    assert house.ask("list")["rows"][1:] == []


def test_a_reason_is_needed_for_everything(house: House) -> None:
    with pytest.raises(DocumentError, match="reason"):
        _set(house, reason=" ")
    _set(house)
    with pytest.raises(BudgetError, match="reason"):
        house.ask("top_up", name="cap", amount="1", reason=" ")
    with pytest.raises(DocumentError, match="reason"):
        house.ask("stop", field="tenant", value="acme", reason=" ")
    with pytest.raises(QueryError, match="reason"):
        house.ask("remove", name="cap")


def test_a_budget_holds_from_and_until_the_moments_that_it_was_given(house: House) -> None:
    _set(house, effective_from="2h", effective_until="4h")
    now_ns = clock.unix_ns()
    assert ["cap" in _names(house, now_ns + hours * HOUR_NS) for hours in (0, 1, 3, 5)] == [
        False, False, True, False,
    ]  # fmt: skip


def test_a_document_that_cannot_be_used_is_told_and_takes_nothing_else_along(house: House) -> None:
    _set(house)
    house.config.budgets.append(house.config.budgets[0].__class__(name="cap", limit_requests=1))
    found = in_force(house.books, house.config.budgets, clock.unix_ns())
    assert [one.name for one in found.budgets] == ["settled", "cap"]
    assert found.budgets[1].limit_requests == 1
    assert "in the settings too" in found.problems[0]
    assert house.ask("list")["problems"] == list(found.problems)


def test_top_ups_add_up_until_they_expire(house: House) -> None:
    _set(house, each="tenant")
    house.ask("top_up", name="cap", owner="acme", amount="2.5", expires="2h", reason="launch")
    house.ask("top_up", name="cap", owner=["acme"], amount="1", expires="4h", reason="more")
    house.ask("top_up", name="cap", owner="globex", amount="9", reason="until the window ends")
    now_ns = clock.unix_ns()
    rows = {row["owner"]: row for row in house.ask("standing", name="cap")["rows"]}
    assert rows["tenant=acme"]["whole"] == "8.500000000000"
    assert rows["tenant=acme"]["top_ups"] == "3.500000000000"
    assert rows["tenant=globex"]["left"] == "14.000000000000"
    assert sum(one.amount for one in top_ups_at(house.books, now_ns + 3 * HOUR_NS)
               if one.owner == ("acme",)) == 10**12  # fmt: skip
    shown = house.ask("show", name="cap")["top_ups"]
    assert [one["owner"] for one in shown] == ["tenant=acme", "tenant=acme", "tenant=globex"]
    assert shown[2]["expires_at"] == rows["tenant=globex"]["resets_at"]
    assert shown[0]["author"] == "ada"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"owner": "acme,globex"}, "none"),
        ({"amount": "0"}, "more than 0"),
        ({"amount": "-3"}, "more than 0"),
        ({"amount": "much"}, "no amount"),
        ({"expires": "2020-01-01"}, "passed"),
        ({"name": "other"}, "none of that name"),
    ],
)
def test_top_ups_that_cannot_be_are_refused(
    house: House, given: dict[str, Any], words: str
) -> None:
    _set(house)
    asked = {"name": "cap", "amount": "1", "reason": "test"} | given
    with pytest.raises(BudgetError, match=words):
        house.ask("top_up", **asked)
    assert top_ups_at(house.books, clock.unix_ns()) == ()


def test_top_ups_cannot_be_changed(house: House) -> None:
    _set(house)
    house.ask("top_up", name="cap", amount="1", reason="test")
    for deed in (budget_top_ups.update().values(amount="2"), budget_top_ups.delete()):
        with pytest.raises((BooksError, IntegrityError), match="append-only"):  # noqa: SIM117
            with house.books.write() as connection:
                connection.execute(deed)
    assert [one.amount for one in top_ups_at(house.books, clock.unix_ns())] == [10**12]


@pytest.mark.parametrize("value", ["acme", "a*", "[x]?", "Ümläut & Söhne", "x" * 200])
def test_a_stop_refuses_exactly_its_owner_and_can_be_taken_back(house: House, value: str) -> None:
    name = house.ask("stop", field="tenant", value=value, reason="runaway")["name"]
    found = {one.name: one for one in in_force(house.books, (), clock.unix_ns()).budgets}
    (rule,) = read_rules([found[name]], "books")
    assert rule.limit == 0
    assert rule.budget.stop_streams
    assert rule.owner(fields_of(call(identity=Identity(tenant_id=value)))) == ()
    for other in ("acme2", "aXc", "x", None):
        assert rule.owner(fields_of(call(identity=Identity(tenant_id=other)))) is None
    (row,) = house.ask("standing", name=name)["rows"]
    assert row["state"] == "blocked"
    house.ask("resume", field="tenant", value=value, reason="fixed")
    assert name not in _names(house)


def test_a_stop_ends_by_itself_and_a_shorter_one_takes_the_place_of_a_longer(house: House) -> None:
    house.ask("stop", field="user", value="u-1", until="8h", reason="runaway")
    name = house.ask("stop", field="user", value="u-1", until="2h", reason="shorter")["name"]
    now_ns = clock.unix_ns()
    assert [name in _names(house, now_ns + hours * HOUR_NS) for hours in (0, 1, 3, 9)] == [
        True, True, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "deed",
    [
        lambda house: house.ask("resume", field="tenant", value="nobody", reason="x"),
        lambda house: house.ask("resume", name="settled", reason="x"),
        lambda house: house.ask("resume", reason="x"),
        lambda house: house.ask("remove", name="settled", reason="x"),
        lambda house: house.ask("remove", name="nothing", reason="x"),
        lambda house: house.ask("show", name="nothing"),
        lambda house: house.ask("standing", name="nothing"),
        lambda house: house.ask("standing", state="perplexed"),
        lambda house: house.ask("stop", field="tenant", value="x", until="2020-01-01", reason="x"),
        lambda house: house.ask("what_if", name="nothing"),
    ],
)
def test_what_is_not_there_is_refused_in_a_line(house: House, deed: Callable[[House], Any]) -> None:
    with pytest.raises((BudgetError, QueryError)) as refused:
        deed(house)
    assert "\n" not in refused.value.message


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"limit_usd": 5, "each": "tennant"}, "each[0]: expected one of agent_run, api_key,"),
        ({"limit_usd": 5, "window": "fortnight"}, "window: expected one of day, hour, minute,"),
        ({"limit_usd": 5, "steps": "80 jump 3"}, "steps[0].action: expected one of model, rate,"),
        ({"limit_usd": 5, "steps": "80 rate 60, 70 rate 6"}, "steps[1].at_percent: expected more"),
        ({"limit_usd": 5, "name": "Bad Name"}, "name: expected a name of at most 63 lower-case"),
        ({"limit_usd": 5, "effective_from": "soonish"}, "--from: 'soonish' is not a time;"),
        ({"limit_usd": "much"}, "limit_usd: expected a decimal number"),
    ],
)
def test_what_is_wrong_is_said_with_what_is_expected(
    house: House, given: dict[str, Any], said: str
) -> None:
    with pytest.raises((BudgetError, QueryError)) as refused:
        house.ask("set", **{"name": "cap", "reason": "test", **given})
    assert said in refused.value.message


def test_only_who_is_stopped_can_be_resumed(house: House) -> None:
    with pytest.raises(BudgetError, match="tenant 'globex' is not stopped"):
        house.ask("resume", field="tenant", value="globex", reason="test")


def test_the_mark_changes_with_every_change(house: House) -> None:
    marks = [changes_mark(house.books)]
    _set(house)
    marks.append(changes_mark(house.books))
    for operation, given in (
        ("top_up", {"name": "cap", "amount": "1"}),
        ("stop", {"field": "tenant", "value": "acme"}),
        ("resume", {"field": "tenant", "value": "acme"}),
        ("remove", {"name": "cap"}),
    ):
        house.ask(operation, reason="test", **given)
        marks.append(changes_mark(house.books))
    assert len(set(marks)) == len(marks)
