"""``[statements]``: what providers say was used and costs, and how it is fetched."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Above0 = Annotated[float, Meta(gt=0)]
Days = Annotated[int, Meta(ge=0, le=400)]
SourceName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Api = Literal["openai", "anthropic", "openrouter", "aws", "azure", "bigquery"]


class FetchSource(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """``[statements.fetch.NAME]``: where the statements of a provider are fetched.

    What is unset is what the API's own documentation says.
    """

    api: Api | None = None
    """Which API answers; unset: that of the provider of this name."""
    base_url: str | None = None
    """Where it is, if not at the provider's own address."""
    key_env: str | None = None
    """Variable with the key or token: an admin key of OpenAI (``OPENAI_ADMIN_KEY``) or Anthropic
    (``ANTHROPIC_ADMIN_KEY``), a management key of OpenRouter (``OPENROUTER_MANAGEMENT_KEY``), a
    token of Azure (``AZURE_ACCESS_TOKEN``) or Google (``GOOGLE_OAUTH_ACCESS_TOKEN``, else
    application default credentials). AWS finds its own."""
    account: str | None = None
    """Name of the account that the key is of, where its answers do not name one."""
    scope: str | None = None
    """Azure: ``subscriptions/ID`` or ``providers/Microsoft.Billing/billingAccounts/ID``."""
    table: str | None = None
    """BigQuery: ``project.dataset.table`` of the billing export."""
    project: str | None = None
    """BigQuery: project that runs the query; unset: that of the table."""
    bucket: Literal["1h", "1d"] = "1d"
    """Width of the buckets of usage, where the API has a choice."""
    window_days: Days | None = None
    """So many days may still be revised, and are fetched again each time."""
    first_days: Days | None = None
    """How far back the first fetch goes."""
    interval_s: Above0 | None = None
    """Asked at most once in this time."""


class Statements(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """``[statements]``: providers' statements."""

    prefer: list[str] = []
    """Sources that tell the same money, the preferred first, before those of the built-in order."""
    fetch: dict[SourceName, FetchSource] = {}
    """See [statements.fetch.NAME]."""
    timeout_s: Above0 = 60.0
    """Longest wait for an answer's next bytes."""
    total_timeout_s: Above0 = 900.0
    """Longest that the fetching of one statement may take, waiting and repeating included."""
    max_page_bytes: Annotated[int, Meta(ge=65_536)] = 32 * 1024 * 1024
    """Largest page of an API that is read."""
