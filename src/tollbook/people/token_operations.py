"""API tokens of programs, and virtual keys of applications."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from tollbook import clock
from tollbook.books.keys import create_key, list_keys, revoke_key
from tollbook.desk import Operation
from tollbook.desk.permits import Scope
from tollbook.people.shown import expiry_ns, token_row, when
from tollbook.people.tokens import create_token, list_tokens, revoke_token

if TYPE_CHECKING:
    from tollbook.books.records import KeyRecord
    from tollbook.desk import Desk


class Nothing(Struct, forbid_unknown_fields=True, kw_only=True):
    """Nothing is asked."""


class CreateToken(Struct, forbid_unknown_fields=True, kw_only=True):
    """A token to be made."""

    label: str
    permits: list[str] = []
    """``SCOPE:read`` or ``SCOPE:write``."""
    tenant: str | None = None
    """The only one that it sees; then it has the permit ``portal:read`` and no other."""
    expires: str | None = None
    """A date, or so long from now: 12h, 90d."""


class WhichOne(Struct, forbid_unknown_fields=True, kw_only=True):
    """A token or a key, by id or label."""

    name: str


class CreateKey(Struct, forbid_unknown_fields=True, kw_only=True):
    """A virtual key to be made; what its calls are booked to."""

    label: str
    tenant: str | None = None
    user: str | None = None
    team: str | None = None
    cost_center: str | None = None
    feature: str | None = None
    environment: str | None = None
    models: list[str] = []
    """Patterns (``*``, ``?``) of the models it may use; none for all."""
    expires: str | None = None


def tokens(desk: Desk, asked: Nothing) -> dict[str, Any]:
    """Return all tokens there ever were, without what opens them."""
    del asked
    return {"rows": [token_row(one) for one in list_tokens(desk.books)]}


def new_token(desk: Desk, asked: CreateToken) -> dict[str, Any]:
    """Make a token; the answer has what opens it, this once."""
    made, secret = create_token(
        desk.books, label=asked.label, permits=asked.permits, tenant_id=asked.tenant,
        expires_at_ns=expiry_ns(asked.expires), actor=desk.author,
    )  # fmt: skip
    return token_row(made) | {"token_shown_once": secret}


def end_token(desk: Desk, asked: WhichOne) -> dict[str, Any]:
    """Revoke a token for good."""
    return token_row(revoke_token(desk.books, asked.name, actor=desk.author))


def keys(desk: Desk, asked: Nothing) -> dict[str, Any]:
    """Return all virtual keys there ever were, without their secrets."""
    del asked
    return {"rows": [key_row(one) for one in list_keys(desk.books)]}


def new_key(desk: Desk, asked: CreateKey) -> dict[str, Any]:
    """Make a virtual key; the answer has its secret, this once."""
    made, secret = create_key(
        desk.books, label=asked.label, tenant_id=asked.tenant, user_id=asked.user,
        team_id=asked.team, cost_center=asked.cost_center, feature=asked.feature,
        environment=asked.environment, models=asked.models,
        expires_at_ns=expiry_ns(asked.expires), actor=desk.author,
    )  # fmt: skip
    return key_row(made) | {"secret_shown_once": secret}


def end_key(desk: Desk, asked: WhichOne) -> dict[str, Any]:
    """Revoke a virtual key for good; gateways refuse it within seconds."""
    return key_row(revoke_key(desk.books, asked.name, actor=desk.author))


def key_row(one: KeyRecord) -> dict[str, Any]:
    """Return a virtual key as a row."""
    is_over = one.expires_at_ns is not None and one.expires_at_ns <= clock.unix_ns()
    row = msgspec.structs.asdict(one)
    return {
        "api_key_id": one.api_key_id, "label": one.label,
        "state": "revoked" if one.revoked_at_ns else "expired" if is_over else "active",
        **{name: row[f"{name}_id"] for name in ("tenant", "user", "team")},
        "cost_center": one.cost_center, "feature": one.feature, "environment": one.environment,
        "models": " ".join(one.models) or "all", "created_at": when(one.created_at_ns),
        "expires_at": when(one.expires_at_ns), "revoked_at": when(one.revoked_at_ns),
    }  # fmt: skip


OPERATIONS: Final = (
    Operation("tokens.list", "GET", "/tokens", Nothing, tokens, "API tokens.", scope=Scope.PEOPLE),
    Operation("tokens.create", "POST", "/tokens", CreateToken, new_token, "Make an API token.",
              scope=Scope.PEOPLE),
    Operation("tokens.revoke", "POST", "/tokens/revoke", WhichOne, end_token,
              "Revoke an API token.", scope=Scope.PEOPLE),
    Operation("keys.list", "GET", "/keys", Nothing, keys, "Virtual keys.", scope=Scope.KEYS),
    Operation("keys.create", "POST", "/keys", CreateKey, new_key, "Make a virtual key.",
              scope=Scope.KEYS),
    Operation("keys.revoke", "POST", "/keys/revoke", WhichOne, end_key, "Revoke a virtual key.",
              scope=Scope.KEYS),
)  # fmt: skip
