"""Usage of images, speech and transcripts: by the token, image, character or minute.

Which of them is billed is a matter of the model, and told by the answer where it has a usage:

- Images: GPT image models report tokens. DALL-E reports nothing and bills each image by size and
  quality, which become the words of the tier (``hd+1024x1792``).
- Speech: ``tts-1`` bills the characters of the text. ``gpt-4o-mini-tts`` bills tokens, which it
  reports in event streams only; otherwise the speech is estimated by its length.
- Transcripts: usage of type ``tokens`` or ``duration``; ``verbose_json`` tells the length. Plain
  text tells nothing: the length of the sound that was sent is taken, or estimated from its size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.call import Metering, Status, UsageSource
from tollbook.dialects.base import Measured
from tollbook.dialects.counts import Reading
from tollbook.dialects.estimate import CHARS_PER_TOKEN, NOT_MEASURED
from tollbook.dialects.openai_cost import reported_cost
from tollbook.dialects.openai_paths import IMAGE, SPEECH, TRANSCRIPTION, TRANSLATION
from tollbook.dialects.openai_tools import image_tokens
from tollbook.dialects.openai_usage import merged_usage, read_openai_usage
from tollbook.usage import Kinds

if TYPE_CHECKING:
    from tollbook.call import Call
    from tollbook.dialects.openai_shape import Usage

OPERATIONS: Final = frozenset({IMAGE, SPEECH, TRANSCRIPTION, TRANSLATION})
_SPEECH_TOKENS_A_MINUTE: Final = 1250
"""$12 a million tokens and $0.015 a minute (OpenAI, Pricing, gpt-4o-mini-tts)."""
_SPOKEN_CHARS_A_MINUTE: Final = 900
_PCM_BYTES_A_MINUTE: Final = 24_000 * 2 * 60
"""24 kHz, 16 bits, one channel (OpenAI, Text to speech, Supported output formats)."""
_COMPRESSED_BYTES_A_SECOND: Final = 16_000
"""128 kbit/s, a usual rate of compressed sound."""


def measure_media(call: Call) -> Measured:
    """Turn what is known of a call into kinds; estimate what is not."""
    opened, closed = call.opened, call.closed
    if (
        opened.metering is not Metering.METERED
        or not closed.is_billable
        or closed.status is Status.REJECTED
    ):
        return NOT_MEASURED
    reading, usage = Reading(None, ()), None
    if closed.usage:
        reading = read_openai_usage(closed.usage)
        usage = merged_usage(closed.usage)[0]
    has_tokens = usage is not None and _has_tokens(usage)
    if opened.operation == IMAGE:
        return _image(call, reading, usage, has_tokens=has_tokens)
    if opened.operation == SPEECH:
        return _speech(call, reading, has_tokens=has_tokens)
    return _transcript(call, reading, usage, has_tokens=has_tokens)


def _has_tokens(usage: Usage) -> bool:
    counts = (usage.prompt_tokens, usage.input_tokens, usage.output_tokens, usage.total_tokens)
    return any(count is not None for count in counts)


def _reported(call: Call, reading: Reading, kinds: Kinds, tier: str | None = None) -> Measured:
    """Return kinds that the answer told, less certain where it broke off."""
    is_whole = call.closed.usage_complete
    problems = reading.problems
    if not is_whole:
        problems = (*problems, "the answer ended before its final usage")
    return Measured(
        kinds,
        UsageSource.REPORTED if is_whole else UsageSource.ESTIMATED,
        problems,
        tier,
        reported_cost_pico=reading.reported_cost_pico,
    )


def _estimated(call: Call, why: str, kinds: Kinds, tier: str | None = None) -> Measured:
    cost = reported_cost(call.closed.usage).pico
    return Measured(kinds, UsageSource.ESTIMATED, (why,), tier, reported_cost_pico=cost)


def _asked(call: Call, name: str) -> int:
    value = (call.opened.asked or {}).get(name)
    return value if isinstance(value, int) and value > 0 else 0


def _word(call: Call, name: str) -> str | None:
    value = (call.opened.asked or {}).get(name)
    return value if isinstance(value, str) else None


def _model(call: Call) -> str:
    return call.closed.model_actual or call.opened.model_requested or ""


def _input_tokens(call: Call) -> int:
    return -(-call.opened.input_chars // CHARS_PER_TOKEN)


def _image(call: Call, reading: Reading, usage: Usage | None, *, has_tokens: bool) -> Measured:
    if has_tokens and reading.kinds is not None and usage is not None:
        kinds = reading.kinds
        if usage.output_tokens_details is None and usage.completion_tokens_details is None:
            kinds = kinds._replace(
                visible_output_tokens=0,
                output_image_tokens=kinds.output_image_tokens + kinds.visible_output_tokens,
            )
        return _reported(call, reading, kinds)
    seen = usage.tollbook_seen if usage is not None else None
    images = (seen.images if seen is not None else None) or 0
    size, quality = _word(call, "size"), _word(call, "quality")
    if "gpt" in _model(call):
        return _estimated(
            call,
            "the provider reported no usage: image tokens are taken from size and quality",
            Kinds(
                _input_tokens(call),
                output_image_tokens=(images or _asked(call, "images") or 1)
                * image_tokens(size, quality),
            ),
        )
    tier = "+".join(word for word in (quality, size or "1024x1024") if word) or None
    if images:
        return _reported(call, reading, Kinds(images=images), tier)
    why = "the answer could not be read: as many images are taken as were asked for"
    return _estimated(call, why, Kinds(images=_asked(call, "images") or 1), tier)


def _speech(call: Call, reading: Reading, *, has_tokens: bool) -> Measured:
    kinds = reading.kinds
    if has_tokens and kinds is not None:
        return _reported(
            call,
            reading,
            kinds._replace(
                visible_output_tokens=0,
                output_audio_tokens=kinds.output_audio_tokens + kinds.visible_output_tokens,
            ),
        )
    characters = _asked(call, "characters")
    if "gpt" not in _model(call):
        # The text that was sent is what is billed, whatever came back.
        return Measured(Kinds(characters=characters), UsageSource.REPORTED)
    minutes = max(characters, 1) / _SPOKEN_CHARS_A_MINUTE
    why = "speech in one piece reports no usage: its tokens are estimated from the text"
    if _word(call, "format") in {"pcm", "wav"} and call.closed.response_bytes:
        minutes = call.closed.response_bytes / _PCM_BYTES_A_MINUTE
        why = "speech in one piece reports no usage: its tokens are taken from its length"
    spoken = -(-int(minutes * _SPEECH_TOKENS_A_MINUTE * 1000) // 1000)
    return _estimated(call, why, Kinds(_input_tokens(call), output_audio_tokens=spoken))


def _transcript(call: Call, reading: Reading, usage: Usage | None, *, has_tokens: bool) -> Measured:
    kinds = reading.kinds
    if kinds is not None and kinds.audio_ms:
        # Mistral shows tokens too, but a transcript is billed by the minute alone.
        return _reported(call, reading, Kinds(audio_ms=kinds.audio_ms))
    if has_tokens and kinds is not None:
        return _reported(call, reading, kinds)
    seen = usage.tollbook_seen if usage is not None else None
    length_ms = (seen.audio_ms if seen is not None else None) or 0
    if length_ms:
        return _reported(call, reading, Kinds(audio_ms=length_ms))
    length_ms, why = _asked(call, "audio_ms"), "the length of the sound that was sent is taken"
    if not length_ms:
        length_ms = _asked(call, "audio_bytes") * 1000 // _COMPRESSED_BYTES_A_SECOND
        why = "the length is estimated from the size of the sound that was sent"
    why = f"the provider reported no usage: {why}"
    if "gpt" not in _model(call):
        return _estimated(call, why, Kinds(audio_ms=length_ms))
    return _estimated(
        call,
        why,
        Kinds(
            _input_tokens(call),
            input_audio_tokens=length_ms // 100,  # ten tokens a second
            visible_output_tokens=-(-call.closed.output_chars // CHARS_PER_TOKEN),
        ),
    )
