"""The application of tests/portal, for tests of the API as a whole."""

from __future__ import annotations

from tests.portal.conftest import ledger

__all__ = ["ledger"]
