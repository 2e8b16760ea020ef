"""Pages of budgets: all of them, one of them, and what a rule would have done."""

from __future__ import annotations

from typing import Final

from tollbook.console.pages.budgets.listed import budgets
from tollbook.console.pages.budgets.one import budget
from tollbook.console.pages.budgets.tried import tried
from tollbook.console.pages.page import Page
from tollbook.desk.permits import Permit, Scope

PAGES: Final = (
    Page("/budgets", "Budgets", budgets, Permit(Scope.BUDGETS), group="Act"),
    Page("/budget", "Budget", budget, Permit(Scope.BUDGETS)),
    Page("/budget-what-if", "What if", tried, Permit(Scope.BUDGETS)),
)
