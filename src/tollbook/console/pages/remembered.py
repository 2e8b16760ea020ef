"""Views are kept for some seconds, so that going back and forth, CSV and reload cost nothing.

A kept view is shown to the same principal for the same URL only, for :data:`KEPT_S` as long as
nothing is booked, and for :data:`BUSY_S` while calls are. Whatever is done through this process, by
a form, a command or a program, is seen at once: it makes all views be forgotten. Until when a view
is complete stands on it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook import clock

if TYPE_CHECKING:
    from collections.abc import Hashable

    from tollbook.console.pages.context import House, PageContext
    from tollbook.console.pages.page import Page
    from tollbook.console.pages.view import View

KEPT_S: Final = 15
BUSY_S: Final = 3
_VIEWS_MAX: Final = 256


class _Kept(NamedTuple):
    view: View
    mark: Hashable
    at_ns: int


class Views:
    """The views that were built last; safe to use from several threads."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, page: Page, context: PageContext) -> View:
        """Return the view of a page, built now or moments ago.

        Raises:
            TollbookError: of the page.
        """
        if not page.is_kept:
            return page.build(context)
        key = (page.path, context.principal, context.wanted, tuple(context.pairs))
        mark, now_ns = self._mark(), clock.monotonic_ns()
        with self._lock:
            kept = self._kept.get(key)
        if kept is not None:
            age_s = (now_ns - kept.at_ns) // clock.NS_PER_S
            if age_s < (KEPT_S if kept.mark == mark else BUSY_S):
                return kept.view
        view = page.build(context)
        with self._lock:
            self._kept[key] = _Kept(view, mark, now_ns)
            self._kept.move_to_end(key)
            while len(self._kept) > _VIEWS_MAX:
                self._kept.popitem(last=False)
        return view

    def forget(self) -> None:
        """Forget all: somebody has just changed something."""
        with self._lock:
            self._kept.clear()

    def _mark(self) -> Hashable:
        """Return what differs once anything was booked."""
        writer = self._house.desk.writer
        return None if writer is None else writer.last_entry_id
