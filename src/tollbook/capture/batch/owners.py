"""The owner that a line of a batch names: by its custom id, or by its body."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tollbook.call import BatchOwners, Conflict, Identity
from tollbook.errors import TollbookError
from tollbook.identity.claims import Mechanism
from tollbook.identity.names import field_named
from tollbook.identity.resolve import MAX_CONFLICTS
from tollbook.identity.values import MAX_PROBLEMS, MAX_TAGS, ClaimsBuilder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tollbook.dialects.batch_base import InputLine
    from tollbook.identity.claims import Claims

CUSTOM_ID: Final = "custom_id"
"""Source of a field that ``[batch] custom_id_pattern`` found."""
_LINES_MAX: Final = 1000
"""In one frame: with ids of the largest size it stays well under the limit of a frame."""
_CHARS_MAX: Final = 128 * 1024


class CustomIdPatternError(TollbookError):
    """The pattern for custom ids cannot be used."""

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"batch.custom_id_pattern: {problem}; expected a regular expression with named groups"
            " such as (?P<tenant>[^:]+):.*"
        )


class CustomIds:
    """Reads owners out of custom ids; without a pattern they say nothing.

    Raises:
        CustomIdPatternError: the pattern is no regular expression, or names nothing.
    """

    def __init__(self, pattern: str | None) -> None:
        self._match: Callable[[str], re.Match[str] | None] | None = None
        if pattern is None:
            return
        try:
            compiled = re.compile(pattern)
        except re.error as error:
            raise CustomIdPatternError(str(error)) from error
        if not compiled.groupindex:
            raise CustomIdPatternError("it has no named group")
        self._match = compiled.fullmatch

    def read(self, custom_id: str) -> ClaimsBuilder | None:
        """Return what an id says, None where it says nothing."""
        if self._match is None:
            return None
        match = self._match(custom_id)
        if match is None:
            return None
        # The builder checks values; its mechanism is not used, for none of them is a custom id.
        builder = ClaimsBuilder(Mechanism.PROVIDER_NATIVE)
        for name, text in match.groupdict().items():
            if not text:
                continue
            field = field_named(name)
            if field is None:
                builder.put_tag(name, text, f"{CUSTOM_ID}.{name}")
            else:
                builder.put_field(field, text, f"{CUSTOM_ID}.{name}")
        return builder


def line_identity(line: InputLine, custom_ids: CustomIds) -> Identity | None:
    """Return what a line alone says of its owner; None where it says nothing.

    The custom id goes before the body, since the operator has said how it is made.
    """
    named = custom_ids.read(line.custom_id)
    if named is None and not line.claims:
        return None
    found: list[tuple[str, Claims]] = []
    if named is not None:
        claims = named.build()
        if claims is not None:
            found.append((CUSTOM_ID, claims))
    found += [(claims.mechanism.value, claims) for claims in line.claims]
    fields: dict[str, str] = {}
    sources: dict[str, str] = {}
    tags: dict[str, str] = {}
    conflicts: list[Conflict] = []
    problems: list[str] = []
    for source, claims in found:
        for field, value in claims.fields.items():
            if fields.setdefault(field, value) == value:
                sources.setdefault(field, source)
            else:
                conflicts.append(Conflict(field, fields[field], sources[field], value, source))
        for name, value in claims.tags.items():
            if len(tags) < MAX_TAGS:
                tags.setdefault(name, value)
        problems.extend(claims.problems)
    if not (fields or tags or problems):
        return None
    return Identity(
        **fields, tags=tags, sources=sources, conflicts=tuple(conflicts[:MAX_CONFLICTS]),
        problems=tuple(problems[:MAX_PROBLEMS]),
    )  # fmt: skip


class OwnersBuffer:
    """Gathers lines for frames: an identity that many lines share is written once a frame."""

    def __init__(self, call_id: bytes, custom_ids: CustomIds) -> None:
        self._call_id = call_id
        self._custom_ids = custom_ids
        self._known: dict[bytes, int] = {}
        self._identities: list[Identity] = []
        self._lines: list[tuple[str, int]] = []
        self._chars = 0

    def add(self, lines: Sequence[InputLine], encode: Callable[[Identity], bytes]) -> bool:
        """Take lines; return whether there are enough for a frame."""
        for line in lines:
            identity = line_identity(line, self._custom_ids)
            if identity is None:
                continue
            key = encode(identity)
            at = self._known.get(key)
            if at is None:
                at = self._known[key] = len(self._identities)
                self._identities.append(identity)
                self._chars += len(key)
            self._lines.append((line.custom_id, at))
            self._chars += len(line.custom_id)
        return len(self._lines) >= _LINES_MAX or self._chars >= _CHARS_MAX

    def take(self, at_ns: int) -> BatchOwners | None:
        """Return a frame of what was gathered, None if that is nothing."""
        if not self._lines:
            return None
        frame = BatchOwners(self._call_id, at_ns, tuple(self._identities), tuple(self._lines))
        self._known, self._identities, self._lines, self._chars = {}, [], [], 0
        return frame
