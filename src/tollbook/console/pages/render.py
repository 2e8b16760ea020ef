"""A view as HTML, JSON and CSV."""

from __future__ import annotations

import gzip
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zoneinfo import available_timezones

import jinja2
import msgspec
from markupsafe import Markup, escape

from tollbook import __version__
from tollbook.console.pages import shown
from tollbook.console.pages.charts import drawable
from tollbook.console.pages.page import GROUPS
from tollbook.console.pages.view import Chart, Figures, Form, Notice, Table, Text, View
from tollbook.reports.errors import QueryError
from tollbook.reports.tabular import csv_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.console.pages.page import Page
    from tollbook.desk.permits import Principal

_HIDDEN: Final = ("_links", "_tone", "_depth")
_FILES: Final = frozenset(["console.css", "console.js", "theme.js", "drop.js", "icon.svg"])
FILTER_NAMES: Final = (
    "tenant", "feature", "user", "model", "provider", "team", "environment", "status", "operation",
    "agent_run", "workflow", "api_key", "origin", "usage_source", "price_state", "cost_source",
    "service_tier", "region", "call_site", "tag",
)  # fmt: skip
"""What the filter form offers; an URL may filter by every dimension."""
PRESETS: Final = (
    ("Today", {"period": "today"}), ("7 days", {"since": "7d"}), ("30 days", {"since": "30d"}),
    ("This month", {"period": "month"}), ("Last month", {"period": "last-month"}),
    ("90 days", {"since": "90d"}), ("12 months", {"since": "365d"}),
)  # fmt: skip


class Frame(NamedTuple):
    """What stands around a view."""

    pages: Mapping[str, Page]
    principal: Principal | None
    """None before anybody has signed in: no navigation is shown."""
    path: str
    query: str
    """Of the URL, without ``?``."""
    csrf_token: str = ""
    done: str | None = None
    """What has just been done."""
    context: Any = None
    """The page's context, for its controls; None on pages without."""


@lru_cache(maxsize=1)
def environment() -> jinja2.Environment:
    """Return the templates; everything is escaped, and a name that is not there is an error."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("tollbook.console.pages"), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters |= {
        "usd": shown.usd, "count": shown.count, "short_count": shown.short_count,
        "percent": shown.percent, "change": shown.change, "seconds": shown.seconds,
        "plain": shown.plain, "moment": shown.moment, "spark": shown.spark, "rate": shown.rate,
    }  # fmt: skip
    made.globals |= {
        "cell": shown.cell, "version": __version__, "asset": asset_url, "presets": PRESETS,
        "kind_of": _kind_of, "json_text": lambda value: msgspec.json.encode(value).decode(),
        "zones": zones, "drawable": drawable, "filter_names": FILTER_NAMES,
    }  # fmt: skip
    return made


def _kind_of(section: Any) -> str:
    return type(section).__name__.lower()


@lru_cache(maxsize=1)
def zones() -> Markup:
    """Return the IANA zones that the field for one suggests."""
    names = sorted(
        name for name in available_timezones() if "/" in name and not name.startswith("Etc/")
    )
    return Markup("").join(
        Markup("<option>{}</option>").format(escape(one)) for one in ["UTC", *names]
    )


@lru_cache(maxsize=16)
def asset(name: str) -> bytes:
    """Return a file that pages load.

    Raises:
        KeyError: there is none of that name.
    """
    if name == "vega.js":
        import vl_convert  # noqa: PLC0415 -- forty megabytes, and only for this

        return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").encode()
    if name not in _FILES:
        raise KeyError(name)
    return (files("tollbook.console.pages") / "static" / name).read_bytes()


@lru_cache(maxsize=16)
def asset_gzip(name: str) -> bytes:
    """Return a file that pages load, compressed once.

    Raises:
        KeyError: there is none of that name.
    """
    return gzip.compress(asset(name), mtime=0)


@lru_cache(maxsize=16)
def asset_url(name: str) -> str:
    """Return the URL of a file that pages load; it changes with its content."""
    if name == "vega.js":  # made by a library; its content is that of the version
        return f"/static/vega.js?v={version('vl-convert-python')}"
    return f"/static/{name}?v={sha256(asset(name)).hexdigest()[:12]}"


def navigation(pages: Mapping[str, Page], principal: Principal) -> list[tuple[str, list[Page]]]:
    """Return the pages that a principal may see, under their headings."""
    allowed = [page for page in pages.values() if page.group and principal.may(page.permit)]
    groups = ((group, [page for page in allowed if page.group == group]) for group in GROUPS)
    return [(group, found) for group, found in groups if found]


def html(view: View, frame: Frame, template: str = "page.html") -> str:
    """Return a view as a whole HTML page."""
    menu = [] if frame.principal is None else navigation(frame.pages, frame.principal)
    has_charts = any(isinstance(section, Chart) for section in view.flat())
    has_drops = any(isinstance(section, Form) and section.drops for section in view.flat())
    made = environment().get_template(template)
    return made.render(
        view=view, frame=frame, menu=menu, has_charts=has_charts, has_drops=has_drops
    )


def as_data(view: View) -> dict[str, Any]:
    """Return a view's data: figures, tables by name, texts and notices."""
    figures = [
        {"label": one.label, "value": one.value, "kind": one.kind, "note": one.note}
        for section in view.flat()
        if isinstance(section, Figures)
        for one in section.items
    ]
    return {
        "title": view.title,
        "figures": figures,
        "tables": {
            one.name: {
                "title": one.title,
                "columns": [column.name for column in one.columns],
                "rows": [_bare(row) for row in one.rows],
                "total": one.total,
                "next": one.next_url,
            }
            for one in view.flat()
            if isinstance(one, Table)
        },
        "texts": [one.text for one in view.flat() if isinstance(one, Text)],
        "notices": [one.text for one in view.flat() if isinstance(one, Notice)],
        "forms": [one.operation for one in view.flat() if isinstance(one, Form)],
        "command": view.command,
        "completeness": view.completeness,
        "tz": view.tz,
    }


def _bare(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in _HIDDEN}


def as_csv(view: View, wanted: str | None) -> str:
    """Return a table of a view as CSV: the one named, or the first.

    Raises:
        QueryError: there is no such table.
    """
    tables = {one.name: one for one in view.flat() if isinstance(one, Table)}
    if not tables:
        raise QueryError("format", "this page has no table; ask for .json")
    if wanted is not None and wanted not in tables:
        raise QueryError("table", f"{wanted[:64]!r} is not one of {', '.join(tables)}")
    table = tables[wanted] if wanted is not None else next(iter(tables.values()))
    return csv_text([_bare(row) for row in table.rows], [column.name for column in table.columns])
