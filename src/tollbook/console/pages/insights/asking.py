"""How pages ask for insights: with their range and filters, several at once, within a time."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYetError
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tollbook import clock
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tollbook.console.pages.context import PageContext

WAIT_S: Final = 0.7
"""How long a page with many insights waits for them; what is late is computed on, and is there when
the page is loaded again."""
LARGE_ENTRIES: Final = 1_000_000
"""Of a smaller ledger every insight is there in a moment."""
_RANGE: Final = ("since", "until", "period", "tz")
_PAIRS_SHOWN: Final = 1_000

_threads: Final = ThreadPoolExecutor(max_workers=2, thread_name_prefix="insights")
_running: dict[tuple[int, str, bytes], Future[dict[str, Any]]] = {}
_lock: Final = threading.Lock()


def given(context: PageContext, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the page's range and filters as the fields of a request; None is left out."""
    found: dict[str, Any] = {
        name: value for name, value in context.range_pairs() if name in _RANGE
    }  # fmt: skip
    where = [text for text in context.all("where") if text]
    if where:
        found["where"] = where
    return found | {name: value for name, value in (more or {}).items() if value is not None}


def ask_all(
    context: PageContext, wanted: Iterable[tuple[str, Mapping[str, Any]]], wait_s: float = WAIT_S
) -> dict[str, dict[str, Any] | str]:
    """Return the answers of several insights, and words where there is none.

    Args:
        context: of the page.
        wanted: names of operations, with their requests.
        wait_s: seconds to wait for all of them together.
    """
    started = {name: _started(context, name, request) for name, request in wanted}
    until_ns = clock.monotonic_ns() + round(wait_s * 10**9)
    found: dict[str, dict[str, Any] | str] = {}
    for name, one in started.items():
        left_s = max(0.0, (until_ns - clock.monotonic_ns()) / 10**9)
        try:
            found[name] = one.result(timeout=left_s)
        except NotYetError:
            found[name] = "is being computed; load the page again in a moment"
        except TollbookError as error:
            found[name] = error.message
    return found


def ask_soon(
    context: PageContext, name: str, request: Mapping[str, Any], wait_s: float = WAIT_S
) -> dict[str, Any] | None:
    """Return the answer of an insight; None where a page would have to wait for it too long.

    Over a ledger that is not large, and for JSON and CSV, it is waited for.

    Raises:
        TollbookError: of the insight.
    """
    writer = context.house.desk.writer
    is_large = writer is not None and writer.last_entry_id >= LARGE_ENTRIES
    if not is_large or context.wanted != "html":
        return context.ask(name, **request)
    try:
        return _started(context, name, request).result(timeout=wait_s)
    except NotYetError:
        return None


def _started(context: PageContext, name: str, request: Mapping[str, Any]) -> Future[dict[str, Any]]:
    """Return the computation of an insight: the one under way, or a new one."""
    key = (id(context.house.desk.reader), name, msgspec.json.encode(request))
    with _lock:
        running = _running.get(key)
        if running is None:
            running = _threads.submit(context.ask, name, **request)
            _running[key] = running
            running.add_done_callback(lambda _: _running.pop(key, None))
    return running
