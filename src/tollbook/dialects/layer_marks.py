"""Marks: a caller says which parts of its request were retrieved, or are memories.

Structure cannot tell a chunk of a document from the question that stands beside it. A header, or
a member of the request's ``metadata`` that is not sent on, names them::

    x-tollbook-layers: retrieved=messages[1].content[0:3120], memory=messages[2]

A place is a path into the request body. It leads to a message, to one of its parts, or to a text;
``[start:end]`` takes bytes of a text (UTF-8, as decoded). What is marked is laid out as a part of a
kind of its own in a copy of the request, which is then read like every other: so marks work the
same in all dialects and cost nothing to requests without any. A place that cannot be found is a
problem in words, never an error.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from tollbook.dialects.layer_shapes import MARKED_MEMORY, MARKED_RETRIEVED
from tollbook.dialects.request_body import DECODE_ERRORS, members_of
from tollbook.dialects.request_layers import Layered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from msgspec import Raw

    from tollbook.dialects.base import Dialect, Route

HEADER: Final = "x-tollbook-layers"
MEMBER: Final = "tollbook_layers"
"""Its name within ``metadata``."""
MARKS_MAX: Final = 64
MARK_BYTES_MAX: Final = 8192
BODY_BYTES_MAX: Final = 2_000_000
"""To find the places, the whole request is decoded."""
_STEPS_MAX: Final = 16
_KINDS: Final = {"retrieved": MARKED_RETRIEVED, "memory": MARKED_MEMORY}
_is_mark = re.compile(r"\s*(\w+)\s*=\s*([A-Za-z_]\w*(?:\.\w+|\[\d{1,6}\])*)(?:\[(\d+):(\d+)\])?\s*")
_steps = re.compile(r"\w+")
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_LISTED: Final = frozenset({"content", "system", "instructions", "message"})
"""Members whose text may as well be a list of parts."""


class Mark(NamedTuple):
    """One place of a request, and what stands there."""

    kind: str
    path: tuple[str | int, ...]
    start: int | None = None
    """Bytes of the text; None is all of it."""
    end: int | None = None


def read_marks(text: str) -> tuple[list[Mark], list[str]]:
    """Return the marks that a header's value holds, and what of it cannot be understood."""
    if len(text) > MARK_BYTES_MAX:
        return [], [f"{HEADER} is longer than {MARK_BYTES_MAX} bytes; not used"]
    marks: list[Mark] = []
    problems: list[str] = []
    for item in text.split(",")[: MARKS_MAX + 1]:
        if not item.strip():
            continue
        found = _is_mark.fullmatch(item)
        kind = _KINDS.get(found[1]) if found else None
        if found is None or kind is None:
            shown = item.strip()[:60]
            problems.append(f"{HEADER}: {shown!r} is not retrieved=PLACE or memory=PLACE")
        elif len(marks) == MARKS_MAX:
            problems.append(f"{HEADER} has more than {MARKS_MAX} marks; the rest is not used")
        else:
            steps = _steps.findall(found[2])[:_STEPS_MAX]
            path = tuple([int(step) if step.isdecimal() else step for step in steps])
            start, end = (None, None) if found[3] is None else (int(found[3]), int(found[4]))
            marks.append(Mark(kind, path, start, end))
    return marks, problems


def take_marks(body: bytes, metadata: Raw) -> tuple[bytes, str | None]:
    """Return the body without the marks in its ``metadata``, and these."""
    inner = members_of(metadata)
    members = members_of(body)
    if inner is None or members is None or MEMBER not in inner:
        return body, None
    try:
        marks: object = _decode(inner.pop(MEMBER))
    except DECODE_ERRORS:
        return body, None
    if inner:
        members["metadata"] = msgspec.Raw(_encode(inner))
    else:
        del members["metadata"]
    return _encode(members), marks if isinstance(marks, str) else ""


