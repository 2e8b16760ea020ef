"""People: accounts, their sessions, and the API tokens of programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.console.pages.page import Page
from tollbook.console.pages.view import (
    Choice,
    Column,
    Field,
    Form,
    Notice,
    Section,
    Table,
    View,
)
from tollbook.desk.permits import PERMITS, Access, Permit, Role, Scope

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext

_SEE: Final = Permit(Scope.PEOPLE)
_CHANGE: Final = Permit(Scope.PEOPLE, Access.WRITE)
_ROLES: Final = tuple((role.value, role.value) for role in Role)
_ROLE_HELP: Final = (
    "owner: everything; finance: prices, statements, periods, budgets; engineer: budgets, alerts, "
    "keys; viewer: looks; tenant: its own portal only"
)


def people(context: PageContext) -> View:
    """Return all accounts, and the forms to make and change them."""
    found = context.ask("people.list")["rows"]
    rows = [one | {"_links": {"name": f"/people/account?name={one['name']}"}} for one in found]
    sections: list[Section] = []
    if not rows:
        sections.append(
            Notice(text="Nobody has an account yet; make one for yourself first, as owner.")
        )
    sections.append(
        Table(
            name="accounts", title="Accounts", rows=rows, columns=_ACCOUNTS,
            empty="No accounts; the form below makes one.",
        )
    )  # fmt: skip
    if context.may(_CHANGE):
        sections.append(_adding())
    sections.append(_permits())
    return View(
        title="People", subtitle="Who may sign in to the console, and as what.",
        sections=tuple(sections), command="tollbook people list",
        actions=(Choice("API tokens", "/people/tokens"), Choice("Audit log", "/audit")),
    )  # fmt: skip


_ACCOUNTS: Final = (
    Column("name", "Name", "id"), Column("role", "Role"), Column("tenant", "Tenant", "id"),
    Column("state", "State", "state"), Column("signs_in_with", "Signs in with"),
    Column("sessions", "Sessions", "count"), Column("created_at", "Made", "time"),
    Column("created_by", "By"),
)  # fmt: skip
_SESSIONS: Final = (
    Column("session", "Session", "code"), Column("state", "State", "state"),
    Column("method", "By"), Column("address", "Address", "code"), Column("agent", "Browser"),
    Column("began_at", "Began", "time"), Column("seen_at", "Last used", "time"),
    Column("ends_at", "Ends at the latest", "time"),
)  # fmt: skip


def _adding() -> Form:
    return Form(
        name="add", operation="people.add", title="Make an account", submit="Make the account",
        shows_answer=True,
        note="You get a link that works once, for a day; give it to the person, who chooses a "
        "password there. Nobody else ever knows it.",
        fields=(
            Field(name="name", label="Name or e-mail address", is_required=True),
            Field(name="role", label="Role", kind="select", options=_ROLES, value="viewer",
                  help=_ROLE_HELP),
            Field(name="tenant", label="Tenant", help="Of role tenant: the only one that it sees."),
        ),
    )  # fmt: skip


def _permits() -> Table:
    """Return what each role may do, from the permits themselves."""
    columns = [Column("scope", "What"), *(Column(role.value, role.value) for role in Role)]
    rows: list[dict[str, Any]] = []
    for scope in Scope:
        row: dict[str, Any] = {"scope": scope.value}
        for role in Role:
            held = PERMITS[role]
            is_written = Permit(scope, Access.WRITE) in held
            is_read = Permit(scope) in held
            row[role.value] = "change" if is_written else "see" if is_read else None
        rows.append(row)
    return Table(
        name="permits",
        title="What roles may do",
        columns=tuple(columns),
        rows=rows,
        note="To change includes to see. API tokens have permits of their own.",
    )


def account(context: PageContext) -> View:
    """Return one account with its sessions, and what an owner can do to it."""
    name = context.need("name", "the name of an account")
    found = [one for one in context.ask("people.list")["rows"] if one["name"] == name]
    if not found:
        return View(
            title=name, trail=_TRAIL,
            sections=(Notice(text="There is no account of this name.", url="/people"),),
        )  # fmt: skip
    one = found[0]
    sections: list[Section] = [
        Table(name="account", columns=_ACCOUNTS, rows=[one]),
        Table(
            name="sessions", title="Sessions", columns=_SESSIONS,
            rows=context.ask("people.sessions", name=name)["rows"], empty="It has not signed in.",
        ),
    ]  # fmt: skip
    if context.may(_CHANGE):
        sections += _changes(one)
    return View(
        title=name, subtitle=f"{one['role']}, {one['state']}", sections=tuple(sections),
        trail=_TRAIL, command=f"tollbook people sessions {name}",
        actions=(Choice("What it did and saw", f"/audit?who=user:{name}"),),
    )  # fmt: skip


_TRAIL: Final = (Choice("People", "/people"),)


def _changes(one: dict[str, Any]) -> list[Section]:
    name = Field(name="name", label="Name", kind="hidden", value=one["name"])
    turned = "enable" if one["state"] == "disabled" else "disable"
    return [
        Form(
            name="role", operation="people.role", title="Another role", submit="Change the role",
            note="Its sessions end.",
            fields=(
                name,
                Field(name="role", label="Role", kind="select", options=_ROLES, value=one["role"],
                      help=_ROLE_HELP),
                Field(name="tenant", label="Tenant", value=one["tenant"],
                      help="Of role tenant only."),
            ),
        ),
        Form(
            name="reset", operation="people.reset", title="Another password", fields=(name,),
            submit="Make a link", shows_answer=True,
            note="A link that works once, for a day, to choose another password.",
        ),
        Form(
            name="end", operation="people.end-sessions", title="Sign out everywhere",
            submit="End all sessions", fields=(name,), is_dangerous=True,
        ),
        Form(
            name="turn", operation=f"people.{turned}", title=f"{turned.capitalize()} the account",
            submit=f"{turned.capitalize()} it", fields=(name,), is_dangerous=turned == "disable",
            note="A disabled account cannot sign in, and its sessions end; nothing is deleted.",
        ),
    ]  # fmt: skip


def tokens(context: PageContext) -> View:
    """Return the API tokens, and the forms to make and revoke them."""
    rows = context.ask("tokens.list")["rows"]
    sections: list[Section] = [
        Table(
            name="tokens", columns=_TOKENS, rows=rows,
            empty="No tokens yet. A program that asks the API needs one; make it below.",
        )
    ]  # fmt: skip
    if context.may(_CHANGE):
        alive = tuple((one["token_id"], one["label"]) for one in rows if one["state"] == "active")
        sections.append(_making())
        if alive:
            sections.append(_revoking(alive))
    return View(
        title="API tokens", subtitle="What programs present: Authorization: Bearer tb_api_...",
        sections=tuple(sections), trail=_TRAIL, command="tollbook people tokens list",
    )  # fmt: skip


_TOKENS: Final = (
    Column("label", "Label", "id"), Column("state", "State", "state"),
    Column("permits", "Permits", "code"), Column("tenant", "Tenant", "id"),
    Column("created_at", "Made", "time"), Column("created_by", "By"),
    Column("expires_at", "Expires", "time"),
    Column("used_at", "Last used", "time", help="To the hour."),
)  # fmt: skip


def _making() -> Form:
    scopes = ", ".join(scope.value for scope in Scope)
    return Form(
        name="create", operation="tokens.create", title="Make a token", submit="Make the token",
        shows_answer=True, note="It is shown this once; only its hash is kept.",
        fields=(
            Field(name="label", label="Label", is_required=True, placeholder="ci-reports"),
            Field(name="permits", label="Permits", value="spend:read", is_list=True,
                  help=f"SCOPE:read or SCOPE:write, with commas; scopes: {scopes}"),
            Field(name="tenant", label="Tenant",
                  help="The only one it sees; then leave the permits empty."),
            Field(name="expires", label="Expires", placeholder="90d"),
        ),
    )  # fmt: skip


def _revoking(alive: tuple[tuple[str, str], ...]) -> Form:
    return Form(
        name="revoke", operation="tokens.revoke", title="Revoke a token", submit="Revoke it",
        is_dangerous=True,
        fields=(Field(name="name", label="Token", kind="select", options=alive),),
    )  # fmt: skip


PAGES: Final = (
    Page("/people", "People", people, _SEE, group="Settings", is_kept=False),
    Page("/people/account", "Account", account, _SEE, is_kept=False),
    Page("/people/tokens", "API tokens", tokens, _SEE, is_kept=False),
)
