"""Answers that took long are kept for a while: a page is looked at more often than it changes."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from tollbook import clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from msgspec import Struct

    from tollbook.desk import Desk

_SLOW_NS: Final = 150_000_000
_TIMES: Final = 120
"""How many times as long as it took to compute an answer is kept, up to the following."""
_AGE_MAX_NS: Final = 300 * 10**9
_KEPT_MAX: Final = 256


class _Kept(NamedTuple):
    answer: dict[str, Any]
    until_ns: int


class Keeper:
    """Wraps the functions of operations; each ledger has its own answers."""

    def __init__(self) -> None:
        self._by_ledger: weakref.WeakKeyDictionary[Any, dict[bytes, _Kept]] = (
            weakref.WeakKeyDictionary()
        )
        self._lock = threading.Lock()

    def keeping(
        self, name: str, run: Callable[[Desk, Any], dict[str, Any]]
    ) -> Callable[[Desk, Any], dict[str, Any]]:
        """Return the function, answering again what it has answered a moment ago.

        ``computed_at`` says when it was. What is quick is never kept.
        """

        def kept(desk: Desk, asked: Struct) -> dict[str, Any]:
            key = name.encode() + msgspec.json.encode(asked)
            found = self._find(desk, key)
            if found is not None:
                return found
            started_ns = clock.monotonic_ns()
            computed = run(desk, asked) | {"computed_at": clock.utc_now()}
            took_ns = clock.monotonic_ns() - started_ns
            if took_ns >= _SLOW_NS:
                self._keep(desk, key, computed, min(_TIMES * took_ns, _AGE_MAX_NS))
            return computed

        return kept

    def _find(self, desk: Desk, key: bytes) -> dict[str, Any] | None:
        with self._lock:
            found = self._by_ledger.get(desk.reader, {}).get(key)
        return found.answer if found and clock.monotonic_ns() < found.until_ns else None

    def _keep(self, desk: Desk, key: bytes, computed: dict[str, Any], for_ns: int) -> None:
        now_ns = clock.monotonic_ns()
        with self._lock:
            answers = self._by_ledger.setdefault(desk.reader, {})
            if len(answers) >= _KEPT_MAX:
                for old in [one for one, it in answers.items() if it.until_ns <= now_ns]:
                    del answers[old]
            if len(answers) < _KEPT_MAX:
                answers[key] = _Kept(computed, now_ns + for_ns)
