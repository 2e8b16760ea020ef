"""Which values name an owner to an audit: more than Tollbook books, and no placeholders.

The ledger takes plain ids alone (:mod:`tollbook.identity.values`). An audit judges what other
programs write, where "Acme, Inc." is an owner: it is taken, and a problem says that it is no id.
What only stands where an owner should (``unknown``, ``null``) names nobody, and a problem says so.
"""

from __future__ import annotations

import unicodedata
from typing import Final, NamedTuple

from tollbook.identity.values import MAX_ID_CHARS, as_id

WIDE: Final = frozenset({"tenant_id", "team_id", "user_id"})
"""Fields that name somebody; the others (feature, environment, ...) are ids or nothing."""
PLACEHOLDERS: Final = frozenset(
    {"unknown", "none", "null", "nil", "undefined", "n/a", "na", "nan", "-", "--", "?", "0",
     "default", "anonymous", "anon", "empty", "unset", "not set", "not_set", "missing",
     "unassigned", "(none)", "(null)", "(unknown)", "<none>", "<null>", "<unknown>", "unspecified",
     "''", '""', "[]", "{}", "default_user_id", "00000000-0000-0000-0000-000000000000"}
)  # fmt: skip
"""What programs write where they know nobody, in small letters; docs/audit-inputs.md lists them."""
_READ_MAX_CHARS: Final = 16 * MAX_ID_CHARS
_LONGEST: Final = max(map(len, PLACEHOLDERS))


class Named(NamedTuple):
    """What a value says."""

    value: str | None
    """None is nobody."""
    problem: str = ""
    """What is wrong with it, without the value; a placeholder is none."""


_NOBODY: Final = Named(None)


def is_placeholder(text: str) -> bool:
    """Whether a text stands for nobody."""
    return len(text) <= _LONGEST and text.lower() in PLACEHOLDERS


def named_by(field: str, text: str) -> Named:
    """Return whom a text names.

    Args:
        field: of Identity.
        text: as it came; what cannot be printed is left out, ends are trimmed, and 128 characters
            are kept.
    """
    known = as_id(text) if len(text) <= _READ_MAX_CHARS else None
    if field not in WIDE:
        return Named(known) if known is not None else _refused(text, field)
    if known is not None and not is_placeholder(known):
        return Named(known)
    cleaned = _cleaned(text)
    if not cleaned:
        return _NOBODY if not text.strip() else Named(None, "holds nothing that can be printed")
    if is_placeholder(cleaned):
        return Named(None, f'holds the placeholder "{cleaned.lower()}", which names nobody')
    is_document = cleaned.startswith(('{"', "[{", '["'))
    if is_document or (field == "user_id" and cleaned[0] in "{["):
        return _refused(text, field)  # of a client: it may hold anything, and is new each session
    return Named(
        cleaned[:MAX_ID_CHARS].rstrip(),
        f"is no plain id ({_why(text, cleaned)}); taken as {field} here, Tollbook's own ids are"
        " narrower",
    )


def _refused(text: str, field: str) -> Named:
    if not text.strip():
        return _NOBODY
    return Named(None, f"is no plain id ({_why(text, text.strip())}); not used as {field}")


def _why(text: str, cleaned: str) -> str:
    """Say it in words that are the same for all such values, so that they can be counted."""
    if len(cleaned) > MAX_ID_CHARS:
        return f"more than {MAX_ID_CHARS} characters"
    if cleaned[0] in "{[":
        return "it looks like JSON"
    if not text.isprintable():
        return "it holds characters that cannot be printed"
    return "it holds characters other than letters, digits, space and _.:@/|+~=&#-"


def _cleaned(text: str) -> str:
    text = text[:_READ_MAX_CHARS]
    if not text.isprintable():
        text = "".join([one for one in text if one.isprintable()])
    return unicodedata.normalize("NFC", text).strip()
