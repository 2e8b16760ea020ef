"""One's own account: password, sessions, signing out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.console.pages.page import Page
from tollbook.console.pages.view import (
    Column,
    Field,
    Form,
    Notice,
    Section,
    Table,
    View,
)
from tollbook.people.shown import SESSION_CHARS

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext

_COLUMNS: Final = (
    Column("state", "State", "state"), Column("method", "By"),
    Column("address", "Address", "code"), Column("agent", "Browser"),
    Column("began_at", "Began", "time"), Column("seen_at", "Last used", "time"),
    Column("ends_at", "Ends at the latest", "time"), Column("session", "Session", "code"),
)  # fmt: skip


def account(context: PageContext) -> View:
    """Return one's own account."""
    principal = context.principal
    if principal.session is None:
        permits = ", ".join(sorted(str(one) for one in principal.permits))
        return View(
            title="Account",
            sections=(Notice(text=f"{principal.name} came without signing in.", tone="plain"),),
            subtitle=f"It may: {permits}.",
        )
    found = context.ask("account.show")
    own, here = found["account"], principal.session[:SESSION_CHARS]
    rows = [
        one | ({"state": "this one"} if one["session"] == here else {}) for one in found["rows"]
    ]
    others = tuple(
        (one["session"], f"{one['address']}, last used {one['seen_at']}")
        for one in rows if one["state"] == "active"
    )  # fmt: skip
    sections: list[Section] = [
        Form(name="out", operation="", action="/login/out", fields=(), submit="Sign out"),
        Table(name="sessions", title="Your sessions", columns=_COLUMNS, rows=rows),
    ]
    if others:
        sections.append(
            Form(
                name="end", operation="account.end-session", title="End another session",
                submit="End it", is_dangerous=True,
                fields=(Field(name="session", label="Session", kind="select", options=others),),
            )
        )  # fmt: skip
    sections.append(
        Form(
            name="all", operation="account.end-sessions", title="Sign out everywhere",
            submit="End all sessions", fields=(), is_dangerous=True,
            note="This one too.", is_folded=True,
        )
    )  # fmt: skip
    if own["signs_in_with"] and "password" in own["signs_in_with"]:
        sections.append(_password())
    return View(title="Account", subtitle=f"{own['name']}, {own['role']}", sections=tuple(sections))


def _password() -> Form:
    return Form(
        name="password", operation="account.password", title="Change your password",
        submit="Change it", note="All your sessions end, this one too.", is_folded=True,
        fields=(
            Field(name="current_password", label="Password so far", kind="password",
                  is_required=True),
            Field(name="new_password", label="New password", kind="password", is_required=True,
                  help="At least 12 characters; a few words do."),
        ),
    )  # fmt: skip


PAGES: Final = (Page("/account", "Account", account, group="Settings", is_kept=False),)
