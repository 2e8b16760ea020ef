"""Counts and costs of other tools under the names that dialect ``otel`` reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tollbook.capture.imports.record import cost, tokens

if TYPE_CHECKING:
    from tollbook.audit.inputs.foreign import Fields

__all__ = ["cost", "tokens", "tokens_at"]


def tokens_at(row: Fields, **paths: tuple[str, ...]) -> dict[str, Any]:
    """Return attributes of usage, each quantity from the first field that has it.

    Raises:
        RowError: a field is no count.
    """
    return tokens(**{name: row.count(*fields) for name, fields in paths.items()})
