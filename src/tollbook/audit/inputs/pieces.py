"""JSON of any size and shape to pieces that can be decoded one by one.

Lines of JSON are pieces as they are. Any other value up to a limit is one piece; a larger object
is opened, and the elements of its lists are the pieces, and so on down. What is broken is passed
over up to where the next piece surely begins: a sibling in the list, or an object at the start of
a line.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.audit.inputs.limits import DEFAULT
from tollbook.audit.inputs.window import BrokenError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tollbook.audit.inputs.limits import Limits
    from tollbook.audit.inputs.window import Window

LISTS: Final = frozenset(
    {"resourceSpans", "resource_spans", "batches", "scopeSpans", "scope_spans",
     "instrumentationLibrarySpans", "spans", "resourceLogs", "resource_logs", "scopeLogs",
     "scope_logs", "logRecords", "log_records", "resourceMetrics", "resource_metrics",
     "scopeMetrics", "metrics", "data",
     "logs", "rows", "items", "requests", "observations", "generations", "results", "runs",
     "events", "hits", "traces", "spend_logs"}
)  # fmt: skip
"""Lists that hold what is looked for: those of OTLP, and what answers of APIs call theirs."""
_HOLDERS: Final = frozenset({"trace", "result"})
"""Objects around such a list (Grafana Tempo, Jaeger)."""
_LEAVES: Final = frozenset({"spans", "logRecords", "log_records", "metrics"})
_OUTER: Final = LISTS & {
    f"{name}{signal}"
    for name in ("resource", "resource_", "scope", "scope_", "instrumentationLibrary")
    for signal in ("Spans", "Logs", "Metrics", "spans", "logs", "metrics")
} | {"batches"}
_holder: Final = re.compile(
    rf'\{{\s*"(?:{"|".join(sorted(LISTS | _HOLDERS))})"\s*:\s*[\[{{]\s*[\[{{"]'
).match
_message: Final = re.compile(rf'\{{\s*"(?:{"|".join(sorted(_OUTER))})"\s*:\s*\[').match
_outer_lists: Final = re.compile(r'"(?:resource|scope)(?:Spans|Logs|Metrics)"\s*:\s*\[').finditer
_BESIDE_MAX_BYTES: Final = 1024 * 1024
_LEVELS_MAX: Final = 16
_first_key: Final = re.compile(r'\{\s*"([^"\\]{1,64})"').match
_line_begins: Final = re.compile(r"\n(?=[ \t]{0,1}[\[{])")
_OVERLAP_CHARS: Final = 1024


class Piece(NamedTuple):
    """A JSON value, not yet looked at."""

    data: bytes
    line: int
    offset: int
    path: tuple[str, ...] = ()
    """Names of the lists that it was in, the outermost first; of a list without name none."""
    beside: tuple[Mapping[str, bytes], ...] = ()
    """For each of these what stood before the list in its object, as JSON."""


class Damage(NamedTuple):
    """Why something was passed over, and where."""

    words: str
    line: int
    offset: int


class _ResumeError(Exception):
    """The window stands before an element of an outer list, or (-1) before another value."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.level = level


def pieces(
    window: Window, limits: Limits = DEFAULT, *, open_levels: int = 0
) -> Iterator[Piece | Damage]:
    """Yield what a text holds, to its end.

    Args:
        window: of the text.
        limits: how large a piece may be.
        open_levels: so many levels of lists are opened however small they are: to save the rest of
            a value in which something is broken.
    """
    walker = _Walker(window, limits, open_levels)
    was_damaged = False
    while True:
        try:
            for one in walker.values():
                is_damage = isinstance(one, Damage)
                if is_damage and was_damaged and window.is_end and window.at == len(window.text):
                    continue  # each list that was open would tell of the same end
                was_damaged = is_damage
                yield one
        except _ResumeError:
            walker.firsts.clear()
            continue
        return


