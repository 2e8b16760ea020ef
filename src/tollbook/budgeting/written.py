"""A budget as people write it, in a form, a command or JSON, and the rule that it means."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from tollbook.budgeting.shelf import STOP_PREFIX
from tollbook.budgets.rules import Rule, read_rules
from tollbook.config import Config
from tollbook.config.budgets import Budget
from tollbook.config.problems import ConfigError, explained
from tollbook.errors import TollbookError
from tollbook.money import NotMoneyError, pico_from_usd, usd_text

if TYPE_CHECKING:
    from collections.abc import Mapping

_STEP: Final = re.compile(
    r"(?P<at_percent>\d{1,3})\s*%?\s+(?P<action>[a-z]+)(?:\s+(?P<with>\S+))?", re.ASCII
)
_LISTS: Final = ("each", "warn_at_percent")
UNITS: Final = {
    "usd": "USD", "tokens": "tokens", "requests": "requests", "concurrent": "calls at once",
}  # fmt: skip
"""Units of limits, and what amounts of them are followed by."""


class BudgetError(TollbookError):
    """A budget that cannot be kept or asked about."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"budget {name[:64]!r}: {problem}")


class Written(Struct, forbid_unknown_fields=True, kw_only=True):
    """The settings of a budget; see docs/budgets.md. What is not given has its default.

    Lists may be texts with commas, ``match`` a text ``tenant=trial-*, feature=chat``, and steps a
    text ``80 rate 60, 90 model gpt-5-mini, 100 refuse``.
    """

    limit_usd: Decimal | None = None
    limit_tokens: int | None = None
    limit_requests: int | None = None
    limit_concurrent: int | None = None
    each: str | list[str] | None = None
    match: str | list[str] | dict[str, str] | None = None
    window: str | None = None
    rolling: bool | None = None
    timezone: str | None = None
    mode: str | None = None
    steps: str | list[str | dict[str, Any]] | None = None
    stop_streams: bool | None = None
    wait_s: float | None = None
    unknown_price: str | None = None
    hold_usd: Decimal | None = None
    default_output_tokens: int | None = None
    warn_at_percent: str | list[int] | None = None


def rule_of(name: str, written: Written, base: Budget | None = None) -> Rule:
    """Return the rule that settings mean, checked as those of a settings file are.

    Args:
        name: of the budget.
        written: what is given.
        base: what holds where nothing is given; None: the defaults.

    Raises:
        BudgetError: naming the budget, the field and what is expected.
    """
    given = {
        field: _plain(name, field, value)
        for field in Written.__struct_fields__
        if (value := getattr(written, field)) is not None
    }
    if base is not None:
        kept = msgspec.to_builtins(base)
        if any(field.startswith("limit_") for field in given):
            kept = {field: value for field, value in kept.items() if field[:6] != "limit_"}
        given = kept | given
    try:
        budget = msgspec.convert(given | {"name": name}, Budget, strict=False)
        (rule,) = read_rules([budget], "books")
    except msgspec.ValidationError as error:
        raise BudgetError(name, _words(error, given | {"name": name})) from error
    except ConfigError as error:
        raise BudgetError(name, f"{error.key.partition(').')[2]}: {error.problem}"
                          if ")." in error.key else error.problem) from error  # fmt: skip
    return rule


def check_name(name: str) -> None:
    """Refuse names that stops have.

    Raises:
        BudgetError: it begins as those do.
    """
    if name.startswith(STOP_PREFIX):
        raise BudgetError(name, f"names that begin with {STOP_PREFIX!r} are those of stops")


def _plain(name: str, field: str, value: Any) -> Any:
    if field in _LISTS and isinstance(value, str):
        return _pieces(value)
    if field == "match" and not isinstance(value, dict):
        return _pairs(name, _pieces(value) if isinstance(value, str) else value)
    if field == "steps":
        steps = _pieces(value) if isinstance(value, str) else value
        return [_step(name, one) if isinstance(one, str) else one for one in steps]
    return str(value) if isinstance(value, Decimal) else value


def _pieces(text: str) -> list[str]:
    return [piece.strip() for piece in re.split(r"[,;\n]", text) if piece.strip()]


def _pairs(name: str, pieces: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for piece in pieces:
        field, is_pair, pattern = piece.partition("=")
        if not is_pair or not pattern:
            raise BudgetError(name, f"match: {piece[:64]!r}; expected such as tenant=trial-*")
        found[field.strip()] = pattern.strip()
    return found


def _step(name: str, text: str) -> dict[str, Any]:
    match = _STEP.fullmatch(text.strip())
    if match is None:
        expected = "expected such as 80 rate 60, 90 model gpt-5-mini or 100 refuse"
        raise BudgetError(name, f"steps: {text[:64]!r}; {expected}")
    step: dict[str, Any] = {"at_percent": int(match["at_percent"]), "action": match["action"]}
    given = match["with"]
    if given is not None:
        step["requests_per_minute" if step["action"] == "rate" else "model"] = given
    return step


def _words(error: msgspec.ValidationError, given: dict[str, Any]) -> str:
    """Return what is wrong as the settings' own checks say it, which list what is expected."""
    raw = {"budgets": [given]}
    try:
        msgspec.convert(raw, Config, strict=False)
    except msgspec.ValidationError as in_settings:
        told = explained(in_settings, raw, "books", {})
        return f"{told.key.removeprefix('budgets[0].')}: {told.problem}"
    return str(error)


def amount_of(name: str, unit: str, text: str) -> int:
    """Return an amount of a budget's unit: pico of decimal dollars, else pieces.

    Raises:
        BudgetError: it is none.
    """
    try:
        amount = pico_from_usd(text) if unit == "usd" else int(text)
    except (NotMoneyError, ValueError) as error:
        raise BudgetError(name, f"{text[:64]!r} is no amount of {UNITS[unit]}") from error
    if amount <= 0:
        raise BudgetError(name, f"{text[:64]!r}: expected more than 0 {UNITS[unit]}")
    return amount


def amount_text(unit: str, amount: int) -> str:
    """Return an amount as decimal text: dollars with twelve digits, else pieces."""
    return usd_text(amount) if unit == "usd" else str(amount)


def owner_text(fields: Mapping[Any, str]) -> str:
    """Return ``tenant=acme, model=m-1``; ``all`` where the budget is one for all."""
    return ", ".join(f"{field}={value}" for field, value in fields.items()) or "all"
