"""Which texts may name an owner, and collecting them into Claims.

The allow-list is what ids of common systems need (UUIDs, slugs, e-mail addresses, ``auth0|…``,
paths, names with a space) and nothing that starts a structure: no quotes, braces, commas,
semicolons, angle brackets or control characters. So a JSON document that a client puts where an id
belongs is refused, rather than becoming a new user on every session, and a value is harmless in a
header, a CSV cell (it starts with a letter, digit, underscore or slash) and a log line.
"""

from __future__ import annotations

import re
import unicodedata

from tollbook.identity.claims import Claims, Mechanism

MAX_ID_CHARS = 128
MAX_TAGS = 32
MAX_TAG_NAME_CHARS = 64
MAX_TAG_VALUE_CHARS = 256
MAX_PROBLEMS = 8
REQUEST_ORIGINS = ("user", "scheduled", "system")

_is_id = re.compile(r"[\w/][\w .:@/|+~=&#-]{0,127}").fullmatch
_is_tag_name = re.compile(r"[\w.:/-][\w.:/ -]{0,63}").fullmatch


def why_not_id(text: str) -> str:
    """Say in a few words why a text is not an id, without repeating it (it may be private)."""
    if not text:
        return "is empty"
    if len(text) > MAX_ID_CHARS:
        return f"has {len(text)} characters, at most {MAX_ID_CHARS} are allowed"
    if text[0] in "{[":
        return "looks like JSON; expected a plain id"
    return (
        "holds a character that ids may not have; allowed are letters, digits, space and"
        " _.:@/|+~=&#-"
    )


def as_id(text: str) -> str | None:
    """Return the text as an id, ends trimmed and in Unicode NFC, or None if it is not one."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    if _is_id(text) and text[-1] != " ":
        return text
    text = text.strip(" \t")
    return text if _is_id(text) else None


class ClaimsBuilder:
    """Collects what one carrier says; the first value of a field stays."""

    __slots__ = ("_mechanism", "_problems", "fields", "tags")

    def __init__(self, mechanism: Mechanism) -> None:
        self._mechanism = mechanism
        self.fields: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self._problems: list[str] = []

    def problem(self, text: str) -> None:
        """Note what could not be used; bounded, for the caller is not trusted."""
        if len(self._problems) < MAX_PROBLEMS:
            self._problems.append(text)
        elif len(self._problems) == MAX_PROBLEMS:
            self._problems.append("and more")

    def put_field(self, field: str, text: str, where: str) -> None:
        """Set an identity field if the text is an id; else note why not."""
        value = as_id(text)
        if value is None:
            self.problem(f"{where} {why_not_id(text.strip())}; not used as {field}")
            return
        if field == "request_origin":
            value = value.lower()
            if value not in REQUEST_ORIGINS:
                self.problem(f"{where} is not one of {', '.join(REQUEST_ORIGINS)}")
                return
        if self.fields.setdefault(field, value) != value:
            self.problem(f"{where} names another {field} than before it; the first was kept")

    def put_tag(self, name: str, text: str, where: str) -> None:
        """Set a free tag within the limits of count and length."""
        value = text.strip(" \t")
        if not _is_tag_name(name) or not value.isprintable() or len(value) > MAX_TAG_VALUE_CHARS:
            self.problem(
                f"{where} is not a tag: a name of letters, digits, space and _.:/- up to"
                f" {MAX_TAG_NAME_CHARS} characters and a printable value up to"
                f" {MAX_TAG_VALUE_CHARS}"
            )
        elif name in self.tags:
            if self.tags[name] != value:
                self.problem(f"{where} comes twice; the first was kept")
        elif len(self.tags) >= MAX_TAGS:
            self.problem(f"more than {MAX_TAGS} tags; the rest was not read")
        elif value:
            self.tags[name] = value

    def build(self) -> Claims | None:
        """Return the claims, or None if the carrier said nothing at all."""
        if not (self.fields or self.tags or self._problems):
            return None
        return Claims(self._mechanism, self.fields, self.tags, tuple(self._problems))
