"""Virtual keys: what applications present to the gateway, and whom their calls are booked to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.console.pages.page import Page
from tollbook.console.pages.view import Column, Field, Figure, Figures, Form, Section, Table, View
from tollbook.desk.permits import Access, Permit, Scope

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext

_SEE: Final = Permit(Scope.KEYS)
_CHANGE: Final = Permit(Scope.KEYS, Access.WRITE)
_COLUMNS: Final = (
    Column("label", "Label", "id"), Column("state", "State", "state"),
    Column("tenant", "Tenant", "id"), Column("user", "User", "id"), Column("team", "Team", "id"),
    Column("feature", "Feature", "id"), Column("environment", "Environment"),
    Column("models", "Models", "code"), Column("created_at", "Made", "time"),
    Column("expires_at", "Expires", "time"), Column("api_key_id", "Id", "code"),
)  # fmt: skip


def keys(context: PageContext) -> View:
    """Return the virtual keys, and the forms to make and revoke them."""
    found = context.ask("keys.list")["rows"]
    rows = [
        one | {"_links": {"label": context.filtered("/calls", "api_key", one["api_key_id"])}}
        for one in found
    ]
    alive = [one for one in found if one["state"] == "active"]
    sections: list[Section] = [
        Figures(
            items=(
                Figure(label="Active", value=len(alive), kind="count"),
                Figure(
                    label="Without a tenant", kind="count",
                    value=sum(one["tenant"] is None for one in alive),
                    note="their calls are booked to whom the call itself names",
                ),
                Figure(label="Revoked or expired", value=len(found) - len(alive), kind="count"),
            )
        ),
        Table(
            name="keys", columns=_COLUMNS, rows=rows,
            note="What a key says of its owner goes before what a call says of itself.",
            empty="No keys yet. Make one for each application below; it takes the place of the "
            "provider's key there.",
        ),
    ]  # fmt: skip
    if context.may(_CHANGE):
        sections.append(_making())
        if alive:
            sections.append(_revoking(tuple((one["api_key_id"], one["label"]) for one in alive)))
    return View(
        title="Keys", subtitle="Virtual keys bind an application to its owner.",
        sections=tuple(sections), command="tollbook keys list",
    )  # fmt: skip


def _making() -> Form:
    return Form(
        name="create", operation="keys.create", title="Make a key", submit="Make the key",
        shows_answer=True, note="Its secret is shown this once; only its hash is kept.",
        fields=(
            Field(name="label", label="Label", is_required=True, placeholder="search-service"),
            Field(name="tenant", label="Tenant", help="Its calls are booked to this tenant."),
            Field(name="user", label="User"), Field(name="team", label="Team"),
            Field(name="cost_center", label="Cost centre"),
            Field(name="feature", label="Feature"),
            Field(name="environment", label="Environment"),
            Field(name="models", label="Models", is_list=True, placeholder="gpt-5*",
                  help="Patterns with commas; none for all."),
            Field(name="expires", label="Expires", placeholder="90d"),
        ),
    )  # fmt: skip


def _revoking(alive: tuple[tuple[str, str], ...]) -> Form:
    return Form(
        name="revoke", operation="keys.revoke", title="Revoke a key", submit="Revoke it",
        is_dangerous=True, note="For good; gateways refuse it within seconds.",
        fields=(Field(name="name", label="Key", kind="select", options=alive),),
    )  # fmt: skip


PAGES: Final = (Page("/keys", "Keys", keys, _SEE, group="Settings"),)
