"""Every setting with its type and default. Units are in the names."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from tollbook.config.alerts import Alerts
from tollbook.config.batch import Batch
from tollbook.config.budgets import Budget
from tollbook.config.budgets_shared import BudgetsShared
from tollbook.config.credentials import (
    REFRESH_S,
    TIMEOUT_S,
    Auth,
    ClientKeys,
    Command,
    KeySource,
    check_provider,
)
from tollbook.config.export import Export
from tollbook.config.finance import Finance
from tollbook.config.identity import IdentitySettings
from tollbook.config.known_providers import KNOWN_PROVIDERS
from tollbook.config.people import Console, Oidc
from tollbook.config.receiver import Receiver
from tollbook.config.routes import ModelRoute, Retries
from tollbook.config.statements import Statements
from tollbook.config.tagging import Tags

Port = Annotated[int, Meta(ge=1, le=65535)]
Seconds = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
Name = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$",
        description="a name of at most 63 lower-case letters, digits, - and _",
    ),
]
HttpUrl = Annotated[
    str,
    Meta(
        pattern=r"^https?://[^\s/]+(/[^\s?#]*)?$",
        description="a URL such as https://host/path",
    ),
]
MemorySize = Annotated[
    str,
    Meta(pattern=r"^\d+(\.\d+)?(MB|GB|MiB|GiB)$", description="a size such as 4GB or 512MiB"),
]
"""As DuckDB reads it."""

DisconnectPolicy = Literal["drain", "abort"]


class Provider(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """``[providers.NAME]``: one upstream API, reached under ``/NAME/...``."""

    dialect: Literal["openai", "azure", "anthropic", "gemini", "bedrock", "cohere", "ollama"]
    """Which API the server speaks; OpenAI-compatible servers speak openai, Vertex AI gemini."""
    base_url: HttpUrl
    """Where it is, without the part that clients add (``/v1/...``)."""
    api_key_env: str | None = None
    """Variable that holds the provider key, sent for callers that present a virtual key."""
    api_key_file: str | None = None
    """File that holds the provider key; goes before the variable, read again when it changes."""
    api_key_command: Command | None = None
    """Program and arguments that print the provider key, run without a shell; goes before both."""
    api_key_refresh_s: Seconds = REFRESH_S
    """The command runs again after this long, or before the key that it printed expires."""
    api_key_timeout_s: Seconds = TIMEOUT_S
    """Longest run of the command."""
    api_keys: list[KeySource] = []
    """Several keys, used by weight, in turn; each from ``env``, ``file`` or ``command``."""
    auth: Auth | None = None
    """How the key is sent: ``key`` as the API has it; ``entra`` as a bearer token; ``google`` takes
    a token of Google's application default credentials; ``aws`` signs with AWS credentials, the
    default of dialect bedrock where no key is set."""
    google_credentials_file: str | None = None
    """File of a service account; unset: application default credentials."""
    aws_region: str | None = None
    """Region to sign for; unset: that of base_url, else that of the AWS configuration."""
    aws_profile: str | None = None
    """Profile of the AWS configuration files to sign with."""
    headers: dict[str, str] = {}
    """Sent with every call but those with a caller's own key (``OpenAI-Organization``, ...)."""
    client_keys: ClientKeys | None = None
    """Overrides [gateway] client_keys for this provider."""
    client_account_headers: bool = False
    """Let callers with a virtual key choose ``OpenAI-Organization`` and ``OpenAI-Project``."""
    tags: Tags = field(default_factory=Tags)
    """See [providers.NAME.tags]."""
    list_prices: str | None = None
    """Provider id in genai-prices whose list prices apply; unset: by name, then by dialect."""
    models: dict[str, str] = {}
    """Deployments, inference profiles and aliases, each with the model that it is priced as."""
    reported_cost: Literal["keep", "use"] | None = None
    """The provider's own figure of a call's cost, where its answers have one: kept beside ours, or
    used as the cost. Unset: used for OpenRouter and Perplexity, else kept."""
    ca_file: str | None = None
    """Certificates to trust instead of the system's, in PEM."""
    connect_timeout_s: Seconds = 10.0
    """Longest wait for a connection, TLS included; then the caller gets 504."""
    first_byte_timeout_s: Seconds = 600.0
    """Longest wait for the head of a response; then the caller gets 504."""
    idle_timeout_s: Seconds = 300.0
    """Longest pause within a response; then it counts as broken off."""
    max_connections: Count = 4096
    """Per worker; further requests wait for a free connection up to connect_timeout_s."""
    keepalive_s: Seconds = 50.0
    """An idle connection is closed after this long, before the provider would close it."""
    client_disconnect: DisconnectPolicy | None = None
    """Overrides [gateway] client_disconnect for this provider."""
    inject_stream_usage: bool = True
    """Ask for usage in streams; False for servers that refuse stream_options."""
    retries: Retries = 0
    """Further attempts at a metered request under ``/NAME/`` that failed in a passing way."""
    default: bool = False
    """Serves requests under ``/v1/`` that no route matches, where several speak its dialect."""

    def __post_init__(self) -> None:
        check_provider(self)


