"""Providers that speak like OpenAI, each with what only its answers have.

Shapes as recorded from the providers themselves: Mistral, Groq, DeepSeek, xAI, OpenRouter,
Perplexity, Voyage.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from tollbook.simulator.pricelist import price
from tollbook.simulator.provider import checks
from tollbook.simulator.provider.answers import Event, Plain, RefusedError
from tollbook.simulator.provider.api import Extent, generate
from tollbook.simulator.provider.openai_api import OpenAiApi
from tollbook.simulator.provider.sizing import count_tokens

if TYPE_CHECKING:
    from tollbook.simulator.provider.answers import Answer, Generation
    from tollbook.simulator.provider.api import Incoming
    from tollbook.simulator.provider.checks import Json

_encode = msgspec.json.Encoder(decimal_format="number").encode
_REQUEST_FEE_USD = Decimal("0.005")


def _usd(generation: Generation) -> Decimal:
    pico = sum(price(generation.model, generation.quantities).values())
    return Decimal(pico) / 10**12


class CompatibleApi(OpenAiApi):
    """OpenAI's API under another prefix; streams always tell their usage."""

    prefix: ClassVar[str] = ""
    refuses_stream_options: ClassVar[bool] = False

    def answer(self, incoming: Incoming) -> Answer:
        """Answer a request; raises RefusedError."""
        body = incoming.body
        if self.refuses_stream_options and "stream_options" in body:
            raise RefusedError(422, "invalid_request_error", "Extra inputs are not permitted")
        if body.get("stream") is True and incoming.path.endswith("/chat/completions"):
            body = body | {"stream_options": {"include_usage": True}}
        path = incoming.path.removeprefix(self.prefix)
        if not path.startswith("/v1/"):
            path = "/v1" + path
        found = super().answer(incoming._replace(path=path, body=body))
        if isinstance(found, Plain):
            return found if found.generation is None else self._plain(found, found.generation)
        return found._replace(events=tuple(self._event(e, found.generation) for e in found.events))

    def usage(self, usage: Json, generation: Generation) -> Json:
        """Return the usage as this provider has it."""
        del generation
        return usage

    def chunk(self, chunk: Json) -> Json:
        """Return a chunk with usage as this provider has it."""
        return chunk

    def _plain(self, plain: Plain, generation: Generation) -> Plain:
        body: Any = msgspec.json.decode(plain.body)
        if body.get("usage"):
            body["usage"] = self.usage(body["usage"], generation)
        body.setdefault("id", f"sim-{generation.seed:024x}")
        return plain._replace(body=_encode(body))

    def _event(self, event: Event, generation: Generation) -> Event:
        head, _, data = event.data.partition(b"data: ")
        if not data.startswith(b"{"):
            return event
        chunk: Any = msgspec.json.decode(data)
        holder = chunk.get("response") or chunk
        if holder.get("usage"):
            holder["usage"] = self.usage(holder["usage"], generation)
            chunk = self.chunk(chunk)
        return event._replace(data=head + b"data: " + _encode(chunk) + b"\n\n")


class MistralApi(CompatibleApi):
    """Strict about what it does not know; errors are an object without ``error``."""

    name = "mistral"
    refuses_stream_options = True

    def usage(self, usage: Json, generation: Generation) -> Json:
        """Return cached tokens under Mistral's own name too."""
        cached = generation.quantities.cache_read
        plain = {key: value for key, value in usage.items() if key != "completion_tokens_details"}
        return plain | {
            "num_cached_tokens": cached,
            "prompt_tokens_details": {"cached_tokens": cached},
            "prompt_audio_seconds": None,
        }

    def error(self, refused: RefusedError, request_id: str) -> Plain:  # noqa: ARG002 -- one seam for all APIs
        """Return Mistral's flat error."""
        body = {
            "object": "error", "message": refused.message, "type": refused.error_type,
            "param": refused.param, "code": refused.code or "1000",
        }  # fmt: skip
        return Plain(refused.status, _encode(body))


