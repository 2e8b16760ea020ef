"""A headless browser that the tests of one module share."""

from __future__ import annotations

from tests.browser.conftest import browser

__all__ = ["browser"]
