"""A page over a large ledger does not wait for an insight that takes long; data is waited for."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

from tollbook.console.pages.insights.asking import LARGE_ENTRIES, ask_soon


def _context(entries: int, wanted: str, may_answer: threading.Event) -> Any:
    def ask(name: str, **request: Any) -> dict[str, Any]:
        assert may_answer.wait(30)
        return {"name": name} | request

    desk = SimpleNamespace(writer=SimpleNamespace(last_entry_id=entries), reader=object())
    return SimpleNamespace(house=SimpleNamespace(desk=desk), wanted=wanted, ask=ask)


def test_a_page_of_a_large_ledger_says_not_yet_and_then_has_it() -> None:
    may_answer = threading.Event()
    context = _context(LARGE_ENTRIES, "html", may_answer)
    assert ask_soon(context, "insights.change", {"by": "tenant"}, wait_s=0.01) is None
    assert ask_soon(context, "insights.change", {"by": "tenant"}, wait_s=0.01) is None
    may_answer.set()
    answer = ask_soon(context, "insights.change", {"by": "tenant"}, wait_s=30)
    assert answer == {"name": "insights.change", "by": "tenant"}


def test_data_and_small_ledgers_are_waited_for() -> None:
    for entries, wanted in ((LARGE_ENTRIES, "json"), (LARGE_ENTRIES - 1, "html")):
        may_answer = threading.Event()
        timer = threading.Timer(0.1, may_answer.set)
        timer.start()
        context = _context(entries, wanted, may_answer)
        assert ask_soon(context, "insights.skew", {}, wait_s=0.001) == {"name": "insights.skew"}
        timer.join()
