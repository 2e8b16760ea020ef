"""Spend by end user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.console.pages.dimension_page import dimension_view
from tollbook.console.pages.page import Page

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext
    from tollbook.console.pages.view import View


def users(context: PageContext) -> View:
    """Return what each user cost."""
    return dimension_view(
        context, "user", title="Users", label="User",
        subtitle="Whom calls were made for, as the application names them. One name in two tenants "
        "is one row here; filter by tenant to tell them apart.",
    )  # fmt: skip


PAGES: Final = (Page("/users", "Users", users, group="Spend"),)
