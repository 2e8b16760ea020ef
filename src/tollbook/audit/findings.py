"""What was found: hits as rules make them, findings as people read them."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Mode(StrEnum):
    """A way in which attribution is lost or wrong; the first six are the usual ones."""

    SINGLE_KEY = "single-key"
    HEADER_STRIPPING = "header-stripping"
    BACKGROUND_JOBS = "background-jobs"
    STREAMING = "streaming"
    AGENT_RECURSION = "agent-recursion"
    EMBEDDINGS_RETRIEVAL = "embeddings-retrieval"
    MISSING_TENANT = "missing-tenant"  # and none of the six explains it
    BATCH_METADATA = "batch-metadata"
    BAGGAGE_NOT_COPIED = "baggage-not-copied"
    BAGGAGE_LEAK = "baggage-leak"
    IDENTITY_CONFLICT = "identity-conflict"
    IDENTITY_KIND = "identity-kind"
    UNTRUSTED_IDENTITY = "untrusted-identity"
    DOUBLE_COUNTING = "double-counting"
    RETRIES = "retries"
    MODEL_UNKNOWN = "model-unknown"
    TOKEN_KINDS = "token-kinds"  # noqa: S105 -- tokens of a model
    PRICE_MISSING = "price-missing"
    COST_MISMATCH = "cost-mismatch"
    SAMPLING = "sampling"
    CLOCK_SKEW = "clock-skew"
    METRICS_ONLY = "metrics-only"
    TRACE_DAMAGE = "trace-damage"


SIX = tuple(Mode)[:6]


class Severity(StrEnum):
    """How bad it is; the names are those of SARIF (section 3.27.10)."""

    ERROR = "error"  # money has no owner, or is counted wrongly
    WARNING = "warning"  # an answer may be wrong
    NOTE = "note"


class SpanRef(Struct, frozen=True):
    """A span as evidence."""

    trace_id: str
    span_id: str
    name: str
    service: str = ""
    scope: str = ""
    source: str = ""
    line: int | None = None


class Hop(Struct, frozen=True):
    """Where identity was last seen and first missing."""

    last_seen: SpanRef | None
    """None: it was never there."""
    first_missing: SpanRef
    crossing: str
    """What lies between: ``http``, ``queue``, ``thread``, ``process`` (another), ``within`` (one
    process), ``gateway``, ``start``, ``hole`` (a span between them did not come)."""
    is_change: bool = False
    """Nothing is missing: the second names another owner than the first."""


class Bar(Struct, frozen=True):
    """A span of a sketch: a line of a waterfall."""

    span_id: str
    name: str
    service: str
    depth: int
    start_us: int
    """From the start of the trace."""
    duration_us: int
    owner: str | None
    """The tenant as far as it is known here, its own or an ancestor's."""
    is_call: bool = False
    mark: str = ""
    """``last-seen``, ``first-missing``, ``affected`` or nothing."""


class Sketch(Struct, frozen=True):
    """The waterfall of one trace, cut to what matters."""

    trace_id: str
    bars: tuple[Bar, ...]
    left_out: int = 0


class Hit(Struct, frozen=True):
    """One occurrence, as a rule tells it; hits of the same place become one finding."""

    mode: Mode
    rule: str
    """``A01`` to ``A20`` of the rules, further ones after these."""
    severity: Severity
    title: str
    """One line, the same for all hits of a place; with names, without ids."""
    place: tuple[str, ...]
    """What hits are brought together by, beside mode and rule: service, instrumentation, names."""
    span: str
    """``trace_id:span_id`` of the span that proves it."""
    evidence: tuple[SpanRef, ...]
    calls: int = 1
    cost_pico: int | None = None
    """Of these calls; None where it is not known."""
    unpriced_calls: int = 0
    hop: Hop | None = None
    is_cause: bool = False
    """Whether it says why a call has no owner: one hit at most for each call."""
    framework: str = ""
    """What was recognised: ``celery``, ``langchain``, ``openai``, ``litellm-proxy``, ..."""
    factor_millis: int | None = None
    """By how many thousandths sums are wrong, where that can be said (2000 is twice)."""
    sketch: Sketch | None = None
    affected: tuple[str, ...] = ()
    """``trace_id:span_id`` of all its calls; where empty, ``span`` is the call."""
    traces: int | None = None
    """In so many traces, where a rule counted over all of them; None is the one of ``span``."""
    free_calls: int = 0
    """Of ``calls``, those that the provider did not charge: they have nothing to defend."""
    group: str = ""
    """What its calls were told by as they came, where ``affected`` does not name them."""


class Advice(Struct, frozen=True):
    """The smallest change that mends a finding."""

    title: str
    why: str
    language: str
    """Of the snippet: python, yaml, toml, ini, bash, text."""
    snippet: str
    """With OpenTelemetry, or with what the framework has of its own."""
    page: str = ""
    """Of the documentation."""
    with_tollbook: str = ""
    """The same with Tollbook's SDK, gateway or settings, where that is another way."""
    with_tollbook_language: str = "python"


class Finding(Struct, frozen=True):
    """All hits of one place."""

    finding_id: str
    """Short and the same whenever the same place is found: for comparison and for SARIF."""
    mode: Mode
    rule: str
    severity: Severity
    title: str
    evidence: tuple[SpanRef, ...]
    """Some of them, the first; ``hits`` says how many there were."""
    hits: int
    traces: int
    calls: int
    cost_pico: int
    """Of the calls whose cost is known."""
    unpriced_calls: int = 0
    hop: Hop | None = None
    is_cause: bool = False
    framework: str = ""
    factor_millis: int | None = None
    sketch: Sketch | None = None
    fix: Advice | None = None
    score_after: int | None = None
    """The score, in thousandths, were this one mended."""
