"""Tenants' portals: a link for one tenant, the tokens that are out, keys, and how portals look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.console.pages.page import Page
from tollbook.console.pages.view import (
    Choice,
    Column,
    Controls,
    Field,
    Form,
    Notice,
    Section,
    Table,
    Text,
    View,
)
from tollbook.desk.permits import Access, Permit, Scope

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext

_READ: Final = Permit(Scope.KEYS)
_WRITE: Final = Permit(Scope.PORTAL, Access.WRITE)
_LIFETIMES: Final = (("900", "15 minutes"), ("3600", "1 hour"), ("86400", "24 hours"))
_LOCALES: Final = (
    ("en", "1,234.56"), ("de", "1.234,56 (de)"), ("fr", "1 234,56 (fr)"), ("es", "1.234,56 (es)"),
    ("it", "1.234,56 (it)"), ("nl", "1.234,56 (nl)"), ("pl", "1 234,56 (pl)"),
    ("pt", "1.234,56 (pt)"), ("sv", "1 234,56 (sv)"), ("ch", "1\u2019234.56 (ch)"),
    ("in", "1,23,456.78 (in)"), ("plain", "1234.56"),
)  # fmt: skip


def portals(context: PageContext) -> View:
    """Return the page of portals; ``tenant`` in the URL chooses whose."""
    tenant = context.get("tenant")
    settings = context.ask("portal.settings", tenant=tenant)
    tokens = context.ask("portal.tokens", tenant=tenant)["rows"]
    sections: list[Section] = []
    may_write = context.may(_WRITE)
    if may_write:
        sections.append(_link_form(tenant))
    sections += [_tokens(context, tokens), _settings_table(settings)]
    if may_write:
        sections += [_settings_form(settings, tenant), _revoke_form(tenant)]
    sections += [_keys(context)]
    if may_write:
        sections.append(_rotate_form())
    sections.append(_how(settings))
    return View(
        title="Portals",
        subtitle="What a tenant sees of itself: its usage, what it is billed, limits and past "
        "months. It never sees another tenant, nor our cost unless that is switched on.",
        sections=tuple(sections),
        controls=Controls(
            has_range=False, has_filters=False,
            fields=(Field(name="tenant", label="Tenant", value=tenant,
                          placeholder="empty: what holds for all"),),
        ),
        command=f"tollbook portal token {tenant or 'TENANT'}",
        trail=(Choice("All portals", "/portals"),) if tenant else (),
    )  # fmt: skip


def _link_form(tenant: str | None) -> Form:
    return Form(
        name="token", operation="portal.token", title="Look at a tenant's portal",
        submit="Make a link",
        note="The token is shown this once. Anybody who has it sees that tenant's portal until it "
        "expires.",
        fields=(
            Field(name="tenant", label="Tenant", value=tenant, is_required=True),
            Field(name="lifetime_s", label="Good for", kind="select", options=_LIFETIMES,
                  value="900"),
        ),
        shows_answer=True,
    )  # fmt: skip


def _tokens(context: PageContext, rows: list[dict[str, Any]]) -> Table:
    shown = [
        row
        | {
            "parts": ", ".join(row["parts"]),
            "_links": {"tenant": context.url("/portals", tenant=row["tenant"])},
        }
        for row in rows
    ]
    return Table(
        name="tokens", title="Tokens that have not expired", rows=shown,
        columns=(
            Column("tenant", "Tenant"), Column("state", "State", "state"),
            Column("issued_at", "Made", "time"), Column("expires_at", "Expires", "time"),
            Column("parts", "Opens"), Column("author", "By"), Column("jti", "Token id", "id"),
        ),
        empty="No token is out. Make one above, or with POST /api/v1/portal/tokens.",
    )  # fmt: skip


def _settings_table(settings: dict[str, Any]) -> Table:
    rows = [
        {"what": name.replace("_", " "), "value": _words(value)}
        for name, value in settings.items()
        if name not in ("tenant", "logo")
    ]
    rows.append({"what": "logo", "value": "yes" if settings["logo"] else "none"})
    return Table(
        name="settings", title="What is shown and how it looks", rows=rows,
        columns=(Column("what", "What"), Column("value", "Value", "code")),
    )  # fmt: skip


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(value) or "none"
    return str(value)


def _settings_form(settings: dict[str, Any], tenant: str | None) -> Form:
    def given(name: str, label: str, **more: Any) -> Field:
        value = settings[name]
        return Field(
            name=name, label=label, value=", ".join(value) if isinstance(value, list) else value,
            is_list=isinstance(value, list), **more,
        )  # fmt: skip

    return Form(
        name="set", operation="portal.set", submit="Keep", is_folded=True,
        title=f"Change the portal of {tenant}" if tenant else "Change the portal of all tenants",
        fields=(
            Field(name="tenant", label="Tenant", kind="hidden", value=tenant),
            given("name", "Title"),
            given("accent", "Colour on white", help="#rrggbb; contrast of 4.5 or more"),
            given("accent_dark", "Colour on black", help="#rrggbb; contrast of 4.5 or more"),
            given("currency_text", "Words for the currency"),
            given("locale", "Numbers", kind="select", options=_LOCALES),
            given("timezone", "Time zone"),
            given("parts", "Parts", help="usage, billed, budget, statements, projection"),
            given("frame_ancestors", "May be framed by", kind="textarea",
                  placeholder="https://app.example.com"),
            given("shows_cost", "Show what its calls cost us", kind="checkbox"),
            given("logo", "Logo", kind="textarea", help="a data: URL of a PNG, JPEG, GIF or WebP"),
            Field(name="reason", label="Reason", is_required=True),
        ),
    )  # fmt: skip


def _revoke_form(tenant: str | None) -> Form:
    return Form(
        name="revoke", operation="portal.revoke", title="Revoke", submit="Revoke",
        is_folded=True, is_dangerous=True,
        fields=(
            Field(name="kind", label="What", kind="select", value="tenant" if tenant else "token",
                  options=(("token", "one token"), ("tenant", "all tokens of a tenant"),
                           ("key", "all that a key has signed"))),
            Field(name="name", label="Token id, tenant or key id", value=tenant, is_required=True),
            Field(name="reason", label="Reason", is_required=True),
        ),
    )  # fmt: skip


def _keys(context: PageContext) -> Table:
    return Table(
        name="keys", title="Keys that sign tokens", rows=context.ask("portal.keys")["rows"],
        columns=(
            Column("kid", "Key id", "id"), Column("state", "State", "state"),
            Column("created_at", "Made", "time"), Column("opens_until", "Opens until", "time"),
            Column("author", "By"),
        ),
        note="After a rotation the key before it opens what it signed for 24 hours more.",
        empty="The first token makes the first key.",
    )  # fmt: skip


def _rotate_form() -> Form:
    return Form(
        name="rotate", operation="portal.rotate", title="Rotate the key", submit="Make a new key",
        is_folded=True, fields=(Field(name="reason", label="Reason", is_required=True),),
    )  # fmt: skip


def _how(settings: dict[str, Any]) -> Section:
    origins = settings["frame_ancestors"]
    if not origins:
        return Notice(
            text="No page may frame the portal. Name the origin of your application under "
            "“May be framed by” to embed it.", tone="plain",
        )  # fmt: skip
    return Text(
        title="Embedding it", is_code=True,
        text='<iframe src="https://TOLLBOOK/portal/?token=TOKEN" title="Usage"\n'
        '        referrerpolicy="no-referrer"></iframe>',
    )  # fmt: skip


PAGES: Final = (Page("/portals", "Portals", portals, permit=_READ, group="Settings"),)
