"""Count the sections of a request with a real tokenizer, beside the hot path.

The structure is read as ever (:mod:`tollbook.dialects.request_layers`), but every text is counted
instead of weighed. Takes milliseconds for a large request, so the gateway never does it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Literal

import msgspec

from tollbook.dialects.layer_marks import marked_layers
from tollbook.dialects.layer_weights import PER_TOKEN
from tollbook.dialects.registry import dialect_named
from tollbook.dialects.request_body import DECODE_ERRORS
from tollbook.dialects.request_layers import weigher
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Callable

Encoding = Literal["o200k", "cl100k"]

_decode = msgspec.json.Decoder().decode


class TokenizerMissingError(TollbookError):
    """The extra with the tokenizer is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "counting layers needs a tokenizer: install it with 'pip install tollbook[tokenizer]'"
        )


@cache
def _counter(encoding: Encoding) -> Callable[[str], int]:
    try:
        from rs_bpe import openai  # noqa: PLC0415 -- an extra, and its vocabulary takes 45 ms to load
    except ImportError:
        raise TokenizerMissingError from None
    tokenizer = openai.cl100k_base() if encoding == "cl100k" else openai.o200k_base()
    counted: Callable[[str], int] = tokenizer.count
    return counted


def count_layers(
    dialect: str, path: str, body: bytes, *, marks: str = "", encoding: Encoding = "o200k"
) -> tuple[int, ...] | None:
    """Return section, tokens, section, tokens, ... of a request; None where it does not tell.

    What is no text (framing, images) is counted as for the weights.

    Args:
        dialect: name of the API, such as ``openai`` or ``anthropic``.
        path: the endpoint, without the gateway's prefix: ``/v1/chat/completions``.
        body: the request.
        marks: as in the header ``x-tollbook-layers``.
        encoding: the vocabulary; ``cl100k`` is that of models before GPT-4o.

    Raises:
        TokenizerMissingError: the extra ``tokenizer`` is not installed.
    """
    count = _counter(encoding)

    def weigh(text: bytes) -> int:
        return PER_TOKEN * count(_text_of(text))

    spoken = dialect_named(dialect)
    token = weigher.set(weigh)
    try:
        layered, _ = marked_layers(spoken, spoken.route("POST", path), body, marks)
    finally:
        weigher.reset(token)
    if layered.layers is None:
        return None
    return tuple(
        [
            each if at % 2 == 0 else max(1, (each + PER_TOKEN // 2) // PER_TOKEN)
            for at, each in enumerate(layered.layers)
        ]
    )


def _text_of(raw: bytes) -> str:
    """Return a JSON string's text; any other value as it was sent."""
    try:
        value = _decode(raw)
    except DECODE_ERRORS:
        value = None
    return value if isinstance(value, str) else raw.decode(errors="replace")
