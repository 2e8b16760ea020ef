"""Account names of beancount: parts that begin with a capital or a digit, of letters and digits."""

from __future__ import annotations

import hashlib
import re
from typing import Final

ROOTS: Final = ("Assets", "Liabilities", "Equity", "Income", "Expenses")
_OTHER: Final = re.compile(r"[^A-Za-z0-9-]+")
_PART: Final = re.compile(r"[A-Z0-9][A-Za-z0-9-]*")
_HASH_CHARS: Final = 6


def component(text: str) -> str:
    """Return text as one part of an account; texts that differ stay different.

    What cannot be written is left out, and a few characters of a digest tell such names apart.
    """
    plain = _OTHER.sub("-", text).strip("-")
    shown = plain[:1].upper() + plain[1:]
    # ``acme`` is written Acme; so a name that begins with a capital already gets the digest.
    is_same = bool(shown) and plain == text and not text[:1].isupper()
    return shown if is_same else _marked(shown or "X", text)


def _marked(plain: str, text: str) -> str:
    return f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:_HASH_CHARS]}"


def account_problem(name: str) -> str | None:
    """Return what is wrong with an account's name, None where nothing is."""
    root, *parts = name.split(":")
    if root not in ROOTS or not parts:
        return f"{name[:64]!r} is no account; expected one below {', '.join(ROOTS)}"
    for part in parts:
        if not _PART.fullmatch(part):
            return f"{part[:64]!r} in an account: expected a capital or digit, then letters, digits"
    return None
