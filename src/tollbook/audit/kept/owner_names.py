"""Which attributes name an owner, and which of them is believed before others.

The order is that of the ledger (:mod:`tollbook.capture.otlp.owners`), so that the audit says of a
call what the ledger would book; after it come names that teams use for a tenant where nobody told
them a convention (``customer.id``, ``org_id``), since OpenTelemetry has none.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from tollbook.identity.names import BAGGAGE_KEYS, field_named

CHOSEN: Final = 0
"""By the settings of the audit."""
_BAGGAGE: Final = 1
_FREE: Final = 2
DOCUMENT: Final = 3
_TOOL: Final = 4
_HABIT: Final = 5

DOCUMENTS: Final = frozenset(
    {"metadata", "langfuse.trace.metadata", "langfuse.observation.metadata",
     "metadata.requester_metadata", "metadata.spend_logs_metadata",
     "litellm.metadata.spend_logs_metadata"}
)  # fmt: skip
"""Names and values as JSON text in one attribute (OpenInference, Langfuse, LiteLLM)."""
_PREFIXES: Final = (
    "tollbook.identity.",
    "traceloop.association.properties.",
    "langfuse.trace.metadata.",
    "langfuse.observation.metadata.",
    "ai.telemetry.metadata.",
    "litellm.metadata.",
    "metadata.",
    "ls_metadata.",
    "langsmith.metadata.",
    "helicone.property.",
    "app.",
)
_TOOLS: Final[dict[str, str]] = {
    "langfuse.user.id": "user_id",
    "gen_ai.user.id": "user_id",
    "gen_ai.request.user": "user_id",
    "llm.user": "user_id",
    "litellm.end_user.id": "user_id",
    "metadata.user_api_key_end_user_id": "user_id",
    "metadata.user_api_key_user_id": "user_id",
    "usr.id": "user_id",
    "litellm.team.id": "team_id",
    "litellm.team_id": "team_id",
    "metadata.user_api_key_team_id": "team_id",
    "traceloop.workflow.name": "workflow_id",
    "gen_ai.workflow.name": "workflow_id",
    "traceloop.entity.name": "workflow_step",
    "ai.telemetry.functionId": "feature",
    "langfuse.environment": "environment",
}
_OWN: Final = ("user_api_key", "requester_", "litellm_", "ls_", "lc_")
"""What LiteLLM and LangChain write of themselves among an application's names."""
_HABITS: Final[dict[str, str]] = {
    "tenant": "tenant_id",
    "tenantid": "tenant_id",
    "tenant_name": "tenant_id",
    "customer": "tenant_id",
    "customer_id": "tenant_id",
    "customerid": "tenant_id",
    "org_id": "tenant_id",
    "orgid": "tenant_id",
    "organization_id": "tenant_id",
    "organizationid": "tenant_id",
    "organisation_id": "tenant_id",
    "account_id": "tenant_id",
    "accountid": "tenant_id",
    "workspace_id": "tenant_id",
    "workspaceid": "tenant_id",
    "company_id": "tenant_id",
    "companyid": "tenant_id",
    "userid": "user_id",
    "team": "team_id",
    "teamid": "team_id",
}


def habit_of(name: str) -> str | None:
    """Return the field that a name means where no convention says so, if any."""
    return _HABITS.get(name.lower().replace(".", "_").replace("-", "_"))


def free_field(name: str) -> str | None:
    """Return the field that a name means which the application chose, if any."""
    if name.startswith(_OWN):
        return None
    return field_named(name) or habit_of(name)


@lru_cache(maxsize=20_000)
def rank_of(name: str) -> tuple[int, str] | None:
    """Return how soon an attribute is believed (0 first) and the field that it names, if any.

    A document holds several fields; the name of it comes back as the field.
    """
    field = BAGGAGE_KEYS.get(name)
    if field is not None:
        return _BAGGAGE, field
    if name in DOCUMENTS:
        return DOCUMENT, ""
    field = _TOOLS.get(name)
    if field is not None:
        return _TOOL, field
    for prefix in _PREFIXES:
        if name.startswith(prefix):
            field = free_field(name[len(prefix) :])
            return None if field is None else (_FREE, field)
    field = habit_of(name)
    return None if field is None else (_HABIT, field)
