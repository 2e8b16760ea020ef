"""What a path of the Gemini API or of Vertex AI says: model, verb, region, whose API it speaks.

Paths are ``models/{model}:{verb}`` (https://ai.google.dev/api/generate-content), on Vertex below
``projects/{project}/locations/{region}/publishers/{publisher}/``. Both also serve OpenAI's API
(``/openai/``, ``/endpoints/openapi/``), Vertex other makers' (``:rawPredict``).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from msgspec import structs

from tollbook.call import Metering
from tollbook.dialects.anthropic import Anthropic
from tollbook.dialects.base import Route, Watch
from tollbook.dialects.batch_routes import FILE_RESULTS, STATE, SUBMIT, gemini_watch
from tollbook.dialects.hosted import hosted
from tollbook.dialects.http_head import plain_path
from tollbook.dialects.openai import OpenAI
from tollbook.dialects.openai_paths import RETRIEVAL
from tollbook.dialects.realtime_usage import REALTIME
from tollbook.dialects.request_body import as_model

GENERATE: Final = "generate_content"
EMBED: Final = "embeddings"
IMAGE: Final = "image"
INTERACTIONS: Final = "interactions"

_region = re.compile(r"/locations/([a-z0-9-]{1,40})(?:/|$)").search
_verb = re.compile(
    r"(?:/publishers/([\w-]+))?/(models|tunedModels|endpoints)/([^/:]+):(\w+)$"
).search
_makes_images = re.compile(r"(?:imagen|virtual-try-on)").match
_embeds_text = re.compile(
    r"(?:text-(?:multilingual-)?embedding|gemini-embedding|textembedding)"
).match
_GENERATES: Final = {"generateContent": False, "streamGenerateContent": True}
_EMBEDS: Final = frozenset({"embedContent", "batchEmbedContents"})
_COUNTS: Final = frozenset({"countTokens", "computeTokens"})
_RAW: Final = {"rawPredict": None, "streamRawPredict": True}
_MAX_PATHS: Final = 4096
_OPENAI: Final = OpenAI()
_ANTHROPIC: Final = Anthropic()
_BATCHES: Final = {"submit": SUBMIT, "state": STATE, "results": FILE_RESULTS}
_OTHER: Final = Route("other", Metering.UNMETERED, inspects_body=False)


class _Place(NamedTuple):
    """One model endpoint."""

    publisher: str | None
    model: str | None
    verb: str
    region: str | None


@lru_cache(maxsize=_MAX_PATHS)
def route_of(method: str, path: str) -> Route:  # noqa: PLR0911 -- one return for each kind of path
    """Classify a request; the path has no query."""
    path = plain_path(path)
    region = _region(path)
    place = region[1] if region else None
    for mark in ("/openai/", "/openapi/"):
        _, found, rest = path.partition(mark)
        if found:
            return hosted("openai", _OPENAI.route(method, "/" + rest), region=place)
    watch = gemini_watch(method, path)
    if watch is not None:
        return structs.replace(_BATCHES[watch], region=place)
    if _shows_interaction(method, path):
        return Route(
            RETRIEVAL, Metering.FREE, inspects_body=False, region=place, watch=Watch.ANSWER
        )  # fmt: skip
    if method == "GET" and path.endswith("BidiGenerateContent"):
        # The connection itself costs nothing; its turns are calls of their own.
        return Route(
            REALTIME, Metering.UNMETERED, inspects_body=False, region=place, is_socket=True
        )
    if method == "GET" and (path.endswith("/models") or "/models/" in path):
        return Route("models", Metering.FREE, inspects_body=False, region=place)
    if method != "POST":
        return _other(place)
    if path.endswith("/interactions"):
        return Route(INTERACTIONS, Metering.METERED, inspects_body=True, region=place)
    found_verb = _verb(path)
    if found_verb is None:
        return _other(place)
    publisher, collection, name, verb = found_verb.groups()
    model = as_model(name if collection == "models" else f"{collection}/{name}")
    return _verb_route(_Place(publisher, model, verb, place))


def _shows_interaction(method: str, path: str) -> bool:
    """Whether a request shows an interaction that ran, or runs, in the background."""
    head, _, last = path.rpartition("/")
    if method == "POST":
        return last == "cancel" and "/interactions/" in head
    return method == "GET" and bool(last) and head.endswith("/interactions")


def _verb_route(place: _Place) -> Route:
    verb, model = place.verb, place.model
    if verb in _GENERATES:
        return _metered(GENERATE, place, is_stream=_GENERATES[verb])
    if verb in _EMBEDS or (verb == "predict" and _embeds_text(model or "")):
        return _metered(EMBED, place, is_stream=False)
    if verb == "predict" and _makes_images(model or ""):
        return _metered(IMAGE, place, is_stream=False)
    if verb in _COUNTS:
        return Route(
            "count_tokens", Metering.FREE, inspects_body=False, model=model, region=place.region
        )
    if verb in _RAW:
        return _raw_route(place)
    return _other(place.region)


def _raw_route(place: _Place) -> Route:
    """Return the route of a maker's own API on Vertex, which has the model in the path."""
    path = "/v1/messages" if place.publisher == "anthropic" else "/v1/chat/completions"
    if place.model == "count-tokens":
        path += "/count_tokens"
    if place.publisher == "anthropic":
        api, guest = "anthropic", _ANTHROPIC.route("POST", path)
    elif place.publisher == "mistralai":
        api, guest = "openai", _OPENAI.route("POST", path)
    else:
        return _other(place.region)
    return hosted(api, guest, model=place.model, is_stream=_RAW[place.verb], region=place.region)


def _metered(operation: str, place: _Place, *, is_stream: bool) -> Route:
    return Route(
        operation,
        Metering.METERED,
        inspects_body=True,
        model=place.model,
        is_stream=is_stream,
        region=place.region,
    )


def _other(region: str | None) -> Route:
    return _OTHER if region is None else Route("other", Metering.UNMETERED, False, region=region)
