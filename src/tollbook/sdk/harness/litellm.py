"""LiteLLM used as a library.

It makes HTTP clients of its own, by the hundred kinds of provider that it knows, and all of them
are of httpx or httpx2. So within a call of one of its functions, and in nothing else, what those
send is looked at on its way out: in the provider's own words, before LiteLLM has made them alike.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import importlib
import inspect
import sys
from typing import TYPE_CHECKING, Any, Final

from tollbook.sdk.harness import faults
from tollbook.sdk.harness.targets import MAKERS, Maker, Targets
from tollbook.sdk.harness.transport import Looking, Settings, async_transport, sync_transport

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.sdk.harness.options import Options

FUNCTIONS: Final = (
    "completion", "acompletion", "text_completion", "atext_completion", "embedding", "aembedding",
    "responses", "aresponses", "rerank", "arerank", "image_generation", "aimage_generation",
    "image_edit", "aimage_edit", "speech", "aspeech", "transcription", "atranscription",
    "moderation", "amoderation", "anthropic_messages",
)  # fmt: skip
_NAMES: Final = {
    "text-completion-openai": "openai", "azure_ai": "azure", "azure_text": "azure",
    "anthropic_text": "anthropic", "vertex_ai": "vertex", "vertex_ai_beta": "vertex",
    "bedrock_converse": "bedrock", "cohere_chat": "cohere", "together_ai": "together",
    "fireworks_ai": "fireworks", "jina_ai": "jina", "hosted_vllm": "vllm", "ollama_chat": "ollama",
    "text-completion-codestral": "mistral", "codestral": "mistral",
}  # fmt: skip
"""LiteLLM's names of providers, where they differ from ours."""

_active: contextvars.ContextVar[Settings | None] = contextvars.ContextVar("tollbook-litellm")
_active_get = functools.partial(_active.get, None)
_taken_back: list[tuple[Any, str, Any]] = []
_settings: dict[str, Settings] = {}


def instrument_litellm(options: Options) -> None:
    """Patch LiteLLM and the HTTP libraries that are there; again with other options.

    Raises:
        ImportError: LiteLLM is not installed.
    """
    litellm = importlib.import_module("litellm")
    uninstrument_litellm()
    for name in FUNCTIONS:
        function = getattr(litellm, name, None)
        if callable(function):
            _replace(litellm, name, _instrumented(litellm, function, options))
    for name in ("httpx", "httpx2"):
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        _replace_transports(module.Client, sync_transport(module))
        _replace_transports(module.AsyncClient, async_transport(module))


def uninstrument_litellm() -> None:
    """Put everything back as it was."""
    while _taken_back:
        place, name, original = _taken_back.pop()
        setattr(place, name, original)
    _settings.clear()


def _replace(place: Any, name: str, value: Any) -> None:
    _taken_back.append((place, name, getattr(place, name)))
    setattr(place, name, value)


def _replace_transports(client_type: Any, kind: Any) -> None:
    original = client_type._transport_for_url  # noqa: SLF001 -- where every request passes

    def transport_for_url(self: Any, url: Any) -> Any:
        transport = original(self, url)
        settings = _active_get()
        if settings is None or isinstance(transport, Looking):
            return transport
        return kind(transport, settings)

    _replace(client_type, "_transport_for_url", transport_for_url)


def _instrumented(litellm: Any, function: Callable[..., Any], options: Options) -> Any:
    """Return a function of LiteLLM within which requests are looked at."""

    def settings_of(arguments: tuple[Any, ...], named: dict[str, Any]) -> Settings | None:
        try:
            return _settings_for(_provider_of(litellm, arguments, named), options)
        except Exception as error:  # noqa: BLE001 -- the caller's request goes on as it is
            faults.note("litellm", error)
            return None

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def looked_at_async(*arguments: Any, **named: Any) -> Any:
            token = _active.set(_active_get() or settings_of(arguments, named))
            try:
                return _bound(await function(*arguments, **named))
            finally:
                _active.reset(token)

        return looked_at_async

    @functools.wraps(function)
    def looked_at(*arguments: Any, **named: Any) -> Any:
        token = _active.set(_active_get() or settings_of(arguments, named))
        try:
            return _bound(function(*arguments, **named))
        finally:
            _active.reset(token)

    return looked_at


def _bound(result: Any) -> Any:
    """Return a stream whose request is sent when it is first read, as whoever asked for it."""
    make_call = getattr(result, "make_call", None)
    if make_call is None or getattr(result, "completion_stream", None) is not None:
        return result
    context = contextvars.copy_context()

    def as_asked(*arguments: Any, **named: Any) -> Any:
        made = context.copy().run(make_call, *arguments, **named)
        return _awaited(made, context.copy()) if inspect.iscoroutine(made) else made

    result.make_call = as_asked
    return result


async def _awaited(made: Any, context: contextvars.Context) -> Any:
    return await asyncio.get_running_loop().create_task(made, context=context)


def _provider_of(litellm: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> str:
    given = named.get("custom_llm_provider")
    model = named.get("model") or (arguments[0] if arguments else None)
    if isinstance(given, str) and given:
        return given
    if not isinstance(model, str):
        return "openai"
    head = model.partition("/")[0]
    if head in {provider.value for provider in getattr(litellm, "LlmProviders", ())}:
        return head
    return str(litellm.get_llm_provider(model=model, api_base=named.get("api_base"))[1])


def _settings_for(litellm_name: str, options: Options) -> Settings:
    settings = _settings.get(litellm_name)
    if settings is None:
        name = options.provider or _NAMES.get(litellm_name, litellm_name)
        # Whatever is not known by name, LiteLLM nearly always reaches by OpenAI's API.
        maker = MAKERS.get(name) or Maker(name, "openai")
        targets = Targets(maker, dialect=options.dialect, is_guest=True)
        settings = _settings[litellm_name] = Settings(targets, options, None)
    return settings


def is_patched() -> bool:
    """Whether LiteLLM is instrumented now."""
    return bool(_taken_back) and "litellm" in sys.modules
