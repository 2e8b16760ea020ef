"""The driver that uses the official clients, as an application would: ``base_url`` is all it sets.

Most requests go through the asynchronous clients, a share through the synchronous ones in threads.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import uvloop

from tollbook import clock
from tollbook.simulator.bodies import prepare
from tollbook.simulator.outcomes import DriveResult, Progress, Recorder, Seen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tollbook.simulator.bodies import Prepared
    from tollbook.simulator.traffic import PlannedRequest

_RESOURCES = {
    "chat": "completions",
    "responses": "responses",
    "completions": "completions",
    "embeddings": "embeddings",
    "messages": "messages",
}
_CONTENT_TYPES = frozenset(
    {
        "content_block_delta",
        "response.output_text.delta",
        "response.function_call_arguments.delta",
    }
)


def drive_sdk(
    requests: Sequence[PlannedRequest],
    base_url: str,
    log_path: Path,
    *,
    api_key: str = "sk-sim-product",
    virtual_keys: Mapping[str, str] | None = None,
    concurrency: int = 32,
    sync_share: float = 0.1,
    text_tokens_max: int = 400,
    timeout_s: float = 120.0,
    progress: Callable[[Progress], None] | None = None,
) -> DriveResult:
    """Send planned requests through the official SDKs; return when all have ended.

    Args:
        requests: of a plan, sent in order as workers become free.
        base_url: of the gateway, or of the simulator itself: ``http://127.0.0.1:8080``.
        log_path: the product's own log (JSON lines), replaced.
        api_key: the product's provider key.
        virtual_keys: key by tenant, for requests planned with one.
        concurrency: requests at once.
        sync_share: of the workers, those that use the synchronous clients.
        text_tokens_max: how much prompt text is really sent.
        timeout_s: of one attempt.
        progress: called some 200 times, in the thread of the caller.
    """
    driver = _SdkDriver(
        base_url.rstrip("/"), api_key, virtual_keys or {}, text_tokens_max, timeout_s,
        Recorder(log_path, len(requests), progress),
    )  # fmt: skip
    result: DriveResult = uvloop.run(driver.run(requests, concurrency, sync_share))
    return result


class _Clients:
    """The four clients, and copies of them by key and retries: making one is slow."""

    def __init__(self, base_url: str, api_key: str, timeout_s: float) -> None:
        openai_url, anthropic_url = f"{base_url}/openai/v1", f"{base_url}/anthropic"
        self._made: dict[tuple[str, bool, str, int], Any] = {}
        self._bases: dict[tuple[str, bool], Any] = {
            ("openai", False): openai.AsyncOpenAI(
                base_url=openai_url, api_key=api_key, timeout=timeout_s
            ),
            ("anthropic", False): anthropic.AsyncAnthropic(
                base_url=anthropic_url, api_key=api_key, timeout=timeout_s
            ),
            ("openai", True): openai.OpenAI(
                base_url=openai_url, api_key=api_key, timeout=timeout_s
            ),
            ("anthropic", True): anthropic.Anthropic(
                base_url=anthropic_url, api_key=api_key, timeout=timeout_s
            ),
        }

    def get(self, planned: PlannedRequest, api_key: str, *, is_sync: bool) -> Any:
        """Return the client for a request: its provider's, with its key and retries."""
        key = (planned.provider, is_sync, api_key, planned.max_retries)
        if key not in self._made:
            base = self._bases[planned.provider, is_sync]
            self._made[key] = base.with_options(api_key=api_key, max_retries=planned.max_retries)
        return self._made[key]

    async def close(self) -> None:
        """Close the connections."""
        for (_, is_sync), client in self._bases.items():
            if is_sync:
                client.close()
            else:
                await client.close()


class _SdkDriver:
    def __init__(
        self,
        base_url: str,
        api_key: str,
        virtual_keys: Mapping[str, str],
        text_tokens_max: int,
        timeout_s: float,
        recorder: Recorder,
    ) -> None:
        self._base_url = base_url
        self._api_key = api_key
        self._virtual_keys = virtual_keys
        self._text_tokens_max = text_tokens_max
        self._timeout_s = timeout_s
        self._recorder = recorder

    async def run(
        self, requests: Sequence[PlannedRequest], concurrency: int, sync_share: float
    ) -> DriveResult:
        """Share the requests among workers."""
        clients = _Clients(self._base_url, self._api_key, self._timeout_s)
        queue = iter(requests)
        workers = min(concurrency, len(requests))
        synchronous = min(workers, round(concurrency * sync_share))
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(workers):
                    group.create_task(self._work(clients, queue, is_sync=number < synchronous))
        finally:
            await clients.close()
        return self._recorder.finish()

    async def _work(
        self, clients: _Clients, queue: Iterator[PlannedRequest], *, is_sync: bool
    ) -> None:
        for planned in queue:
            started_at_ns = clock.unix_ns()
            made = prepare(planned, self._api_key, self._virtual_keys, self._text_tokens_max)
            if is_sync:
                seen = await asyncio.to_thread(_send_sync, clients, planned, made)
            else:
                seen = await _send(clients, planned, made)
            self._recorder.add(planned, started_at_ns, seen)


