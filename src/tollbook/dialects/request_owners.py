"""Owners that a request body names, in the provider's own fields or in LiteLLM's."""

from __future__ import annotations

import re
from typing import Any

from msgspec import Raw, Struct

from tollbook.dialects.request_body import any_of
from tollbook.identity.claims import Claims, Mechanism
from tollbook.identity.names import put_mapping
from tollbook.identity.values import ClaimsBuilder
from tollbook.identity.vendors import put_tag_list

_is_session = re.compile(r"user_[0-9a-f]{16,64}_account_[\w-]*_session_[\w-]+").fullmatch
"""What Claude Code puts there (older versions; newer ones put a JSON document, which is no id): a
hash of the machine, the account and the session. Taken as a user it would make a new one each
time."""


class Owners(Struct):
    """The members of a body that may name an owner."""

    metadata: Raw = Raw()
    litellm_metadata: Raw = Raw()
    tags: Raw = Raw()
    user: str | None = None
    """The API's own end-user field, which is either a user or, by configuration, a tenant."""
    user_where: str = ""
    """Its name; ``metadata.user_id`` is looked for in the metadata."""


def claims_from_body(owners: Owners, user_is: str) -> tuple[Claims, ...]:
    """Return the owners that a body names, LITELLM before PROVIDER_NATIVE.

    LiteLLM takes a list ``tags`` and an object ``litellm_metadata``; in ``metadata`` it keeps
    ``tags`` and ``spend_logs_metadata``. All else in ``metadata`` is the provider's own field.
    """
    litellm = ClaimsBuilder(Mechanism.LITELLM)
    native = ClaimsBuilder(Mechanism.PROVIDER_NATIVE)
    user = owners.user
    metadata = any_of(owners.metadata)
    if isinstance(metadata, dict):
        if owners.user_where == "metadata.user_id":
            user = metadata.pop("user_id", None)
        _put_litellm(litellm, metadata, "metadata")
        put_mapping(native, metadata, "metadata")
    litellm_metadata = any_of(owners.litellm_metadata)
    if isinstance(litellm_metadata, dict):
        _put_litellm(litellm, litellm_metadata, "litellm_metadata")
        put_mapping(litellm, litellm_metadata, "litellm_metadata")
    tags = any_of(owners.tags)
    if isinstance(tags, list):
        put_tag_list(litellm, tags, "tags")
    field = "tenant_id" if user_is == "tenant" else "user_id"
    # A safety identifier is usually a hash: beside a named user it would only seem to contradict.
    is_second = field in native.fields and owners.user_where == "safety_identifier"
    if isinstance(user, str) and not is_second:
        if _is_session(user):
            native.problem(
                f"{owners.user_where} is a session of Claude Code, new on every start; not used"
                f" as {field}"
            )
        else:
            native.put_field(field, user, owners.user_where)
    return tuple([claim for claim in (litellm.build(), native.build()) if claim is not None])


def _put_litellm(builder: ClaimsBuilder, mapping: dict[str, Any], where: str) -> None:
    listed = mapping.get("tags")
    if isinstance(listed, list):
        put_tag_list(builder, listed, f"{where}.tags")
    logged = mapping.get("spend_logs_metadata")
    if isinstance(logged, dict):
        put_mapping(builder, logged, f"{where}.spend_logs_metadata")
