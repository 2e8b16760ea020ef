"""``[routes.NAME]``: the targets that may serve a model, their order, what follows a failure."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct, field

Strategy = Literal["weighted", "latency", "cost", "ordered"]
StickyBy = Literal["key", "tenant", "user"]
Cause = Literal["connect", "timeout", "disconnect", "status"]
HttpErrorStatus = Annotated[int, Meta(ge=300, le=599, description="an HTTP status, 300 to 599")]
Retries = Annotated[int, Meta(ge=0, le=10, description="a whole number from 0 to 10")]
Weight = Annotated[float, Meta(gt=0, le=1_000_000, description="a number above 0, at most 1000000")]
Duration = Annotated[float, Meta(gt=0, le=86_400, description="a number of seconds above 0")]
ModelPattern = Annotated[
    str, Meta(min_length=1, max_length=256, description="a model's name, with * and ? for any text")
]

RETRY_ON: Final[list[Cause | int]] = ["connect", "timeout", "disconnect", "status"]
FALLBACK_ON: Final[list[Cause | int]] = [*RETRY_ON, 401, 402, 403, 404, 429]


class RouteTarget(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One of ``targets`` or ``fallbacks``: a provider, and the model to ask it for."""

    provider: str
    """Name of a configured provider."""
    model: ModelPattern | None = None
    """Its own name of the model; unset leaves what the client asked for."""
    weight: Weight = 1.0
    """Share among the targets, for strategy ``weighted``."""
    connect_timeout_s: Duration | None = None
    """Longest wait for a connection, where that is less than the provider's."""
    first_byte_timeout_s: Duration | None = None
    """Longest wait for the head of an answer, instead of the provider's."""
    prefix: (
        Annotated[
            str,
            Meta(pattern=r"^(/[A-Za-z0-9._~-]+)*$", description="a path such as /v1, or nothing"),
        ]
        | None
    ) = None
    """What ``/v1`` of a request becomes at this provider; unset: ``/openai/v1`` at Groq's own
    address, else ``/v1``."""


class Breaker(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """``[routes.NAME.breaker]``: when a target is left alone for a while."""

    failures: Annotated[int, Meta(ge=0, le=10_000)] = 5
    """So many failures within ``window_s`` open it; 0 turns it off."""
    window_s: Duration = 30.0
    """Over which failures are counted."""
    open_s: Duration = 15.0
    """How long nothing is sent; then one request probes, and its outcome decides."""


class ModelRoute(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """``[routes.NAME]``: requests under ``/v1/`` by their model, inside one dialect."""

    models: Annotated[
        list[ModelPattern], Meta(min_length=1, description="a list of model names or patterns")
    ]
    """Models served, ``*`` and ``?`` as in file names; the first route that matches is taken."""
    targets: Annotated[
        list[RouteTarget], Meta(min_length=1, description="a list of at least one target")
    ]
    """Which may serve them: ``{provider = "openai", model = "gpt-4o", weight = 3}``."""
    dialect: str | None = None
    """The API of all targets; unset for that of the first one's provider."""
    strategy: Strategy = "weighted"
    """Order of the targets: by chance and weight, by time to first byte, by price, as listed."""
    sticky_by: StickyBy | None = None
    """Same caller, same target (strategy ``weighted``), so that its prompt cache is of use."""
    retries: Retries = 2
    """Further attempts among the targets after the first one failed."""
    retry_on: list[Cause | HttpErrorStatus] = field(default_factory=lambda: list(RETRY_ON))
    """Failures worth another attempt; ``status`` are those its API calls temporary (429, 5xx)."""
    backoff_base_s: Duration = 0.5
    """Wait before a target is tried again: by chance up to this, doubled each time."""
    backoff_max_s: Duration = 8.0
    """Most that this wait grows to."""
    max_wait_s: Duration = 20.0
    """Most that one request waits in all; a longer ``Retry-After`` is answered at once."""
    fallbacks: list[RouteTarget] = []
    """Further targets, tried once each in this order when the first ones failed."""
    fallback_on: list[Cause | HttpErrorStatus] = field(default_factory=lambda: list(FALLBACK_ON))
    """Failures after which targets not yet tried, then the fallbacks, are tried."""
    breaker: Breaker = field(default_factory=Breaker)
    """See the next section."""
