"""Read what a provider of OpenID Connect says of itself, its keys, and what it gives for a code.

Every answer has a limit of size and time; redirects are not followed; plain HTTP is for a provider
on this machine only.
"""

from __future__ import annotations

import ipaddress
import threading
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

import httpx
import msgspec
from joserfc.jwk import KeySet
from msgspec import Struct

from tollbook import clock
from tollbook.people.errors import OidcError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.config.people import Oidc

_ANSWER_MAX_BYTES: Final = 1024 * 1024
_KEPT_NS: Final = 3600 * clock.NS_PER_S
_AGAIN_AFTER_NS: Final = 30 * clock.NS_PER_S
_DISCOVERY: Final = "/.well-known/openid-configuration"
_OK: Final = 200
_JSON: Final = {"accept": "application/json"}


class Provider(Struct, frozen=True, kw_only=True):
    """What is used of its metadata (Discovery 1.0 section 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    end_session_endpoint: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    sends_issuer: bool = msgspec.field(
        name="authorization_response_iss_parameter_supported", default=False
    )


class ProviderReader:
    """Reads one provider and remembers for an hour what it says; safe in many threads.

    Args:
        settings: of ``[oidc]``.
    """

    def __init__(self, settings: Oidc) -> None:
        assert settings.issuer is not None, "without an issuer there is nothing to read"
        self._issuer = settings.issuer
        self._timeout_s = settings.timeout_s
        self._lock = threading.Lock()
        self._provider: tuple[Provider, int] | None = None
        self._keys: tuple[KeySet, int] | None = None

    def provider(self) -> Provider:
        """Return the provider's metadata.

        Raises:
            OidcError: it cannot be read, or is of another issuer.
        """
        with self._lock:
            if self._provider is None or self._is_old(self._provider[1], _KEPT_NS):
                self._provider = self._discovered(), clock.monotonic_ns()
            return self._provider[0]

    def keys(self, provider: Provider, *, is_again: bool = False) -> KeySet:
        """Return the provider's public keys.

        Args:
            provider: whose.
            is_again: those that are remembered did not do; they are read again, but not all the
                time, so that forged tokens do not make us flood the provider.

        Raises:
            OidcError: they cannot be read.
        """
        with self._lock:
            kept_ns = _AGAIN_AFTER_NS if is_again else _KEPT_NS
            if self._keys is None or self._is_old(self._keys[1], kept_ns):
                found = self._answer("GET", provider.jwks_uri)
                self._keys = _key_set(found), clock.monotonic_ns()
            return self._keys[0]

    def tokens(
        self, provider: Provider, client_id: str, secret: str | None, asked: Mapping[str, str]
    ) -> dict[str, Any]:
        """Return what the token endpoint gives for a code.

        Args:
            provider: whose.
            client_id: who asks.
            secret: of the client; None: a public one.
            asked: the request of RFC 6749 section 4.1.3.

        Raises:
            OidcError: it gives nothing.
        """
        methods = provider.token_endpoint_auth_methods_supported
        if secret is None:
            return self._answer(
                "POST", provider.token_endpoint, dict(asked) | {"client_id": client_id}
            )
        if "client_secret_basic" in methods or "client_secret_post" not in methods:
            # RFC 6749 section 2.3.1: both parts are form-encoded before they are joined.
            auth = httpx.BasicAuth(quote(client_id, safe=""), quote(secret, safe=""))
            return self._answer("POST", provider.token_endpoint, dict(asked), auth=auth)
        body = dict(asked) | {"client_id": client_id, "client_secret": secret}
        return self._answer("POST", provider.token_endpoint, body)

    def userinfo(self, provider: Provider, access_token: str) -> dict[str, Any]:
        """Return the claims of the userinfo endpoint.

        Raises:
            OidcError: it gives none.
        """
        assert provider.userinfo_endpoint is not None
        bearer = {"authorization": f"Bearer {access_token}"}
        return self._answer("GET", provider.userinfo_endpoint, headers=bearer)

    @staticmethod
    def _is_old(at_ns: int, kept_ns: int) -> bool:
        return clock.monotonic_ns() - at_ns >= kept_ns

    def _discovered(self) -> Provider:
        found = self._answer("GET", self._issuer.rstrip("/") + _DISCOVERY)
        try:
            provider = msgspec.convert(found, Provider)
        except msgspec.ValidationError as error:
            raise OidcError(f"what {self._issuer} says of itself is not understood") from error
        if provider.issuer != self._issuer:
            raise OidcError(f"{self._issuer} calls itself {provider.issuer[:200]}; they must agree")
        for url in (
            provider.authorization_endpoint, provider.token_endpoint, provider.jwks_uri,
            provider.userinfo_endpoint, provider.end_session_endpoint,
        ):  # fmt: skip
            if url is not None:
                check_url(url)
        return provider

    def _answer(
        self, method: str, url: str, body: dict[str, str] | None = None,
        headers: dict[str, str] | None = None, auth: httpx.Auth | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        check_url(url)
        try:
            with (
                httpx.Client(timeout=self._timeout_s, follow_redirects=False) as client,
                client.stream(
                    method, url, data=body, headers=_JSON | (headers or {}),
                    auth=auth,
                ) as response,
            ):  # fmt: skip
                content = _read(
                    response, clock.monotonic_ns() + int(self._timeout_s * clock.NS_PER_S)
                )
        except httpx.HTTPError as error:
            raise OidcError(f"{_shown(url)} does not answer ({type(error).__name__})") from error
        if response.status_code != _OK:
            raise OidcError(f"{_shown(url)} answers HTTP {response.status_code}")
        try:
            return msgspec.json.decode(content, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise OidcError(f"{_shown(url)} answers no JSON object") from error


def check_url(url: str) -> None:
    """Refuse a URL that what is secret must not be sent to.

    Raises:
        OidcError: it is plain HTTP to another machine, or no URL at all.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError as error:
        raise OidcError("a URL of the provider is not understood") from error
    if parts.scheme == "https" and host:
        return
    if parts.scheme == "http" and (host == "localhost" or _is_loopback(host)):
        return
    raise OidcError(f"{_shown(url)}: https is needed")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _read(response: httpx.Response, until_ns: int) -> bytes:
    content = b""
    for part in response.iter_bytes():
        content += part
        if len(content) > _ANSWER_MAX_BYTES:
            raise OidcError("the provider's answer is too large")
        if clock.monotonic_ns() > until_ns:
            raise OidcError("the provider takes too long")
    return content


def _key_set(found: dict[str, Any]) -> KeySet:
    """Return the public keys for signatures; others are left out."""
    keys = found.get("keys")
    public = [
        one
        for one in (keys if isinstance(keys, list) else [])
        if isinstance(one, dict) and one.get("kty") in ("RSA", "EC", "OKP")
        and one.get("use", "sig") == "sig"
    ]  # fmt: skip
    try:
        return KeySet.import_key_set({"keys": public})
    except (ValueError, KeyError, TypeError) as error:
        raise OidcError("the provider's keys are not understood") from error


def _shown(url: str) -> str:
    """Return a URL without what may be secret in it."""
    return url.partition("?")[0][:200]
