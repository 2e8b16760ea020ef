"""How each endpoint of the OpenAI API is treated, by the end of its path."""

from __future__ import annotations

from typing import Final

from tollbook.call import Metering
from tollbook.dialects.base import Route, Watch
from tollbook.dialects.batch_routes import openai_batch_route
from tollbook.dialects.http_head import plain_path
from tollbook.dialects.realtime_usage import REALTIME

IMAGE: Final = "image"
SPEECH: Final = "speech"
TRANSCRIPTION: Final = "transcription"
TRANSLATION: Final = "translation"
RERANK: Final = "rerank"
MODERATION: Final = "moderation"
RETRIEVAL: Final = "retrieval"


def _metered(operation: str) -> Route:
    return Route(operation, Metering.METERED, inspects_body=True)


def _free(operation: str) -> Route:
    return Route(operation, Metering.FREE, inspects_body=False)


_CHAT: Final = _metered("chat")
_RESPONSES: Final = _metered("responses")
_IMAGE: Final = _metered(IMAGE)
_BY_LAST: Final = {
    "completions": _metered("text_completion"),
    "responses": _RESPONSES,
    "embeddings": _metered("embeddings"),
    "rerank": _metered(RERANK),
    "moderations": _free(MODERATION),
    "images": _IMAGE,  # OpenRouter
}
_BY_TWO: Final = {
    ("chat", "completions"): _CHAT,
    ("agents", "completions"): _CHAT,  # Mistral
    ("images", "generations"): _IMAGE,
    ("images", "edits"): _IMAGE,
    ("images", "variations"): _IMAGE,
    ("audio", "speech"): _metered(SPEECH),
    ("audio", "transcriptions"): _metered(TRANSCRIPTION),
    ("audio", "translations"): _metered(TRANSLATION),
    ("responses", "compact"): _RESPONSES,
    ("responses", "input_tokens"): _free("count_tokens"),
}
_MODELS: Final = _free("models")
_RETRIEVAL: Final = Route(RETRIEVAL, Metering.FREE, inspects_body=False, watch=Watch.ANSWER)
_OTHER: Final = Route("other", Metering.UNMETERED, inspects_body=False)
_SOCKETS: Final = {
    "realtime": Route(REALTIME, Metering.UNMETERED, inspects_body=False, is_socket=True),
    "responses": Route("other", Metering.UNMETERED, inspects_body=False, is_socket=True),
}
"""Unmetered in themselves: billed are the responses within. A plain GET is like any other."""


def openai_route(method: str, path: str) -> Route:
    """Classify by the end of the path, for servers put these endpoints under any prefix.

    Only the request that generates is metered: ``GET /responses/{id}`` shows the usage of an
    earlier call again, and costs nothing; so does cancelling one that runs in the background.
    """
    head, _, last = plain_path(path).rpartition("/")
    above, _, folder = head.rpartition("/")
    if method == "POST":
        return (
            _BY_TWO.get((folder, last))
            or _BY_LAST.get(last)
            or openai_batch_route(method, head, last)
            or (_RETRIEVAL if last == "cancel" and above.endswith("/responses") else None)
            or (_CHAT if _is_databricks(above, last) else _OTHER)
        )
    if method == "GET":
        if last == "models" or folder == "models":
            return _MODELS
        if folder in {"responses", "completions"} and last:
            return _RETRIEVAL
        return _SOCKETS.get(last) or openai_batch_route(method, head, last) or _OTHER
    return _OTHER


def _is_databricks(above: str, last: str) -> bool:
    return last == "invocations" and above.endswith("/serving-endpoints")
