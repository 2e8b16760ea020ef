"""The portal's page: every number from the same answers as its API, drawn here, without scripts."""

from __future__ import annotations

from base64 import b64encode
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache, partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import jinja2

from tollbook.console.portal import numbers
from tollbook.console.portal.bars import bars
from tollbook.console.portal.parts import Part
from tollbook.errors import TollbookError
from tollbook.reports.query import LATEST
from tollbook.reports.zone import zone_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from tollbook.console.portal.caller import Caller
    from tollbook.console.portal.settings import PortalSettings
    from tollbook.reports.params import Pairs

RANGES: Final = (
    ("7 days", {"since": "7d"}), ("30 days", {"since": "30d"}),
    ("This month", {"period": "month"}), ("Last month", {"period": "last-month"}),
    ("12 months", {"since": "365d"}),
)  # fmt: skip
TABS: Final = (("feature", "Features"), ("model", "Models"), ("user", "Users"))
_ROWS: Final = 20
_RANGE: Final = ("since", "until", "period", "tz")
_DAYS_MAX: Final = 400


def page(caller: Caller, pairs: Pairs, asset_url: Callable[[str], str]) -> str:
    """Return the page of a tenant; a question that cannot be asked is said on it."""
    given = dict(pairs)
    tab = given.get("by", TABS[0][0])
    tab = tab if tab in dict(TABS) else TABS[0][0]
    problem = None
    ranged = [(name, value) for name, value in pairs if name in _RANGE and value]
    answers: dict[str, Any] = {}
    try:
        answers = _answers(caller, ranged, tab)
    except TollbookError as error:
        problem = error.message
    settings = caller.settings
    return _template("portal.html").render(
        settings=settings, theme=theme(settings), tenant=caller.answers.tenant, problem=problem,
        asset=asset_url, tab=tab, tabs=TABS, ranges=RANGES, given=given,
        link=partial(_link, caller.token, ranged, tab), parts=caller.answers.parts, Part=Part,
        files=partial(_file_link, caller.token), has_token=caller.token is not None,
        **_numbers(settings), **answers,
    )  # fmt: skip


def closed_page(message: str, asset_url: Callable[[str], str]) -> str:
    """Return the page of somebody whose token opens nothing."""
    return _template("closed.html").render(message=message, asset=asset_url)


def policy(settings: PortalSettings | None) -> dict[str, str]:
    """Return the headers of the page: who may frame it, and that nothing leaks from it."""
    ancestors = () if settings is None else settings.frame_ancestors
    style = "'self'"
    if settings is not None:
        digest = b64encode(sha256(theme(settings).encode()).digest()).decode()
        style += f" 'sha256-{digest}'"
    headers = {
        "cache-control": "no-store",
        "content-security-policy": "default-src 'none'; script-src 'self'; "
        f"style-src {style}; img-src data:; connect-src 'self'; form-action 'self'; "
        f"base-uri 'none'; frame-ancestors {' '.join(ancestors) or chr(39) + 'none' + chr(39)}",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "permissions-policy": "camera=(), geolocation=(), microphone=()",
    }
    return headers if ancestors else headers | {"x-frame-options": "DENY"}


def theme(settings: PortalSettings) -> str:
    """Return the style sheet of a portal's own colours; they have been checked to be colours."""
    return (
        f":root{{--accent:{settings.accent}}}"
        f"@media(prefers-color-scheme:dark){{:root{{--accent:{settings.accent_dark}}}}}"
    )


def _answers(caller: Caller, ranged: Pairs, tab: str) -> dict[str, Any]:
    answers, tz = caller.answers, caller.settings.timezone
    found: dict[str, Any] = {"usage": None, "rows": None}
    if answers.opens(Part.USAGE):
        found["usage"] = answers.usage([*ranged, ("by", "day")], tz=tz)
        order = ("order", f"-{'billable_usd' if answers.opens(Part.BILLED) else 'calls'}")
        pairs = [*ranged, ("by", tab), order, ("limit", str(_ROWS))]
        found["rows"] = answers.usage(pairs, tz=tz)
    elif answers.opens(Part.BILLED):
        found["usage"] = answers.billed([*ranged, ("by", "day")], tz=tz)
    if found["usage"] is not None:
        found["chart"] = _chart(caller, found["usage"])
    for part, ask in (
        (Part.BUDGET, answers.budgets), (Part.STATEMENTS, answers.statements),
        (Part.PROJECTION, answers.projection),
    ):  # fmt: skip
        if answers.opens(part):
            found[part.value] = ask()
    return found


def _chart(caller: Caller, usage: dict[str, Any]) -> dict[str, Any]:
    """Return what the bars are of, the bars, and the highest in words."""
    has_amounts = any(row.get("billable_usd") is not None for row in usage["rows"])
    name = "billable_usd" if has_amounts else "calls"
    shown = _numbers(caller.settings)["usd" if has_amounts else "count"]
    values = {row["day"]: row[name] for row in usage["rows"] if not row.get("is_other")}
    known = [(Decimal(value), day) for day, value in values.items() if value is not None]
    highest, day = max(known, default=(Decimal(0), ""))
    return {
        "title": "Billed by day" if has_amounts else "Calls by day",
        "bars": bars([(one, values.get(one)) for one in _days(usage, values)], shown),
        "highest": f"Highest: {shown(values[day])} on {day}" if highest > 0 else "",
    }


def _days(usage: dict[str, Any], values: dict[str, Any]) -> list[str]:
    """Return the days that have a place on the chart: all of the range, but not for ever."""
    zone = zone_of(usage["tz"])
    last = (usage["until"] - timedelta(microseconds=1)).astimezone(zone).date()
    first = max(usage["since"].astimezone(zone).date(), last - timedelta(days=_DAYS_MAX))
    count = (last - first).days + 1
    if usage["until"] >= LATEST:
        return sorted(values)
    return [(first + timedelta(days=at)).isoformat() for at in range(count)]


def _numbers(settings: PortalSettings) -> dict[str, Callable[[Any], str]]:
    locale = numbers.LOCALES.get(settings.locale, numbers.LOCALES["en"])
    return {
        "usd": lambda text: numbers.amount(text, locale),
        "count": lambda number: numbers.whole(number, locale),
        "percent": lambda text: numbers.percent(text, locale),
        "moment": _moment,
    }


def _moment(at: datetime | None) -> str:
    return "never" if at is None else f"{at:%Y-%m-%d %H:%M} UTC"


def _link(token: str | None, ranged: Pairs, tab: str, **changes: str) -> str:
    """Return the URL of this page with another range or tab; the token goes with it."""
    is_range = bool(changes.keys() & set(_RANGE))
    pairs = [] if is_range else list(ranged)
    given = ({} if tab == TABS[0][0] else {"by": tab}) | changes
    pairs += list(given.items())
    if token is not None:
        pairs.append(("token", token))
    return f"/portal/?{urlencode(pairs)}"


def _file_link(token: str | None, **asked: str) -> str:
    pairs = list(asked.items()) + ([("token", token)] if token is not None else [])
    return f"/portal/api/statement?{urlencode(pairs)}"


@lru_cache(maxsize=4)
def _template(name: str) -> jinja2.Template:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("tollbook.console.portal"), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return made.get_template(name)
