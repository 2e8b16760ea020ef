"""What is known of each API: where it is, which key it takes, how long it revises what it said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from tollbook.chargeback.statements.errors import FetchError

if TYPE_CHECKING:
    from tollbook.config.statements import Api, FetchSource, Statements


class KnownApi(NamedTuple):
    """Defaults of one API."""

    base_url: str
    key_env: str | None
    """None: credentials are found as AWS's own tools find them."""
    chunk: Literal["day", "month"]
    """What one statement covers; whole months keep what is fetched again the same statement."""
    window_days: int
    first_days: int
    interval_s: float
    has_now: bool = False
    """The day that has not ended can be asked for."""


KNOWN: Final[dict[str, KnownApi]] = {
    # Costs settle within days; usage "may not always reconcile perfectly".
    "openai": KnownApi("https://api.openai.com", "OPENAI_ADMIN_KEY", "month", 7, 90, 60, True),
    # "can be revised for up to 30 days"; "supports polling once per minute".
    "anthropic": KnownApi(
        "https://api.anthropic.com", "ANTHROPIC_ADMIN_KEY", "month", 30, 90, 60, True
    ),
    # The last 30 completed UTC days only.
    "openrouter": KnownApi(
        "https://openrouter.ai", "OPENROUTER_MANAGEMENT_KEY", "day", 2, 30, 60
    ),
    # Each request costs a cent; bills are final some days after the month.
    "aws": KnownApi("https://ce.us-east-1.amazonaws.com", None, "month", 15, 90, 3600, True),
    # "Costs are estimated until an invoice is generated", 72 hours after the month.
    "azure": KnownApi(
        "https://management.azure.com", "AZURE_ACCESS_TOKEN", "month", 35, 90, 300, True
    ),
    # "no delivery or latency guarantees"; late usage comes on the next month's invoice.
    "bigquery": KnownApi(
        "https://bigquery.googleapis.com", "GOOGLE_OAUTH_ACCESS_TOKEN", "month", 35, 90, 3600, True
    ),
}  # fmt: skip
_API_OF: Final[dict[str, Api]] = {
    "openai": "openai", "anthropic": "anthropic", "openrouter": "openrouter", "bedrock": "aws",
    "aws": "aws", "azure": "azure", "vertex": "bigquery", "gemini": "bigquery",
    "google": "bigquery",
}  # fmt: skip


class Resolved(NamedTuple):
    """A source with every default filled in."""

    provider: str
    api: Api
    settings: FetchSource
    base_url: str
    key_env: str | None
    chunk: Literal["day", "month"]
    window_days: int
    first_days: int
    interval_s: float
    has_now: bool


def resolve(name: str, statements: Statements, empty: FetchSource) -> Resolved:
    """Return how the statements of a provider are fetched.

    Args:
        name: of the provider, or of ``[statements.fetch.NAME]``.
        statements: the settings.
        empty: settings that say nothing.

    Raises:
        FetchError: which API it is is not known.
    """
    settings = statements.fetch.get(name, empty)
    api = settings.api or _API_OF.get(name)
    if api is None:
        raise FetchError(
            name, f"set [statements.fetch.{name}] api to one of {', '.join(sorted(KNOWN))}"
        )
    known = KNOWN[api]
    return Resolved(
        provider=name, api=api, settings=settings,
        base_url=(settings.base_url or known.base_url).rstrip("/"),
        key_env=settings.key_env or known.key_env, chunk=known.chunk,
        window_days=known.window_days if settings.window_days is None else settings.window_days,
        first_days=known.first_days if settings.first_days is None else settings.first_days,
        interval_s=known.interval_s if settings.interval_s is None else settings.interval_s,
        has_now=known.has_now,
    )  # fmt: skip
