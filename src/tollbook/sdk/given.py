"""What a scope was given, made sure to be ids; what is not is unknown, and said once."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from msgspec import Struct

from tollbook.errors import TollbookError
from tollbook.identity.claims import Mechanism
from tollbook.identity.names import field_named
from tollbook.identity.values import ClaimsBuilder
from tollbook.sdk.runtime import runtime

if TYPE_CHECKING:
    from collections.abc import Mapping

FieldValue = str | int | UUID | None
"""What may name an owner; databases have numbers and UUIDs for ids."""

LOGGED_MAX: Final = 100
_log = logging.getLogger("tollbook")
_logged: set[str] = set()
_lock = threading.Lock()


class InvalidIdentityError(TollbookError):
    """An identity field got what is no id; raised in tests only."""


class Given(Struct, frozen=True):
    """Fields and tags to set; a field that is None becomes unknown."""

    fields: dict[str, str | None] = {}
    tags: dict[str, str] = {}
    problems: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to set and nothing to say."""
        return not (self.fields or self.tags or self.problems)

    def complain(self) -> None:
        """Say what could not be used.

        Raises:
            InvalidIdentityError: there is something, and ``missing_tenant`` is ``raise``.
        """
        if not self.problems:
            return
        if runtime().missing_tenant == "raise":
            raise InvalidIdentityError(f"tollbook: {self.problems[0]}")
        for problem in self.problems:
            log_once(problem)


def given(fields: Mapping[str, FieldValue], tags: Mapping[Any, Any]) -> Given:
    """Return what was given, checked.

    A field with what is no id is in ``fields`` as None, so that work is not booked to the owner
    outside, which is certainly another one.
    """
    builder = ClaimsBuilder(Mechanism.SDK)
    taken: dict[str, str | None] = {}
    for field, value in fields.items():
        if value is None:
            continue
        text = id_text(value)
        if text is None:
            builder.problem(f"{field} is of type {type(value).__name__}; expected text")
        else:
            builder.put_field(field, text, field)
        taken[field] = builder.fields.get(field)
    for name, tag in tags.items():
        if isinstance(name, str) and isinstance(tag, str):
            builder.put_tag(name, tag, f"the tag {name[:64]!r}")
        else:
            builder.problem("a tag or its name is not text")
    claims = builder.build()
    return Given(taken, builder.tags, () if claims is None else claims.problems)


def given_names(names: Mapping[str, object]) -> Given:
    """Return what a mapping of names says: of identity fields in any usual spelling, and of tags.

    Values that are None say nothing, nor do structures: they are the application's own business.
    """
    fields: dict[str, FieldValue] = {}
    tags: dict[str, str] = {}
    for name, value in names.items():
        text = id_text(value)
        if text is None or not isinstance(name, str):
            continue
        field = field_named(name)
        if field is not None:
            fields.setdefault(field, text)
        else:
            tags[name] = text
    return given(fields, tags)


def id_text(value: object) -> str | None:
    """Return a value as the text of an id, or None if it is of a kind that ids are not."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | UUID) and not isinstance(value, bool):
        return str(value)
    return None


def log_once(problem: str) -> None:
    """Log a problem the first time; after a hundred different ones no more."""
    with _lock:
        if problem in _logged or len(_logged) >= LOGGED_MAX:
            return
        _logged.add(problem)
    _log.warning("tollbook: %s", problem)
