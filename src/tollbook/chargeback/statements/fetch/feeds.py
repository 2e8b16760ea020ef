"""What is asked of each API: its feeds, and how a page of one is asked for.

A feed is one statement's worth: an endpoint and a stretch of days. Sources: the providers' own API
references, named at each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlencode

from tollbook.chargeback.statements.fetch.http import Question
from tollbook.chargeback.statements.moments import DAY_NS, moment_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.config.statements import FetchSource

_S: Final = 10**9


class Feed(NamedTuple):
    """One endpoint."""

    form: str
    """Format of its pages, and source of its statements."""
    scope: str | None
    first: Callable[[str | None], Callable[[], Question]]
    token_of: Callable[[dict[str, Any]], str | None]
    source: str | None = None
    """Name of the source, where it is not that of the format."""


_OPENAI_USAGE: Final = {
    "completions": ("project_id", "api_key_id", "model", "batch", "service_tier"),
    "embeddings": ("project_id", "api_key_id", "model"),
    "moderations": ("project_id", "api_key_id", "model"),
    "images": ("project_id", "api_key_id", "model", "size", "source"),
    "audio_speeches": ("project_id", "api_key_id", "model"),
    "audio_transcriptions": ("project_id", "api_key_id", "model"),
    "vector_stores": ("project_id",),
    "code_interpreter_sessions": ("project_id",),
    "file_search_calls": ("project_id", "api_key_id"),
    "web_search_calls": ("project_id", "api_key_id", "model"),
}
_OPENAI_LIMITS: Final = {"1d": 31, "1h": 168}
_COSTS_LIMIT: Final = 180
_ANTHROPIC_USAGE_BY: Final = (
    "workspace_id", "api_key_id", "model", "service_tier", "context_window", "inference_geo",
)  # fmt: skip


def openai_feeds(source: FetchSource, base: str, key: str, span: tuple[int, int]) -> list[Feed]:
    """Return usage and costs (https://platform.openai.com/docs/api-reference/usage)."""
    headers = {"authorization": f"Bearer {key}"}
    times = {"start_time": span[0] // _S, "end_time": span[1] // _S}

    def feed(path: str, form: str, scope: str | None, width: str, limit: int, by: Any) -> Feed:
        query = {**times, "bucket_width": width, "limit": limit, "group_by[]": by}
        return Feed(form, scope, _getter(f"{base}/v1/organization/{path}", query, headers), _page)

    return [
        *(
            feed(f"usage/{name}", "openai.usage", _OPENAI_SCOPES.get(name, name), source.bucket,
                 _OPENAI_LIMITS[source.bucket], by)
            for name, by in _OPENAI_USAGE.items()
        ),
        feed("costs", "openai.costs", None, "1d", _COSTS_LIMIT, ("project_id", "line_item")),
    ]  # fmt: skip


_OPENAI_SCOPES: Final = {"file_search_calls": "file_searches", "web_search_calls": "web_searches"}


def anthropic_feeds(source: FetchSource, base: str, key: str, span: tuple[int, int]) -> list[Feed]:
    """Return usage and cost report (https://platform.claude.com/docs/en/api/admin)."""
    headers = {"x-api-key": key, "anthropic-version": "2023-06-01"}
    times = {"starting_at": _rfc3339(span[0]), "ending_at": _rfc3339(span[1])}
    usage = {
        **times, "bucket_width": source.bucket, "limit": _OPENAI_LIMITS[source.bucket],
        "group_by[]": _ANTHROPIC_USAGE_BY,
    }  # fmt: skip
    costs = {**times, "limit": 31, "group_by[]": ("workspace_id", "description")}
    report = f"{base}/v1/organizations"
    return [
        Feed(
            "anthropic.usage_report", None,
            _getter(f"{report}/usage_report/messages", usage, headers), _page,
        ),
        Feed(
            "anthropic.cost_report", None, _getter(f"{report}/cost_report", costs, headers), _page
        ),
    ]  # fmt: skip


def openrouter_feeds(source: FetchSource, base: str, key: str, span: tuple[int, int]) -> list[Feed]:
    """Return the activity of a day (https://openrouter.ai/docs/api-reference/analytics)."""
    del source
    assert span[1] - span[0] == DAY_NS, "activity is asked for by day"
    query = {"date": moment_of(span[0]).date().isoformat()}
    headers = {"authorization": f"Bearer {key}"}
    return [
        Feed(
            "openrouter.activity", None, _getter(f"{base}/api/v1/activity", query, headers),
            lambda _: None,
        )
    ]  # fmt: skip


def _getter(
    url: str, query: dict[str, Any], headers: dict[str, str]
) -> Callable[[str | None], Callable[[], Question]]:
    def first(token: str | None) -> Callable[[], Question]:
        asked = query if token is None else {**query, "page": token}
        return lambda: Question("GET", f"{url}?{urlencode(asked, doseq=True)}", headers)

    return first


def _page(answer: dict[str, Any]) -> str | None:
    token = answer.get("next_page")
    return str(token) if answer.get("has_more") and token else None


def _rfc3339(ns: int) -> str:
    return moment_of(ns).strftime("%Y-%m-%dT%H:%M:%SZ")
