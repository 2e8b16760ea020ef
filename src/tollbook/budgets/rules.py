"""Which budgets a call counts against, and as whose."""

from __future__ import annotations

import hashlib
import re
from fnmatch import translate
from typing import TYPE_CHECKING, Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from tollbook.config.problems import ConfigError
from tollbook.money import pico_from_usd

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tollbook.call import CallOpened
    from tollbook.config.budgets import Budget

UNKNOWN: Final = "unknown"
"""The owner of calls that name none: they share one budget rather than escape it."""
_IDENTITY: Final = {
    "tenant": "tenant_id",
    "user": "user_id",
    "team": "team_id",
    "feature": "feature",
    "workflow": "workflow_id",
    "agent_run": "agent_run_id",
    "environment": "environment",
    "api_key": "api_key_id",
}
KEY_BYTES: Final = 16


class Rule(NamedTuple):
    """One budget, made ready."""

    budget: Budget
    unit: str
    """``usd``, ``tokens`` or ``requests``."""
    limit: int
    """Pico for ``usd``, else pieces."""
    hold: int
    """Pico that a call of unknown price counts as."""
    patterns: tuple[tuple[str, re.Pattern[str]], ...]

    def owner(self, fields: Mapping[str, str]) -> tuple[str, ...] | None:
        """Return as whom a call counts, None where it does not count."""
        for name, pattern in self.patterns:
            if not pattern.fullmatch(fields[name]):
                return None
        return tuple(fields[name] for name in self.budget.each)

    def key(self, owner: Sequence[str], start_s: int) -> bytes:
        """Return what an owner's window is found by in the table."""
        text = msgspec.json.encode([self.budget.name, self.unit, owner, start_s])
        return hashlib.blake2b(text, digest_size=KEY_BYTES).digest()


def fields_of(opened: CallOpened) -> dict[str, str]:
    """Return what budgets know calls by."""
    identity = opened.identity
    fields = {name: getattr(identity, field) or UNKNOWN for name, field in _IDENTITY.items()}
    fields["model"] = opened.model_requested or UNKNOWN
    fields["provider"] = opened.provider
    return fields


def read_rules(budgets: Sequence[Budget], source: str) -> tuple[Rule, ...]:
    """Return the rules of the settings.

    Raises:
        ConfigError: a budget that says too much, too little, or names no zone.
    """
    rules = []
    names: set[str] = set()
    for at, budget in enumerate(budgets):
        where = f"budgets[{at}] ({budget.name})"
        if budget.name in names:
            raise ConfigError(source, f"{where}.name", "is there twice; each budget needs its own")
        names.add(budget.name)
        for field in ("limit_usd", "hold_usd"):
            amount = getattr(budget, field)
            if amount is not None and not (amount.is_finite() and amount >= 0):
                problem = f"{amount} is no amount; expected US dollars, 0 or more"
                raise ConfigError(source, f"{where}.{field}", problem)
        limits = {
            "usd": None if budget.limit_usd is None else pico_from_usd(str(budget.limit_usd)),
            "tokens": budget.limit_tokens,
            "requests": budget.limit_requests,
        }
        given = [(unit, limit) for unit, limit in limits.items() if limit is not None]
        if len(given) != 1:
            raise ConfigError(
                source, where, "expected exactly one of limit_usd, limit_tokens, limit_requests"
            )
        try:
            ZoneInfo(budget.timezone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            problem = f"{budget.timezone!r} is no time zone; expected one such as Europe/Berlin"
            raise ConfigError(source, f"{where}.timezone", problem) from error
        ((unit, limit),) = given
        patterns = tuple(
            (name, re.compile(translate(pattern))) for name, pattern in budget.match.items()
        )
        hold = pico_from_usd(str(budget.hold_usd))
        rules.append(Rule(budget, unit, limit, hold, patterns))
    return tuple(rules)
