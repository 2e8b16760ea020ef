"""``[identity]``: how owners are found, and what a call without one gets."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

MissingTenantAction = Literal["serve", "warn", "refuse"]


class MissingTenant(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """``[identity.missing_tenant]``: what a call without a tenant gets, by environment."""

    production: MissingTenantAction = "serve"
    """``serve`` books the call to unknown."""
    staging: MissingTenantAction = "warn"
    """``warn`` serves it and logs who called."""
    development: MissingTenantAction = "refuse"
    """``refuse`` answers 400 and says how to name the tenant."""
    test: MissingTenantAction = "refuse"
    """As above."""
    other: MissingTenantAction = "serve"
    """Any other environment."""


class IdentitySettings(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """``[identity]``: how owners are found."""

    missing_tenant: MissingTenant = field(default_factory=MissingTenant)
    """See the next section."""
    provider_user_is: Literal["user", "tenant"] = "user"
    """What OpenAI ``user``/``safety_identifier`` and Anthropic ``metadata.user_id`` name."""
    pseudonym_secret_env: str | None = None
    """Variable that holds the secret of pseudonyms in [providers.NAME.tags], 16 characters or
    more; with another secret every pseudonym is another."""
