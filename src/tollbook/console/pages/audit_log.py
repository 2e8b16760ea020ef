"""The audit log: who did, saw and exported what."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Final

from tollbook.console.pages.page import Page
from tollbook.console.pages.view import Choice, Column, Controls, Field, Table, View
from tollbook.desk.permits import Permit, Scope

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext

_ASKED: Final = ("who", "what", "where", "outcome", "kind", "before")
_RANGE: Final = ("since", "until", "tz")
_PAGE_ROWS: Final = 100
_COLUMNS: Final = (
    Column("at", "When", "time"), Column("who", "Who", "id"), Column("what", "What", "id"),
    Column("outcome", "Outcome", "state"), Column("path", "Page or route", "code"),
    Column("detail", "Detail", "code"), Column("address", "Address", "code"),
)  # fmt: skip
_VIEWS: Final[tuple[tuple[str, dict[str, str]], ...]] = (
    ("Everything", {}), ("What was done", {"kind": "deed"}), ("What was seen", {"kind": "seen"}),
    ("Exports", {"what": "export"}), ("Sign-ins", {"what": "sign-"}),
    ("Denied", {"outcome": "denied"}),
)  # fmt: skip


def audit_log(context: PageContext) -> View:
    """Return a page of the audit log."""
    given = {name: context.get(name) for name in (*_RANGE, *_ASKED)}
    answer = context.ask("people.log", limit=_PAGE_ROWS, **given)
    following = answer["next_before"]
    none: dict[str, Any] = dict.fromkeys(("kind", "what", "outcome", "before"))
    tabs = tuple(
        Choice(
            label, context.url(**(none | changes)),
            all(context.get(name) == changes.get(name) for name in ("kind", "what", "outcome")),
        )
        for label, changes in _VIEWS
    )  # fmt: skip
    table = Table(
        name="log", columns=_COLUMNS, rows=[_row(context, one) for one in answer["rows"]],
        note="What was done is kept for ever; what was seen as long as [console] access_log_days "
        "says. Neither can be changed. Newest first.",
        empty="Nothing was done or seen like that in this range.",
        next_url=None if following is None else context.url(before=following),
        previous_url=context.url(before=None) if context.get("before") else None,
    )  # fmt: skip
    words = [f"--{name} {shlex.quote(value)}" for name, value in given.items() if value is not None]
    return View(
        title="Audit log", subtitle="Who did, saw and exported what.", sections=(table,),
        command=" ".join(["tollbook people log", *words]), tz=context.tz,
        controls=Controls(
            has_filters=False, tabs=tabs,
            fields=(
                Field(name="who", label="Who", value=context.get("who"), placeholder="user:anna"),
                Field(name="where", label="Page or detail", value=context.get("where")),
            ),
        ),
    )  # fmt: skip


def _row(context: PageContext, one: dict[str, Any]) -> dict[str, Any]:
    is_bad = one["outcome"] != "ok"
    shown = one | {"_links": {"who": context.url(who=one["who"], before=None)}}
    return shown | {"_tone": "warn"} if is_bad else shown


PAGES: Final = (
    Page("/audit", "Audit log", audit_log, Permit(Scope.AUDIT), group="Trust", is_kept=False),
)
