"""OpenAI images, speech and transcripts.

Shapes as in https://platform.openai.com/docs/api-reference/images and /audio.
"""

from __future__ import annotations

import base64
import struct
import zlib
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tollbook.simulator.pricelist import Quantities
from tollbook.simulator.provider import checks
from tollbook.simulator.provider.answers import (
    Answer,
    Event,
    Generation,
    Plain,
    RefusedError,
    Stream,
)
from tollbook.simulator.provider.sizing import count_tokens

if TYPE_CHECKING:
    from tollbook.simulator.pricelist import Model
    from tollbook.simulator.provider.api import Incoming
    from tollbook.simulator.provider.checks import Json

_INVALID: Final = "invalid_request_error"
_IMAGE_TOKENS: Final = {"low": 272, "medium": 1056, "high": 4160}
_TOKENS_OF_A_SENT_IMAGE: Final = 194
_PIXEL: Final = base64.b64encode(b"\x89PNG simulated pixel").decode()
_ERROR_EVENT: Final = b'data: {"type":"error","error":{"type":"server_error","code":null}}\n\n'
_TEXT: Final = "A short sentence that was spoken."
_WAVE_HEAD_BYTES: Final = 44
_encode = msgspec.json.Encoder().encode


def _generation(incoming: Incoming, model: Model, quantities: Quantities) -> Generation:
    seed = zlib.crc32(incoming.attempt_id.encode())
    created_s = incoming.arrived_at_ns // 1_000_000_000
    return Generation(model, quantities, seed, created_s, shape=incoming.shape)


def _plain(generation: Generation, body: Json, usage: Json | None) -> Plain:
    tells = usage is not None and generation.shape.has_usage
    if tells:
        body["usage"] = usage
    return Plain(200, _encode(body), (), generation, None, has_usage=tells)


def _stream(generation: Generation, events: list[Json], usage: Json | None) -> Stream:
    if usage is not None and generation.shape.has_usage:
        events[-1]["usage"] = usage
    framed = [
        Event(b"data: " + _encode(event) + b"\n\n", is_content=True, has_final_usage=last)
        for event, last in [(event, event is events[-1]) for event in events]
    ]
    return Stream(tuple(framed), generation, "", _ERROR_EVENT)


def images(incoming: Incoming) -> Answer:
    """Answer ``/v1/images/generations``, ``edits`` and ``variations``."""
    body = incoming.body
    model = checks.need_model(incoming.provider, body, "images")
    count = int(body.get("n") or 1)
    kinds = model.usd_per_mtok
    if "image" in kinds:
        made = Quantities(image=count)
        usage = None
    else:
        text = count_tokens(body.get("prompt") or "")
        sent = _TOKENS_OF_A_SENT_IMAGE if incoming.path.endswith("edits") else 0
        output = count * _IMAGE_TOKENS[body.get("quality") or "high"]
        made = Quantities(uncached_input=text, input_image=sent, output_image=output)
        usage = {
            "input_tokens": text + sent,
            "input_tokens_details": {"text_tokens": text, "image_tokens": sent},
            "output_tokens": output,
            "output_tokens_details": {"text_tokens": 0, "image_tokens": output},
            "total_tokens": text + sent + output,
        }
    generation = _generation(incoming, model, made)
    if checks.is_true(body, "stream"):
        head = {"b64_json": _PIXEL, "created_at": generation.created_s}
        shown = {"size": "1024x1024", "quality": "high", "background": "opaque"}
        rest: Json = head | shown | {"output_format": "png"}
        return _stream(
            generation,
            [
                {"type": "image_generation.partial_image", "partial_image_index": 0} | rest,
                {"type": "image_generation.completed"} | rest,
            ],
            usage,
        )
    made_images = [{"b64_json": _PIXEL} for _ in range(count)]
    return _plain(generation, {"created": generation.created_s, "data": made_images}, usage)


def speech(incoming: Incoming) -> Answer:
    """Answer ``/v1/audio/speech``: sound, or events for models that have them."""
    body = incoming.body
    model = checks.need_model(incoming.provider, body, "speech")
    text = body.get("input")
    if not isinstance(text, str) or not text:
        raise RefusedError(400, _INVALID, "Missing required parameter: 'input'.", "input")
    sound = b"\xff\xfb\x90" + bytes(16 * len(text))
    if "character" in model.usd_per_mtok:
        generation = _generation(incoming, model, Quantities(character=len(text)))
        return Plain(200, sound, (), generation, media_type=b"audio/mpeg")
    given, spoken = count_tokens(text), 5 * count_tokens(text)
    made = Quantities(uncached_input=given, output_audio=spoken)
    generation = _generation(incoming, model, made)
    if body.get("stream_format") != "sse":
        return Plain(200, sound, (), generation, media_type=b"audio/mpeg")
    usage = {"input_tokens": given, "output_tokens": spoken, "total_tokens": given + spoken}
    audio = base64.b64encode(sound).decode()
    events: list[Json] = [{"type": "speech.audio.delta", "audio": audio}]
    return _stream(generation, [*events, {"type": "speech.audio.done"}], usage)


def transcripts(incoming: Incoming) -> Answer:
    """Answer ``/v1/audio/transcriptions`` and ``translations``, billed by tokens or by length."""
    body = incoming.body
    model = checks.need_model(incoming.provider, body, "transcriptions")
    sound = body.get("file")
    if not isinstance(sound, bytes) or len(sound) <= _WAVE_HEAD_BYTES:
        raise RefusedError(400, _INVALID, "Missing required parameter: 'file'.", "file")
    (bytes_a_second,) = struct.unpack_from("<I", sound, 28)
    seconds = (len(sound) - _WAVE_HEAD_BYTES) / bytes_a_second
    shape = body.get("response_format") or "json"
    if "audio_ms" in model.usd_per_mtok:
        made = Quantities(audio_ms=round(seconds * 1000))
        usage: Json = {"type": "duration", "seconds": seconds}
    else:
        heard, written = max(1, round(seconds * 10)), count_tokens(_TEXT)
        made = Quantities(input_audio=heard, visible_output=written)
        usage = {
            "type": "tokens",
            "input_tokens": heard,
            "input_token_details": {"text_tokens": 0, "audio_tokens": heard},
            "output_tokens": written,
            "total_tokens": heard + written,
        }
    generation = _generation(incoming, model, made)
    if body.get("stream") == "true":
        delta = {"type": "transcript.text.delta", "delta": _TEXT}
        done: Json = {"type": "transcript.text.done", "text": _TEXT}
        return _stream(generation, [delta, done], usage)
    if shape in ("text", "srt", "vtt"):
        return Plain(200, _TEXT.encode() + b"\n", (), generation, media_type=b"text/plain")
    answer: Json = {"text": _TEXT}
    if shape == "verbose_json":
        answer |= {"task": "transcribe", "language": "english", "duration": seconds, "segments": []}
    return _plain(generation, answer, usage)


def read_form(content_type: str, body: bytes) -> dict[str, Any]:
    """Return the fields of a form: text, or the bytes of a file."""
    from email import message_from_bytes  # noqa: PLC0415 -- for forms only

    message = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    found: dict[str, Any] = {}
    for part in message.get_payload():
        if isinstance(part, str):
            continue
        name = str(part.get_param("name", "", "content-disposition")).removesuffix("[]")
        payload = part.get_payload(decode=True)
        data = payload if isinstance(payload, bytes) else b""
        found[name] = data if part.get_filename() else data.decode("utf-8", "replace")
    return found
