"""``[console]`` and ``[oidc]``: where the console is, how people sign in, what is remembered."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

Port = Annotated[int, Meta(ge=1, le=65535)]
_Hours = Annotated[float, Meta(gt=0, le=8760)]
_Origin = Annotated[
    str,
    Meta(
        pattern=r"^https?://[^\s/?#@]+$",
        description="scheme, host and port, such as https://tollbook.example.org",
    ),
]
_Issuer = Annotated[
    str,
    Meta(pattern=r"^https?://[^\s?#@]+$", description="a URL such as https://id.example.org"),
]
Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]  # fmt: skip
RoleName = Literal["owner", "finance", "engineer", "viewer"]


class Console(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """``[console]``: the pages and the HTTP API of the ledger process."""

    host: str = "127.0.0.1"
    """Address it listens on."""
    port: Port = 8081
    """Port it listens on."""
    public_url: _Origin | None = None
    """Where browsers find it, behind a proxy that ends TLS; unset: as they ask for it."""
    insecure_login: bool = False
    """Let people sign in over plain HTTP from other machines, where passwords can be read on the
    way; without it that needs HTTPS, or a browser on this machine."""
    session_idle_h: _Hours = 12.0
    """A session that is not used for so long ends."""
    session_max_h: _Hours = 168.0
    """A session ends after so long, whatever is done with it."""
    access_log: bool = True
    """Whether it is recorded who saw what; what is done, and sign-ins, always are."""
    access_log_days: Annotated[int, Meta(ge=30)] = 400
    """How long that is kept; what was done is kept for ever."""


class Oidc(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """``[oidc]``: signing in through a provider of OpenID Connect."""

    issuer: _Issuer | None = None
    """Its issuer; what else is needed is read below ``/.well-known/openid-configuration``. Unset:
    people sign in with passwords only. HTTPS, but on this machine."""
    client_id: str = ""
    """What the provider knows this installation as."""
    client_secret_env: str | None = None
    """Variable that holds the client's secret; unset: a public client, protected by PKCE alone."""
    client_secret_file: str | None = None
    """File that holds it; goes before the variable."""
    label: str = "single sign-on"
    """What the button on the login page says: "Sign in with ..."."""
    scopes: list[str] = field(default_factory=lambda: ["openid", "profile", "email"])
    """Scopes that are asked for."""
    algorithms: list[Algorithm] = field(
        default_factory=lambda: ["RS256", "ES256", "PS256", "EdDSA"]
    )
    """Signatures that are accepted on tokens; those with a shared secret, and none, never are."""
    name_claim: str = "email"
    """Claim that names the account when it is made; ``email`` only where it is verified."""
    groups_claim: str = "groups"
    """Claim with the groups that roles are given by."""
    roles: dict[str, RoleName] = {}
    """Group to role; of several the most powerful. Whoever is in none of them gets default_role."""
    default_role: RoleName | None = None
    """Role of people who are in no group of ``roles``; unset: they may not sign in."""
    timeout_s: Annotated[float, Meta(gt=0, le=60)] = 10.0
    """Longest wait for an answer of the provider."""
