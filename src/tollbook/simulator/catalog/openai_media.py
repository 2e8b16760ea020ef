"""OpenAI models of images, speech and transcripts, list prices as of November 2026."""

from __future__ import annotations

from typing import Final

from tollbook.simulator.billing import Model

_IMAGE: Final = ("images",)
_GPT_IMAGE: Final = {
    "uncached_input": "5.00",
    "input_image": "10.00",
    "output_image": "40.00",
}
MODELS: Final = (
    Model("openai", "gpt-image-1", "gpt-image-1", _IMAGE, _GPT_IMAGE),
    Model("openai", "dall-e-3", "dall-e-3", _IMAGE, {"image": "0.040"}),
    Model("openai", "tts-1", "tts-1", ("speech",), {"character": "15.00"}),
    Model(
        "openai",
        "gpt-4o-mini-tts",
        "gpt-4o-mini-tts",
        ("speech",),
        {"uncached_input": "0.60", "output_audio": "12.00"},
    ),
    Model("openai", "whisper-1", "whisper-1", ("transcriptions",), {"audio_ms": "0.006"}),
    Model(
        "openai",
        "gpt-4o-transcribe",
        "gpt-4o-transcribe",
        ("transcriptions",),
        {"uncached_input": "2.50", "input_audio": "6.00", "visible_output": "10.00"},
    ),
)
