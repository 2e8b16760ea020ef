"""What a provider is told of whose call it is, by its policy; nothing without one.

Applied when the bytes of a request are made, for the provider that gets them: what a fallback is
told is its own policy's business.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final

from msgspec import structs

from tollbook.dialects.base import NativeTags
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.call import Identity
    from tollbook.capture.gateway.admission import Admitted
    from tollbook.config import Config
    from tollbook.config.schema import Provider
    from tollbook.config.tagging import Tagging
    from tollbook.dialects.base import Dialect, RequestFacts

_DIGITS: Final = 32
_MIN_SECRET_BYTES: Final = 16
_PROFILE_MARK: Final = "application-inference-profile/"


class SecretError(TollbookError):
    """The secret of pseudonyms is missing or weak."""

    def __init__(self, variable: str | None) -> None:
        what = "is not set" if variable is None else f"{variable} holds fewer than 16 characters"
        super().__init__(
            f"identity.pseudonym_secret_env: {what}, and [providers.NAME.tags] asks for pseudonyms;"
            " name a variable that holds 16 characters or more"
        )


def pseudonym_secret(config: Config, environ: Mapping[str, str]) -> bytes:
    """Return the secret of pseudonyms, empty where no provider's policy needs one.

    Raises:
        SecretError: it is needed and missing, or shorter than 16 characters.
    """
    if not any(provider.tags.needs_secret for provider in config.providers.values()):
        return b""
    variable = config.identity.pseudonym_secret_env
    if variable is None:
        raise SecretError(None)
    secret = environ.get(variable, "").strip().encode("utf-8", "surrogateescape")
    if len(secret) < _MIN_SECRET_BYTES:
        raise SecretError(variable)
    return secret


def pseudonym(secret: bytes, kind: str, value: str) -> str:
    """Return ``tb-`` and 32 hex digits: HMAC-SHA256 (RFC 2104) of kind, a zero byte and value.

    Stable while the secret is, the same for every provider, and lower case, as labels must be.
    """
    message = f"{kind}\0{value}".encode("utf-8", "surrogatepass")
    return "tb-" + hmac.digest(secret, message, "sha256").hex()[:_DIGITS]


class Tagger:
    """The policy of one provider."""

    def __init__(self, name: str, provider: Provider, dialect: Dialect, secret: bytes) -> None:
        self._tags = tags = provider.tags
        self._dialect = dialect
        self._secret = secret
        is_openrouter = "openrouter" in {name, provider.list_prices}
        self._end_user_field = tags.end_user_field or (
            "user" if is_openrouter else "safety_identifier"
        )
        self._has_metadata = not is_openrouter if tags.metadata is None else tags.metadata

    def told(
        self, admitted: Admitted, facts: RequestFacts, identity: Identity
    ) -> tuple[Admitted, RequestFacts]:
        """Return the request as the provider gets it."""
        route = admitted.route
        tags = self._native(identity)
        if tags is not None:
            lines = b"".join(
                [
                    b"%b: %b\r\n" % (name, value)
                    for name, value in self._dialect.tag_headers(route, tags)
                    if name not in admitted.lines  # the client set its own
                ]
            )
            body = facts.body
            if route.inspects_body and body:
                body = self._dialect.with_tags(route, body, tags)
            if lines or body is not facts.body:
                facts = structs.replace(facts, body=body, lines=facts.lines + lines)
        profile = self._profile(identity, route.model or facts.model)
        if profile is not None:
            changed = self._dialect.with_model(route, admitted.target, facts.body, profile)
            if changed is not None:
                admitted = admitted._replace(target=changed.target)
                facts = structs.replace(facts, body=changed.body)
        return admitted, facts

    def _native(self, identity: Identity) -> NativeTags | None:
        """Return the tags of an owner, None where the policy or the owner gives none."""
        policy = self._tags
        tenant = self._written(policy.tenant, "tenant", identity.tenant_id)
        user = identity.user_id
        if user is not None and policy.user == "pseudonym":
            # Users are their tenant's: the same name under two tenants is two users.
            user = f"{identity.tenant_id or ''}\0{user}"
        user = self._written(policy.user, "user", user)
        feature = self._written(policy.feature, "feature", identity.feature)
        workflow = self._written(policy.workflow, "workflow", identity.workflow_id)
        run = self._written(policy.run, "run", identity.agent_run_id)
        if not (tenant or user or feature or workflow or run):
            return None
        return NativeTags(
            tenant=tenant,
            user=user,
            feature=feature,
            workflow=workflow,
            run=run,
            end_user=tenant if policy.end_user == "tenant" else user or tenant,
            end_user_field=self._end_user_field,
            has_metadata=self._has_metadata,
        )

    def _written(self, how: Tagging, kind: str, value: str | None) -> str | None:
        if how == "off" or not value:
            return None
        return value if how == "plain" else pseudonym(self._secret, kind, value)

    def _profile(self, identity: Identity, model: str | None) -> str | None:
        """Return what to ask for instead of a model; a profile that the client chose stays."""
        if identity.tenant_id is None or model is None or _PROFILE_MARK in model:
            return None
        given = self._tags.profiles.get(identity.tenant_id)
        return given.get(model) if isinstance(given, dict) else given


def tagger_for(name: str, provider: Provider, dialect: Dialect, secret: bytes) -> Tagger | None:
    """Return the policy of a provider, None where nothing is told."""
    return Tagger(name, provider, dialect, secret) if provider.tags.is_on else None
