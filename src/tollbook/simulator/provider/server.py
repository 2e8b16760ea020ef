"""All providers in one process: lets requests in, picks their faults, has them answered."""

from __future__ import annotations

import asyncio
import contextlib
import re
import zlib
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from tollbook import clock
from tollbook.simulator.faults import ERROR_STATUS, Fault, draw_fault, parse_fault
from tollbook.simulator.params import BadParamsError
from tollbook.simulator.provider import checks
from tollbook.simulator.provider.answers import Answer, Generation, RefusedError, Shape
from tollbook.simulator.provider.anthropic_api import AnthropicApi
from tollbook.simulator.provider.api import Api, Incoming
from tollbook.simulator.provider.azure_api import AzureApi
from tollbook.simulator.provider.bedrock_api import BedrockApi
from tollbook.simulator.provider.cohere_api import CohereApi
from tollbook.simulator.provider.compatible_api import (
    DeepSeekApi,
    GroqApi,
    MistralApi,
    OpenRouterApi,
    PerplexityApi,
    VoyageApi,
    XaiApi,
)
from tollbook.simulator.provider.delivery import Deed, Delivery, applicable, remaining_of
from tollbook.simulator.provider.gemini_api import GeminiApi
from tollbook.simulator.provider.http import Connection, Exchange, Request
from tollbook.simulator.provider.ollama_api import OllamaApi
from tollbook.simulator.provider.openai_api import OpenAiApi
from tollbook.simulator.provider.openai_media import read_form
from tollbook.simulator.provider.realtime_door import Door, open_socket
from tollbook.simulator.provider.sizing import PromptCache
from tollbook.simulator.truth import Received, TruthLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.simulator.provider.answers import Header

_LEAK_PREFIXES: Final = ("x-tollbook-", "x-portkey-", "helicone-", "x-litellm-")
_LEAK_NAMES: Final = frozenset({"baggage"})
_LEAK_FIELDS: Final = ("litellm_metadata",)
_ATTEMPTS_MAX = 500_000
_SWEEP_S = 5.0
_find_ticket = re.compile(rb"\bticket:([A-Za-z0-9][A-Za-z0-9./-]{0,80})").search
_SHAPE_KINDS: Final = ("usage_absent", "usage_split", "huge_chunk")


APIS: Final[dict[str, Callable[[], Api]]] = {
    "/azure": AzureApi,
    "/mistral": MistralApi,
    "/groq": GroqApi,
    "/deepseek": DeepSeekApi,
    "/xai": XaiApi,
    "/openrouter": OpenRouterApi,
    "/perplexity": PerplexityApi,
    "/voyage": VoyageApi,
    "/gemini": GeminiApi,
    "/vertex": GeminiApi,
    "/bedrock": BedrockApi,
    "/cohere": CohereApi,
    "/ollama": OllamaApi,
}
"""Further providers by the prefix that they are reached under."""


class ServerSettings(Struct, frozen=True, kw_only=True):
    """How the simulated providers behave."""

    seed: int = 1
    key_prefix: str = "sk-sim-"
    """Keys that begin so are valid; any other key is refused with 401 and counted as a leak."""
    faults_per_million: dict[str, int] = {}
    """Fault specs and how many requests of a million get them, drawn by seed and request id."""
    openai_prefix: str = "/openai"
    anthropic_prefix: str = "/anthropic"


