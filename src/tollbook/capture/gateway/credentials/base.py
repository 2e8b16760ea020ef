"""What stands between a call and the provider's key, where that is more than one variable.

A plain ``api_key_env`` needs none of this: its header lines are made once. Everything else (files,
commands, several keys, tokens that expire, signatures) is a :class:`Signer`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tollbook.capture.gateway.callers import Refusal
    from tollbook.capture.gateway.credentials.bench import Verdict


class Unsigned(NamedTuple):
    """A request as it would leave without a credential."""

    method: str
    target: bytes
    """Path and query as they stand in the request line."""
    host: bytes
    """The value of its ``Host`` header."""
    lines: bytes
    """Header lines, each with its CR LF; without host, framing and credential."""
    body: bytes


class Signed(Protocol):
    """A credential given to one request."""

    @property
    def lines(self) -> bytes:
        """Header lines to add."""

    def answered(self, status: int, headers: Mapping[bytes, bytes]) -> None:
        """Take what the provider said to it (names in lower case)."""


class KeyState(NamedTuple):
    """What may be shown of one key; never the key."""

    source: str
    """As configured: ``env OPENAI_API_KEY``, ``file /run/secrets/key``."""
    fingerprint: str
    """Of the present key; empty while there is none."""
    calls: Mapping[Verdict, int]
    """Answers by what they said of the key: ok, refused, limited."""
    is_benched: bool


class Signer(Protocol):
    """The credentials of one provider. Never raises, never blocks."""

    signs_body: bool
    """Whether a request can leave only when its whole body is here."""

    def when_ready(self, then: Callable[[Refusal | None], None]) -> None:
        """Call back, perhaps at once, when a key is there or why there is none."""

    def sign(self, request: Unsigned) -> Signed:
        """Choose a key for a request; only after :meth:`when_ready` said that there is one."""

    def tick(self) -> None:
        """Renew what is due; called once a second."""

    def states(self) -> Sequence[KeyState]:
        """Return what may be shown of the keys."""

    def close(self) -> None:
        """Let go of what still runs."""