class GroqApi(CompatibleApi):
    """Usage of streams stands in ``x_groq`` beside an empty-handed last chunk."""

    name = "groq"
    prefix = "/openai"

    def usage(self, usage: Json, generation: Generation) -> Json:
        """Return usage with the times that Groq measures."""
        del generation
        return usage | {"queue_time": 0.01, "prompt_time": 0.02, "completion_time": 0.1,
                        "total_time": 0.12}  # fmt: skip

    def chunk(self, chunk: Json) -> Json:
        """Move the usage to where Groq has it."""
        usage = chunk.pop("usage")
        last = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}
        return chunk | {"choices": [last], "x_groq": {"id": "req_sim", "usage": usage}}


class DeepSeekApi(CompatibleApi):
    """The prompt in two parts: found in the cache, and not."""

    name = "deepseek"

    def usage(self, usage: Json, generation: Generation) -> Json:
        """Return usage with hits and misses of the cache."""
        hit = generation.quantities.cache_read
        return usage | {
            "prompt_cache_hit_tokens": hit,
            "prompt_cache_miss_tokens": usage["prompt_tokens"] - hit,
        }


class XaiApi(CompatibleApi):
    """Says what it cost, in ticks of 10^-10 dollars."""

    name = "xai"

    def usage(self, usage: Json, generation: Generation) -> Json:
        """Return usage with its cost."""
        ticks = int(_usd(generation) * 10**10)
        return usage | {"num_sources_used": 0, "cost_in_usd_ticks": ticks}


class OpenRouterApi(CompatibleApi):
    """Says what it cost; with the caller's own key (``x-sim-byok``) its fee alone."""

    name = "openrouter"
    prefix = "/api"

    def __init__(self) -> None:
        super().__init__()
        self._is_byok = False

    def answer(self, incoming: Incoming) -> Answer:
        """Answer a request; raises RefusedError."""
        self._is_byok = "x-sim-byok" in incoming.headers
        return super().answer(incoming)

    def usage(self, usage: Json, generation: Generation) -> Json:
        """Return usage with its cost."""
        upstream = _usd(generation)
        cost = upstream / 20 if self._is_byok else upstream
        return usage | {
            "cost": cost,
            "is_byok": self._is_byok,
            "cost_details": {"upstream_inference_cost": upstream},
        }


class PerplexityApi(CompatibleApi):
    """A fee for each request, by how much it searches; no ``/v1``."""

    name = "perplexity"

    def usage(self, usage: Json, generation: Generation) -> Json:
        """Return usage with its cost."""
        total = _usd(generation) + _REQUEST_FEE_USD
        return usage | {
            "search_context_size": "low",
            "cost": {"request_cost": _REQUEST_FEE_USD, "total_cost": total},
        }


class VoyageApi(CompatibleApi):
    """Embeddings and reranking, both told as a total of tokens."""

    name = "voyage"

    def answer(self, incoming: Incoming) -> Answer:
        """Answer a request; raises RefusedError."""
        if not incoming.path.endswith("/rerank"):
            return super().answer(incoming)
        body = incoming.body
        model = checks.need_model(self.name, body, "rerank")
        documents = checks.need_list(body, "documents")
        extent = Extent(count_tokens(body.get("query") or "", *documents), makes_output=False)
        generation = generate(incoming, model, extent)
        data = [
            {"index": at, "relevance_score": 0.9 / (at + 1)} for at in range(len(documents))
        ]  # fmt: skip
        answer: Json = {"object": "list", "data": data, "model": model.snapshot}
        answer["usage"] = {"total_tokens": generation.quantities.input}
        return Plain(200, _encode(answer), (), generation, None, has_usage=True)

    def usage(self, usage: Json, generation: Generation) -> Json:
        """Return nothing but the total."""
        del generation
        return {"total_tokens": usage["total_tokens"]}
