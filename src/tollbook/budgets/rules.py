"""Which budgets a call counts against, and as whose."""

from __future__ import annotations

import hashlib
import re
from fnmatch import translate
from typing import TYPE_CHECKING, Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from tollbook.budgets.rulesfile import RULES_FILE, RulesFile, read_rules_file
from tollbook.budgets.steps import step_problem
from tollbook.budgets.window import BUCKETS, Span, bucket_s, span_at
from tollbook.config.problems import ConfigError
from tollbook.money import pico_from_usd

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tollbook.budgets.rulesfile import TopUp
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
_UNDER_WAY_S: Final = 3600
"""How long an owner with no call under way keeps its place in the table."""


class Rule(NamedTuple):
    """One budget, made ready."""

    budget: Budget
    unit: str
    """``usd``, ``tokens``, ``requests`` or ``concurrent``."""
    limit: int
    """Pico for ``usd``, else pieces."""
    hold: int
    """Pico that a call of unknown price counts as."""
    patterns: tuple[tuple[str, re.Pattern[str]], ...]
    bucket_s: int = 0
    """Seconds of a part of a rolling window; 0 for a calendar's, and for calls under way."""
    counted: str = ""
    """What tells rules apart that count something else: changes of limits and steps do not."""
    from_us: int = 0
    """Workers count what ends from here on (microseconds since the epoch)."""
    top_ups: tuple[TopUp, ...] = ()
    """That are, or were, in force."""
    ends_at_s: int = 0
    """From when on it is in force no more, seconds since the epoch; 0: until further notice."""

    def owner(self, fields: Mapping[str, str]) -> tuple[str, ...] | None:
        """Return as whom a call counts, None where it does not count."""
        for name, pattern in self.patterns:
            if not pattern.fullmatch(fields[name]):
                return None
        return tuple(fields[name] for name in self.budget.each)

    def key(self, owner: Sequence[str], start_s: int) -> bytes:
        """Return what an owner's window is found by in the table, on every host the same.

        ``start_s`` is the window's.
        """
        at_s = start_s if self.has_calendar else 0
        text = msgspec.json.encode([self.counted, owner, at_s])
        return hashlib.blake2b(text, digest_size=KEY_BYTES).digest()

    def span(self, at_s: int) -> Span:
        """Return the window that a moment lies in; a rolling one begins with its part.

        A rolling window's span ends when what is spent at ``at_s`` counts no longer.
        """
        if self.unit == "concurrent":
            return Span(at_s, at_s + _UNDER_WAY_S)
        if self.bucket_s:
            start_s = at_s // self.bucket_s * self.bucket_s
            return Span(start_s, start_s + self.bucket_s * (BUCKETS + 1))
        return span_at(self.budget.window, self.budget.timezone, at_s)

    def window(self, now_s: int) -> Span:
        """Return whose sum counts now: its window, of a rolling one the parts that are in it."""
        span = self.span(now_s)
        if not self.bucket_s:
            return span
        return Span(span.start_s - BUCKETS * self.bucket_s, span.start_s + self.bucket_s)

    @property
    def has_calendar(self) -> bool:
        """Whether its windows are a calendar's."""
        return not self.bucket_s and self.unit != "concurrent"

    def limit_of(self, owner: Sequence[str], now_s: int) -> int:
        """Return an owner's limit, with the top-ups that are in force."""
        if not self.top_ups:
            return self.limit
        mine = tuple(owner)
        return self.limit + sum(
            one.amount for one in self.top_ups if one.expires_at_s > now_s and one.owner == mine
        )

    def rate(self) -> Rule:
        """Return what counts the calls of a step that slows an owner down."""
        counted = f"{self.counted} rate"
        return self._replace(unit="requests", bucket_s=1, counted=counted, top_ups=())


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
            "concurrent": budget.limit_concurrent,
        }
        given = [(unit, limit) for unit, limit in limits.items() if limit is not None]
        if len(given) != 1:
            raise ConfigError(
                source,
                where,
                "expected exactly one of limit_usd, limit_tokens, limit_requests, limit_concurrent",
            )
        try:
            ZoneInfo(budget.timezone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            problem = f"{budget.timezone!r} is no time zone; expected one such as Europe/Berlin"
            raise ConfigError(source, f"{where}.timezone", problem) from error
        problem_of_steps = step_problem(budget.steps)
        if problem_of_steps is None and budget.steps and budget.limit_concurrent is not None:
            problem_of_steps = "steps", "calls under way have none: nothing of them is spent"
        if problem_of_steps is not None:
            key, problem = problem_of_steps
            raise ConfigError(source, f"{where}.{key}", problem)
        ((unit, limit),) = given
        patterns = tuple(
            (name, re.compile(translate(pattern))) for name, pattern in budget.match.items()
        )
        hold = pico_from_usd(str(budget.hold_usd))
        rules.append(
            Rule(budget, unit, limit, hold, patterns, bucket_s(budget), _counted(budget, unit))
        )
    return tuple(rules)


def rules_in_force(
    budgets: Sequence[Budget],
    top_ups: Sequence[TopUp],
    from_s: Mapping[str, int],
    source: str,
    *,
    ends_s: Mapping[str, int] | None = None,
) -> tuple[Rule, ...]:
    """Return the rules of a rules file.

    Raises:
        ConfigError: a budget that says too much, too little, or names no zone.
    """
    by_name: dict[str, list[TopUp]] = {}
    for one in top_ups:
        by_name.setdefault(one.rule, []).append(one)
    return tuple(
        rule._replace(
            from_us=from_s.get(rule.budget.name, 0) * 1_000_000,
            top_ups=tuple(by_name.get(rule.budget.name, ())),
            ends_at_s=(ends_s or {}).get(rule.budget.name, 0),
        )
        for rule in read_rules(budgets, source)
    )


def published_rules(directory: Path) -> tuple[Rule, ...] | None:
    """Return the rules that gateway workers count by, None where none are published."""
    found = read_rules_file(directory)
    if not isinstance(found, RulesFile):
        return None
    try:
        return rules_in_force(
            found.budgets, found.top_ups, found.from_s, RULES_FILE, ends_s=found.ends_s
        )
    except ConfigError:
        return None


def _counted(budget: Budget, unit: str) -> str:
    """Return what a budget counts, in few characters."""
    told = [
        budget.name, unit, budget.each, sorted(budget.match.items()), budget.window, budget.rolling,
        budget.timezone,
    ]  # fmt: skip
    return hashlib.blake2b(msgspec.json.encode(told), digest_size=8).hexdigest()
