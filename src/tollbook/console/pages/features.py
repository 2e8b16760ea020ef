"""Spend by feature: what each part of the product costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.console.pages.dimension_page import dimension_view
from tollbook.console.pages.page import Page

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext
    from tollbook.console.pages.view import View


def features(context: PageContext) -> View:
    """Return what each feature cost."""
    return dimension_view(
        context, "feature", title="Features", label="Feature",
        subtitle="Calls name their feature with the header x-tollbook-feature, the SDK, or a rule "
        "of the gateway.",
    )  # fmt: skip


PAGES: Final = (Page("/features", "Features", features, group="Spend"),)