class Gateway(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """``[gateway]``: the data plane."""

    host: str = "127.0.0.1"
    """Address it listens on; by default nobody else on the network can reach it."""
    port: Port = 8080
    """Port it listens on."""
    workers: Annotated[int, Meta(ge=1, le=128)] = 1
    """Processes that share the port; about one per core."""
    max_header_bytes: Count = 65_536
    """Largest head of a request; a larger one gets 431."""
    max_headers: Count = 256
    """Most header fields of a request; more get 431."""
    max_url_bytes: Count = 8192
    """Longest request target; a longer one gets 414."""
    max_inspected_body_bytes: Count = 64 * 1024 * 1024
    """Largest body of a metered endpoint, which is read whole before it is forwarded."""
    max_body_bytes: Count = 1024 * 1024 * 1024
    """Largest body of any other endpoint, which is streamed through."""
    max_metered_response_bytes: Count = 64 * 1024 * 1024
    """Largest plain answer whose usage is read; a larger one passes and is estimated."""
    header_timeout_s: Seconds = 30.0
    """Longest time from the first byte of a head to its last."""
    body_timeout_s: Seconds = 120.0
    """Longest pause between two reads of a request body."""
    keepalive_s: Seconds = 75.0
    """How long an idle client connection is kept."""
    shutdown_timeout_s: Seconds = 30.0
    """How long calls in flight may take to end when the gateway stops."""
    max_client_connections: Count = 20_000
    """Per worker; further ones are refused."""
    client_disconnect: DisconnectPolicy = "drain"
    """When a client hangs up: read on to the real usage, or stop paying and estimate."""
    drain_timeout_s: Seconds = 120.0
    """How long a stream is read on after its client hung up."""
    drain_max_bytes: Count = 16 * 1024 * 1024
    """How much of a stream is read on after its client hung up."""
    max_draining: Count = 1000
    """Streams drained at once in one worker; beyond it the policy is abort."""
    max_sockets: Count = 2000
    """WebSockets at once in one worker; further ones are refused."""
    socket_idle_timeout_s: Seconds = 900.0
    """A WebSocket without a byte in either direction for this long is closed."""
    max_metered_message_bytes: Count = 16 * 1024 * 1024
    """Largest WebSocket message that is read; a larger one passes and is estimated."""
    client_keys: ClientKeys = "forward"
    """What happens to a caller's own provider key: sent on as it is, or refused with 401."""
    environment: str = "production"
    """Environment of calls that do not name one."""
    report_cost: Literal["on_request", "always", "never"] = "on_request"
    """Whether answers say what they cost; on request is with ``x-tollbook-report: cost``."""
    layers: bool = True
    """Whether the structure of requests is read, for reports by layer; false saves its time."""
    strict: bool = False
    """Refuse requests while the spool cannot be written, instead of metering in memory."""


class ResponseCacheSettings(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """``[response_cache]``: answers given again to an equal request of the same tenant."""

    enabled: bool = False
    """Whether there is one; in memory, one for each worker."""
    requests: Literal["on_request", "all"] = "on_request"
    """Which requests use it: those with ``x-tollbook-cache: use``, or all that are metered."""
    per: Literal["tenant", "user"] = "tenant"
    """Who shares answers. Without a known tenant (or user) nothing is kept."""
    ttl_s: Seconds = 3600.0
    """How long an answer may be given again."""
    max_bytes: Annotated[int, Meta(ge=65_536)] = 64 * 1024 * 1024
    """Memory for answers in one worker; no answer may take more than an eighth."""


class Store(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """``[store]``: where everything durable lives."""

    dir: str = "tollbook-data"
    """Data directory: spool, ledger and books."""


class Spool(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """``[spool]``: the hand-over between gateway and ledger."""

    segment_max_bytes: Annotated[int, Meta(ge=4096)] = 64 * 1024 * 1024
    """Size at which a new segment file is begun."""
    sync_interval_s: Seconds = 1.0
    """How often written frames are forced to disk (a killed process loses nothing anyway)."""
    memory_ring_bytes: Annotated[int, Meta(ge=65_536)] = 64 * 1024 * 1024
    """What is kept in memory while the disk refuses writes."""
    retain_h: Annotated[float, Meta(ge=0)] = 72.0
    """How long consumed segments are kept as evidence."""


class Ledger(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """``[ledger]``: enrichment and storage."""

    poll_interval_s: Seconds = 0.5
    """How often the spool is looked at."""
    batch_calls: Count = 20_000
    """Most calls committed in one transaction."""
    memory_limit: MemorySize = "4GB"
    """What DuckDB may use."""
    late_identity_window_h: Annotated[float, Meta(ge=0)] = 168.0
    """How long after a call its tenant may become known, from its trace or another observer; what
    comes later is kept, and changes nothing."""
    spans_retain_days: Annotated[float, Meta(gt=0)] = 35.0
    """How long spans, and what SDKs, spans and imports said of calls, are kept beside entries."""


class PriceCard(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """``[[prices]]``: a dated price that goes before the list price.

    Either ``discount_percent`` off the list price, or own rates in US dollars per million tokens
    (searches, sessions, search units and requests: per thousand; ``images`` each;
    ``audio_minutes`` per minute; ``characters`` per million). A rate that is not given follows the
    nearest one that is (reasoning follows output, cache kinds follow input) and is flagged.
    """

    provider: str
    """Configured provider name."""
    model: str
    """Model name, ``*`` and ``?`` as in file names; matched against the model that answered and
    against the price list's name for it."""
    service_tier: str | None = None
    """Tier the card is for (``batch``, ``priority``, ``batch+fast``, ``standard``), ``*`` and ``?``
    as above; unset: any, and a tier that own rates were not made for is flagged."""
    region: str | None = None
    """Region the card is for (``eu-*``), as above; unset: any."""
    effective_from: str
    """Date (midnight UTC) or date and time with offset; the first moment the card applies."""
    effective_until: str | None = None
    """First moment the card no longer applies."""
    discount_percent: Decimal | None = None
    """Off every rate of the list price, tiers and context steps included."""
    input: Decimal | None = None
    """USD per million tokens of uncached input."""
    cache_read: Decimal | None = None
    """USD per million tokens read from a cache."""
    cache_write_5m: Decimal | None = None
    """USD per million tokens written to a cache for 5 minutes."""
    cache_write_1h: Decimal | None = None
    """USD per million tokens written to a cache for an hour."""
    input_audio: Decimal | None = None
    """USD per million tokens of audio input."""
    cache_read_audio: Decimal | None = None
    """USD per million tokens of audio read from a cache."""
    input_image: Decimal | None = None
    """USD per million tokens of image input."""
    cache_read_image: Decimal | None = None
    """USD per million tokens of images read from a cache."""
    input_video: Decimal | None = None
    """USD per million tokens of video input."""
    output: Decimal | None = None
    """USD per million tokens of visible output."""
    reasoning: Decimal | None = None
    """USD per million tokens of reasoning."""
    output_audio: Decimal | None = None
    """USD per million tokens of audio output."""
    output_image: Decimal | None = None
    """USD per million tokens of generated images."""
    citation: Decimal | None = None
    """USD per million tokens of cited text."""
    web_search_requests: Decimal | None = None
    """USD per thousand web searches."""
    file_search_requests: Decimal | None = None
    """USD per thousand searches in stored files."""
    code_sessions: Decimal | None = None
    """USD per thousand sessions of a code interpreter."""
    search_units: Decimal | None = None
    """USD per thousand rerank searches."""
    images: Decimal | None = None
    """USD per generated image."""
    audio_minutes: Decimal | None = None
    """USD per minute of audio."""
    characters: Decimal | None = None
    """USD per million characters of text to be spoken."""
    requests: Decimal | None = None
    """USD per thousand requests."""
    reason: str | None = None
    """Why the card exists: the contract, the order form."""


def known_providers() -> dict[Name, Provider]:
    """Return the providers whose sections need not say how they are reached."""
    return {
        "openai": Provider(
            dialect="openai",
            base_url="https://api.openai.com",
            api_key_env="OPENAI_API_KEY",
            default=True,
        ),
        "anthropic": Provider(
            dialect="anthropic",
            base_url="https://api.anthropic.com",
            api_key_env="ANTHROPIC_API_KEY",
        ),
        "bedrock": Provider(
            dialect="bedrock",
            base_url="https://bedrock-runtime.us-east-1.amazonaws.com",
            api_key_env="AWS_BEARER_TOKEN_BEDROCK",
            list_prices="aws",
        ),
        **{
            one.name: Provider(
                dialect=one.dialect,
                base_url=one.base_url,
                api_key_env=one.api_key_env,
                list_prices=one.list_prices,
                inject_stream_usage=one.inject_stream_usage,
            )
            for one in KNOWN_PROVIDERS
        },
    }


def default_providers() -> dict[Name, Provider]:
    """Return the providers that need no configuration but their key.

    A server of one's own that asks for no key is reached only once a section names it: the gateway
    would open it to whoever reaches the gateway.
    """
    return {name: one for name, one in known_providers().items() if one.api_key_env is not None}


class Config(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The whole of ``tollbook.toml``."""

    gateway: Gateway = field(default_factory=Gateway)
    providers: dict[Name, Provider] = field(default_factory=default_providers)
    routes: dict[Name, ModelRoute] = {}
    response_cache: ResponseCacheSettings = field(default_factory=ResponseCacheSettings)
    identity: IdentitySettings = field(default_factory=IdentitySettings)
    store: Store = field(default_factory=Store)
    spool: Spool = field(default_factory=Spool)
    ledger: Ledger = field(default_factory=Ledger)
    console: Console = field(default_factory=Console)
    oidc: Oidc = field(default_factory=Oidc)
    receiver: Receiver = field(default_factory=Receiver)
    batch: Batch = field(default_factory=Batch)
    finance: Finance = field(default_factory=Finance)
    export: Export = field(default_factory=Export)
    statements: Statements = field(default_factory=Statements)
    alerts: Alerts = field(default_factory=Alerts)
    prices: list[PriceCard] = []
    budgets: list[Budget] = []
    budgets_shared: BudgetsShared = field(default_factory=BudgetsShared)
