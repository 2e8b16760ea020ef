"""How long a provider asks to wait before the next attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_DIGITS_MAX: Final = 9


def retry_after_s(headers: Mapping[bytes, bytes]) -> float | None:
    """Return ``retry-after-ms`` (OpenAI, Azure) or ``retry-after`` in seconds, None without.

    A date (RFC 9110 section 10.2.3 allows one) is not used: it needs a clock, and no provider of
    models sends one.
    """
    for name, per_s in ((b"retry-after-ms", 1000), (b"retry-after", 1)):
        value = headers.get(name, b"").strip()
        whole, _, part = value.partition(b".")
        if whole.isdigit() and len(whole) <= _DIGITS_MAX and (not part or part.isdigit()):
            return float(value) / per_s
    return None
