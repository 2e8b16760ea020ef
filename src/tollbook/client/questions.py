"""Each question as data: method, path, parameters, and the type of the answer.

Both clients send these, so what one can ask the other can.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, Literal, NamedTuple, TypeVar
from urllib.parse import quote

from tollbook.client.answers import (
    Budgets,
    Calls,
    Explanation,
    Export,
    Incidents,
    Periods,
    PortalToken,
    Run,
    Runs,
    Spend,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

T = TypeVar("T")
Pairs = tuple[tuple[str, str | int | float | bool | None], ...]
"""Parameters; the type is that of the HTTP client, the values are texts."""
API: Final = "/api/v1"


class Question(NamedTuple, Generic[T]):
    """One request."""

    method: Literal["GET", "POST"]
    path: str
    answer: type[T]
    pairs: Pairs = ()
    body: Mapping[str, Any] | None = None


class Range(NamedTuple):
    """Which calls: a range of time and filters; the words of the command line and the URLs."""

    since: str | None = None
    until: str | None = None
    period: str | None = None
    tz: str | None = None
    where: Iterable[str] = ()
    billing_period: str | None = None


def pairs_of(asked: Range, **more: object) -> Pairs:
    """Return the parameters of a range and others; None is left out, lists are joined."""
    pairs: list[tuple[str, str | int | float | bool | None]] = []
    for name, value in (*asked._asdict().items(), *more.items()):
        if name == "where":
            pairs += [("where", str(one)) for one in asked.where]
        elif value is not None:
            text = ",".join(value) if isinstance(value, (list, tuple)) else str(value)
            if text:
                pairs.append((name, text))
    return tuple(pairs)


def spend(
    asked: Range, by: Iterable[str], measures: Iterable[str], order: Iterable[str],
    limit: int | None,
) -> Question[Spend]:  # fmt: skip
    """Ask for sums."""
    pairs = pairs_of(asked, by=tuple(by), measures=tuple(measures), order=tuple(order), limit=limit)
    return Question("GET", f"{API}/spend", Spend, pairs)


def calls(asked: Range, limit: int, before: int | None) -> Question[Calls]:
    """Ask for a page of calls."""
    pairs = pairs_of(asked, limit=limit, before=before)
    return Question("GET", f"{API}/calls", Calls, pairs)


def explain(call_id: str) -> Question[Explanation]:
    """Ask why a call cost what it did."""
    return Question("GET", f"{API}/calls/{quote(call_id, safe='')}/explain", Explanation)


def runs(asked: Range, limit: int | None) -> Question[Runs]:
    """Ask for runs."""
    return Question("GET", f"{API}/runs", Runs, pairs_of(asked, limit=limit))


def run(run_id: str, limit: int | None) -> Question[Run]:
    """Ask for a run's tree."""
    path = f"{API}/runs/{quote(run_id, safe='')}"
    return Question("GET", path, Run, pairs_of(Range(), limit=limit))


def budgets(name: str | None) -> Question[Budgets]:
    """Ask where budgets stand."""
    return Question("GET", f"{API}/budgets/standing", Budgets, pairs_of(Range(), name=name))


def incidents(state: str | None) -> Question[Incidents]:
    """Ask for incidents."""
    return Question("GET", f"{API}/incidents", Incidents, pairs_of(Range(), state=state))


def periods() -> Question[Periods]:
    """Ask for billing periods."""
    return Question("GET", f"{API}/periods", Periods)


def export_focus(period: str) -> Question[Export]:
    """Ask for an export in the FOCUS format."""
    return Question("POST", f"{API}/exports", Export, body={"period": period})


def export_file(export_id: str, name: str) -> Pairs:
    """Return the parameters of a file of an export."""
    return (("export_id", export_id), ("name", name))


def portal_token(tenant: str, lifetime_s: int, parts: Iterable[str]) -> Question[PortalToken]:
    """Ask for a token of a portal."""
    body = {"tenant": tenant, "lifetime_s": lifetime_s, "parts": list(parts)}
    return Question("POST", f"{API}/portal/tokens", PortalToken, body=body)