class ProviderServer:
    """Answers every exchange of every connection."""

    def __init__(self, settings: ServerSettings, log: TruthLog) -> None:
        self._settings = settings
        self._log = log
        self._apis: list[tuple[str, Api]] = [
            (settings.openai_prefix, OpenAiApi()),
            (settings.anthropic_prefix, AnthropicApi()),
            *((prefix, make()) for prefix, make in APIS.items()),
        ]
        self._cache = PromptCache()
        self._attempts: dict[str, int] = {}
        self._connections: set[Connection] = set()
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.received = 0

    async def listen(self, host: str, port: int) -> asyncio.Server:
        """Accept connections; port 0 takes a free one."""
        loop = asyncio.get_running_loop()
        loop.call_later(_SWEEP_S, self._sweep, loop)
        return await loop.create_server(
            lambda: Connection(self.handle, self._connections, self.upgrade),
            host,
            port,
            backlog=4096,
        )

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now_ns = clock.monotonic_ns()
        for connection in list(self._connections):
            connection.sweep(now_ns)
        loop.call_later(_SWEEP_S, self._sweep, loop)

    def upgrade(self, request: Request, transport: asyncio.Transport, rest: bytes) -> None:
        """Answer the handshake of a WebSocket; ``rest`` came behind it."""
        api, path = self._api(request.path)
        leaks = _leaks(request.headers, {})
        door = Door(request, path, api, self._log, self._cache, leaks, self._settings.key_prefix)
        open_socket(door, transport, rest)

    def handle(self, exchange: Exchange) -> None:
        """Log the arrival, decide the answer and begin to send it."""
        request = exchange.request
        api, path = self._api(request.path)
        attempt_id = self._log.new_attempt_id()
        request_id = request.headers.get("x-sim-request-id") or _ticket(request.body)
        body, body_error = _body(request)
        credential = api.credential(request.headers)
        leaks = _leaks(request.headers, body)
        if "key=" in request.query:
            leaks = (*leaks, "key in the query")
        is_key_valid = credential is not None and credential.startswith(self._settings.key_prefix)
        if credential is not None and not is_key_valid:
            leaks = (*leaks, "credential")
        attempt = self._count_attempt(request_id)
        model_requested = body.get("model")
        self._log.write(
            Received(
                attempt_id=attempt_id,
                provider=api.name,
                method=request.method,
                path=request.path,
                arrived_at_ns=request.arrived_at_ns,
                request_id=request_id,
                attempt=attempt,
                retry_count=_retry_count(request.headers),
                model_requested=model_requested if isinstance(model_requested, str) else None,
                is_stream=body.get("stream") is True,
                leaks=leaks,
            )
        )
        self.received += 1
        self._in_flight += 1
        self._idle.clear()
        provider_request_id = api.request_id(zlib.crc32(attempt_id.encode()) << 24 | self.received)
        fault: Fault | None = None
        try:
            _admit(credential, is_valid=is_key_valid)
            fault = self._fault(request, request_id, attempt)
            if fault is not None and fault.kind in ERROR_STATUS:
                raise api.fault_error(fault.kind)
            if body_error is not None:
                raise body_error
            incoming = Incoming(
                request.method,
                path,
                request.headers,
                body,
                attempt_id,
                request.arrived_at_ns,
                _shape(fault),
                self._cache,
                request.query,
                api.name,
                request.body,
                request.path,
                self._log,
            )
            answer: Answer = api.answer(incoming)
        except RefusedError as refused:
            answer = api.error(_in_words_of(api, refused), provider_request_id)
        fault = applicable(fault, answer)
        headers = self._headers(api, provider_request_id, answer.generation, fault)
        headers += answer.headers
        deed = Deed(attempt_id, provider_request_id, self._log, fault, self._on_end)
        Delivery(exchange, answer, headers, deed).start()

    def _on_end(self) -> None:
        self._in_flight -= 1
        if not self._in_flight:
            self._idle.set()

    async def drain(self, timeout_s: float) -> None:
        """Wait until no answer is under way, or the time is up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()

    def _api(self, path: str) -> tuple[Api, str]:
        for prefix, api in self._apis:
            if path.startswith(prefix + "/"):
                return api, path[len(prefix) :]
        return self._apis[0][1], path

    def _count_attempt(self, request_id: str | None) -> int:
        if request_id is None:
            return 1
        count = self._attempts.pop(request_id, 0) + 1
        self._attempts[request_id] = count
        if len(self._attempts) > _ATTEMPTS_MAX:
            del self._attempts[next(iter(self._attempts))]
        return count

    def _fault(self, request: Request, request_id: str | None, attempt: int) -> Fault | None:
        wish = request.headers.get("x-sim-fault")
        fault: Fault | None = None
        if wish is not None:
            try:
                fault = parse_fault(wish)
            except BadParamsError as error:
                message = f"x-sim-fault: {error}"
                raise RefusedError(400, "invalid_request_error", message) from error
        elif request_id is not None and self._settings.faults_per_million:
            fault = draw_fault(self._settings.seed, request_id, self._settings.faults_per_million)
        return fault if fault is not None and attempt <= fault.times else None

    def _headers(
        self,
        api: Api,
        provider_request_id: str,
        generation: Generation | None,
        fault: Fault | None,
    ) -> list[Header]:
        headers = api.head(provider_request_id, 12)
        if fault is not None and fault.kind == "rate_limit":
            headers += api.rate_limit_headers(0)
            seconds = -(-fault.retry_after_ms // 1000)
            headers.append((b"retry-after", b"%d" % seconds))
            headers.append((b"retry-after-ms", b"%d" % fault.retry_after_ms))
        elif fault is not None and fault.kind in ("server_error", "overloaded"):
            headers.append((b"retry-after-ms", b"%d" % fault.retry_after_ms))
        elif generation is not None:
            headers += api.rate_limit_headers(remaining_of(generation))
        return headers


def _ticket(body: bytes) -> str | None:
    """Return the ticket that a prompt is about (``ticket:ada-17``).

    Products that are not driven call by call cannot send a header with each; what they say to the
    model names their own record, and no carrier of identity has touched that.
    """
    found = _find_ticket(body)
    return None if found is None else found[1].decode("ascii")


def _body(request: Request) -> tuple[checks.Json, RefusedError | None]:
    if request.method != "POST":
        return {}, None
    media_type = request.headers.get("content-type", "")
    if "multipart/" in media_type:
        return read_form(media_type, request.body), None
    try:
        return checks.read_json(request.body), None
    except RefusedError as error:
        return {}, error


def _leaks(headers: dict[str, str], body: checks.Json) -> tuple[str, ...]:
    """Return the names of identity carriers that a provider has no need of, never their values."""
    found = [name for name in headers if name in _LEAK_NAMES or name.startswith(_LEAK_PREFIXES)]
    found += [name for name in _LEAK_FIELDS if name in body]
    return tuple(found)


def _retry_count(headers: dict[str, str]) -> int:
    text = headers.get("x-stainless-retry-count", "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0  # noqa: PLR2004 -- a sane count


def _admit(credential: str | None, *, is_valid: bool) -> None:
    if credential is None:
        message = "You didn't provide an API key."
        raise RefusedError(401, "authentication_error", message, code="missing_api_key")
    if not is_valid:
        message = "Incorrect API key provided."
        raise RefusedError(401, "authentication_error", message, code="invalid_api_key")


def _in_words_of(api: Api, refused: RefusedError) -> RefusedError:
    """Give a refusal that both APIs share OpenAI's type where OpenAI is asked."""
    if api.name == "openai" and refused.error_type == "authentication_error":
        refused.error_type = "invalid_request_error"
    return refused


def _shape(fault: Fault | None) -> Shape:
    if fault is None or fault.kind not in _SHAPE_KINDS:
        return Shape()
    return Shape(
        has_usage=fault.kind != "usage_absent",
        splits_usage=fault.kind == "usage_split",
        huge_bytes=fault.size_bytes if fault.kind == "huge_chunk" else 0,
    )
