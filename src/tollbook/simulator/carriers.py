"""The ways in which the product says whose call it is: header names and body fields.

Each carries tenant, user and feature, and the run, step, origin and request where it can. What
each tool documents is written down here a second time, apart from the code that reads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

NONE: Final = "none"
VIRTUAL_KEY: Final = "virtual_key"


class Owner(NamedTuple):
    """Whose call it is, as the product knows it."""

    tenant_id: str | None
    user_id: str
    feature: str
    request_id: str
    origin: str
    run_id: str | None = None
    step: str | None = None


class Carried(NamedTuple):
    """What a carrier adds to a request."""

    headers: dict[str, str]
    body: dict[str, Any] = {}  # noqa: RUF012 -- a default that nobody changes


def _fields(owner: Owner) -> dict[str, str]:
    """Return what is known, by the plain names that metadata maps use."""
    named = {
        "tenant_id": owner.tenant_id,
        "user_id": owner.user_id,
        "feature": owner.feature,
        "agent_run_id": owner.run_id,
        "workflow_step": owner.step,
        "request_origin": owner.origin,
        "request_id": owner.request_id,
    }
    return {name: value for name, value in named.items() if value is not None}


_BAGGAGE_KEYS: Final = {
    "tenant_id": "tenant.id",
    "user_id": "user.id",
    "feature": "feature",
    "agent_run_id": "agent.run.id",
    "workflow_step": "workflow.step",
    "request_origin": "request.origin",
    "request_id": "request.id",
}


def _baggage(owner: Owner) -> Carried:
    """W3C Baggage: percent-encoded values, members separated by commas."""
    members = [f"{_BAGGAGE_KEYS[name]}={quote(value)}" for name, value in _fields(owner).items()]
    return Carried({"baggage": ",".join(members)})


def _own_headers(owner: Owner) -> Carried:
    names = {
        "tenant_id": "tenant",
        "user_id": "user",
        "feature": "feature",
        "agent_run_id": "agent-run-id",
        "workflow_step": "workflow-step",
        "request_origin": "request-origin",
        "request_id": "request-id",
    }
    return Carried({f"x-tollbook-{names[name]}": v for name, v in _fields(owner).items()})


def _virtual_key(owner: Owner) -> Carried:
    """The key names the tenant; the rest goes in headers."""
    return _own_headers(owner._replace(tenant_id=None))


def _openai_metadata(owner: Owner) -> Carried:
    fields = _fields(owner)
    return Carried({}, {"metadata": fields, "user": owner.user_id})


def _anthropic_user(owner: Owner) -> Carried:
    """Anthropic's body has room for a user only; the tenant goes in a header."""
    carried = _own_headers(owner)
    del carried.headers["x-tollbook-user"]
    return Carried(carried.headers, {"metadata": {"user_id": owner.user_id}})


def _portkey(owner: Owner) -> Carried:
    fields = _fields(owner)
    fields["_user"] = fields.pop("user_id")
    return Carried({"x-portkey-metadata": msgspec.json.encode(fields).decode()})


def _helicone(owner: Owner) -> Carried:
    fields = _fields(owner)
    headers = {"Helicone-User-Id": fields.pop("user_id")}
    if owner.run_id is not None:
        headers["Helicone-Session-Id"] = fields.pop("agent_run_id")
    names = {"tenant_id": "Tenant-Id", "request_origin": "Request-Origin"}
    for name, value in fields.items():
        headers[f"Helicone-Property-{names.get(name, name.replace('_', '-').title())}"] = value
    return Carried(headers)


def _litellm(owner: Owner) -> Carried:
    fields = _fields(owner)
    user = fields.pop("user_id")
    tags = ",".join(f"{name}:{value}" for name, value in fields.items())
    return Carried({"x-litellm-end-user-id": user, "x-litellm-tags": tags})


def _nothing(_owner: Owner) -> Carried:
    return Carried({})


CARRIERS: Final[dict[str, Callable[[Owner], Carried]]] = {
    VIRTUAL_KEY: _virtual_key,
    "baggage": _baggage,
    "tollbook_headers": _own_headers,
    "openai_metadata": _openai_metadata,
    "anthropic_user": _anthropic_user,
    "portkey": _portkey,
    "helicone": _helicone,
    "litellm": _litellm,
    NONE: _nothing,
}
CARRIER_WEIGHTS: Final = {
    VIRTUAL_KEY: 25,
    "baggage": 25,
    "tollbook_headers": 20,
    "openai_metadata": 12,
    "anthropic_user": 10,
    "portkey": 4,
    "helicone": 4,
    "litellm": 4,
}
"""How usual each is."""


def fits(carrier: str, provider: str, api: str) -> bool:
    """Return whether an API has the body field that a carrier needs."""
    if carrier == "openai_metadata":
        return provider == "openai" and api in ("chat", "responses")
    return carrier != "anthropic_user" or provider == "anthropic"


def carry(carrier: str, owner: Owner) -> Carried:
    """Return the headers and body fields that tell the owner."""
    return CARRIERS[carrier](owner)
