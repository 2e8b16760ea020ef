"""Headers of the settings, and which of a caller's headers go with its key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tollbook.config.schema import Provider

_ACCOUNT: Final = frozenset({b"openai-organization", b"openai-project", b"x-goog-user-project"})
"""Who is billed within an account: the operator's choice, where the key is the operator's."""


def fixed_lines(provider: Provider) -> bytes:
    """Return the headers of the settings as lines."""
    lines = [f"{name.lower()}: {value}\r\n" for name, value in provider.headers.items()]
    return "".join(lines).encode("ascii")


def replaced_with_key(provider: Provider) -> frozenset[bytes]:
    """Return the headers (lower case) that a caller may send only with a key of its own."""
    fixed = frozenset(name.lower().encode("ascii") for name in provider.headers)
    return fixed if provider.client_account_headers else fixed | _ACCOUNT