def marked_layers(
    dialect: Dialect, route: Route, body: bytes, marks: str
) -> tuple[Layered, tuple[str, ...]]:
    """Return the sections of a request with what its marks say, and what is wrong with them.

    Args:
        dialect: of the request.
        route: of the request.
        body: the request as the client sent it.
        marks: the value of the header or of the member of the metadata.
    """
    found, problems = read_marks(marks)
    if len(body) > BODY_BYTES_MAX:
        problems.append(f"{HEADER} is not used for requests over {BODY_BYTES_MAX} bytes")
        found = []
    if not found:
        return _read(dialect, route, body), tuple(problems)
    try:
        request = _decode(body)
    except DECODE_ERRORS:
        return Layered(), (*problems, f"{HEADER}: the request is not JSON")
    for mark in _last_first(found):
        if not _put(request, mark):
            place = "".join([f"[{x}]" if isinstance(x, int) else f".{x}" for x in mark.path])[1:]
            problems.append(f"{HEADER}: nothing to mark at {place}")
    return _read(dialect, route, _encode(request)), tuple(problems)


def _read(dialect: Dialect, route: Route, body: bytes) -> Layered:
    return dialect.read_request(route, body, inject_stream_usage=False, user_is="user").layered


def _last_first(marks: Sequence[Mark]) -> list[Mark]:
    """Return marks so that none moves the place of another."""

    def place(mark: Mark) -> list[tuple[int, int, str]]:
        path = [(1, x, "") if isinstance(x, int) else (0, 0, x) for x in mark.path]
        return [*path, (1, mark.start or 0, "")]

    return sorted(marks, key=place, reverse=True)


def _put(request: Any, mark: Mark) -> bool:
    """Lay out what is marked as a part of its own; False where there is no such place."""
    above: list[tuple[Any, str | int]] = []
    here = request
    for step in mark.path:
        try:
            above.append((here, step))
            here = here[step]
        except (LookupError, TypeError):
            return False
    if isinstance(here, dict) and ("role" in here or not isinstance(mark.path[-1], int)):
        # A message: its content.
        for name in ("content", "parts", "message"):
            if name in here:
                above.append((here, name))
                here = here[name]
                break
    if mark.start is not None and isinstance(here, list) and here:
        here = _first_text(above, here)
    if isinstance(here, str):
        return _put_text(above, here, mark)
    parent: Any
    parent, key = above[-1]
    if isinstance(here, list):
        parent[key] = [_marked(mark.kind, each) for each in here]
    elif isinstance(key, int):
        parent[key] = _marked(mark.kind, here)
    else:
        return False
    return True


def _first_text(above: list[tuple[Any, str | int]], here: list[Any]) -> Any:
    """Return what is left of a text of which a later piece has been laid out."""
    place: Any = here
    for step in (0, "content", 0, "text"):
        if (
            bool(place) and isinstance(place, list)
            if step == 0
            else isinstance(place, dict) and step in place
        ):
            above.append((place, step))
            place = place[step]
    return place


def _marked(kind: str, part: Any) -> dict[str, Any]:
    text = part.get("text") if isinstance(part, dict) else part
    return {"type": kind, "text": text if isinstance(text, str) else _encode(part).decode()}


def _put_text(above: list[tuple[Any, str | int]], text: str, mark: Mark) -> bool:
    parent, key = above[-1]
    raw = text.encode(errors="replace")
    start, end = mark.start or 0, len(raw) if mark.end is None else mark.end
    if start >= end or start >= len(raw):
        return False
    before, inside, after = raw[:start], raw[start:end], raw[end:]
    pieces: list[dict[str, Any]] = []
    for kind, piece in (("text", before), (mark.kind, inside), ("text", after)):
        if piece:
            pieces.append({"type": kind, "text": piece.decode(errors="replace")})
    if key == "text" and len(above) > 1 and isinstance(above[-2][1], int):
        holder: Any = above[-2][0]
        at = int(above[-2][1])
        holder[at : at + 1] = pieces
    elif key == "input":
        parent[key] = [{"role": "user", "content": pieces}]
    elif key in _LISTED:
        parent[key] = pieces
    else:
        return False
    return True