class _Walker:
    def __init__(self, window: Window, limits: Limits, open_levels: int) -> None:
        self._window = window
        self._limits = limits
        self._open_levels = open_levels
        self.firsts: list[str] = []
        """For each list that is open the first member's name of its elements."""
        self._outermost: set[str] = set()
        """The same of outermost lists, for when it is not known any more what is open."""

    def values(self) -> Iterator[Piece | Damage]:
        window = self._window
        while first := window.skip_space():
            try:
                yield from self._value(first)
            except BrokenError as error:
                self.firsts.clear()
                yield self._damage(f"is not JSON: {error.words}")
                self._resume()

    def _value(self, first: str) -> Iterator[Piece | Damage]:
        window = self._window
        if first == "[":
            window.go(window.at + 1)
            yield from self._list((), (), 1)
        elif first == "{":
            piece = None if self._open_levels else self._line()
            if piece is not None:
                yield piece
            else:
                yield from self._guarded((), (), 0)
        elif first in "]}":
            window.go(window.at + 1)  # of what was broken before
        else:
            raise BrokenError("expected { or [")

    def _line(self) -> Piece | None:
        """Return the line if it is an object; otherwise it is to be looked at more closely."""
        window = self._window
        searched = 0
        while (end := window.text.find("\n", window.at + searched)) < 0:
            searched = len(window.text) - window.at
            if window.is_end or searched > self._limits.value_max_bytes:
                break
            window.fill(2 * searched + 1)
        if end < 0:
            if searched > self._limits.value_max_bytes:
                return None
            end = len(window.text)
        stop = end
        while window.text[stop - 1] in "\r \t,\0":
            stop -= 1
        if stop - window.at > self._limits.value_max_bytes:
            return None
        if window.text[stop - 1] != "}":
            # Either an object over several lines, or a line that was cut off before another
            before = window.at
            window.fill(end + 3 - before)
            end, stop = end + window.at - before, stop + window.at - before
            if window.text[end + 1 : end + 3] not in {"", '{"'}:
                return None
        line, offset = window.line, window.offset
        data = window.take(stop)
        window.go(end)
        return Piece(data, line, offset)

    def _guarded(
        self, path: tuple[str, ...], beside: tuple[Mapping[str, bytes], ...], level: int
    ) -> Iterator[Piece | Damage]:
        """Yield a value; where it is broken, go to where the next one begins."""
        window = self._window
        before = window.offset
        try:
            yield from self._object(path, beside, level)
        except BrokenError as error:
            yield self._damage(f"is not JSON: {error.words}")
            self._resume(at_least=0 if window.offset > before else 1)

    def _object(
        self, path: tuple[str, ...], beside: tuple[Mapping[str, bytes], ...], level: int
    ) -> Iterator[Piece | Damage]:
        window = self._window
        is_leaf = len(path) > 1 and path[-1] in _LEAVES
        is_message = not level and _message(window.text, window.at) is not None
        # A message of OTLP that is no line is seldom small, and is read by its lists anyway
        if is_message or (len(path) < self._open_levels and not is_leaf):
            yield from self._opened(path, beside, level)
            return
        is_row = level > 0 and path in {(), ("data",)}  # of a log; a trace of Jaeger
        limits = self._limits
        limit = limits.listed_max_bytes if is_leaf or is_row else limits.value_max_bytes
        try:
            end, _ = window.value_end(limit)
        except TooLargeError:
            if is_leaf:
                yield self._damage(f"an element of more than {limit} bytes is left out")
                for _ in self._opened(path, beside, level):
                    pass
                return
        except BrokenError:
            if not self._holds_lists(path):
                raise
        else:
            if path and path[-1] in _OUTER | _LEAVES and self._has_swallowed(path[-1], end):
                if is_leaf:
                    raise BrokenError("brackets are missing")
                yield from self._opened(path, beside, level)
                return
            line, offset = window.line, window.offset
            yield Piece(window.take(end), line, offset, path, beside)
            return
        yield from self._opened(path, beside, level)

    def _has_swallowed(self, name: str, end: int) -> bool:
        """Whether an element of OTLP holds lists that it cannot have: others than it was closed.

        Where a closing bracket is missing, what follows is still JSON, only within the wrong one.
        """
        own = 1 if name.startswith("resource") else 0
        found = _outer_lists(self._window.text, self._window.at, end)
        return sum(1 for _ in islice(found, own + 1)) > own

    def _holds_lists(self, path: tuple[str, ...]) -> bool:
        """Whether what is at hand is there for its lists, so that opening it saves the rest."""
        if path and path[-1] in _OUTER:
            return True
        return _holder(self._window.text, self._window.at) is not None

    def _opened(
        self, path: tuple[str, ...], beside: tuple[Mapping[str, bytes], ...], level: int
    ) -> Iterator[Piece | Damage]:
        window = self._window
        if level >= _LEVELS_MAX:
            raise BrokenError("nested too deeply")
        window.go(window.at + 1)
        members: dict[str, bytes] = {}
        while (first := window.skip_space()) != "}":
            key = self._key(first)
            first = window.skip_space()
            if first == "[" and (key in LISTS or not self._put(members, key)):
                window.go(window.at + 1)
                yield from self._list((*path, key), (*beside, members), level + 1)
            elif first == "{" and (key in _HOLDERS or not self._put(members, key)):
                yield from self._opened(path, beside, level + 1)
            elif first not in "[{" and not self._put(members, key):
                if first != '"':
                    raise BrokenError("a number is too long")
                yield self._damage(f"a text of more than {_BESIDE_MAX_BYTES} bytes is left out")
                window.skip_string()
        window.go(window.at + 1)

    def _key(self, first: str) -> str:
        window = self._window
        if first != '"':
            raise BrokenError("it ends too early" if not first else "expected a name in quotes")
        try:
            end, _ = window.value_end(_BESIDE_MAX_BYTES)
        except TooLargeError:
            raise BrokenError("the name of a member is too long") from None
        key = window.take(end)[1:-1].decode(errors="replace")
        if window.skip_space() != ":":
            raise BrokenError("expected : after a name")
        window.go(window.at + 1)
        return key

    def _put(self, members: dict[str, bytes], key: str) -> bool:
        """Take a short value; False where it is a long one, which then is still to be read."""
        if key in members or len(members) >= 64:  # noqa: PLR2004 -- more is no envelope
            members.pop(key, None)
        try:
            end, _ = self._window.value_end(_BESIDE_MAX_BYTES)
        except TooLargeError:
            return False
        if next(_outer_lists(self._window.text, self._window.at, end), None) is not None:
            raise BrokenError("brackets are missing")
        data = self._window.take(end)
        if len(members) < 64:  # noqa: PLR2004 -- as above
            members[key] = data
        return True

    def _list(
        self, path: tuple[str, ...], beside: tuple[Mapping[str, bytes], ...], level: int
    ) -> Iterator[Piece | Damage]:
        depth = len(self.firsts)
        if depth >= _LEVELS_MAX:
            raise BrokenError("nested too deeply")
        self.firsts.append("")
        while True:
            try:
                yield from self._elements(path, beside, level, depth)
            except _ResumeError as error:
                if error.level != depth:
                    raise
                del self.firsts[depth + 1 :]
                continue
            break
        del self.firsts[depth:]

    def _elements(
        self, path: tuple[str, ...], beside: tuple[Mapping[str, bytes], ...], level: int, depth: int
    ) -> Iterator[Piece | Damage]:
        window = self._window
        while (first := window.skip_space()) != "]":
            if first == "{":
                if not self.firsts[depth]:
                    window.fill(256)
                    found = _first_key(window.text, window.at)
                    self.firsts[depth] = found[1] if found else ""
                    if not depth and len(self._outermost) < _LEVELS_MAX:
                        self._outermost.add(self.firsts[0])
                yield from self._guarded(path, beside, level)
            elif first == "[":
                window.go(window.at + 1)
                yield from self._list(path, beside, level + 1)
            elif not first:
                yield self._damage("ends within a list: it was cut off")
                return
            else:
                yield from self._odd(first)
        window.go(window.at + 1)

    def _odd(self, first: str) -> Iterator[Damage]:
        """Pass over an element that is no object."""
        yield self._damage("is not an object")
        try:
            self._window.go(self._window.value_end(_BESIDE_MAX_BYTES)[0])
        except TooLargeError:
            if first != '"':
                self._resume()
            self._window.skip_string()
        except BrokenError:
            self._resume()

    def _damage(self, words: str) -> Damage:
        return Damage(words, self._window.line, self._window.offset)

    def _resume(self, at_least: int = 1) -> None:
        """Go to where a value surely begins again.

        Raises:
            _ResumeError: always, unless the text has ended; it tells in which list.
        """
        window = self._window
        known = {*self.firsts, *self._outermost} - {""} or {"resource"}  # as OTLP begins
        names = sorted(map(re.escape, known))
        siblings = rf'\}}\s*,\s*(?=\{{\s*"({"|".join(names)})")|' if names else ""
        begins = re.compile(siblings + _line_begins.pattern)
        start = window.at + at_least
        while True:
            found = begins.search(window.text, start)
            if found is not None:
                window.go(found.end())
                name = found[1] if names else None
                levels = [at for at, one in enumerate(self.firsts) if one == name]
                raise _ResumeError(levels[-1] if levels else -1)
            window.go(max(window.at, len(window.text) - _OVERLAP_CHARS))
            start = window.at
            if not window.more():
                window.go(len(window.text))
                return
