from __future__ import annotations

import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from msgspec import structs
from tests.statements.statement_kit import DAY, make

from tollbook.books.events import list_events
from tollbook.books.store import open_books
from tollbook.chargeback.statements import leftovers
from tollbook.chargeback.statements.choose import HAVE_QUANTITIES, choose
from tollbook.chargeback.statements.errors import NoStatementError, StatementError
from tollbook.chargeback.statements.formats.registry import FORMATS
from tollbook.chargeback.statements.importer import How, import_file
from tollbook.chargeback.statements.leftovers import loading, remove_leftovers
from tollbook.chargeback.statements.marks import mark_statement, marks_of
from tollbook.chargeback.statements.model import Basis, Finality, Statement
from tollbook.chargeback.statements.raws import keep_raw, raw_of, sha256_of
from tollbook.chargeback.statements.shelf import (
    current_lines,
    keep_statement,
    lines_of,
    shadowed,
    statement,
    statements,
)
from tollbook.chargeback.statements.spans import Claims, Span

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tollbook.books.store import Books
    from tollbook.chargeback.statements.model import StatementLine

ALWAYS = (0, 2**62)


def amounts(books: Books, basis: Basis = Basis.COST, **only: object) -> list[tuple[int, int]]:
    found = current_lines(books, basis, *ALWAYS, **only)  # type: ignore[arg-type]
    return [(line.start_ns // DAY, line.amount or 0) for line in found]


def test_the_same_content_is_kept_once(books: Books) -> None:
    one = make(1, 3, 10, {1: 5, 2: 7})
    assert keep_statement(books, *one)
    assert not keep_statement(books, *one)
    assert len(statements(books)) == 1
    assert amounts(books) == [(1, 5), (2, 7)]
    assert b"".join(raw_of(books, one[0].raw_sha256)) == one[2]


def test_the_newest_word_wins_a_bucket_whole(books: Books) -> None:
    keep_statement(books, *make(1, 4, 10, {1: 1, 2: 2, 3: 3}))
    keep_statement(books, *make(2, 4, 20, {3: 30}))
    # Day 2 has no line any more: it was taken back.
    assert amounts(books) == [(1, 1), (3, 30)]
    assert amounts(books, provider="anthropic") == []


def test_what_is_said_again_counts_from_then_on(books: Books) -> None:
    first, second = make(1, 2, 10, {1: 1}), make(1, 2, 20, {1: 2})
    keep_statement(books, *first)
    keep_statement(books, *second)
    assert amounts(books) == [(1, 2)]
    again = make(1, 2, 30, {1: 1})
    assert not keep_statement(books, *again)
    assert amounts(books) == [(1, 1)]
    assert statement(books, again[0].statement_id).fetched_at_ns == 30


def test_a_final_one_yields_only_to_a_final_one(books: Books) -> None:
    keep_statement(books, *make(1, 2, 10, {1: 1}, finality=Finality.FINAL))
    keep_statement(books, *make(1, 2, 20, {1: 2}))
    assert amounts(books) == [(1, 1)]
    keep_statement(books, *make(1, 2, 15, {1: 3}, finality=Finality.FINAL))
    assert amounts(books) == [(1, 3)]


def test_a_mark_makes_final_and_another_withdraws(books: Books) -> None:
    old, new = make(1, 2, 10, {1: 1}), make(1, 2, 20, {1: 2})
    keep_statement(books, *old)
    keep_statement(books, *new)
    mark_statement(books, old[0].statement_id, "final", author="ann", reason="invoice agrees")
    mark_statement(books, old[0].statement_id, "final", author="bob", reason="again")
    assert amounts(books) == [(1, 1)]
    assert [one.author for one in marks_of(books, old[0].statement_id)] == ["ann"]
    mark_statement(books, old[0].statement_id, "withdrawn", author="ann", reason="not ours")
    assert amounts(books) == [(1, 2)]
    assert len(statements(books)) == 1
    assert len(statements(books, withdrawn=True)) == 2
    assert list_events(books, action="statement.withdrawn")[0].detail["reason"] == "not ours"


def test_marks_need_a_reason_and_a_known_word(books: Books) -> None:
    with pytest.raises(StatementError, match="expected a reason"):
        mark_statement(books, "st-1", "final", author="ann", reason=" ")
    with pytest.raises(StatementError, match="none of final, withdrawn"):
        mark_statement(books, "st-1", "lost", author="ann", reason="x")


def test_scopes_of_a_source_add_up(books: Books) -> None:
    usage: dict[str, Any] = {"basis": Basis.USAGE, "source": "openai.usage"}
    keep_statement(books, *make(1, 2, 10, {1: 1}, scope="completions", **usage))
    keep_statement(books, *make(1, 2, 20, {1: 2}, scope="embeddings", **usage))
    assert sorted(amounts(books, Basis.USAGE)) == [(1, 1), (1, 2)]


def test_sources_of_the_same_money_are_not_added(books: Books) -> None:
    keep_statement(books, *make(1, 4, 99, {1: 1, 2: 1, 3: 1}, source="aws.cost_explorer"))
    keep_statement(books, *make(2, 4, 10, {2: 20, 3: 30}, source="aws.cur2"))
    assert amounts(books) == [(1, 1), (2, 20), (3, 30)]
    (found,) = shadowed(books, Basis.COST, *ALWAYS)
    assert (found.statement.source, found.by_sources) == ("aws.cost_explorer", ("aws.cur2",))
    assert found.span == (2 * DAY, 4 * DAY)
    assert amounts(books, prefer=("aws.cost_explorer",)) == [(1, 1), (2, 1), (3, 1)]


def test_accounts_are_apart_and_an_unnamed_one_may_be_any(books: Books) -> None:
    keep_statement(books, *make(1, 3, 10, {1: 1, 2: 1}, account="a"))
    keep_statement(books, *make(1, 3, 10, {1: 2}, account="b"))
    keep_statement(books, *make(1, 4, 10, {1: 9, 3: 9}))
    assert sorted(amounts(books)) == [(1, 1), (1, 2), (2, 1), (3, 9)]
    assert amounts(books, account="b") == [(1, 2), (3, 9)]


def test_invoices_of_a_month_add_up_and_are_replaced_by_their_number(books: Books) -> None:
    bill: dict[str, Any] = {"basis": Basis.INVOICE, "finality": Finality.FINAL, "source": "typed"}
    keep_statement(books, *make(1, 31, 10, {1: 5}, invoice_id="A", scope="A", **bill))
    keep_statement(books, *make(1, 31, 10, {1: 7}, invoice_id="B", scope="B", **bill))
    keep_statement(books, *make(1, 31, 20, {1: 6}, invoice_id="A", scope="A", **bill))
    pdf = bill | {"source": "pdf"}
    keep_statement(books, *make(1, 31, 30, {1: 8}, invoice_id="A", scope="A", **pdf))
    assert sorted(amounts(books, Basis.INVOICE)) == [(1, 6), (1, 7)]
    (found,) = shadowed(books, Basis.INVOICE, *ALWAYS)
    assert found.statement.source == "pdf"


def test_late_usage_stays_with_the_bill_that_has_it(books: Books) -> None:
    october = make(31, 61, 10, {30: 3, 31: 1}, source="gcp.billing_export")
    september = make(1, 31, 20, {30: 2}, source="gcp.billing_export")
    keep_statement(books, *september)
    keep_statement(books, *october)
    # Usage of day 30 is on both bills, and both parts count.
    assert sorted(amounts(books)) == [(30, 2), (30, 3), (31, 1)]
    billed = current_lines(books, Basis.COST, 31 * DAY, 61 * DAY, by_bill=True)
    assert sorted(line.start_ns // DAY for line in billed) == [30, 31]
    used = current_lines(books, Basis.COST, 31 * DAY, 61 * DAY)
    assert [line.start_ns // DAY for line in used] == [31]


def test_cost_exports_stand_in_for_usage_without_their_money(books: Books) -> None:
    one, lines, raw = make(1, 3, 10, {1: 4, 2: 5}, source="aws.cur2", provider="bedrock")
    told = [structs.replace(line, kind="uncached_input_tokens", quantity=10**20) for line in lines]
    keep_statement(books, one, told, raw)
    used = current_lines(books, Basis.USAGE, *ALWAYS)
    assert [(line.quantity, line.amount) for line in used] == [(10**20, None)] * 2
    usage: dict[str, Any] = {"basis": Basis.USAGE, "source": "bedrock.logs", "provider": "bedrock"}
    keep_statement(books, *make(2, 3, 10, {2: 0}, **usage))
    used = current_lines(books, Basis.USAGE, *ALWAYS)
    assert [line.statement_id == one.statement_id for line in used] == [True, False]


def test_sources_that_stand_in_are_those_that_have_quantities() -> None:
    told = {one.source for one in FORMATS.values() if one.has_quantities}
    assert {"aws.focus", "azure.focus", "gcp.focus", "gcp.bigquery"} | told == HAVE_QUANTITIES


def test_as_it_was_known_before(books: Books) -> None:
    keep_statement(books, *make(1, 2, 10, {1: 1}, received_at_ns=100))
    keep_statement(books, *make(1, 2, 20, {1: 2}, received_at_ns=200))
    assert amounts(books, known_before_ns=100) == []
    assert amounts(books, known_before_ns=101) == [(1, 1)]
    assert amounts(books, known_before_ns=201) == [(1, 2)]
    assert [one.fetched_at_ns for one in statements(books, known_before_ns=150)] == [10]


def test_what_is_kept_cannot_be_changed(books: Books) -> None:
    keep_statement(books, *make(1, 2, 10, {1: 1}))
    more = (
        "INSERT INTO statement_lines SELECT load_id, 99, anchor_ns, start_ns, end_ns, project,"
        " api_key, model, kind, tier, region, context_window, category, quantity, requests, amount,"
        " currency, amount_in_currency, description, tags FROM statement_lines"
    )
    for verb in (
        "UPDATE statements SET lines = 9", "DELETE FROM statements", "DELETE FROM statement_raws",
        "UPDATE statement_lines SET amount = '0'", "DELETE FROM statement_lines",
        "DELETE FROM statement_sightings", "UPDATE statement_raws SET part = 7", more,
    ):  # fmt: skip
        with pytest.raises(sa.exc.IntegrityError), books.write() as connection:
            connection.exec_driver_sql(verb)
    assert amounts(books) == [(1, 1)]


def test_a_load_that_fails_leaves_nothing(books: Books) -> None:
    one, lines, raw = make(1, 3, 10, {1: 1, 2: 2})

    def broken() -> Iterator[StatementLine]:
        yield lines[0]
        raise RuntimeError("the file ended")

    with pytest.raises(RuntimeError):
        keep_statement(books, one, broken(), raw)
    assert statements(books) == []
    with books.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM statement_lines").scalar() == 0
    assert keep_statement(books, one, lines, raw)
    assert amounts(books) == [(1, 1), (2, 2)]


def _loads_there(books: Books) -> list[tuple[str, int]]:
    with books.read() as connection:
        found = connection.exec_driver_sql(
            "SELECT load_id, count(*) FROM statement_lines GROUP BY 1 ORDER BY 1"
        )
        return [(load_id, count) for load_id, count in found]


def test_what_a_killed_import_left_goes_with_the_next(
    books: Books, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_statement(books, *make(1, 4, 10, {1: 1, 2: 2, 3: 3}))
    (kept,) = _loads_there(books)
    # As kill -9 leaves it: lines of loads, one before and one after, without a statement.
    for load_id in ("0", "z"):
        with books.write() as connection:
            connection.exec_driver_sql(
                f"INSERT INTO statement_lines SELECT '{load_id}', line, anchor_ns, start_ns,"
                " end_ns, project, api_key, model, kind, tier, region, context_window, category,"
                " quantity, requests, amount, currency, amount_in_currency, description, tags"
                " FROM statement_lines WHERE load_id = ?", (kept[0],),
            )  # fmt: skip
    with loading(books):  # another process is at it: its lines look the same
        assert remove_leftovers(books) == 0
    assert len(_loads_there(books)) == 3
    monkeypatch.setattr(leftovers, "_DELETED_LINES", 2)
    bad = tmp_path / "empty.json"
    bad.write_text('{"object": "page", "data": [{"object": "bucket", "start_time": 1790812800,'
                   ' "end_time": 1790899200, "results": []}], "has_more": false}')  # fmt: skip
    import_file(books, bad, How(form="openai.costs"))
    assert _loads_there(books) == [kept]
    assert remove_leftovers(books) == 0
    assert amounts(books) == [(1, 1), (2, 2), (3, 3)]


def test_statements_that_cannot_be_kept(books: Books) -> None:
    with pytest.raises(StatementError, match="covers no time"):
        keep_statement(books, *make(2, 2, 10, {}))
    one, lines, raw = make(1, 2, 10, {1: 1})
    keep_statement(books, one, lines, raw)
    other = structs.replace(one, raw_sha256=sha256_of(b"other")[0])
    with pytest.raises(StatementError, match="other content"):
        keep_statement(books, other, lines, b"other")
    for wanted in ("", "st-none", "zz"):
        with pytest.raises(NoStatementError):
            statement(books, wanted)


def test_lines_are_numbered_as_received(books: Books) -> None:
    one, lines, raw = make(1, 9, 10, dict.fromkeys(range(1, 9), 1))
    keep_statement(books, one, list(reversed(lines)), raw)
    some = lines_of(books, one.statement_id[:12], first=3, limit=2)
    assert [(line.line, line.start_ns // DAY) for line in some] == [(3, 6), (4, 5)]


def test_large_raws_come_back_byte_for_byte(books: Books, tmp_path: Path) -> None:
    content = random.Random(7).randbytes(9_000_000)
    path = tmp_path / "raw"
    path.write_bytes(content)
    digest, size = sha256_of(path)
    keep_raw(books, digest, path)
    keep_raw(books, digest, path)
    assert size == len(content)
    assert b"".join(raw_of(books, digest)) == content
    with books.read() as connection:
        parts = connection.exec_driver_sql("SELECT count(*) FROM statement_raws").scalar()
    assert parts == 4  # three of 4 MiB at most, and the end


def test_two_at_once_keep_it_once(tmp_path: Path) -> None:
    one = make(1, 40, 10, dict.fromkeys(range(1, 40), 1))
    with open_books(tmp_path / "d") as books:

        def keep(_: int) -> bool:
            return keep_statement(books, *one)

        with ThreadPoolExecutor(4) as pool:
            kept = list(pool.map(keep, range(4)))
        assert sum(kept) == 1
        assert len(amounts(books)) == 39
        with books.read() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM statement_lines").scalar() == 39


_statement = st.builds(
    lambda first, length, fetched, seed, source, account, is_final: make(
        first, first + length, fetched,
        {day: seed * 100 + day for day in range(first, first + length) if (day * seed) % 3},
        source=source, account=account,
        finality=Finality.FINAL if is_final else Finality.PROVISIONAL,
    ),
    st.integers(1, 8), st.integers(1, 6), st.integers(1, 5), st.integers(1, 40),
    st.sampled_from(["openai.costs", "focus", "csv:own"]), st.sampled_from([None, "a", "b"]),
    st.booleans(),
)  # fmt: skip


@given(some=st.lists(_statement, min_size=1, max_size=6), data=st.data())
@hypothesis_settings(max_examples=20)
def test_any_order_of_imports_and_reimports_gives_the_same_lines(
    tmp_path_factory: pytest.TempPathFactory,
    empty_books: Path,
    some: list[object],
    data: st.DataObject,
) -> None:
    found = []
    for _ in range(2):
        order = data.draw(st.permutations([*some, *some[: len(some) // 2]]))
        directory = tmp_path_factory.mktemp("order")
        shutil.copy(empty_books, directory / empty_books.name)
        with open_books(directory) as books:
            for one in order:
                keep_statement(books, *one)  # type: ignore[misc]
            lines = current_lines(books, Basis.COST, *ALWAYS)
            found.append([(line.statement_id, line.line, line.start_ns) for line in lines])
            days = [
                (line.start_ns, line.account, statement(books, line.statement_id).source)
                for line in lines
            ]
            # One word for each account and day; none of two sources.
            assert len(set(days)) == len(days)
    assert found[0] == found[1]


@given(some=st.lists(_statement, min_size=1, max_size=8))
def test_a_choice_covers_all_that_is_covered_and_nothing_twice(
    some: list[tuple[Statement, object, object]],
) -> None:
    given_ = [one for one, _, _ in some if one.account == "a"]
    choice = choose({one.statement_id: one for one in given_}.values())
    days: dict[int, int] = {}
    for chosen in choice.chosen:
        for start, end in chosen.spans:
            for day in range(start // DAY, end // DAY):
                days[day] = days.get(day, 0) + 1
    covered = {
        day for one in given_ for day in range(one.start_ns // DAY, one.end_ns // DAY)
    }  # fmt: skip
    assert days == dict.fromkeys(covered, 1)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), max_size=12))
def test_claims_are_sets_of_moments(spans: list[tuple[int, int]]) -> None:
    claims, moments = Claims(), set[int]()
    for start, length in spans:
        wanted = Span(start, start + length)
        free = {at for one in claims.free(wanted) for at in range(*one)}
        taken = {at for one in claims.taken(wanted) for at in range(*one)}
        assert free == set(range(*wanted)) - moments
        assert taken == set(range(*wanted)) & moments
        claims.claim(wanted)
        moments |= set(range(*wanted))
    assert {at for one in claims.spans for at in range(*one)} == moments
