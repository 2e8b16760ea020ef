"""Settings that say where a provider's keys come from and what goes beside them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Final, Literal

from msgspec import Meta, Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.config.schema import Provider

Command = Annotated[
    list[str],
    Meta(min_length=1, max_length=64, description="a program and its arguments, as a list"),
]
Seconds = Annotated[float, Meta(gt=0)]
Weight = Annotated[int, Meta(ge=1, le=1000, description="a whole number from 1 to 1000")]

Auth = Literal["key", "entra", "google", "aws"]
ClientKeys = Literal["forward", "refuse"]

REFRESH_S: Final = 300.0
TIMEOUT_S: Final = 10.0

_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
"""A token (RFC 9110 section 5.6.2)."""
_HEADER_VALUE: Final = re.compile(r"[\x21-\x7e]([\x20-\x7e\t]{0,2046}[\x21-\x7e])?")
"""A field value (RFC 9110 section 5.5) without bytes beyond ASCII."""
_MAX_HEADERS: Final = 32
_NOT_FIXED: Final = frozenset(
    {
        # hop-by-hop and framing: RFC 9110 section 7.6.1, RFC 9112 sections 6.1 and 6.2
        "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding",
        "upgrade", "content-length", "host", "expect", "forwarded", "accept-encoding",
        # credentials have settings of their own, which keep them out of files
        "authorization", "proxy-authenticate", "proxy-authorization", "x-api-key", "api-key",
        "x-goog-api-key", "cookie", "set-cookie", "x-amz-security-token", "x-amz-date",
        "x-amz-content-sha256",
        # identity
        "baggage", "traceparent", "tracestate", "content-type",
    }
)  # fmt: skip
_NOT_FIXED_PREFIXES: Final = ("x-tollbook-", "x-forwarded-")


class KeySource(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """``[[providers.NAME.api_keys]]``: one of several keys, from exactly one place."""

    env: str | None = None
    """Variable that holds the key."""
    file: str | None = None
    """File that holds the key; read again when it changes."""
    command: Command | None = None
    """Program that prints the key, run without a shell."""
    weight: Weight = 1
    """Its share of the calls."""
    refresh_s: Seconds = REFRESH_S
    """A command runs again after this long, or before the key that it printed expires."""
    timeout_s: Seconds = TIMEOUT_S
    """Longest run of a command."""

    def __post_init__(self) -> None:
        if sum(one is not None for one in (self.env, self.file, self.command)) != 1:
            raise ValueError("expected exactly one of env, file and command")

    @property
    def description(self) -> str:
        """Where the key comes from; of a command its program, for arguments may be private."""
        if self.env is not None:
            return f"env {self.env}"
        if self.file is not None:
            return f"file {self.file}"
        return f"command {self.command[0] if self.command else ''}"


def key_sources(provider: Provider) -> list[KeySource]:
    """Return where a provider's keys come from.

    The first of these that is set: ``api_keys``, ``api_key_command``, ``api_key_file``,
    ``api_key_env``.
    """
    if provider.api_keys:
        return provider.api_keys
    if provider.api_key_command is not None:
        return [
            KeySource(
                command=provider.api_key_command,
                refresh_s=provider.api_key_refresh_s,
                timeout_s=provider.api_key_timeout_s,
            )
        ]
    if provider.api_key_file is not None:
        return [KeySource(file=provider.api_key_file)]
    return [] if provider.api_key_env is None else [KeySource(env=provider.api_key_env)]


def check_provider(provider: Provider) -> None:
    """Check what the settings of one provider say together.

    Raises:
        ValueError: naming the setting and what is expected.
    """
    _check_headers(provider.headers)
    if provider.auth == "entra" and not key_sources(provider):
        raise ValueError(
            'auth = "entra" needs a token: set api_key_command or api_key_file'
            " (az account get-access-token prints one)"
        )
    if provider.auth == "aws" and provider.dialect != "bedrock":
        raise ValueError('auth = "aws" signs for Bedrock: expected dialect = "bedrock"')
    if provider.tags.profiles and provider.dialect != "bedrock":
        raise ValueError('tags.profiles are of Bedrock: expected dialect = "bedrock"')


def _check_headers(headers: Mapping[str, str]) -> None:
    if len(headers) > _MAX_HEADERS:
        raise ValueError(f"headers: expected at most {_MAX_HEADERS}")
    seen = set()
    for name, value in headers.items():
        lower = name.lower()
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"headers: {name!r} is no header name (RFC 9110 section 5.6.2)")
        if lower in _NOT_FIXED or lower.startswith(_NOT_FIXED_PREFIXES):
            raise ValueError(
                f"headers: {name} cannot be set here: it carries framing, identity or a credential"
            )
        if not _HEADER_VALUE.fullmatch(value):
            raise ValueError(f"headers: the value of {name} is not printable ASCII on one line")
        if lower in seen:
            raise ValueError(f"headers: {name} is set twice")
        seen.add(lower)