def _method(client: Any, planned: PlannedRequest) -> Any:
    """Return the SDK's raw-response method for a request."""
    holder = client.chat if planned.api == "chat" else client
    resource = getattr(holder, _RESOURCES[planned.api])
    return resource.with_raw_response.create


class _Watcher:
    """Follows one answer, whichever client reads it."""

    def __init__(self, planned: PlannedRequest) -> None:
        self._planned = planned
        self._content = 0
        self._fields: dict[str, Any] = {}

    def begin(self, raw: Any) -> None:
        """Note what the raw response says."""
        self._fields |= {
            "http_status": raw.status_code,
            "attempts": raw.retries_taken + 1,
            "call_id": raw.headers.get("x-tollbook-call-id"),
        }

    def plain(self, value: Any) -> None:
        """Note a whole answer."""
        self._fields["response_id"] = getattr(value, "id", None)
        self._take_usage(getattr(value, "usage", None))

    def event(self, event: Any) -> bool:
        """Note an event of a stream; True when the client leaves now."""
        self._fields["events"] = self._fields.get("events", 0) + 1
        kind = getattr(event, "type", None)
        holder = event
        if kind is None:
            choices = event.choices
            self._content += bool(choices) and _has_content(choices[0])
        else:
            self._content += kind in _CONTENT_TYPES
            holder = getattr(event, "message", None) or getattr(event, "response", None) or event
        if self._fields.get("response_id") is None:
            self._fields["response_id"] = getattr(holder, "id", None)
        self._take_usage(getattr(holder, "usage", None))
        leave = self._planned.hang_up_after
        return leave is not None and self._content >= leave

    def _take_usage(self, usage: Any) -> None:
        if usage is None:
            return
        given = getattr(usage, "input_tokens", getattr(usage, "prompt_tokens", None))
        output = getattr(usage, "output_tokens", getattr(usage, "completion_tokens", None))
        if given is not None:
            cached = getattr(usage, "cache_read_input_tokens", None) or 0
            written = getattr(usage, "cache_creation_input_tokens", None) or 0
            self._fields["input_tokens"] = given + cached + written
        if output is not None:
            self._fields["output_tokens"] = output

    def seen(self, outcome: str, error: Exception | None = None) -> Seen:
        """Return the result."""
        if error is not None:
            self._fields["problem"] = type(error).__name__
            response = getattr(error, "response", None)
            if response is not None:
                self._fields["http_status"] = response.status_code
                self._fields["call_id"] = response.headers.get("x-tollbook-call-id")
        return Seen(outcome=outcome, **self._fields)


def _has_content(choice: Any) -> bool:
    delta = getattr(choice, "delta", None)
    if delta is None:
        return bool(choice.text)
    return bool(delta.content or delta.tool_calls)


def _outcome_of(error: Exception) -> str:
    # An error event inside a stream is raised with the stream's own status, 200.
    if isinstance(error, openai.APIStatusError | anthropic.APIStatusError):
        return "error" if error.response.status_code >= 400 else "broken"  # noqa: PLR2004 -- HTTP errors
    return "broken"


async def _send(clients: _Clients, planned: PlannedRequest, made: Prepared) -> Seen:
    client = clients.get(planned, made.api_key, is_sync=False)
    watcher = _Watcher(planned)
    try:
        raw = await _method(client, planned)(**made.body, extra_headers=made.headers)
        watcher.begin(raw)
        value = raw.parse()
        if inspect.isawaitable(value):  # Anthropic's raw responses parse asynchronously
            value = await value
        if not planned.is_stream:
            watcher.plain(value)
            return watcher.seen("ok")
        async with value as stream:
            async for event in stream:
                if watcher.event(event):
                    return watcher.seen("hung_up")
    except Exception as error:  # noqa: BLE001 -- whatever an SDK raises is an outcome to record
        return watcher.seen(_outcome_of(error), error)
    return watcher.seen("ok")


def _send_sync(clients: _Clients, planned: PlannedRequest, made: Prepared) -> Seen:
    client = clients.get(planned, made.api_key, is_sync=True)
    watcher = _Watcher(planned)
    try:
        raw = _method(client, planned)(**made.body, extra_headers=made.headers)
        watcher.begin(raw)
        value = raw.parse()
        if not planned.is_stream:
            watcher.plain(value)
            return watcher.seen("ok")
        with value as stream:
            for event in stream:
                if watcher.event(event):
                    return watcher.seen("hung_up")
    except Exception as error:  # noqa: BLE001 -- whatever an SDK raises is an outcome to record
        return watcher.seen(_outcome_of(error), error)
    return watcher.seen("ok")
