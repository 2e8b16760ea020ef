"""Which credentials a provider's settings ask for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from tollbook.capture.gateway.credentials.aws import AwsReader, AwsSigner, region_of_host
from tollbook.capture.gateway.credentials.google import GoogleReader
from tollbook.capture.gateway.credentials.readers import EnvReader, Found, reader_of
from tollbook.capture.gateway.credentials.ring import KeyRing, fingerprint
from tollbook.config.credentials import key_sources

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

    from tollbook.capture.gateway.credentials.base import Signer
    from tollbook.capture.gateway.credentials.readers import Reader
    from tollbook.config.schema import Provider
    from tollbook.dialects.base import Dialect, Header


class PlainKey(NamedTuple):
    """A key that never changes: one variable."""

    lines: bytes | None
    """None when there is none, which ``problem`` explains."""
    problem: str
    source: str
    fingerprint: str


def uses_aws(provider: Provider, environ: Mapping[str, str]) -> bool:
    """Whether requests are signed: asked for, or Bedrock without any key of its own."""
    if provider.auth is not None:
        return provider.auth == "aws"
    if provider.dialect != "bedrock":
        return False
    sources = key_sources(provider)
    return all(one.env is not None and not environ.get(one.env, "").strip() for one in sources)


def has_own_key(provider: Provider) -> bool:
    """Whether the gateway is meant to have a key for it, there or not."""
    return (
        bool(key_sources(provider))
        or provider.auth in {"google", "aws"}
        or (provider.dialect == "bedrock")
    )


def readers_for(provider: Provider, environ: Mapping[str, str]) -> list[tuple[Reader[str], int]]:
    """Return what reads each key of a provider that signs nothing, with its weight."""
    if provider.auth == "google":
        file = provider.google_credentials_file
        return [(GoogleReader(None if file is None else Path(file)), 1)]
    return [(reader_of(source, environ), source.weight) for source in key_sources(provider)]


def aws_reader(provider: Provider) -> AwsReader:
    """Return what reads a provider's AWS credentials."""
    region = provider.aws_region or region_of_host(urlsplit(provider.base_url).hostname or "")
    return AwsReader(provider.aws_profile, region)


def plain_key(provider: Provider, dialect: Dialect, environ: Mapping[str, str]) -> PlainKey | None:
    """Return the key of a provider with one variable, None where it has more or less than that."""
    sources = key_sources(provider)
    if provider.auth == "google" or len(sources) != 1 or sources[0].env is None:
        return None
    if uses_aws(provider, environ):
        return None
    read = EnvReader(sources[0], environ).read(is_refused=False)
    if not isinstance(read, Found):
        return PlainKey(None, "" if read is None else read.problem, sources[0].description, "")
    lines = _lines_of(provider, dialect)(read.value)
    return PlainKey(lines, "", sources[0].description, fingerprint(read.value))


def unset_variables(provider: Provider, environ: Mapping[str, str]) -> str:
    """Return which variables a provider's keys are missing from, empty where one is there."""
    sources = key_sources(provider)
    if not sources or uses_aws(provider, environ):
        return ""
    names = [one.env for one in sources if one.env is not None]
    if len(names) < len(sources) or any(environ.get(name, "").strip() for name in names):
        return ""
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} not set"


def signer_for(
    name: str,
    provider: Provider,
    dialect: Dialect,
    environ: Mapping[str, str],
    loop: asyncio.AbstractEventLoop,
) -> Signer | None:
    """Return what gives requests their credential, None where :func:`plain_key` is all."""
    if uses_aws(provider, environ):
        return AwsSigner(name, loop, aws_reader(provider))
    if (
        provider.auth != "google"
        and all(one.env is not None for one in key_sources(provider))
        and (len(key_sources(provider)) <= 1)
    ):
        return None
    return KeyRing(
        name,
        loop,
        readers_for(provider, environ),
        _lines_of(provider, dialect),
        dialect.retry_after_s,
    )


def headers_of_key(provider: Provider, dialect: Dialect, key: str) -> list[Header]:
    """Return the headers that carry a key (or token) to a provider, by its settings."""
    if provider.auth in {"entra", "google"}:
        return [(b"authorization", b"Bearer " + key.encode())]
    return dialect.credential_headers(key)


def _lines_of(provider: Provider, dialect: Dialect) -> Callable[[str], bytes]:
    def lines_of(key: str) -> bytes:
        headers = headers_of_key(provider, dialect, key)
        return b"".join([b"%b: %b\r\n" % header for header in headers])

    return lines_of
