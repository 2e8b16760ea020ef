"""Ledger, provider's usage and invoice held against each other; every difference has a cause."""
