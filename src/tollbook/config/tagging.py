"""Settings that say what a provider is told of whose call it is; nothing by default."""

from __future__ import annotations

import re
from typing import Final, Literal

from msgspec import Struct

Tagging = Literal["off", "plain", "pseudonym"]

_PROFILE: Final = re.compile(r"[A-Za-z0-9:/._-]{1,256}")


class Tags(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """``[providers.NAME.tags]``: what is written into the provider's own fields.

    So that its exports can be joined with the ledger. What the client set itself stays.
    """

    tenant: Tagging = "off"
    """The tenant: not at all, as it is, or as a keyed pseudonym."""
    user: Tagging = "off"
    """The user of the tenant."""
    feature: Tagging = "off"
    """The feature."""
    workflow: Tagging = "off"
    """The workflow."""
    run: Tagging = "off"
    """The agent run."""
    end_user: Literal["user", "tenant"] = "user"
    """Who stands in the one field that names an end user (``safety_identifier``, ``user``,
    ``metadata.user_id``): the user where it is tagged, else the tenant; or always the tenant."""
    end_user_field: Literal["safety_identifier", "user"] | None = None
    """OpenAI API: which field that is; unset: ``user`` at OpenRouter, else
    ``safety_identifier``."""
    metadata: bool | None = None
    """OpenAI API: whether the server takes ``metadata``; unset: not at OpenRouter."""
    profiles: dict[str, str | dict[str, str]] = {}
    """Bedrock: application inference profile (ARN) of each tenant, asked for instead of the model
    that the client named; or a table of model to ARN, as a profile is made of one model."""

    def __post_init__(self) -> None:
        for tenant, given in self.profiles.items():
            for profile in [given] if isinstance(given, str) else given.values():
                if not _PROFILE.fullmatch(profile):
                    raise ValueError(f"profiles: {profile!r} of {tenant} is no ARN or profile id")

    @property
    def is_on(self) -> bool:
        """Whether anything is told."""
        return bool(self.profiles) or any(kind != "off" for kind in self._kinds)

    @property
    def needs_secret(self) -> bool:
        """Whether pseudonyms are made."""
        return "pseudonym" in self._kinds

    @property
    def _kinds(self) -> tuple[Tagging, ...]:
        return (self.tenant, self.user, self.feature, self.workflow, self.run)
