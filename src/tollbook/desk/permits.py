"""Who may ask for what: scopes, the roles that hold them, and whoever stands behind a request.

A permit is a scope and an access. Routes, operations and pages name the one they need, and a
request without it is refused. Tenants hold a scope of their own, which nothing that shows more than
one tenant asks for: so a route that forgets about tenants is closed to them, not open.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from msgspec import Struct


class Scope(StrEnum):
    """What can be seen or changed."""

    SPEND = "spend"  # sums of any tenants: reports, insights
    CALLS = "calls"  # single calls and runs
    BUDGETS = "budgets"
    ALERTS = "alerts"  # rules, incidents, channels
    FINANCE = "finance"  # prices, statements, reconciliation, periods, exports, margin
    KEYS = "keys"  # virtual keys
    LEDGER = "ledger"  # its state; verifying, re-rating, giving up damage
    SQL = "sql"
    PEOPLE = "people"  # accounts, tokens, sessions
    AUDIT = "audit"  # who saw, changed and exported what
    PORTAL = "portal"  # one tenant's own usage, and nothing else


class Access(StrEnum):
    """To look, or to change."""

    READ = "read"
    WRITE = "write"  # includes reading


class Permit(NamedTuple):
    """What a request needs."""

    scope: Scope
    access: Access = Access.READ

    def __str__(self) -> str:
        return f"{self.scope}:{self.access}"


class Role(StrEnum):
    """What people are."""

    OWNER = "owner"
    FINANCE = "finance"
    ENGINEER = "engineer"
    VIEWER = "viewer"
    TENANT = "tenant"


def _read(*scopes: Scope) -> frozenset[Permit]:
    return frozenset(Permit(scope, Access.READ) for scope in scopes)


def _write(*scopes: Scope) -> frozenset[Permit]:
    return _read(*scopes) | {Permit(scope, Access.WRITE) for scope in scopes}


_GIVES_PORTALS: Final = frozenset([Permit(Scope.PORTAL, Access.WRITE)])
"""To make tokens of portals. It is not the right to look: that is a tenant's, into its own."""
_ALL: Final = _GIVES_PORTALS | _write(*(scope for scope in Scope if scope is not Scope.PORTAL))
_SEEN: Final = _read(Scope.SPEND, Scope.CALLS, Scope.BUDGETS, Scope.ALERTS, Scope.LEDGER)

PERMITS: Final = MappingProxyType(
    {
        Role.OWNER: _ALL,
        Role.FINANCE: _SEEN
        | _read(Scope.AUDIT, Scope.SQL, Scope.KEYS)
        | _write(Scope.FINANCE, Scope.BUDGETS, Scope.ALERTS),
        Role.ENGINEER: _SEEN
        | _read(Scope.FINANCE, Scope.SQL)
        | _write(Scope.BUDGETS, Scope.ALERTS, Scope.KEYS, Scope.LEDGER)
        | _GIVES_PORTALS,
        Role.VIEWER: _SEEN | _read(Scope.FINANCE),
        Role.TENANT: _read(Scope.PORTAL),
    }
)
"""What each role may do."""


class Principal(Struct, frozen=True, kw_only=True):
    """Whoever stands behind a request."""

    name: str
    """For the audit trail: ``user:anna@example.org``, ``token:ci``, ``local:root``."""
    permits: frozenset[Permit]
    role: Role | None = None
    """None for tokens, which have permits of their own."""
    tenant: str | None = None
    """The only tenant whose data it may see; None: all that its permits allow."""
    session: str | None = None
    """Digest of the session it signed in with, for CSRF tokens; None without a browser."""

    def may(self, permit: Permit) -> bool:
        """Whether it holds a permit."""
        return permit in self.permits


def principal_of(name: str, role: Role, **more: str | None) -> Principal:
    """Return a principal with the permits of a role."""
    return Principal(name=name, role=role, permits=PERMITS[role], **more)
