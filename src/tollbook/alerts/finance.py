"""Ask other rooms by the names of their operations: budgets and margins know their own numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from tollbook.desk.registry import operations

if TYPE_CHECKING:
    from tollbook.desk import Desk, Operation

Ask = Callable[[str, Mapping[str, Any]], "dict[str, Any] | None"]
"""Answers an operation that reads, by its name; None where there is no such operation."""


@lru_cache(maxsize=1)
def _known() -> dict[str, Operation]:
    return operations()


def asker(desk: Desk) -> Ask:
    """Return what asks the operations of a desk; nothing is booked."""
    plain = desk._replace(writer=None)

    def ask(name: str, given: Mapping[str, Any]) -> dict[str, Any] | None:
        one = _known().get(name)
        if one is None or one.method != "GET":
            return None
        answer = one.run(plain, msgspec.convert(dict(given), one.request, strict=False))
        return msgspec.json.decode(msgspec.json.encode(answer), type=dict[str, Any])

    return ask


def nobody(name: str, given: Mapping[str, Any]) -> dict[str, Any] | None:
    """Answer nothing: back-tests know no budgets of the past."""
    del name, given
    return None
