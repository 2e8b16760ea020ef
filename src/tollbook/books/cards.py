"""Keep every price card that an entry was rated with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.dialects.sqlite import insert

from tollbook import clock
from tollbook.books.tables import price_cards

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tollbook.books.store import Books

_IDS_PER_QUERY: Final = 500


class CardRow(Struct, frozen=True, kw_only=True):
    """A price card as the books keep it; ``body`` is JSON that only the prices room reads."""

    card_id: str  # hash of the content
    provider: str
    model: str
    source: str
    effective_from_ns: int | None = None  # epoch, UTC; None: since ever
    effective_until_ns: int | None = None  # None: until further notice
    body: str


def remember_cards(books: Books, cards: Sequence[CardRow]) -> int:
    """Add the cards that are not there yet and return how many were new.

    Raises:
        BooksError: the books cannot be written.
    """
    if not cards:
        return 0
    now_ns = clock.unix_ns()
    added = 0
    with books.write() as connection:
        for card in cards:
            row = msgspec.structs.asdict(card) | {"first_seen_at_ns": now_ns}
            statement = insert(price_cards).values(row).on_conflict_do_nothing()
            added += connection.execute(statement).rowcount
    return added


def cards(books: Books, ids: Iterable[str]) -> dict[str, CardRow]:
    """Return the cards with these ids, by id; an unknown id is absent.

    Raises:
        BooksError: the books cannot be read.
    """
    wanted = list(dict.fromkeys(ids))
    columns = [price_cards.c[name] for name in CardRow.__struct_fields__]
    found: dict[str, CardRow] = {}
    with books.read() as connection:
        for start in range(0, len(wanted), _IDS_PER_QUERY):
            some = wanted[start : start + _IDS_PER_QUERY]
            query = sa.select(*columns).where(price_cards.c.card_id.in_(some))
            for row in connection.execute(query).mappings():
                found[row["card_id"]] = CardRow(**dict(row))
    return found
