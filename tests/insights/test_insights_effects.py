"""Effects add up to the change, exactly, whatever the ledger says; and mean what they say."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.insights.effects_reference import Cell, Side, effects
from tests.insights.insights_kit import NOW

from tollbook.insights.effects import Effects
from tollbook.insights.effects_sql import effects_sql, sums_sql
from tollbook.money import pico_from_usd, usd_text
from tollbook.usage import Kinds

if TYPE_CHECKING:
    from tests.insights.insights_kit import World

KIND_NAMES = (
    "uncached_input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "visible_output_tokens",
    "images", "requests",
)  # fmt: skip
AMOUNT = st.integers(-(10**15), 10**18)


@st.composite
def sides(draw: st.DrawFn) -> Side:
    names = draw(st.lists(st.sampled_from(KIND_NAMES), unique=True))
    quantities = {name: draw(st.integers(-5, 10**9)) for name in names}
    amounts = {name: draw(AMOUNT) for name in draw(st.permutations(names))}
    return Side(quantities, amounts, sum(amounts.values()) + draw(st.integers(-100, 100)))


CELLS = st.dictionaries(
    st.builds(
        Cell, st.tuples(st.sampled_from("ab"), st.sampled_from(["x", None])),
        st.sampled_from(["m", "n", None]),
    ),
    sides(), max_size=6,
)  # fmt: skip


@given(CELLS, CELLS)
def test_effects_of_each_cell_add_up_to_its_change(
    before: dict[Cell, Side], now: dict[Cell, Side]
) -> None:
    found = effects(before, now)
    assert set(found) == {*before, *now}
    for cell, effect in found.items():
        was = before[cell].total if cell in before else 0
        is_now = now[cell].total if cell in now else 0
        assert sum(effect) == is_now - was


@given(CELLS)
def test_nothing_changed_has_no_effects(ledger: dict[Cell, Side]) -> None:
    assert all(effect == Effects() for effect in effects(ledger, ledger).values())


def _side(fresh: int, read: int = 0, output: int = 0, price: int = 100) -> Side:
    quantities = {
        "uncached_input_tokens": fresh, "cache_read_tokens": read, "visible_output_tokens": output,
    }  # fmt: skip
    amounts = {
        "uncached_input_tokens": fresh * price, "cache_read_tokens": read * price // 10,
        "visible_output_tokens": output * price * 4,
    }  # fmt: skip
    return Side(quantities, amounts, sum(amounts.values()))


CELL = Cell(("acme", "chat"), "m")
OTHER = Cell(("acme", "chat"), "n")


def test_twice_as_much_of_everything_is_volume() -> None:
    assert effects({CELL: _side(100, 50, 10)}, {CELL: _side(200, 100, 20)}) == {
        CELL: Effects(volume=100 * 100 + 50 * 10 + 10 * 400)
    }


def test_a_dearer_token_is_price() -> None:
    found = effects({CELL: _side(100, price=100)}, {CELL: _side(100, price=130)})
    assert found == {CELL: Effects(price=3000)}


def test_input_read_from_a_cache_is_cache() -> None:
    found = effects({CELL: _side(100, 100)}, {CELL: _side(20, 180)})
    assert found == {CELL: Effects(cache=80 * (10 - 100))}


def test_another_model_for_the_same_feature_is_mix() -> None:
    before = {CELL: _side(100), OTHER: _side(100, price=10)}
    now = {CELL: _side(50), OTHER: _side(150, price=10)}
    total = Effects()
    for effect in effects(before, now).values():
        total = total.plus(effect)
    assert total == Effects(mix=-50 * 100 + 50 * 10)


def test_what_is_in_one_range_only_is_new_or_gone() -> None:
    new = Cell(("globex", "chat"), "m")
    gone = Cell(("initech", "chat"), "m")
    found = effects({CELL: _side(5), gone: _side(7)}, {CELL: _side(5), new: _side(9)})
    assert found[new] == Effects(new=900)
    assert found[gone] == Effects(gone=-700)
    assert found[CELL] == Effects()


def test_adjustments_have_no_quantity() -> None:
    before, now = _side(10), _side(10)
    found = effects({CELL: before}, {CELL: now._replace(total=now.total + 77)})
    assert found == {CELL: Effects(other=77)}


CALLS = st.lists(
    st.tuples(
        st.integers(0, 59), st.sampled_from(["acme", "globex", None]),
        st.sampled_from(["chat", "search"]), st.sampled_from(["gpt-4o", "gpt-4o-mini"]),
        st.integers(0, 5000), st.integers(0, 5000), st.integers(0, 900),
    ),
    min_size=1, max_size=12,
)  # fmt: skip


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=CALLS, by=st.sampled_from(["tenant", "feature", "model", "provider"]))
def test_rows_add_up_to_totals_and_effects_to_the_change(
    shared_world: World, calls: list[tuple[int, str | None, str, str, int, int, int]], by: str
) -> None:
    shared_world.clear()
    start = NOW - timedelta(days=60)
    rows = [
        shared_world.call(
            start + timedelta(days=day, hours=1), model,
            Kinds(fresh, read, visible_output_tokens=out),
            tenant_id=tenant, feature=feature,
        )
        for day, tenant, feature, model, fresh, read, out in calls
    ]  # fmt: skip
    shared_world.add(*rows)
    answer = shared_world.ask("change", by=by)
    names = ("volume", "mix", "cache", "price", "new", "gone", "other")
    for one in (*answer["rows"], answer["totals"], *answer["drivers"]):
        parts = sum(pico_from_usd(one[f"{name}_usd"]) for name in names)
        assert parts == pico_from_usd(one["change_usd"])
        change = pico_from_usd(one["cost_usd"]) - pico_from_usd(one["before_usd"])
        assert parts == change
    for name in (*names, "before", "change"):
        column = f"{name}_usd"
        assert sum(pico_from_usd(row[column]) for row in answer["rows"]) == pico_from_usd(
            answer["totals"][column]
        )
    split = start + timedelta(days=30)
    now = sum(row["cost_usd"] for row in rows if row["called_at"] >= split)
    before = sum(row["cost_usd"] for row in rows if row["called_at"] < split)
    assert pico_from_usd(answer["totals"]["cost_usd"]) == pico_from_usd(now)
    assert pico_from_usd(answer["totals"]["before_usd"]) == pico_from_usd(before)


def test_more_rows_than_asked_for_are_one(world: World) -> None:
    world.add(
        *(
            world.call(NOW - timedelta(days=1), "gpt-4o", Kinds(100 + at), tenant_id=f"t{at}")
            for at in range(5)
        )
    )
    answer = world.ask("change", limit=2)
    assert [row.get("is_other") for row in answer["rows"]] == [None, None, True]
    assert answer["rows"][2]["groups"] == 3
    assert answer["rows"][0]["tenant"] == "t4"


def test_a_month_is_compared_with_the_month_before_and_any_with_a_named_one(world: World) -> None:
    answer = world.ask("change", since=None, until=None, period="2026-03", tz="Europe/Berlin")
    assert answer["before"] == {"since": "2026-01-31T23:00:00Z", "until": "2026-02-28T23:00:00Z"}
    answer = world.ask("change", against="2026-01")
    assert answer["before"]["until"] == "2026-02-01T00:00:00Z"


SOME_KINDS = KIND_NAMES[:4]
KEYS = ("d0", "d1", "d2", "d3")


def _values(cells: dict[Cell, Side]) -> str:
    """Return a range's cells as a statement."""
    columns = ["cost_usd", *SOME_KINDS, *(f"{kind}_cost_usd" for kind in SOME_KINDS)]
    typed = [f"NULL::VARCHAR AS {key}" for key in KEYS]
    typed += [
        f"NULL::{'DECIMAL(38,12)' if name.endswith('usd') else 'BIGINT'} AS {name}"
        for name in columns
    ]
    rows = [f"SELECT {', '.join(typed)} WHERE false"]
    for cell, side in cells.items():
        texts = ["NULL" if one is None else f"'{one}'" for one in (*cell.pair, cell.model)]
        amounts = [side.amounts.get(kind) for kind in SOME_KINDS]
        numbers = [side.quantities.get(kind) for kind in SOME_KINDS]
        values = [
            *texts, "NULL", usd_text(side.total),
            *("NULL" if one is None else str(one) for one in numbers),
            *("NULL" if one is None else usd_text(one) for one in amounts),
        ]  # fmt: skip
        rows.append(f"SELECT {', '.join(values)}")
    return " UNION ALL ".join(rows)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CELLS, CELLS)
def test_the_statement_says_what_the_analysis_of_each_cell_says(
    shared_world: World, before: dict[Cell, Side], now: dict[Cell, Side]
) -> None:
    one, two = (
        {Cell(cell.pair, cell.model): Side(_some(side.quantities), _some(side.amounts), side.total)
         for cell, side in cells.items()}
        for cells in (before, now)
    )  # fmt: skip
    sql = effects_sql(_values(one), _values(two), KEYS, SOME_KINDS)
    found = shared_world.reader.fetch(f"{sql} {sums_sql(KEYS[:3], of=0, width=3)}")
    assert {Cell(row[1:3], row[3]): Effects(*row[6:]) for row in found} == effects(one, two)


def _some(by_kind: dict[str, int]) -> dict[str, int]:
    return {kind: value for kind, value in by_kind.items() if kind in SOME_KINDS}
