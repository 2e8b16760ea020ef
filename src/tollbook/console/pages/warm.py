"""What a process does before anybody looks, so that the first to look does not wait for it.

Making the statements of a page of one tenant takes longer than answering them, and they are the
same for every tenant. So a process with a large ledger builds the pages of spend once as it starts.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import duckdb
from sqlalchemy.exc import SQLAlchemyError

from tollbook.console.pages.context import DEFAULT_SINCE, PageContext
from tollbook.console.pages.page import pages
from tollbook.desk.permits import Role, principal_of
from tollbook.errors import TollbookError
from tollbook.ledger.rollups import CHUNK_ENTRIES
from tollbook.reports.calls import latest_entry_id

if TYPE_CHECKING:
    import threading

    from tollbook.console.pages.context import House

_PATHS: Final = ("/tenant", "/", "/tenants", "/models", "/users", "/runs", "/calls", "/periods")
"""The one with most statements first; others share many of them."""


def warm_up(house: House, stop: threading.Event) -> None:
    """Answer the first question; of a large ledger, build the pages of spend.

    What fails here is told to whoever asks for it; the ledger may be closed meanwhile.
    """
    with suppress(TollbookError, duckdb.Error, SQLAlchemyError):
        house.answers.spend([("since", "1h"), ("by", "tenant")])
        if latest_entry_id(house.answers.reader) < CHUNK_ENTRIES:
            return
        largest = [("since", DEFAULT_SINCE), ("by", "tenant"), ("limit", "1")]
        name = house.answers.spend(largest).rows[0]["tenant"]
        anybody = principal_of("warm-up", Role.OWNER)
        for path in _PATHS:
            if stop.is_set():
                return
            pairs = [("id", str(name))] if path == "/tenant" else []
            pages()[path].build(PageContext(house, anybody, path, pairs))
