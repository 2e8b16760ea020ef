"""How a token kind comes from the fields a provider reports, in words, for explain."""

from __future__ import annotations

from typing import Final

_ANY: Final = {
    "input_audio_tokens": "audio among the input tokens",
    "cache_read_audio_tokens": "audio among the tokens read from a cache",
    "input_image_tokens": "images among the input tokens",
    "cache_read_image_tokens": "images among the tokens read from a cache",
    "input_video_tokens": "video among the input tokens",
    "output_audio_tokens": "audio among the output tokens",
    "output_image_tokens": "generated images among the output tokens",
    "citation_tokens": "tokens of cited text, which the provider counts beside its output",
    "web_search_requests": "searches that the provider reports beside the tokens",
    "file_search_requests": "searches in stored files, counted in the output of the answer",
    "code_sessions": "containers of a code interpreter, counted in the output of the answer",
    "search_units": "search units that the provider says it bills",
    "images": "generated images: those of the answer, else the number asked for",
    "audio_ms": "duration of the audio in milliseconds",
    "characters": "characters of the text that was asked to be spoken",
    "requests": "one per call",
}
_OPENAI: Final = {
    "uncached_input_tokens": "prompt (input) tokens less cached, cache-written and audio tokens",
    "cache_read_tokens": "cached_tokens, which the provider counts within its input",
    "cache_write_5m_tokens": "cache_write_tokens, which the provider counts within its input",
    "cache_write_1h_tokens": "not reported by this API",
    "input_audio_tokens": "audio_tokens of the input details",
    "visible_output_tokens": "completion (output) tokens less reasoning and audio tokens",
    "reasoning_tokens": "reasoning_tokens, which the provider counts within its output",
    "output_audio_tokens": "audio_tokens of the output details",
}
_ANTHROPIC: Final = {
    "uncached_input_tokens": "input_tokens, which do not include cached ones in this API",
    "cache_read_tokens": "cache_read_input_tokens",
    "cache_write_5m_tokens": "cache_creation: 5 minutes (all of it where it is not split)",
    "cache_write_1h_tokens": "cache_creation: 1 hour",
    "input_audio_tokens": "not reported by this API",
    "visible_output_tokens": "output_tokens less thinking tokens, where these are reported",
    "reasoning_tokens": "thinking tokens, where the API reports them apart",
    "output_audio_tokens": "not reported by this API",
    "web_search_requests": "server_tool_use.web_search_requests",
}
_BY_DIALECT: Final = {"openai": _OPENAI, "anthropic": _ANTHROPIC}


def kind_words(dialect: str | None, usage_source: str | None, kind: str) -> str:
    """Return where a kind's quantity comes from."""
    own = _BY_DIALECT.get(dialect or "", {})
    words = own.get(kind) or _ANY.get(kind, "as the provider reports it")
    if usage_source == "estimated" and kind != "requests":
        return f"estimated where not reported ({words})"
    return words
