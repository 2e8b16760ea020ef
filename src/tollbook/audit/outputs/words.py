"""Values as people read them in a report, and the names of modes.

Amounts come from integers of 10^-12 USD; no float touches them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from tollbook.audit.findings import Mode, Severity
from tollbook.money import PICO_PER_USD

NOTHING: Final = "\N{EM DASH}"
MINUS: Final = "\N{MINUS SIGN}"
_PICO_DIGITS: Final = 12
_COUNTING_DIGITS: Final = 4
_US_PER_MS: Final = 1000
_US_PER_S: Final = 1_000_000
_S_PER_MIN: Final = 60
_NS_PER_S: Final = 1_000_000_000

MODES: Final = MappingProxyType(
    {
        Mode.SINGLE_KEY: "Gateway as a single key",
        Mode.HEADER_STRIPPING: "Identity headers stripped",
        Mode.BACKGROUND_JOBS: "Background jobs and workers",
        Mode.STREAMING: "Streaming",
        Mode.AGENT_RECURSION: "Agent and tool recursion",
        Mode.EMBEDDINGS_RETRIEVAL: "Embeddings and retrieval",
        Mode.MISSING_TENANT: "No tenant",
        Mode.BATCH_METADATA: "Batch without metadata",
        Mode.BAGGAGE_NOT_COPIED: "Baggage not copied to spans",
        Mode.BAGGAGE_LEAK: "Identity sent to third parties",
        Mode.IDENTITY_CONFLICT: "Conflicting identities",
        Mode.IDENTITY_KIND: "Identity of the wrong kind",
        Mode.UNTRUSTED_IDENTITY: "Identity that anybody could claim",
        Mode.DOUBLE_COUNTING: "Counted twice",
        Mode.RETRIES: "Retries",
        Mode.MODEL_UNKNOWN: "Model not known",
        Mode.TOKEN_KINDS: "Kinds of tokens",
        Mode.PRICE_MISSING: "No price",
        Mode.COST_MISMATCH: "Costs that differ",
        Mode.SAMPLING: "Sampled traces",
        Mode.CLOCK_SKEW: "Clocks that differ",
        Mode.METRICS_ONLY: "Usage in metrics alone",
        Mode.TRACE_DAMAGE: "Damaged traces",
    }
)
SEVERITIES: Final = MappingProxyType(
    {Severity.ERROR: "Error", Severity.WARNING: "Warning", Severity.NOTE: "Note"}
)
CROSSINGS: Final = MappingProxyType(
    {
        "http": "over HTTP", "queue": "through a queue", "thread": "to another thread",
        "process": "to another process", "gateway": "through a gateway", "start": "at the start",
        "within": "within one process", "hole": "where a span between is missing",
    }
)  # fmt: skip
"""What lies between the two spans of a hop, in words."""


def usd(pico: int) -> str:
    """Return dollars: cents from a dollar on, four digits that count below it; rounded half up."""
    size = abs(pico)
    if not size:
        return "$0.00"
    digits = 2
    if size < PICO_PER_USD:
        zeros = _PICO_DIGITS - len(str(size))
        digits = min(_PICO_DIGITS, zeros + _COUNTING_DIGITS)
    step = 10 ** (_PICO_DIGITS - digits)
    rounded = (size + step // 2) // step
    whole, part = divmod(rounded, 10**digits)
    cents = f"{part:0{digits}d}".rstrip("0").ljust(2, "0")
    return f"{MINUS if pico < 0 else ''}${whole:,}.{cents}"


def cost(pico: int, unpriced_calls: int, calls: int) -> str:
    """Return what calls cost, and how many of them have no price."""
    if calls and unpriced_calls >= calls:
        return "not priced"
    told = usd(pico)
    return f"{told} + {count(unpriced_calls, 'unpriced call')}" if unpriced_calls else told


def count(number: int, noun: str = "") -> str:
    """Return a number with separators, and its noun in the plural where it is not one."""
    told = f"{number:,}"
    return told if not noun else f"{told} {noun}{'' if number == 1 else 's'}"


def score(millis: int) -> str:
    """Return a score of thousandths as a number up to 100, rounded down: only all is 100."""
    whole, tenth = divmod(millis, 10)
    return f"{whole}.{tenth}"


def share(part: int, whole: int) -> str:
    """Return a share in percent, rounded down to tenths."""
    if not whole:
        return NOTHING
    tenths = part * 1000 // whole
    return f"{tenths // 10}.{tenths % 10} %" if tenths % 10 else f"{tenths // 10} %"


def size(size_bytes: int | None) -> str:
    """Return bytes in binary units, rounded down to tenths."""
    if size_bytes is None:
        return NOTHING
    for power, unit in ((40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")):
        if size_bytes >= 1 << power:
            tenths = size_bytes * 10 >> power
            return f"{tenths // 10}.{tenths % 10} {unit}"
    return f"{size_bytes} B"


def duration(duration_us: int) -> str:
    """Return a duration of microseconds: ``340 us``, ``12 ms``, ``2.5 s``, ``3 min 5 s``."""
    if duration_us < _US_PER_MS:
        return f"{duration_us} \N{MICRO SIGN}s"
    if duration_us < _US_PER_S:
        return f"{duration_us // _US_PER_MS} ms"
    tenths_s = duration_us * 10 // _US_PER_S
    if tenths_s < _S_PER_MIN * 10:
        return f"{tenths_s // 10}.{tenths_s % 10} s"
    minutes, seconds = divmod(tenths_s // 10, _S_PER_MIN)
    return f"{minutes:,} min {seconds} s"


def moment(at_ns: int) -> str:
    """Return a time in UTC to the second; nothing where it is not known or no date."""
    if not at_ns:
        return NOTHING
    try:
        at = datetime.fromtimestamp(at_ns // _NS_PER_S, UTC)
    except (ValueError, OverflowError, OSError):
        return NOTHING
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def factor(millis: int) -> str:
    """Return by how much sums are wrong: ``2``, ``1.5``."""
    whole, part = divmod(millis, 1000)
    digits = f"{part:03d}".rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)
