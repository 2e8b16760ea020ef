"""Requests for images, speech and transcripts: what their price depends on, JSON or form."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from msgspec import Raw, Struct

from tollbook.dialects.base import RequestFacts
from tollbook.dialects.multipart import is_form, read_form
from tollbook.dialects.openai_layers import plain_layers
from tollbook.dialects.openai_paths import IMAGE, SPEECH
from tollbook.dialects.request_body import (
    BodyReader,
    any_of,
    as_model,
    text_length,
    without_litellm_metadata,
)
from tollbook.dialects.request_owners import Owners, claims_from_body
from tollbook.dialects.wave import wave_ms

if TYPE_CHECKING:
    from tollbook.dialects.base import Route
    from tollbook.dialects.multipart import Form

_MAX_IMAGES: Final = 1000
_is_word = re.compile(r"[a-z0-9][a-z0-9_.-]{0,31}").fullmatch
_DEFAULT_IMAGE_MODEL: Final = "dall-e-2"
"""Where a request for images names none (OpenAI API reference, Create image)."""


class _Body(Struct, gc=False):
    model: str | None = None
    stream: bool | None = None
    n: int | None = None
    size: str | None = None
    quality: str | None = None
    response_format: str | None = None
    stream_format: str | None = None
    user: str | None = None
    input: Raw = Raw()
    prompt: Raw = Raw()
    instructions: Raw = Raw()
    litellm_metadata: Raw = Raw()


_read = BodyReader(
    _Body,
    {
        "model": str, "stream": bool, "n": int, "size": str, "quality": str,
        "response_format": str, "stream_format": str, "user": str,
    },
).read  # fmt: skip


def read_media_request(route: Route, body: bytes, user_is: str) -> RequestFacts:
    """Return the facts of a request; what cannot be read is forwarded as it is. Never raises."""
    if is_form(body):
        form = read_form(body)
        return RequestFacts(body) if form is None else _of_form(route, body, form, user_is)
    read = _read(body)
    if read is None:
        return RequestFacts(body)
    asked: dict[str, str | int] = {}
    if route.operation == IMAGE:
        asked = _images(read.n, read.size, read.quality)
    elif route.operation == SPEECH:
        text = any_of(read.input)
        asked = {"characters": len(text) if isinstance(text, str) else 0}
        _put_word(asked, "format", read.response_format)
    owners = Owners(litellm_metadata=read.litellm_metadata, user=read.user, user_where="user")
    return RequestFacts(
        body=without_litellm_metadata(body) if read.litellm_metadata else body,
        model=as_model(read.model) or _default_model(route),
        is_stream=read.stream is True or read.stream_format == "sse",
        input_chars=text_length((read.input, read.prompt, read.instructions)),
        layered=plain_layers(read.input, read.prompt, prompt=read.instructions),
        claims=claims_from_body(owners, user_is),
        asked=asked,
    )


def _of_form(route: Route, body: bytes, form: Form, user_is: str) -> RequestFacts:
    fields = form.fields
    asked: dict[str, str | int]
    if route.operation == IMAGE:
        count = fields.get("n", "")
        asked = _images(
            int(count) if count.isascii() and count.isdigit() and len(count) < 5 else None,  # noqa: PLR2004 -- no number of images has five digits
            fields.get("size"),
            fields.get("quality"),
        )
    else:
        asked = _sound(body, form)
        _put_word(asked, "format", fields.get("response_format"))
    owners = Owners(user=fields.get("user"), user_where="user")
    return RequestFacts(
        body=body,
        model=as_model(fields.get("model", "").strip()) or _default_model(route),
        is_stream=fields.get("stream", "").strip().lower() in {"true", "1"},
        input_chars=len(fields.get("prompt", "").encode()),
        claims=claims_from_body(owners, user_is),
        asked=asked,
    )


def _images(count: int | None, size: str | None, quality: str | None) -> dict[str, str | int]:
    asked: dict[str, str | int] = {"images": min(max(count or 1, 1), _MAX_IMAGES)}
    _put_word(asked, "size", size)
    _put_word(asked, "quality", quality)
    return asked


def _sound(body: bytes, form: Form) -> dict[str, str | int]:
    """Return the size of the audio in a form, and its length where a WAVE header tells it."""
    sound = next((file for file in form.files if file.field == "file"), None)
    if sound is None:
        return {}
    asked: dict[str, str | int] = {"audio_bytes": sound.end - sound.start}
    length_ms = wave_ms(body, sound.start, sound.end)
    if length_ms is not None:
        asked["audio_ms"] = length_ms
    return asked


def _put_word(asked: dict[str, str | int], name: str, value: Any) -> None:
    if isinstance(value, str) and _is_word(value.strip().lower()):
        asked[name] = value.strip().lower()


def _default_model(route: Route) -> str | None:
    return _DEFAULT_IMAGE_MODEL if route.operation == IMAGE else None
