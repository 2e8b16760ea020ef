"""Under which names identity travels, by carrier, and the fields they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from tollbook.call import IDENTITY_FIELDS

if TYPE_CHECKING:
    from tollbook.identity.values import ClaimsBuilder

BAGGAGE_KEYS: Final[dict[str, str]] = {
    "tenant.id": "tenant_id",
    "user.id": "user_id",
    "enduser.id": "user_id",  # older OpenTelemetry semantic conventions
    "team.id": "team_id",
    "cost.center": "cost_center",
    "feature": "feature",
    "workflow.id": "workflow_id",
    "agent.run.id": "agent_run_id",
    "workflow.step": "workflow_step",
    "environment": "environment",
    "request.origin": "request_origin",
    "request.id": "request_id",
} | {field: field for field in IDENTITY_FIELDS}
"""Exact, for baggage keys are case-sensitive (W3C Baggage section 3.3.1.1)."""

_ALIASES: Final[dict[str, str]] = {field: field for field in IDENTITY_FIELDS} | {
    "tenant": "tenant_id",
    "tenantid": "tenant_id",
    "user": "user_id",
    "userid": "user_id",
    "_user": "user_id",
    "end_user": "user_id",
    "end_user_id": "user_id",
    "enduser_id": "user_id",
    "team": "team_id",
    "teamid": "team_id",
    "costcenter": "cost_center",
    "cost_centre": "cost_center",
    "feature_id": "feature",
    "workflow": "workflow_id",
    "workflowid": "workflow_id",
    "agent_run": "agent_run_id",
    "agentrun": "agent_run_id",
    "agentrunid": "agent_run_id",
    "run_id": "agent_run_id",
    "step": "workflow_step",
    "env": "environment",
    "_environment": "environment",
    "requestid": "request_id",
}
_TO_UNDERSCORE = str.maketrans("-. ", "___")


def field_named(name: str) -> str | None:
    """Return the identity field that a metadata key or header suffix means, if any.

    Case and the kind of separator do not matter: ``Tenant-Id``, ``tenant.id`` and ``tenant_id``
    are the same.
    """
    return _ALIASES.get(name) or _ALIASES.get(name.lower().translate(_TO_UNDERSCORE))


def put_mapping(builder: ClaimsBuilder, mapping: dict[str, Any], where: str) -> None:
    """Take identity fields and tags from a decoded JSON object of names and scalars."""
    for name, value in mapping.items():
        if isinstance(value, bool):
            text = "true" if value else "false"
        elif isinstance(value, (str, int)):
            text = str(value)
        else:
            continue  # null says nothing; structures are the application's own business
        field = field_named(name)
        if field is not None:
            builder.put_field(field, text, f"{where}.{field}")
        elif name.isprintable():
            builder.put_tag(name, text, f"{where}.{name[:64]}")
        else:
            builder.put_tag(name, text, f"a key of {where}")


def put_json(builder: ClaimsBuilder, raw: bytes | msgspec.Raw, where: str) -> None:
    """Take identity from JSON text that should be an object."""
    try:
        mapping = _decode_object(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        builder.problem(f"{where} is not a JSON object")
        return
    put_mapping(builder, mapping, where)


_decode_object = msgspec.json.Decoder(dict[str, Any]).decode
