"""Identity in the headers of other gateways, so that an application need not change twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.identity.names import field_named, put_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tollbook.identity.values import ClaimsBuilder

_HELICONE: Final[dict[bytes, str]] = {
    b"helicone-user-id": "user_id",
    b"helicone-session-id": "agent_run_id",  # a session groups the calls of one run
    b"helicone-session-name": "workflow_id",
    b"helicone-session-path": "workflow_step",
}
_HELICONE_PROPERTY: Final = b"helicone-property-"
_LITELLM: Final[dict[bytes, str]] = {
    b"x-litellm-end-user-id": "user_id",
    b"x-litellm-customer-id": "user_id",  # LiteLLM's "customer" is the end user
    b"x-litellm-session-id": "agent_run_id",
    b"x-litellm-trace-id": "agent_run_id",
}


def read_portkey(builder: ClaimsBuilder, name: bytes, value: bytes) -> None:
    """Read ``x-portkey-metadata``: a JSON object, ``_user`` and free keys."""
    if name == b"x-portkey-metadata":
        put_json(builder, value, "x-portkey-metadata")


def read_helicone(builder: ClaimsBuilder, name: bytes, value: bytes) -> None:
    """Read ``Helicone-Property-NAME``, ``Helicone-User-Id`` and ``Helicone-Session-*``."""
    field = _HELICONE.get(name)
    if field is None and not name.startswith(_HELICONE_PROPERTY):
        return
    where = name.decode("latin-1")[:96]
    text = header_text(builder, value, where)
    if text is None:
        return
    if field is None:
        property_name = name[len(_HELICONE_PROPERTY) :].decode("latin-1")
        field = field_named(property_name)
        if field is None:
            builder.put_tag(property_name, text, where)
            return
    builder.put_field(field, text, where)


def read_litellm(builder: ClaimsBuilder, name: bytes, value: bytes) -> None:
    """Read ``x-litellm-tags``, ``-end-user-id``, ``-customer-id``, ``-spend-logs-metadata`` …."""
    if name in {b"x-litellm-spend-logs-metadata", b"x-litellm-metadata"}:
        put_json(builder, value, name.decode("ascii"))
        return
    field = _LITELLM.get(name)
    if field is None and name != b"x-litellm-tags":
        return
    where = name.decode("ascii")
    text = header_text(builder, value, where)
    if text is None:
        return
    if field is not None:
        builder.put_field(field, text, where)
    else:
        put_tag_list(builder, text.split(","), where)


def put_tag_list(builder: ClaimsBuilder, tags: Iterable[object], where: str) -> None:
    """Take LiteLLM tags: ``name:value`` or ``name=value`` where it is so, else a tag of its own."""
    for tag in tags:
        if not isinstance(tag, str) or not tag.strip():
            continue
        text = tag.strip()
        separator = ":" if ":" in text else "="
        name, found, value = text.partition(separator)
        if not (found and name and value.strip()):
            builder.put_tag(text, "true", f"a tag of {where}")
            continue
        field = field_named(name.strip())
        if field is not None:
            builder.put_field(field, value, f"{where} {field}")
        else:
            builder.put_tag(name.strip(), value, f"a tag of {where}")


def header_text(builder: ClaimsBuilder, value: bytes, where: str) -> str | None:
    """Decode a header value as UTF-8 (ASCII for nearly all), or note that it is not."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        builder.problem(f"{where} is not UTF-8 text")
        return None
