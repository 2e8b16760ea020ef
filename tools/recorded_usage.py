"""Recorded usage of real providers, through the dialects as a call would go.

The recordings (``../shared/data/usage_corpus.jsonl.gz`` beside the repository) are read, never
copied. Used by the tests and by ``tools/recorded_page.py``.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from tollbook.call import (
    Call,
    CallClosed,
    CallOpened,
    Evidence,
    Identity,
    Metering,
    Status,
    UsageSource,
)
from tollbook.dialects.registry import dialect_named

if TYPE_CHECKING:
    from tollbook.dialects.base import Measured

CORPUS: Final = Path(__file__).parents[2] / "shared" / "data" / "usage_corpus.jsonl.gz"
_DIALECTS: Final = {
    "anthropic": "anthropic",
    "gemini": "gemini",
    "vertex": "gemini",
    "bedrock": "bedrock",
    "cohere": "cohere",
    "ollama": "ollama",
    "azure_openai": "azure",
    "azure_ai": "azure",
}
_ID: Final = b"0" * 16
UNKNOWN_DAY: Final = datetime(2026, 8, 1, tzinfo=UTC)
"""Taken for recordings without a date: most of them are of that summer."""

REASONS: Final = {
    "guardrail": "units of guardrail policies, which are no tokens",
    "head": "the rest of the usage is in the head of the answer, which the recording has apart",
    "input only": "the recording holds the count of the input alone",
    "no prompt count": "the provider counted the output alone; the input is estimated",
    "cost only": "the provider told its cost and no count",
    "assistants": "Assistants API, which OpenAI shut down in August 2026; passes unmetered",
    "retrieval": "shows an earlier response again, which is free",
    "batch": "a batch's state or result file: its lines are billed, each once",
    "stored context": "storage of cached content, billed by the hour; passes unmetered",
    "agents": "Bedrock agents; pass unmetered",
    "mantle": "Bedrock's OpenAI-compatible endpoint; configure it as a provider of dialect openai",
    "other API": "an API that no dialect speaks (Writer, watsonx); passes unmetered",
    "no model": "units of a vector database, no use of a model",
    "no path": "the recording has no path to classify",
}
"""Why a recording is not a metered call whose usage was reported."""


@dataclass(frozen=True)
class Recording:
    """One recorded answer and what we made of it."""

    provider: str
    endpoint: str
    path: str
    model: str | None
    at: datetime
    dialect: str
    operation: str
    metering: Metering
    is_stream: bool
    usages: tuple[dict[str, Any], ...]
    measured: Measured

    @property
    def last(self) -> dict[str, Any]:
        """The final counts: a later null says nothing."""
        merged: dict[str, Any] = {}
        for usage in self.usages:
            merged |= {name: value for name, value in usage.items() if value is not None}
        return merged

    @property
    def is_plain(self) -> bool:
        """Whether it is a metered call with reported usage, as almost all are."""
        return (
            self.measured.source is UsageSource.REPORTED and self.metering is Metering.METERED
        )  # fmt: skip

    @property
    def reason(self) -> str | None:
        """Why it is not: a key of :data:`REASONS`; None where none is known."""
        return _reason(self) if not self.is_plain else None


@cache
def recordings() -> tuple[Recording, ...]:
    """Return every recording, measured."""
    with gzip.open(CORPUS, "rt", encoding="utf-8") as file:
        return tuple(_recording(json.loads(line)) for line in file)


def _recording(record: dict[str, Any]) -> Recording:
    provider, endpoint, is_stream = record["provider"], record["endpoint"], record["stream"]
    dialect = _dialect(provider, endpoint, record["host_path"])
    address = record["host_path"]
    path = urlsplit(address if "://" in address else f"https://{address}").path
    route = dialect_named(dialect).route("POST", path)
    # A plain answer has one usage; where a recording found several, the others lie deeper.
    bodies = record["usages"] if is_stream else record["usages"][:1]
    usages = tuple(
        usage
        for body in bodies
        for usage in (body if is_stream else body[:1])
        if isinstance(usage, dict)
    )
    opened = CallOpened(
        _ID, 1, Identity(), provider, dialect, route.operation, Metering.METERED, "POST", path,
        route.model or record["model"], is_stream,
    )  # fmt: skip
    closed = CallClosed(
        _ID, 2, Status.OK, 200, usage=tuple(json.dumps(usage).encode() for usage in usages),
        usage_complete=True, model_actual=record["model"],
    )  # fmt: skip
    measured = dialect_named(dialect).measure(Call(opened, closed, Evidence("w", 0, 0, "1")))
    at = parsedate_to_datetime(record["date"]) if record["date"] else UNKNOWN_DAY
    return Recording(
        provider, endpoint, path, record["model"], at, dialect, route.operation, route.metering,
        is_stream, usages, measured,
    )  # fmt: skip


def _dialect(provider: str, endpoint: str, address: str) -> str:
    if endpoint == "messages" and provider not in {"gemini", "vertex", "bedrock"}:
        return "anthropic"
    if "enerateContent" in address or endpoint == "googleapis.com":
        return "gemini"
    if endpoint == "converse":
        return "bedrock"
    return _DIALECTS.get(provider, "openai")


def _reason(one: Recording) -> str | None:  # noqa: C901, PLR0911, PLR0912 -- a list of cases
    last, path = one.last, one.path
    if any(name.endswith("PolicyUnits") for name in last):
        return "guardrail"
    if "readUnits" in last:
        return "no model"
    if set(last) == {"cost_in_usd_ticks"}:
        return "cost only"
    if one.metering is not Metering.METERED:
        if "/threads" in path:
            return "assistants"
        if "/responses/" in path:
            return "retrieval"
        if "/batch" in path or "/files/" in path:
            return "batch"
        if "cachedContents" in path:
            return "stored context"
        if one.provider == "bedrock":
            return "agents" if "/agents/" in path else "mantle"
        if not path:
            return "no path"
        return "other API" if one.provider == "writer" or "ibm.com" in one.provider else None
    if one.provider == "bedrock":
        return "head"
    if one.provider == "ollama":
        return "input only"
    if one.provider == "gemini" and "promptTokenCount" not in last:
        return "no prompt count"
    return None
