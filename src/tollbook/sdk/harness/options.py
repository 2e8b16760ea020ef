"""What may be chosen for one client."""

from __future__ import annotations

from msgspec import Struct

from tollbook.sdk.sink import Sink


class Options(Struct, frozen=True, kw_only=True):
    """See :func:`tollbook.sdk.harness.wrap`."""

    provider: str | None = None
    dialect: str | None = None
    gateway: str | None = None
    gateway_key: str | None = None
    sink: Sink | None = None
    inject_stream_usage: bool = True
    tags: bool = False

    def __repr__(self) -> str:
        key = None if self.gateway_key is None else "***"
        return f"Options(provider={self.provider!r}, gateway={self.gateway!r}, gateway_key={key})"
