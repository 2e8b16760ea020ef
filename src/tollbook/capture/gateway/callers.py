"""Who presents which key: virtual keys, callers' own provider keys, none."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.capture.gateway.ports import VIRTUAL_KEY_PREFIX
from tollbook.dialects.sigv4_credential import sigv4_access_key
from tollbook.identity.claims import KeyBinding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.capture.gateway.ports import Keys
    from tollbook.capture.gateway.provider import Upstream
    from tollbook.dialects.base import Header

_MAX_FINGERPRINTS: Final = 10_000
_FINGERPRINT_DIGITS: Final = 12


class Refusal(NamedTuple):
    """Why a call is refused, in the words that its caller gets."""

    status: int
    error_type: str
    message: str
    should_retry: bool | None = None
    """None leaves it to the client's own rules for the status."""
    retry_after_s: int | None = None
    """When it may be worth another try, if that is known."""
    lines: bytes = b""
    """Further header lines."""


class Caller(NamedTuple):
    """A credential that was accepted."""

    api_key_id: str | None
    binding: KeyBinding | None = None
    key_lines: bytes | None = None
    """Credential header lines to send instead of the caller's; None to send the caller's own."""


_NOBODY: Final = Caller(None)
_FOREIGN_SIGNATURE: Final = Refusal(
    403,
    "aws_signature_not_forwardable",
    "the request is signed with AWS credentials for this gateway's address, which AWS would refuse;"
    " sign with a Tollbook key (tb_...) as the access key id, or send one as bearer token"
    " (AWS_BEARER_TOKEN_BEDROCK)",
    should_retry=False,
)


def missing_key(provider: str, problem: str) -> Refusal:
    """Return the refusal of a call for which the gateway has no key."""
    return Refusal(
        500,
        "provider_key_missing",
        f"the gateway has no key for provider {provider!r}: {problem}",
        should_retry=False,
    )


def is_signed_for_us(upstream: Upstream, headers: Sequence[Header]) -> bool:
    """Whether a caller's AWS signature covers another host or path than the provider's.

    It covers both, so it is good for the provider only where the caller addressed it by the
    provider's own host name and the prefix here is the path there.
    """
    if sigv4_access_key(headers) is None:
        return False
    host = next((value for name, value in headers if name == b"host"), b"")
    prefix = b"/" + upstream.name.encode()
    return host.lower() != upstream.host.lower() or upstream.path_prefix != prefix


class Callers:
    """Decides on credentials; knows the virtual keys and nothing else."""

    def __init__(self, keys: Keys, *, refuses_client_keys: bool) -> None:
        self._keys = keys
        self._refuses_client_keys = refuses_client_keys
        self._fingerprints: OrderedDict[str, str] = OrderedDict()

    def admit(  # noqa: PLR0911 -- one return for each rule
        self, secret: str | None, upstream: Upstream, headers: Sequence[Header] = ()
    ) -> Caller | Refusal:
        """Return the caller that a credential stands for, or why it is refused."""
        if secret is None:
            if not upstream.has_own_key:
                lines = upstream.fixed_lines
                return Caller(None, key_lines=lines) if lines else _NOBODY
            return Refusal(
                401,
                "missing_api_key",
                "no API key was sent; send a Tollbook key (tb_...) or a key of the provider",
            )
        if not secret.startswith(VIRTUAL_KEY_PREFIX):
            if self._refuses_keys_for(upstream):
                return Refusal(
                    401,
                    "client_key_refused",
                    "this gateway takes Tollbook keys (tb_...) only, not keys of the provider",
                )
            if upstream.settings.dialect == "bedrock" and is_signed_for_us(upstream, headers):
                return _FOREIGN_SIGNATURE
            return Caller(self._fingerprint(secret))
        found = self._keys.lookup(secret)
        if not isinstance(found, KeyBinding) and self._keys.refresh():
            # A key that was made a moment ago is good at once.
            found = self._keys.lookup(secret)
        if not isinstance(found, KeyBinding):
            return Refusal(401, "invalid_api_key", f"the Tollbook key is refused: {found.reason}")
        key_lines = upstream.key_lines
        if key_lines is None:
            key = upstream.plain_key
            return missing_key(upstream.name, "" if key is None else key.problem)
        return Caller(found.api_key_id, found, key_lines)

    def _refuses_keys_for(self, upstream: Upstream) -> bool:
        policy = upstream.settings.client_keys
        return self._refuses_client_keys if policy is None else policy == "refuse"

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
