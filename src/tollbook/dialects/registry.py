"""Dialects by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.dialects.anthropic import Anthropic
from tollbook.dialects.azure import Azure
from tollbook.dialects.bedrock import Bedrock
from tollbook.dialects.cohere import Cohere
from tollbook.dialects.gemini import Gemini
from tollbook.dialects.ollama import Ollama
from tollbook.dialects.openai import OpenAI
from tollbook.dialects.otel import Otel
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from tollbook.dialects.base import Dialect, Measures

_DIALECTS: Final[dict[str, Dialect]] = {
    "openai": OpenAI(),
    "anthropic": Anthropic(),
    "azure": Azure(),
    "gemini": Gemini(),
    "bedrock": Bedrock(),
    "cohere": Cohere(),
    "ollama": Ollama(),
}
_OBSERVED: Final[dict[str, Measures]] = {"otel": Otel()}
"""What tells of calls that others made: usage comes of it, and no request goes there."""


class UnknownDialectError(TollbookError):
    """A dialect that this version does not know."""

    def __init__(self, name: str) -> None:
        super().__init__(f"dialect {name!r} is unknown; expected one of {', '.join(_DIALECTS)}")


def dialect_names() -> tuple[str, ...]:
    """Return the names of all dialects."""
    return tuple(_DIALECTS)


def dialect_named(name: str) -> Dialect:
    """Return the dialect of that name; dialects hold no state and are shared.

    Raises:
        UnknownDialectError: there is none.
    """
    try:
        return _DIALECTS[name]
    except KeyError:
        raise UnknownDialectError(name) from None


def measures_named(name: str) -> Measures:
    """Return what measures the calls of that dialect: an API, or what others tell of calls.

    Raises:
        UnknownDialectError: there is none.
    """
    return _OBSERVED.get(name) or dialect_named(name)
