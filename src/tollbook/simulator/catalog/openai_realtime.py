"""OpenAI models of the Realtime API with their list prices, as of November 2026."""

from __future__ import annotations

from typing import Final

from tollbook.simulator.billing import Model

_REALTIME: Final = ("realtime",)
_TRANSCRIPTION: Final = ("transcription",)
MODELS: Final = (
    Model(
        "openai",
        "gpt-realtime",
        "gpt-realtime-2025-08-28",
        _REALTIME,
        {
            "uncached_input": "4.00",
            "cache_read": "0.40",
            "input_audio": "32.00",
            "cache_read_audio": "0.40",
            "input_image": "5.00",
            "cache_read_image": "0.50",
            "visible_output": "16.00",
            "output_audio": "64.00",
        },
    ),
    Model(
        "openai",
        "gpt-4o-mini-transcribe",
        "gpt-4o-mini-transcribe",
        _TRANSCRIPTION,
        {"uncached_input": "1.25", "input_audio": "3.00", "visible_output": "5.00"},
    ),
    Model("openai", "whisper-1", "whisper-1", _TRANSCRIPTION, {"audio_ms": "0.006"}),
)
