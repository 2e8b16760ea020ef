"""Insights: all of them on one page, and a page for each with chart, table and method."""

from __future__ import annotations

from typing import Final

from tollbook.console.pages.insights.index import index
from tollbook.console.pages.insights.one import page_of
from tollbook.console.pages.insights.shapes_savings import SAVINGS
from tollbook.console.pages.insights.shapes_spend import SPEND
from tollbook.console.pages.page import Page

PAGES: Final = (
    Page("/insights", "Insights", index, group="Spend"),
    # Slow answers are kept by the insights themselves; a page that says "not yet" is not.
    *(Page(one.path, one.title, page_of(one), is_kept=False) for one in (*SPEND, *SAVINGS)),
)
