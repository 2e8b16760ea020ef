r"""Say which texts were retrieved or are memories, so that a call's cost can be split by layer.

::

    chunks = [retrieved(chunk) for chunk in index.search(question)]
    prompt = "\n".join([*chunks, question])
    client.chat.completions.create(..., messages=[{"role": "user", "content": prompt}])

A marked text is returned as it is: what the model reads does not change. The text itself is
remembered for the work at hand, and when a request is sent, the places where it stands in the
request are named in the header ``x-tollbook-layers`` (:mod:`tollbook.dialects.layer_marks`), which
the gateway takes away. Only places are sent, never text.

What is marked in a task or thread of its own is known to the caller only where :func:`marking`
was entered before.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tollbook.dialects.layer_marks import (
    BODY_BYTES_MAX,
    HEADER,
    MARK_BYTES_MAX,
    MARKS_MAX,
    marked_layers,
)
from tollbook.dialects.request_body import DECODE_ERRORS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.dialects.base import Dialect, Route
    from tollbook.dialects.request_layers import Layered

logger = logging.getLogger(__name__)

TEXTS_MAX: Final = 64
TEXT_CHARS_MAX: Final = 1_000_000
"""Of all texts that are remembered at a time; the oldest are forgotten first."""
_SHORTEST: Final = 4
"""Shorter ones would be found where they were not put."""
_ROOTS: Final = (
    "system", "instructions", "messages", "contents", "input", "message", "chat_history",
)  # fmt: skip
_DEPTH_MAX: Final = 8
_decode = msgspec.json.Decoder().decode


class _Bag:
    """The texts that were marked during one piece of work."""

    __slots__ = ("chars", "texts")

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.chars = 0

    def put(self, text: str, kind: str) -> None:
        if text not in self.texts:
            self.chars += len(text)
        self.texts[text] = kind
        while self.texts and (len(self.texts) > TEXTS_MAX or self.chars > TEXT_CHARS_MAX):
            oldest = next(iter(self.texts))
            del self.texts[oldest]
            self.chars -= len(oldest)


_bag: ContextVar[_Bag | None] = ContextVar("tollbook-marks", default=None)


def retrieved(text: str) -> str:
    """Mark a text as retrieved (a chunk of a document) and return it."""
    return _mark(text, "retrieved")


def memory(text: str) -> str:
    """Mark a text as a memory (what is known of the user, a summary) and return it."""
    return _mark(text, "memory")


@contextmanager
def marking() -> Iterator[None]:
    """Forget all marks for a block, and at its end those made in it.

    Marks that tasks and threads make, which were started within it, count for all of it.
    """
    token = _bag.set(_Bag())
    try:
        yield
    finally:
        _bag.reset(token)


def _mark(text: str, kind: str) -> str:
    if len(text) >= _SHORTEST:
        bag = _bag.get()
        if bag is None:
            bag = _Bag()
            _bag.set(bag)
        bag.put(text, kind)
    return text


def marks_in(body: bytes) -> str | None:
    """Return the header's value for a request body (JSON); None where nothing in it is marked.

    Never raises. Takes no time unless something is marked.
    """
    bag = _bag.get()
    if bag is None or not bag.texts or len(body) > BODY_BYTES_MAX:
        return None
    try:
        request = _decode(body)
    except DECODE_ERRORS:
        return None
    if not isinstance(request, dict):
        return None
    found: list[str] = []
    texts = list(bag.texts.items())
    try:
        for root in _ROOTS:
            if root in request:
                _search(request[root], root, texts, found, 0)
    except Exception:  # a call never fails for what is said about it
        logger.debug("marked texts could not be placed", exc_info=True)
        return None
    return _joined(found)


def _search(
    value: Any, place: str, texts: list[tuple[str, str]], found: list[str], depth: int
) -> None:
    if isinstance(value, str):
        found += [f"{kind}={place}[{start}:{end}]" for start, end, kind in _places(value, texts)]
    elif depth < _DEPTH_MAX and isinstance(value, list):
        for at, each in enumerate(value):
            _search(each, f"{place}[{at}]", texts, found, depth + 1)
    elif depth < _DEPTH_MAX and isinstance(value, dict):
        for name, each in value.items():
            if name.isidentifier() and name.isascii() and name not in {"role", "type", "id"}:
                _search(each, f"{place}.{name}", texts, found, depth + 1)


def _places(value: str, texts: list[tuple[str, str]]) -> list[tuple[int, int, str]]:
    """Return where texts stand in a value, as bytes of UTF-8; none overlaps another."""
    spans: list[tuple[int, int, str]] = []
    for text, kind in texts:
        at = value.find(text)
        while at >= 0 and len(spans) < MARKS_MAX:
            end = at + len(text)
            if not any(at < other_end and start < end for start, other_end, _ in spans):
                spans.append((at, end, kind))
            at = value.find(text, end)
    if value.isascii():
        return sorted(spans)
    return [
        (len(value[:start].encode(errors="replace")), len(value[:end].encode(errors="replace")), k)
        for start, end, k in sorted(spans)
    ]


def _joined(found: list[str]) -> str | None:
    while found and (len(found) > MARKS_MAX or len(",".join(found)) > MARK_BYTES_MAX):
        found.pop()
    return ",".join(found) or None


def marked(
    dialect: Dialect, route: Route, body: bytes, layered: Layered, told: str | None = None
) -> Layered:
    """Return the sections of a request that is metered in this process, with what is marked.

    Args:
        dialect: of the request.
        route: of the request.
        body: the request.
        layered: what its structure alone says; returned where nothing is marked.
        told: marks that the request itself has, in its header or metadata.
    """
    marks = marks_in(body)
    if marks is None:
        marks = told
    elif told:
        marks = f"{told},{marks}"
    return layered if marks is None else marked_layers(dialect, route, body, marks)[0]


__all__ = ["HEADER", "marked", "marking", "marks_in", "memory", "retrieved"]
