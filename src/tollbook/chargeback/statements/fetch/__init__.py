"""Statements from providers' APIs: paging, waiting, going on where it stopped."""
