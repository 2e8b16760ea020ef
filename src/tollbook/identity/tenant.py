"""What a call without a tenant gets, by environment, and what its caller is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, Protocol

if TYPE_CHECKING:
    from tollbook.call import Identity

Action = Literal["serve", "warn", "refuse"]

_ALIASES: Final = {
    "prod": "production",
    "live": "production",
    "stage": "staging",
    "dev": "development",
    "local": "development",
    "testing": "test",
    "ci": "test",
}


class ActionByEnvironment(Protocol):
    """The ``[identity.missing_tenant]`` settings; a protocol, for this room knows no settings."""

    @property
    def production(self) -> Action: ...  # noqa: D102 -- the name says it
    @property
    def staging(self) -> Action: ...  # noqa: D102 -- the name says it
    @property
    def development(self) -> Action: ...  # noqa: D102 -- the name says it
    @property
    def test(self) -> Action: ...  # noqa: D102 -- the name says it
    @property
    def other(self) -> Action: ...  # noqa: D102 -- the name says it


class Settings(Protocol):
    """The part of ``[identity]`` that is used here."""

    @property
    def missing_tenant(self) -> ActionByEnvironment: ...  # noqa: D102 -- the name says it


def missing_tenant_action(identity: Identity, settings: Settings) -> Action:
    """Return what to do with a call: ``serve`` if it has a tenant, else as configured.

    Usual short names count as the environment they mean (``prod``, ``dev`` …); any other name is
    ``other``.
    """
    if identity.tenant_id is not None:
        return "serve"
    name = (identity.environment or "").lower()
    actions = settings.missing_tenant
    match _ALIASES.get(name, name):
        case "production":
            return actions.production
        case "staging":
            return actions.staging
        case "development":
            return actions.development
        case "test":
            return actions.test
        case _:
            return actions.other


def missing_tenant_help(identity: Identity) -> str:
    """Return one line that tells the caller of a refused call how to name its tenant."""
    line = (
        f"no tenant named for this call in environment {identity.environment!r}; send the header"
        " 'baggage: tenant.id=YOUR_TENANT' or 'x-tollbook-tenant: YOUR_TENANT', or use a virtual"
        " key that is bound to a tenant"
    )
    if identity.problems:
        line += f" ({identity.problems[0]})"
    return line
