"""What a carrier says about a call's owner, before anything is decided."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Mechanism(StrEnum):
    """Carriers in the order of trust: the first that names a field wins."""

    VIRTUAL_KEY = "virtual_key"
    SDK = "sdk"  # the context of the application, in its own process
    BAGGAGE = "baggage"
    TOLLBOOK_HEADER = "tollbook_header"
    PORTKEY = "portkey"
    HELICONE = "helicone"
    LITELLM = "litellm"
    PROVIDER_NATIVE = "provider_native"
    SPAN = "span"  # attributes of the call's own span
    IMPORT = "import"  # a row of another tool's log
    TRACE = "trace"  # inherited from the root of the call's trace
    DEFAULT = "default"


class Claims(Struct, frozen=True):
    """Fields (names of :data:`tollbook.call.IDENTITY_FIELDS`) and free tags from one carrier.

    ``problems`` are values the carrier held that could not be used, in words for the operator.
    """

    mechanism: Mechanism
    fields: dict[str, str] = {}
    tags: dict[str, str] = {}
    problems: tuple[str, ...] = ()


class KeyBinding(Struct, frozen=True, kw_only=True):
    """A virtual key as admission needs it: what it is bound to, never the key itself."""

    api_key_id: str
    tenant_id: str | None = None
    user_id: str | None = None
    team_id: str | None = None
    cost_center: str | None = None
    feature: str | None = None
    environment: str | None = None
    expires_at_ns: int | None = None
    models: tuple[str, ...] = ()
    """Model patterns the key may use; empty for all."""
