"""Pages of the price book: cards, one card, unpriced models, changes, rates, restatement."""

from typing import Final

from tollbook.console.pages.page import Page
from tollbook.console.pages.pricebook.book import prices
from tollbook.console.pages.pricebook.card import card
from tollbook.console.pages.pricebook.changes import changes, rates
from tollbook.console.pages.pricebook.restatement import restatement
from tollbook.console.pages.pricebook.unpriced import unpriced
from tollbook.desk.permits import Permit, Scope

_SEEN: Final = Permit(Scope.FINANCE)
PAGES: Final = (
    Page("/prices", "Price book", prices, _SEEN, "Finance"),
    Page("/prices/card", "Price card", card, _SEEN),
    Page("/prices/unpriced", "Unpriced models", unpriced, _SEEN),
    Page("/prices/changes", "Changes of prices", changes, _SEEN),
    Page("/prices/fx", "Exchange rates", rates, _SEEN),
    Page("/prices/restatement", "Restatement", restatement, _SEEN),
)
