"""Whose call is it? Read the carriers, resolve the owner; what a missing one gets. Pure."""

from tollbook.identity.claims import Claims, KeyBinding, Mechanism
from tollbook.identity.headers import claims_from_headers
from tollbook.identity.propagate import reaches_provider, trace_context
from tollbook.identity.resolve import claims_from_key, resolve
from tollbook.identity.tenant import missing_tenant_action, missing_tenant_help

__all__ = [
    "Claims",
    "KeyBinding",
    "Mechanism",
    "claims_from_headers",
    "claims_from_key",
    "missing_tenant_action",
    "missing_tenant_help",
    "reaches_provider",
    "resolve",
    "trace_context",
]
