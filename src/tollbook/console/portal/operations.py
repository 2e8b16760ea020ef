"""Making tokens of portals, taking them back, rotating keys, and how portals look."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from tollbook import clock
from tollbook.console.portal.errors import PortalRequestError
from tollbook.console.portal.keys import LIFETIME_MAX_S, add_key, signing_keys
from tollbook.console.portal.parts import Part
from tollbook.console.portal.revoking import issued_tokens, moment, revoke
from tollbook.console.portal.settings import PortalSettings, keep_settings, settings_of
from tollbook.console.portal.tenant.query import check_tenant
from tollbook.console.portal.tokens import LIFETIME_S, issue
from tollbook.desk import Desk, Operation
from tollbook.desk.permits import Scope

LIFETIME_MIN_S: Final = 30
TOKENS_MAX: Final = 1_000
_REASON_CHARS_MAX: Final = 500


class TokenRequest(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Whose portal, and for how long."""

    tenant: str
    lifetime_s: int = LIFETIME_S
    """Seconds until the token opens nothing: 30 to 86,400."""
    parts: tuple[Part, ...] = ()
    """What it opens; empty: all that the portal shows."""


class TokensRequest(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Which of the tokens that have not expired."""

    tenant: str | None = None
    limit: int = 200


class RevokeRequest(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What opens nothing from now on."""

    kind: Literal["token", "tenant", "key"]
    """A token, all of a tenant's that were given out until now, or all that a key has signed."""
    name: str
    """The token's ``jti``, the tenant, or the key's ``kid``."""
    reason: str


class RotateRequest(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Why another key shall sign."""

    reason: str


class KeysRequest(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Nothing is asked."""


class SettingsRequest(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Whose portal."""

    tenant: str | None = None
    """None: that of all tenants that have none of their own."""


class KeepRequest(PortalSettings, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """How a portal looks from now on."""

    tenant: str | None = None
    """None: the portal of all tenants that have none of their own."""
    reason: str


def make_token(desk: Desk, request: TokenRequest) -> dict[str, Any]:
    """Make a token of a tenant; it is shown this once.

    Raises:
        NoTenantError: the name is no tenant's.
        PortalRequestError: a lifetime that is too short or too long.
    """
    tenant = check_tenant(request.tenant)
    if not LIFETIME_MIN_S <= request.lifetime_s <= LIFETIME_MAX_S:
        problem = f"expected {LIFETIME_MIN_S} to {LIFETIME_MAX_S} seconds"
        raise PortalRequestError("lifetime_s", problem)
    shown = settings_of(desk.books, tenant).parts
    parts = [one for one in request.parts or shown if one in shown]
    if not parts:
        raise PortalRequestError("parts", f"this portal shows {', '.join(shown)}")
    made = issue(desk.books, tenant, parts, lifetime_s=request.lifetime_s, author=desk.author)
    return {
        "token": made.token, "path": f"/portal/?token={made.token}", "tenant": tenant,
        "parts": made.claims.parts, "jti": made.claims.jti,
        "expires_at": moment(made.claims.exp * clock.NS_PER_S),
    }  # fmt: skip


def show_tokens(desk: Desk, request: TokensRequest) -> dict[str, Any]:
    """Return tokens that were given out and have not expired, without the tokens themselves."""
    if not 1 <= request.limit <= TOKENS_MAX:
        raise PortalRequestError("limit", f"expected 1 to {TOKENS_MAX}")
    return {"rows": issued_tokens(desk.books, tenant=request.tenant, limit=request.limit)}


def take_back(desk: Desk, request: RevokeRequest) -> dict[str, Any]:
    """Revoke a token, a tenant's tokens, or a key.

    Raises:
        PortalRequestError: no such key, or no reason.
    """
    reason = _reason(request.reason)
    if request.kind == "key":
        known = [one.kid for one in signing_keys(desk.books)]
        if request.name not in known:
            raise PortalRequestError("name", "there is no such key; see tollbook portal keys")
    if request.kind == "tenant":
        check_tenant(request.name)
    if not request.name or len(request.name) > _REASON_CHARS_MAX:
        raise PortalRequestError("name", "expected what is to be revoked")
    at_ns = revoke(desk.books, request.kind, request.name, reason=reason, author=desk.author)
    return {"kind": request.kind, "name": request.name, "revoked_at": moment(at_ns)}


def rotate(desk: Desk, request: RotateRequest) -> dict[str, Any]:
    """Make a key that signs from now on; the ones before it open what they signed for a day."""
    _reason(request.reason)
    return {"kid": add_key(desk.books, author=desk.author)}


def show_keys(desk: Desk, request: KeysRequest) -> dict[str, Any]:
    """Return the keys, newest first, without what they sign with."""
    del request
    return {
        "rows": [
            {
                "kid": one.kid, "created_at": moment(one.created_at_ns), "author": one.author,
                "state": "revoked" if one.revoked_at_ns is not None
                else "signing" if one.is_signing else "checking",
                "opens_until": None if one.opens_until_ns is None else moment(one.opens_until_ns),
            }
            for one in signing_keys(desk.books)
        ]
    }  # fmt: skip


def show_settings(desk: Desk, request: SettingsRequest) -> dict[str, Any]:
    """Return how a tenant's portal looks, or that of all."""
    settings = settings_of(desk.books, "" if request.tenant is None else request.tenant)
    told: dict[str, Any] = msgspec.to_builtins(settings)
    return {"tenant": request.tenant} | told


def set_settings(desk: Desk, request: KeepRequest) -> dict[str, Any]:
    """Keep how a portal looks.

    Raises:
        PortalRequestError: a value that cannot be used.
        DocumentError: a tenant whose name cannot be a document's.
    """
    reason = _reason(request.reason)
    if request.tenant is not None:
        check_tenant(request.tenant)
    fields = {name: getattr(request, name) for name in PortalSettings.__struct_fields__}
    kept, is_new = keep_settings(
        desk.books, request.tenant, PortalSettings(**fields), reason=reason, author=desk.author
    )
    return {"document_id": kept.document_id, "is_new": is_new}


def _reason(text: str) -> str:
    if not text.strip() or len(text) > _REASON_CHARS_MAX:
        raise PortalRequestError("reason", f"expected 1 to {_REASON_CHARS_MAX} characters")
    return text.strip()


OPERATIONS: Final = (
    Operation("portal.token", "POST", "/portal/tokens", TokenRequest, make_token,
              "Make a token that opens one tenant's portal.", scope=Scope.PORTAL),
    # What tenants hold is the right to look into their portal, so lists need another.
    Operation("portal.tokens", "GET", "/portal/tokens", TokensRequest, show_tokens,
              "List tokens of portals that have not expired.", scope=Scope.KEYS),
    Operation("portal.revoke", "POST", "/portal/revocations", RevokeRequest, take_back,
              "Revoke a token, a tenant's tokens, or a signing key.", scope=Scope.PORTAL),
    Operation("portal.rotate", "POST", "/portal/keys", RotateRequest, rotate,
              "Make a new key that signs tokens of portals.", scope=Scope.PORTAL),
    Operation("portal.keys", "GET", "/portal/keys", KeysRequest, show_keys,
              "List the keys that sign tokens of portals.", scope=Scope.KEYS),
    Operation("portal.settings", "GET", "/portal/settings", SettingsRequest, show_settings,
              "Show what a portal shows and how it looks.", scope=Scope.KEYS),
    Operation("portal.set", "POST", "/portal/settings", KeepRequest, set_settings,
              "Set what a portal shows and how it looks.", scope=Scope.PORTAL),
)  # fmt: skip
