from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.books import Books, open_books
from tollbook.books.cards import CardRow, cards, remember_cards
from tollbook.books.events import list_events, record_event

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    with open_books(tmp_path) as books:
        yield books


def card(card_id: str, body: str = "{}") -> CardRow:
    return CardRow(
        card_id=card_id, provider="openai", model="gpt-5", source="genai-prices 0.2.3",
        effective_from_ns=1_700_000_000_000_000_000, effective_until_ns=None, body=body,
    )  # fmt: skip


def test_cards_are_kept_once_and_found(books: Books) -> None:
    one, two = card("a", '{"rates": [[1, 2]]}'), card("b")
    assert remember_cards(books, []) == 0
    assert remember_cards(books, [one, two, one]) == 2
    assert remember_cards(books, [two, card("c")]) == 1
    assert cards(books, ["a", "b", "a", "unknown"]) == {"a": one, "b": two}
    assert cards(books, []) == {}


def test_a_card_seen_again_stays_as_it_was_first_seen(books: Books) -> None:
    first = card("a", "first")
    remember_cards(books, [first])
    assert remember_cards(books, [card("a", "second")]) == 0
    assert cards(books, ["a"]) == {"a": first}


def test_many_ids_at_once(books: Books) -> None:
    rows = [card(str(number)) for number in range(1200)]
    assert remember_cards(books, rows) == 1200
    assert len(cards(books, [row.card_id for row in rows])) == 1200


@given(
    bodies=st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8),
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
        max_size=8,
    )
)
@settings(max_examples=25, deadline=None)
def test_bodies_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, bodies: dict[str, str]
) -> None:
    rows = {card_id: card(card_id, body) for card_id, body in bodies.items()}
    with open_books(tmp_path_factory.mktemp("books")) as books:
        remember_cards(books, list(rows.values()))
        remember_cards(books, list(rows.values()))
        assert cards(books, rows) == rows


@pytest.mark.parametrize("table", ["price_cards", "events"])
@pytest.mark.parametrize(
    "statement",
    ["UPDATE {} SET rowid = 99", "DELETE FROM {}", "REPLACE INTO {0} SELECT * FROM {0}"],
)
def test_nothing_is_ever_changed_or_deleted(books: Books, table: str, statement: str) -> None:
    remember_cards(books, [card("a")])
    record_event(books, actor="ada", action="rerate.applied", detail={"entries": 3})
    with pytest.raises(sa.exc.IntegrityError, match="append-only"), books.write() as connection:
        connection.exec_driver_sql(statement.format(table))
    assert len(cards(books, ["a"])) == 1
    assert len(list_events(books)) == 1


def test_events_newest_first_by_action(books: Books) -> None:
    for number in range(5):
        record_event(
            books,
            actor="ledger",
            action="segment.quarantined" if number % 2 else "rerate.applied",
            detail={"number": number},
        )
    found = list_events(books, action="segment.quarantined")
    assert [event.detail for event in found] == [{"number": 3}, {"number": 1}]
    assert [event.event_id for event in list_events(books, limit=2)] == [5, 4]
    assert msgspec.structs.asdict(found[0])["actor"] == "ledger"
