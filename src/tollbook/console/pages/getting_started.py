"""Getting started: what is connected already, and how to connect the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook.books.documents import Subject, newest_documents
from tollbook.call import Observer
from tollbook.chargeback.periods.cutoffs import closes
from tollbook.console.pages.finance_parts import columns, figures
from tollbook.console.pages.page import Page
from tollbook.console.pages.snippets import gateway_url, snippets
from tollbook.console.pages.view import Figure, Notice, Table, Text, View
from tollbook.desk.permits import Permit, Scope

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext

_DAYS: Final = 30
"""Looked back at: what was connected a year ago and is silent since is not connected."""
_GATEWAY: Final = "gateway"


class Item(NamedTuple):
    """One thing to do, and whether it is done."""

    what: str
    is_done: bool
    found: str
    """What is there, in words."""
    how: str
    """What to do, as a command or in words."""
    url: str | None = None
    is_optional: bool = False


def getting_started(context: PageContext) -> View:
    """Return the checklist, and what to paste for whatever is not there yet."""
    items = checklist(context)
    needed = [one for one in items if not one.is_optional]
    done = sum(one.is_done for one in needed)
    rows = [
        {"what": one.what, "state": _state(one), "found": one.found,
         "how": None if one.is_done else one.how,
         "_links": {} if one.url is None else {"what": one.url}}
        for one in items
    ]  # fmt: skip
    told = figures(
        Figure(
            label="Done",
            value=f"{done} of {len(needed)}",
            tone="good" if done == len(needed) else "plain",
        ),
        Figure(label="Gateway", value=gateway_url(context.house.desk.config)),
    )
    table = Table(
        name="checklist", title="What is connected", rows=rows,
        note=f"Read from the ledger and the books just now; calls are those of {_DAYS} days.",
        columns=columns(("what", "What"), ("state", "State", "state"), ("found", "There is"),
                        ("how", "To do it", "code")),
    )  # fmt: skip
    first = Notice(
        text="To look around with made-up data first: tollbook demo makes a ledger with 40 tenants "
        "from simulated providers in a directory of its own, and ends with the tie-out.",
        tone="plain",
    )
    code = tuple(
        Text(title=title, text=text, is_code=True)
        for title, text in snippets(context.house.desk.config)
    )
    return View(
        title="Getting started", sections=(told, table, first, *code), tz=context.tz,
        subtitle="Official clients work unchanged but for the base URL and the key.",
        command="tollbook doctor",
    )  # fmt: skip


def _state(one: Item) -> str:
    return "done" if one.is_done else "optional" if one.is_optional else "to do"


def checklist(context: PageContext) -> list[Item]:
    """Return what there is to do, in order, as far as the ledger and the books tell."""
    answers = context.house.answers
    # Owners and prices of all time would take a scan of all calls; those of late say what is wrong.
    seen = answers.spend([("since", f"{_DAYS}d"), ("by", "observer"), ("measures", "calls")])
    by_observer = {str(row["observer"] or _GATEWAY): row["calls"] for row in seen.rows}
    through = by_observer.pop(_GATEWAY, 0)
    state = seen.completeness
    calls = seen.totals["calls"] or 0
    with_tenant = calls - state.unattributed.calls
    return [
        _item("Calls through the gateway", through, f"{through:,} calls",
              "point a client at the gateway, see below", "/calls"),
        _item("Every call names its tenant", calls and with_tenant == calls,
              f"{with_tenant:,} of {calls:,} calls",
              "send baggage: tenant.id=NAME, or bind a key to a tenant", "/quality"),
        *_observers(by_observer),
        *_kept(context),
        _item("Every call has a price", calls and not state.unpriced.calls,
              f"{calls - state.unpriced.calls:,} of {calls:,} calls",
              "add a card for what is unpriced", "/prices/unpriced"),
        *_finance(context),
    ]  # fmt: skip


def _item(
    what: str, done: Any, found: str, how: str, url: str | None = None, *, is_optional: bool = False
) -> Item:
    return Item(what, bool(done), found, how, url, is_optional)


def _observers(by_observer: dict[str, int]) -> list[Item]:
    sdk, otlp = by_observer.get(Observer.SDK, 0), by_observer.get(Observer.OTLP, 0)
    return [
        _item("Calls seen by the SDK", sdk, f"{sdk:,} calls",
              "tollbook.configure and tollbook.wrap, see below", is_optional=True),
        _item("Calls seen by OpenTelemetry", otlp, f"{otlp:,} calls",
              "OTEL_EXPORTER_OTLP_ENDPOINT, see below", is_optional=True),
    ]  # fmt: skip


def _kept(context: PageContext) -> list[Item]:
    """Return what is counted from operations that may be there; what is not allowed is left out."""
    told = (
        ("Keys for applications", "keys.list", "tollbook keys create my-app", "/keys", "keys"),
        ("A budget", "budgets.list", "set a limit for each tenant", "/budgets", "budgets"),
        ("A channel for alerts", "channels.list", "Slack, e-mail or a webhook", "/channels",
         "channels"),
    )  # fmt: skip
    items = []
    for what, operation, how, path, unit in told:
        answer = context.try_ask(operation)
        if answer is not None:
            count = len(answer.get("rows", []))
            items.append(_item(what, count, f"{count} {unit}", how,
                               path if context.has_page(path) else None))  # fmt: skip
    return items


def _finance(context: PageContext) -> list[Item]:
    statements = context.try_ask("statements.list")
    periods = context.house.operations.get("periods.status")
    items = []
    if statements is not None:
        count = len(statements["rows"])
        items.append(_item("Statements of providers", count, f"{count} statements",
                           "upload a usage or cost report", "/provider-statements"))  # fmt: skip
    targets = len(newest_documents(context.house.desk.books, Subject.MARGIN_TARGET))
    items.append(_item("Margin targets", targets, f"{targets} kept",
                       "import revenue and set one", "/margin", is_optional=True))  # fmt: skip
    if periods is not None and context.may(periods.needs):
        # Its answer has the sums of all months, and here they are only counted.
        closed = len(closes(context.house.desk.books))
        items.append(_item("A closed month", closed, f"{closed} months",
                           "reconcile, allocate and close the last one", "/periods"))  # fmt: skip
    return items


PAGES: Final = (
    Page("/getting-started", "Getting started", getting_started, Permit(Scope.SPEND), "Settings"),
)
