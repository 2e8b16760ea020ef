"""Models of AWS Bedrock with their on-demand list prices, us-east-1, as of November 2026.

The names are those of the inference profiles: the same model costs a tenth more where its
geography is kept to (``us.``) than served from anywhere (``global.``).
"""

from __future__ import annotations

from typing import Final

from tollbook.simulator.billing import Model, chat_prices, claude_prices

_BOTH: Final = ("converse", "invoke")


def _model(
    name: str, apis: tuple[str, ...], prices: dict[str, str], max_input: int = 128_000
) -> Model:
    return Model("bedrock", name, name, apis, prices, max_input=max_input)


MODELS: Final = (
    _model(
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        _BOTH,
        claude_prices("3.30", "0.33", "4.125", "6.60", "16.50"),
        max_input=200_000,
    ),
    _model(
        "global.anthropic.claude-haiku-4-5-20251001-v1:0",
        _BOTH,
        claude_prices("1.00", "0.10", "1.25", "2.00", "5.00"),
        max_input=200_000,
    ),
    _model("amazon.nova-micro-v1:0", _BOTH, chat_prices("0.035", "0.00875", "0.14")),
    _model(
        "meta.llama3-1-8b-instruct-v1:0",
        _BOTH,
        {"uncached_input": "0.22", "visible_output": "0.22"},
    ),
    _model("amazon.titan-embed-text-v2:0", ("embed",), {"uncached_input": "0.02"})._replace(
        dimensions=1024
    ),
)
