"""Who presents which key: virtual keys, callers' own provider keys, none."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.capture.gateway.ports import VIRTUAL_KEY_PREFIX
from tollbook.identity.claims import KeyBinding

if TYPE_CHECKING:
    from tollbook.capture.gateway.ports import Keys
    from tollbook.capture.gateway.provider import Upstream

_MAX_FINGERPRINTS: Final = 10_000
_FINGERPRINT_DIGITS: Final = 12


class Refusal(NamedTuple):
    """Why a call is refused, in the words that its caller gets."""

    status: int
    error_type: str
    message: str
    should_retry: bool | None = None
    """None leaves it to the client's own rules for the status."""


class Caller(NamedTuple):
    """A credential that was accepted."""

    api_key_id: str | None
    binding: KeyBinding | None = None
    key_lines: bytes | None = None
    """Credential header lines to send instead of the caller's; None to send the caller's own."""


_NOBODY: Final = Caller(None)


class Callers:
    """Decides on credentials; knows the virtual keys and nothing else."""

    def __init__(self, keys: Keys, *, refuses_client_keys: bool) -> None:
        self._keys = keys
        self._refuses_client_keys = refuses_client_keys
        self._fingerprints: OrderedDict[str, str] = OrderedDict()

    def admit(self, secret: str | None, upstream: Upstream) -> Caller | Refusal:  # noqa: PLR0911 -- one return for each rule
        """Return the caller that a credential stands for, or why it is refused."""
        if secret is None:
            if upstream.key_env is None:
                return _NOBODY
            return Refusal(
                401,
                "missing_api_key",
                "no API key was sent; send a Tollbook key (tb_...) or a key of the provider",
            )
        if not secret.startswith(VIRTUAL_KEY_PREFIX):
            if self._refuses_client_keys:
                return Refusal(
                    401,
                    "client_key_refused",
                    "this gateway takes Tollbook keys (tb_...) only, not keys of the provider",
                )
            return Caller(self._fingerprint(secret))
        found = self._keys.lookup(secret)
        if not isinstance(found, KeyBinding) and self._keys.refresh():
            # A key that was made a moment ago is good at once.
            found = self._keys.lookup(secret)
        if not isinstance(found, KeyBinding):
            return Refusal(401, "invalid_api_key", f"the Tollbook key is refused: {found.reason}")
        if upstream.key_lines is None and upstream.key_env is not None:
            return Refusal(
                500,
                "provider_key_missing",
                f"the gateway has no key for provider {upstream.name!r}:"
                f" the environment variable {upstream.key_env} is not set",
                should_retry=False,
            )
        return Caller(found.api_key_id, found, upstream.key_lines or b"")

    def _fingerprint(self, secret: str) -> str:
        known = self._fingerprints
        found = known.get(secret)
        if found is not None:
            known.move_to_end(secret)
            return found
        digest = hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
        found = known[secret] = "client:" + digest[:_FINGERPRINT_DIGITS]
        if len(known) > _MAX_FINGERPRINTS:
            known.popitem(last=False)
        return found
